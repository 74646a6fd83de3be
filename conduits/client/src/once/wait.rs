//! One socket and one future: `poll(2)` is all the reactor that a program for one message needs.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that does not block, for the one future that [`block_on`] drives.
///
/// What is written gathers until there is nothing to do but wait: preface, settings, headers and a small message travel
/// in one piece, and wake the other side once.
pub(super) struct Line<'a, S> {
    stream: &'a S,
    out: RefCell<Vec<u8>>,
    /// A write would have blocked.
    full: Cell<bool>,
    /// There may be something to read.
    readable: Cell<bool>,
    /// Why nothing more can be written.
    broken: Cell<Option<io::Error>>,
}

/// The same, as the future sees it.
pub(super) struct Socket<'l, 'a, S>(&'l Line<'a, S>);

/// Whether something wants the future to be asked again before the socket has anything to say.
#[derive(Default)]
struct Woken(AtomicBool);

/// So much gathers; a larger piece is written as it lies.
const GATHERED: usize = 16 << 10;
/// SETTINGS with ACK (RFC 9113 §6.5). It travels with what comes next, or after [`COURTESY`]: alone it would wake the
/// other side for nothing, and mostly there is a verdict before.
const ACKNOWLEDGEMENT: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
const COURTESY: Duration = Duration::from_millis(50);

impl<'a, S: AsFd> Line<'a, S>
where
    for<'s> &'s S: Read + Write,
{
    pub(super) fn new(stream: &'a S) -> Self {
        Self {
            stream,
            out: RefCell::new(Vec::new()),
            full: Cell::new(false),
            readable: Cell::new(false),
            broken: Cell::new(None),
        }
    }

    pub(super) fn socket(&self) -> Socket<'_, 'a, S> {
        Socket(self)
    }

    /// Writes what has gathered; whether all of it went.
    fn flush(&self) -> io::Result<bool> {
        let mut out = self.out.borrow_mut();
        let mut stream = self.stream;
        while !out.is_empty() {
            match stream.write(&out) {
                Ok(count) => drop(out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.full.set(true);
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    out.clear();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let gathered = self.out.borrow().len();
        if gathered + length <= GATHERED {
            let mut out = self.out.borrow_mut();
            for piece in pieces {
                out.extend_from_slice(piece);
            }
            return Poll::Ready(Ok(length));
        }
        if !self.flush()? {
            return Poll::Pending;
        }
        let mut stream = self.stream;
        match stream.write_vectored(pieces) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full.set(true);
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    /// Waits until there is something to do; `false` when that is not before `end`.
    fn wait(&self, end: Instant) -> bool {
        if self.only_acknowledges()
            && self.poll(PollFlags::POLLIN, end.min(Instant::now() + COURTESY))
        {
            return true;
        }
        if let Err(error) = self.flush() {
            // The other side may have said why before it closed: that is read first.
            self.broken.set(Some(error));
            self.readable.set(true);
            return true;
        }
        // h2 reads nothing before it has written what it has: to wait for both would be to spin.
        let flags = if self.full.get() {
            PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        };
        self.poll(flags, end)
    }

    /// Whether an acknowledgement of settings is all that has gathered.
    fn only_acknowledges(&self) -> bool {
        self.out.borrow().as_slice() == ACKNOWLEDGEMENT
    }

    fn poll(&self, flags: PollFlags, end: Instant) -> bool {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // A part of a millisecond is one more.
            let left = left.as_micros().div_ceil(1000);
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.stream.as_fd(), flags)], timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                // What is wrong with the socket is said when it is used.
                Ok(_) | Err(_) => {
                    self.readable.set(true);
                    return true;
                }
            }
        }
    }

    fn read(&self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.readable.get() {
            return Poll::Pending;
        }
        let mut stream = self.stream;
        let room = buffer.remaining();
        match stream.read(buffer.initialize_unfilled()) {
            Ok(count) => {
                buffer.advance(count);
                // What came did not fill the room: there is no more now. The end of all is told again.
                self.readable.set(count == room || count == 0);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match self.broken.take() {
                None => {
                    self.readable.set(false);
                    Poll::Pending
                }
                Some(broken) => Poll::Ready(Err(broken)),
            },
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsFd> AsyncRead for Socket<'_, '_, S>
where
    for<'s> &'s S: Read + Write,
{
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.read(buffer)
    }
}

impl<S: AsFd> AsyncWrite for Socket<'_, '_, S>
where
    for<'s> &'s S: Read + Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.write(&[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.write(pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// [`block_on`] does it, before it waits.
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
pub(super) fn block_on<T, S: AsFd>(
    future: impl Future<Output = T>,
    line: &Line<'_, S>,
    end: Instant,
) -> Option<T>
where
    for<'s> &'s S: Read + Write,
{
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        line.full.set(false);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        if !woken.0.swap(false, Ordering::Relaxed) && !line.wait(end) {
            return None;
        }
    }
}
