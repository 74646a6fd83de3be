//! Connections in memory.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use conduit_gateway::{Duplex, Incoming};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Bytes that a pipe holds in each direction.
const PIPE: usize = 64 << 10;

/// A listener in memory.
pub(super) struct Door {
    sender: mpsc::UnboundedSender<DuplexStream>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<DuplexStream>>>,
}

impl Door {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    pub(super) fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(PIPE);
        let sent = self.sender.send(far);
        sent.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }

    /// Whoever connects. To be taken once.
    pub(super) fn incoming(&self) -> Incoming {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = receiver.take().expect("one listener a door");
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
        UnboundedReceiverStream::new(receiver)
            .map(move |stream| Ok((Box::new(stream) as Box<dyn Duplex>, peer)))
            .boxed()
    }
}

/// A node's end of a connection: it breaks when the node dies.
pub(super) struct Mortal {
    stream: DuplexStream,
    dead: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Both ends of a connection to a node that lives until the token is cancelled.
pub(super) fn to_node(life: &CancellationToken) -> (DuplexStream, Mortal) {
    let (near, stream) = tokio::io::duplex(PIPE);
    let dead = Box::pin(life.clone().cancelled_owned());
    (near, Mortal { stream, dead })
}

impl Connected for Mortal {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl Mortal {
    fn alive(&mut self, context: &mut Context<'_>) -> io::Result<&mut DuplexStream> {
        if self.dead.as_mut().poll(context).is_ready() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(&mut self.stream)
    }
}

impl AsyncRead for Mortal {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.alive(context)?).poll_read(context, buffer)
    }
}

impl AsyncWrite for Mortal {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.alive(context)?).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.alive(context)?).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.alive(context)?).poll_shutdown(context)
    }
}
