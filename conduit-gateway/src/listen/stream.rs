//! A connection's socket, over TCP or unix.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use tokio::net::{TcpStream, UnixStream};

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PeerName {
    Tcp(SocketAddr),
    Unix,
}

impl Stream {
    /// The peer's address; `None` over a unix socket, where the file's mode decides who may connect.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(_, peer) => Some(peer.ip()),
            Self::Unix(_) => None,
        }
    }

    pub(crate) fn peer(&self) -> PeerName {
        match self {
            Self::Tcp(_, peer) => PeerName::Tcp(*peer),
            Self::Unix(_) => PeerName::Unix,
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream, _) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// Reads what is there. Over TCP it is acknowledged at once: Postfix writes in small pieces, and Nagle's
    /// algorithm would wait 40 ms for a delayed acknowledgement. The option does not stick (`tcp(7)`).
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => {
                let count = stream.try_read_buf(buffer)?;
                acknowledge(stream);
                Ok(count)
            }
            Self::Unix(stream) => stream.try_read_buf(buffer),
        }
    }

    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = match self {
                Self::Tcp(stream, _) => stream.try_write(bytes),
                Self::Unix(stream) => stream.try_write(bytes),
            };
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self {
                    Self::Tcp(stream, _) => stream.writable().await?,
                    Self::Unix(stream) => stream.writable().await?,
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
        };
    }
}

#[cfg(target_os = "linux")]
fn acknowledge(stream: &TcpStream) {
    // A connection that is gone shows at the next read.
    let _ = socket2::SockRef::from(stream).set_tcp_quickack(true);
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
