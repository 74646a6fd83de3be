//! A port's connections, as a gRPC server takes them.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::accept::Acceptor;
use super::stream::Secured;

/// After an error of accept(2) that comes back at once, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are ready and were not taken by the server yet.
const READY: usize = 64;

/// The connections of a port until `closing`: with an acceptor those in TLS, each of which shakes hands on its own,
/// so that a slow one holds nobody up. Must be called inside a tokio runtime.
pub fn incoming(
    listener: TcpListener,
    acceptor: Option<Acceptor>,
    closing: CancellationToken,
) -> impl Stream<Item = Secured<TcpStream>> + Send + 'static {
    let (ready, taken) = mpsc::channel(READY);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                biased;
                () = closing.cancelled() => return,
                () = ready.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // A verdict is small and somebody waits for it.
            let _ = stream.set_nodelay(true);
            let ready = ready.clone();
            let Some(acceptor) = acceptor.clone() else {
                let _ = ready.send(Secured::Plain(stream)).await;
                continue;
            };
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream, peer).await {
                    let _ = ready.send(stream).await;
                }
            });
        }
    });
    ReceiverStream::new(taken)
}
