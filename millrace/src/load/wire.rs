//! A milter connection: the sockets below, the mail server's protocol above.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use conduit_gateway::ListenAddress;
use millrace_milter::Agreement;
use millrace_milter::mta::{Client, Flavour, Message, Mta, MtaError, Outcome, Received};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::target::Target;

/// What a milter connection runs over.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl Socket for TcpStream {}
impl Socket for UnixStream {}

/// A mail server's end of a milter connection.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    mta: Mta,
    written: u64,
}

/// Why a message was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("connect: {0}")]
    Connect(io::Error),
    #[error("the filter closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("protocol: {0}")]
    Protocol(#[from] MtaError),
    #[error("no answer in time")]
    Timeout,
}

/// Room to read replies into.
const READ: usize = 4096;

impl Wire {
    /// Connects. The protocol begins with the first message.
    pub(super) async fn connect(target: &Target, mta: Mta) -> Result<Self, WireError> {
        let socket: Box<dyn Socket> = match &target.0 {
            ListenAddress::Tcp(address) => {
                let stream = TcpStream::connect(address)
                    .await
                    .map_err(WireError::Connect)?;
                // What is measured is the filter, not Nagle's algorithm.
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            ListenAddress::Unix(path) => Box::new(
                UnixStream::connect(path)
                    .await
                    .map_err(WireError::Connect)?,
            ),
            ListenAddress::Systemd(_) => {
                return Err(WireError::Connect(io::ErrorKind::InvalidInput.into()));
            }
        };
        Ok(Self {
            socket,
            mta,
            written: 0,
        })
    }

    /// Negotiates, and no more.
    pub(super) async fn negotiate(&mut self, out: &mut BytesMut) -> Result<(), WireError> {
        loop {
            match self.exchange(out).await? {
                Received::Negotiated => return Ok(()),
                _ => continue,
            }
        }
    }

    /// Sends a message, and waits until it is over.
    pub(super) async fn send(
        &mut self,
        message: Message,
        out: &mut BytesMut,
    ) -> Result<Outcome, WireError> {
        self.mta.send(message);
        loop {
            if let Received::Finished(outcome) = self.exchange(out).await? {
                return Ok(outcome);
            }
        }
    }

    /// Says good-bye, as a mail server does that has no more mail: without waiting.
    pub(super) async fn quit(mut self, out: &mut BytesMut) -> Result<(), WireError> {
        self.mta.quit();
        out.clear();
        self.mta.advance(out);
        self.socket.write_all(out).await?;
        out.clear();
        Ok(())
    }

    /// Writes what is due and waits for one reply.
    async fn exchange(&mut self, out: &mut BytesMut) -> Result<Received, WireError> {
        self.next(out).await?.ok_or(WireError::Closed)
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes what is due and waits for one reply; `None` when there is nothing to wait for.
    pub(super) async fn next(&mut self, out: &mut BytesMut) -> Result<Option<Received>, WireError> {
        loop {
            if let Some(received) = self.mta.receive()? {
                return Ok(Some(received));
            }
            out.clear();
            let goes_on = self.mta.advance(out);
            if !out.is_empty() {
                self.socket.write_all(out).await?;
                self.written += out.len() as u64;
            }
            if !goes_on {
                return Ok(None);
            }
            let space = self.mta.space();
            space.reserve(READ);
            if self.socket.read_buf(space).await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }
}

/// A mail server of a kind, and a client of no interest.
pub(super) fn mta(flavour: Flavour) -> Mta {
    Mta::new(flavour, Client::default())
}

/// Finds out whether a milter listens, and what it wants.
pub(super) async fn greet(
    target: &Target,
    mta: Mta,
    patience: Duration,
) -> Result<Agreement, WireError> {
    let mut out = BytesMut::new();
    let work = async {
        let mut wire = Wire::connect(target, mta).await?;
        wire.negotiate(&mut out).await?;
        let agreement = wire.mta.agreement().cloned().unwrap_or_default();
        wire.quit(&mut out).await?;
        Ok(agreement)
    };
    match timeout(patience, work).await {
        Ok(result) => result,
        Err(_) => Err(WireError::Timeout),
    }
}
