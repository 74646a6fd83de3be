//! Whether a server has spoken at all on a connection.
//!
//! In TLS 1.3 the client's handshake ends before the server has looked at the client's certificate, and a listener's
//! backlog takes connections for a process that is no more: what looks like a connection may be none. What settles it is
//! the server's preface, a SETTINGS frame that comes before anything else (RFC 9113 §3.4), and before the server reads
//! the first call. A connection that ends without it has carried no call to anybody, however many were written to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// A connection whose errors are of the kind [`UNHEARD`] until the server's preface has begun.
#[derive(Debug)]
pub(crate) struct Prefaced<C> {
    connection: C,
    heard: bool,
}

/// Of a connection that was made, the system never tells this.
const UNHEARD: io::ErrorKind = io::ErrorKind::ConnectionRefused;
/// Where the type stands in a frame's head, and the type of SETTINGS (RFC 9113 §4.1, §6.5).
const TYPE: usize = 3;
const SETTINGS: u8 = 4;

/// Whether this is the error of a connection on which the server has not said anything.
pub(crate) fn is_unheard(error: &io::Error) -> bool {
    error.kind() == UNHEARD
}

impl<C> Prefaced<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self {
            connection,
            heard: false,
        }
    }
}

impl<C: Read + Unpin> Prefaced<C> {
    /// Reads what comes first. It comes in one piece: whoever sends fewer bytes than the head of a frame sends no
    /// preface.
    fn poll_preface(
        &mut self,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut first = [0; 1024];
        let room = first.len().min(buffer.remaining());
        let mut read = ReadBuf::new(&mut first[..room]);
        let result = ready!(Pin::new(&mut self.connection).poll_read(context, read.unfilled()));
        result.map_err(unheard)?;
        let bytes = read.filled();
        match bytes.get(TYPE) {
            _ if bytes.is_empty() => Poll::Ready(Err(unheard("the server closed the connection"))),
            Some(&SETTINGS) => {
                self.heard = true;
                buffer.put_slice(bytes);
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err(unheard(
                "the server does not speak HTTP/2: is TLS wanted, or another service on this port?",
            ))),
        }
    }

    /// What the failure of a write means. What the server may have said before is still to be read.
    fn unwritten(&mut self, context: &mut Context<'_>, error: io::Error) -> io::Error {
        if self.heard {
            return error;
        }
        let mut first = [0; 64];
        let mut read = ReadBuf::new(&mut first);
        match Pin::new(&mut self.connection).poll_read(context, read.unfilled()) {
            Poll::Ready(Ok(())) if read.filled().get(TYPE) == Some(&SETTINGS) => error,
            // It says why: that it does not believe our certificate, say.
            Poll::Ready(Err(reason)) => unheard(reason),
            Poll::Ready(Ok(())) | Poll::Pending => unheard(error),
        }
    }
}

impl<C: Read + Unpin> Read for Prefaced<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.heard {
            return Pin::new(&mut this.connection).poll_read(context, buffer);
        }
        this.poll_preface(context, buffer)
    }
}

impl<C: Read + Write + Unpin> Write for Prefaced<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.connection).poll_write(context, bytes));
        Poll::Ready(written.map_err(|error| this.unwritten(context, error)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.connection).poll_write_vectored(context, pieces));
        Poll::Ready(written.map_err(|error| this.unwritten(context, error)))
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.connection).poll_flush(context));
        Poll::Ready(flushed.map_err(|error| this.unwritten(context, error)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().connection).poll_shutdown(context)
    }
}

fn unheard(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(UNHEARD, reason)
}
