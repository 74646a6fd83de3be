//! The network that TCP listeners are on: the system's, or one that a test simulates.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::stream::After;

/// A connection of a network that is not the system's.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connections with their peers' addresses, as they come; the end of the listener is the stream's.
pub type Incoming = BoxStream<'static, io::Result<(Box<dyn Duplex>, SocketAddr)>>;

/// The network that `tcp://` listeners are on.
#[derive(Clone, Default)]
pub enum Network {
    /// The system's.
    #[default]
    System,
    /// Another: gives what connects to an address.
    Simulated(Arc<dyn Fn(SocketAddr) -> Incoming + Send + Sync>),
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Simulated(_) => "Simulated",
        })
    }
}

/// A listener of a simulated network.
pub(super) struct SimulatedListener(tokio::sync::Mutex<Incoming>);

/// A connection of a simulated network, with what the system's sockets have and [`Duplex`] has not: it tells when there
/// is something to read without reading it.
pub(crate) struct Simulated(Mutex<Buffered>);

struct Buffered {
    io: Box<dyn Duplex>,
    /// What was read to find out that there is something.
    read: BytesMut,
    /// Whether the peer sends no more.
    ended: bool,
}

impl SimulatedListener {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self(tokio::sync::Mutex::new(incoming))
    }

    pub(super) async fn accept(&self) -> io::Result<(Simulated, SocketAddr)> {
        match self.0.lock().await.next().await {
            Some(Ok((stream, peer))) => Ok((Simulated::new(stream), peer)),
            Some(Err(error)) => Err(error),
            None => std::future::pending().await,
        }
    }
}

impl Simulated {
    pub(super) fn new(io: Box<dyn Duplex>) -> Self {
        Self(Mutex::new(Buffered {
            io,
            read: BytesMut::new(),
            ended: false,
        }))
    }

    fn locked(&self) -> MutexGuard<'_, Buffered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.locked().poll_fill(context)).await
    }

    pub(super) fn read_now(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut inner = self.locked();
        let fill = std::future::poll_fn(|context| inner.poll_fill(context));
        match pin!(fill).now_or_never() {
            None => return Err(io::ErrorKind::WouldBlock.into()),
            Some(filled) => filled?,
        }
        let count = inner.read.len();
        buffer.extend_from_slice(&inner.read.split());
        Ok(count)
    }

    /// Looks what there is, and takes nothing.
    pub(super) fn after(&self) -> After {
        let mut inner = self.locked();
        let fill = std::future::poll_fn(|context| inner.poll_fill(context));
        match pin!(fill).now_or_never() {
            None => After::Nothing,
            Some(Ok(())) if !inner.read.is_empty() => After::Bytes,
            Some(_) => After::Gone,
        }
    }

    /// Writes what goes without waiting.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.locked();
        let write =
            std::future::poll_fn(|context| Pin::new(&mut inner.io).poll_write(context, bytes));
        pin!(write)
            .now_or_never()
            .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = std::future::poll_fn(|context| {
                Pin::new(&mut self.locked().io).poll_write(context, bytes)
            })
            .await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

impl Buffered {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() && !self.ended {
            let Self { io, read, ended } = self;
            *ended = ready!(poll_read_buf(Pin::new(io), context, read))? == 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Simulated {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut inner = self.locked();
        ready!(inner.poll_fill(context))?;
        let count = inner.read.len().min(buffer.remaining());
        buffer.put_slice(&inner.read[..count]);
        inner.read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Simulated {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.locked().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.locked().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.locked().io).poll_shutdown(context)
    }
}

impl fmt::Debug for SimulatedListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedListener").finish_non_exhaustive()
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Simulated").finish_non_exhaustive()
    }
}
