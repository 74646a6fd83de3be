//! One socket and one future: `poll(2)` is all the reactor that a program for one message needs.

use std::cell::Cell;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that does not block, for the one future that [`block_on`] drives.
pub(super) struct Socket<'a, S> {
    stream: &'a S,
    full: &'a Cell<bool>,
}

/// Whether something wants the future to be asked again before the socket has anything to say.
#[derive(Default)]
struct Woken(AtomicBool);

impl<'a, S> Socket<'a, S> {
    /// `full` is set when a write would have blocked.
    pub(super) fn new(stream: &'a S, full: &'a Cell<bool>) -> Self {
        Self { stream, full }
    }

    fn written(&self, result: io::Result<usize>) -> Poll<io::Result<usize>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full.set(true);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl<S> AsyncRead for Socket<'_, S>
where
    for<'s> &'s S: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = self.stream;
        match stream.read(buffer.initialize_unfilled()) {
            Ok(count) => {
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S> AsyncWrite for Socket<'_, S>
where
    for<'s> &'s S: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.stream;
        self.written(stream.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.stream;
        self.written(stream.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Drives a future that waits for this socket alone, until `end`; `None` when it was not done by then.
pub(super) fn block_on<T>(
    future: impl Future<Output = T>,
    socket: &impl AsFd,
    full: &Cell<bool>,
    end: Instant,
) -> Option<T> {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        full.set(false);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        if woken.0.swap(false, Ordering::Relaxed) {
            continue;
        }
        if !wait(socket, full.get(), end) {
            return None;
        }
    }
}

/// Whether there is something to do before `end`.
fn wait(socket: &impl AsFd, full: bool, end: Instant) -> bool {
    // h2 reads nothing before it has written what it has: to wait for both would be to spin.
    let flags = if full {
        PollFlags::POLLOUT
    } else {
        PollFlags::POLLIN
    };
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // A part of a millisecond is one more.
        let left = left.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(socket.as_fd(), flags)], timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            // What is wrong with the socket is said when it is used.
            Ok(_) | Err(_) => return true,
        }
    }
}
