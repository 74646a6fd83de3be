//! A connection's socket, over TCP or unix.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::FutureExt;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::network::Simulated;

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    Simulated(Box<Simulated>, SocketAddr),
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerName {
    Tcp(SocketAddr),
    Unix,
}

/// What there is after all that was awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    Bytes,
    /// The peer has closed, or the connection broke.
    Gone,
}

impl Stream {
    /// The peer's address; `None` over a unix socket, where the file's mode decides who may connect.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, peer) | Self::Simulated(_, peer) => Some(peer.ip()),
            Self::Unix(_) => None,
        }
    }

    pub(crate) fn peer(&self) -> PeerName {
        match self {
            Self::Tcp(_, peer) | Self::Simulated(_, peer) => PeerName::Tcp(*peer),
            Self::Unix(_) => PeerName::Unix,
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream, _) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
            Self::Simulated(stream, _) => stream.readable().await,
        }
    }

    /// Reads what is there, without waiting.
    ///
    /// By way of `AsyncRead`, and not of `try_read`: it knows that a read that did not fill the buffer has emptied
    /// the socket, and the next wait costs no system call to find that out.
    pub(crate) fn read_now(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let read = match self {
            Self::Tcp(stream, _) => stream.read_buf(buffer).now_or_never(),
            Self::Unix(stream) => stream.read_buf(buffer).now_or_never(),
            Self::Simulated(stream, _) => return stream.read_now(buffer),
        };
        read.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Looks whether the peer is still there, and takes nothing.
    pub(crate) fn after(&self) -> After {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream, _) => {
                stream.try_io(Interest::READABLE, || SockRef::from(stream).peek(&mut byte))
            }
            Self::Unix(stream) => {
                stream.try_io(Interest::READABLE, || SockRef::from(stream).peek(&mut byte))
            }
            Self::Simulated(stream, _) => return stream.after(),
        };
        match peeked {
            Ok(0) => After::Gone,
            Ok(_) => After::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => After::Nothing,
            Err(_) => After::Gone,
        }
    }

    /// Acknowledges at once what was read over TCP: to be called where no answer does it. Postfix writes in small
    /// pieces, and Nagle's algorithm would wait 40 ms for a delayed acknowledgement. The option does not stick
    /// (`tcp(7)`).
    pub(crate) fn acknowledge(&self) {
        if let Self::Tcp(stream, _) = self {
            acknowledge(stream);
        }
    }

    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream, _) => stream.try_write(bytes),
                Self::Unix(stream) => stream.try_write(bytes),
                Self::Simulated(stream, _) => return stream.write_all(bytes).await,
            };
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self {
                    Self::Tcp(stream, _) => stream.writable().await?,
                    Self::Unix(stream) => stream.writable().await?,
                    Self::Simulated(..) => {}
                },
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what goes without waiting.
    pub(crate) fn write_now(&self, bytes: &[u8]) {
        let _ = match self {
            Self::Tcp(stream, _) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Simulated(stream, _) => stream.try_write(bytes),
        };
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(stream, _) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Simulated(stream, _) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(stream, _) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(target_os = "linux")]
fn acknowledge(stream: &TcpStream) {
    // A connection that is gone shows at the next read.
    let _ = SockRef::from(stream).set_tcp_quickack(true);
}

#[cfg(not(target_os = "linux"))]
fn acknowledge(_stream: &TcpStream) {}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("local"),
        }
    }
}
