//! A conduit's connection, as the gRPC server takes it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::super::{Slot, Stream};
use crate::failure::Failure;

/// A connection, and what it occupies until it is dropped.
pub(in crate::listen) struct Connected {
    stream: Stream,
    doom: Doom,
    _slot: Slot,
    _tracked: TaskTrackerToken,
}

/// Why nothing on a connection is judged; `None` for all but those above the limit.
#[derive(Debug, Clone)]
pub(in crate::listen) struct Doom(pub(super) Option<Failure>);

impl Connected {
    pub(in crate::listen) fn new(
        stream: Stream,
        doom: Option<Failure>,
        slot: Slot,
        tracked: TaskTrackerToken,
    ) -> Self {
        if let Stream::Tcp(tcp, _) = &stream {
            // A verdict is small and somebody waits for it.
            let _ = tcp.set_nodelay(true);
        }
        Self {
            stream,
            doom: Doom(doom),
            _slot: slot,
            _tracked: tracked,
        }
    }
}

impl tonic::transport::server::Connected for Connected {
    type ConnectInfo = Doom;

    fn connect_info(&self) -> Doom {
        self.doom.clone()
    }
}

impl AsyncRead for Connected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream, _) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Simulated(stream, _) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connected {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream, _) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Simulated(stream, _) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream, _) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Simulated(stream, _) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream, _) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
            Stream::Simulated(stream, _) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream, _) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Simulated(stream, _) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
