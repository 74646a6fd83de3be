//! What a connection was that came to nothing: a server that may have died of the call, or none at all.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use hyper_util::rt::TokioIo;
use millrace_client::Client;
use millrace_proto::{CallError, Direction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An empty SETTINGS frame: a server's preface (RFC 9113 §3.4).
const PREFACE: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// What a server that wants TLS answers plain text with: a fatal alert.
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 10];

/// How a call ends whose server says this, reads so much of what it is asked and goes.
async fn ends(says: &'static [u8], reads: usize) -> CallError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        // A client may connect anew.
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(says).await.unwrap();
            let mut asked = vec![0; reads];
            let _ = stream.read_exact(&mut asked).await;
        }
    });
    let connector = tower::service_fn(move |_: http::Uri| async move {
        TcpStream::connect(address).await.map(TokioIo::new)
    });
    let client = Client::over(&format!("http://{address}"), connector).unwrap();
    let name = "mx".parse().unwrap();
    let asked = client.watch_plan(&name, Direction::Inbound);
    let ended = tokio::time::timeout(Duration::from_secs(60), asked).await;
    server.abort();
    ended.unwrap().err().expect("nobody answers")
}

#[tokio::test]
async fn a_server_that_goes_before_it_has_said_anything_was_not_reached() {
    for reads in [0, 24, 100] {
        let error = ends(b"", reads).await;
        assert!(
            matches!(error, CallError::Unavailable(_)),
            "{reads}: {error:?}"
        );
    }
}

#[tokio::test]
async fn one_that_speaks_something_else_was_not_reached_and_is_told_of() {
    for says in [ALERT, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"?"] {
        let error = ends(says, 24).await;
        assert!(
            matches!(&error, CallError::Unavailable(text) if text.contains("does not speak HTTP/2")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn one_that_has_begun_to_speak_may_have_died_of_the_call() {
    let error = ends(PREFACE, 100).await;
    assert!(matches!(error, CallError::Lost(_)), "{error:?}");
}
