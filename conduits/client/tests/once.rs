//! One call over one connection, as a server sees it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use millrace_client::once::{Endpoint, Question, process};
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Transaction,
    TransactionId,
};

/// A SETTINGS frame without any, and its acknowledgement (RFC 9113 §6.5).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const ACKNOWLEDGED: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];

fn transaction() -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::QmailQueue,
        client: "mx".parse().unwrap(),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope::default(),
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Lf,
        revision: None,
    }
}

/// Some servers hang up on a client that never acknowledges.
#[test]
fn a_server_that_takes_its_time_hears_that_its_settings_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gateway.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(&SETTINGS).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.windows(9).any(|frame| frame == ACKNOWLEDGED) {
            let count = stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "the client is gone");
            heard.extend_from_slice(&buffer[..count]);
        }
    });
    let content = folder.path().join("message");
    std::fs::write(&content, "Subject: x\n\n").unwrap();
    let question = Question {
        transaction: &transaction(),
        content: &File::open(content).unwrap(),
        deadline: Duration::from_secs(30),
    };
    let answer = process(&Endpoint::Unix(socket), None, question);
    server.join().unwrap();
    answer.expect_err("there was none");
}
