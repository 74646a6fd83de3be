//! The sockets on both sides, and the passing of bytes between them.

use std::io;
use std::path::PathBuf;

use conduit_gateway::ListenAddress;
use millrace_milter::transcript::Direction;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::tape::Tape;
use crate::target::Target;

/// What a milter connection runs over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

pub(super) type Socket = Box<dyn Stream>;

/// What the mail server connects to.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

const READ: usize = 64 << 10;

impl Listener {
    pub(super) async fn bind(address: &Target) -> io::Result<Self> {
        match &address.0 {
            ListenAddress::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            ListenAddress::Unix(path) => Ok(Self::Unix(UnixListener::bind(path)?, path.clone())),
            ListenAddress::Systemd(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Connects to the filter.
pub(super) async fn connect(address: &Target) -> io::Result<Socket> {
    match &address.0 {
        ListenAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        ListenAddress::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        ListenAddress::Systemd(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Passes bytes both ways until both have ended, one has failed, or it is to stop.
pub(super) async fn pass(
    mta: Socket,
    filter: Socket,
    tape: &mut Tape,
    stop: &CancellationToken,
) -> io::Result<()> {
    let (mta_in, mta_out) = tokio::io::split(mta);
    let (filter_in, filter_out) = tokio::io::split(filter);
    let ended = {
        let tape = std::sync::Mutex::new(&mut *tape);
        let take = |direction, bytes: &[u8]| {
            if let Ok(mut tape) = tape.lock() {
                tape.take(direction, bytes);
            }
        };
        let passing = async {
            tokio::try_join!(
                one_way(mta_in, filter_out, |bytes| take(Direction::FromMta, bytes)),
                one_way(filter_in, mta_out, |bytes| take(
                    Direction::FromFilter,
                    bytes
                )),
            )
        };
        tokio::select! {
            () = stop.cancelled() => None,
            ended = passing => Some(ended),
        }
    };
    match ended {
        None => {
            tape.note("cut: the recording was stopped");
            Ok(())
        }
        Some(Ok(_)) => Ok(()),
        // As mail servers end connections that they have no more use for.
        Some(Err(error)) if is_hang_up(&error) => Ok(()),
        Some(Err(error)) => {
            tape.note(&format!("cut: {error}"));
            Err(error)
        }
    }
}

async fn one_way(
    mut from: ReadHalf<Socket>,
    mut to: WriteHalf<Socket>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        // First: so that no answer is written down before its question.
        take(&buffer[..length]);
        to.write_all(&buffer[..length]).await?;
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
    )
}
