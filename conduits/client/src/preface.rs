//! Whether a server has spoken at all on a connection.
//!
//! In TLS 1.3 the client's handshake ends before the server has looked at the client's certificate, and a listener's
//! backlog takes connections for a process that is no more: what looks like a connection may be none. What settles it is
//! the server's preface, a SETTINGS frame that comes before anything else (RFC 9113 §3.4), and before the server reads
//! the first call. A connection that ends without it has carried no call to anybody, however many were written to it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

/// What was heard of an endpoint over its connections, of which there is one at a time.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Whether the server has spoken on the last connection.
    speaks: AtomicBool,
    /// Connections on which it has.
    spoke: AtomicUsize,
}

/// A moment of a [`Line`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    speaks: bool,
    spoke: usize,
}

/// A connection that takes note of the server's preface.
#[derive(Debug)]
pub(crate) struct Prefaced<C> {
    connection: C,
    heard: bool,
    line: Arc<Line>,
}

/// Where the type stands in a frame's head, and the type of SETTINGS (RFC 9113 §4.1, §6.5).
const TYPE: usize = 3;
const SETTINGS: u8 = 4;

impl Line {
    pub(crate) fn now(&self) -> Moment {
        Moment {
            speaks: self.speaks.load(Ordering::Acquire),
            spoke: self.spoke.load(Ordering::Acquire),
        }
    }

    /// Whether the server may have heard a call that began at this moment.
    pub(crate) fn was_heard(&self, since: Moment) -> bool {
        since.speaks || self.spoke.load(Ordering::Acquire) != since.spoke
    }

    fn hears(&self) {
        self.spoke.fetch_add(1, Ordering::Release);
        self.speaks.store(true, Ordering::Release);
    }
}

impl<C> Prefaced<C> {
    /// A connection that was just made.
    pub(crate) fn new(connection: C, line: Arc<Line>) -> Self {
        line.speaks.store(false, Ordering::Release);
        Self {
            connection,
            heard: false,
            line,
        }
    }

    fn hears(&mut self) {
        self.heard = true;
        self.line.hears();
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
        ready!(Pin::new(&mut self.connection).poll_read(context, read.unfilled()))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if bytes.get(TYPE) != Some(&SETTINGS) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server does not speak HTTP/2: is TLS wanted, or another service on this port?",
            )));
        }
        buffer.put_slice(bytes);
        self.hears();
        Poll::Ready(Ok(()))
    }

    /// After a write has failed: what the server said before that is still to be read, and may be its preface.
    fn unwritten(&mut self, context: &mut Context<'_>, error: io::Error) -> io::Error {
        if self.heard {
            return error;
        }
        let mut first = [0; 64];
        let mut read = ReadBuf::new(&mut first);
        match Pin::new(&mut self.connection).poll_read(context, read.unfilled()) {
            Poll::Ready(Ok(())) if read.filled().get(TYPE) == Some(&SETTINGS) => {
                self.hears();
                error
            }
            // It says why: that it does not believe our certificate, say.
            Poll::Ready(Err(reason)) => reason,
            Poll::Ready(Ok(())) | Poll::Pending => error,
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
