//! A conduit's connection, as the gRPC server takes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use millrace_runtime::tls::{Acceptor, Denied, Secured};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::super::{Slot, Stream};
use crate::failure::Failure;
use crate::gateway::Shared;

/// A connection, and what it occupies until it is dropped.
pub(in crate::listen) struct Connected {
    stream: Secured<Stream>,
    _slot: Slot,
    _tracked: TaskTrackerToken,
}

/// What a connection that was taken occupies, and what becomes of it.
pub(in crate::listen) struct Waiting {
    pub(in crate::listen) doom: Option<Failure>,
    pub(in crate::listen) slot: Slot,
    pub(in crate::listen) tracked: TaskTrackerToken,
}

/// Whose calls come over a connection: an extension of each.
#[derive(Debug, Clone)]
pub(in crate::listen) struct Caller {
    /// Why nothing is judged; `None` for all but connections above the limit.
    pub(super) doom: Option<Failure>,
    /// Why nothing is answered: the certificate's holder may not speak for this client.
    pub(super) denied: Option<Denied>,
}

/// Gives a connection to the server. In TLS it shakes hands first, in a task of its own: a slow one is to hold nobody
/// up.
pub(in crate::listen) async fn hand_over(
    stream: Stream,
    acceptor: Option<&Acceptor>,
    waiting: Waiting,
    server: &mpsc::Sender<(Caller, Connected)>,
    shared: &Arc<Shared>,
) {
    let (Some(acceptor), Some(_)) = (acceptor.cloned(), stream.peer_ip()) else {
        let connected = Connected::new(Secured::Plain(stream), waiting, shared);
        // The receiver is gone only when the process ends.
        let _ = server.send(connected).await;
        return;
    };
    let (server, shared) = (server.clone(), shared.clone());
    tokio::spawn(async move {
        let peer = stream.peer();
        if let Ok(stream) = acceptor.accept(stream, peer).await {
            let _ = server.send(Connected::new(stream, waiting, &shared)).await;
        }
    });
}

impl Connected {
    /// The connection, and whose calls come over it.
    fn new(stream: Secured<Stream>, waiting: Waiting, shared: &Shared) -> (Caller, Self) {
        if let Stream::Tcp(tcp, _) = stream.socket() {
            // A verdict is small and somebody waits for it.
            let _ = tcp.set_nodelay(true);
        }
        let Waiting {
            doom,
            slot,
            tracked,
        } = waiting;
        let client = &slot.client.config.name;
        let peers = shared.links.peers();
        let permitted = peers.may_process(stream.names().as_ref(), client.as_str());
        if let Err(denied) = &permitted {
            let peer = stream.socket().peer();
            tracing::warn!(%peer, %client, %denied, "its calls are refused");
        }
        let caller = Caller {
            doom,
            denied: permitted.err(),
        };
        let connected = Self {
            stream,
            _slot: slot,
            _tracked: tracked,
        };
        (caller, connected)
    }
}

impl AsyncRead for Connected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connected {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
