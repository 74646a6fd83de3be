//! A QMQP connection: one message, judged, passed on to a downstream server, and answered with what that answered.
//!
//! Nothing is kept here: `K` is said only after the downstream's `K`. Whoever hands mail in has it until then, and tries
//! again after anything else.

mod carry;
mod downstream;
mod edited;
mod incoming;
mod message;

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use millrace_qmail::qmqp::{Answer, Malformed, Reply};
use millrace_runtime::trace_span;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::incoming::Incoming;
use super::stream::{After, Stream};
use crate::config::Qmqp;
use crate::failure::{Failure, FailureAction, FailureKind};
use crate::gateway::{Client, Shared};
use crate::metrics::Broken;

/// One connection of a QMQP client.
pub(super) struct Session {
    stream: Stream,
    client: Arc<Client>,
    shared: Arc<Shared>,
    config: Arc<Qmqp>,
    /// Why nothing on this connection is judged.
    doom: Option<Failure>,
}

/// Why a connection ends without a message.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The client closed it before it had an answer.
    #[error("the client left before its message was answered")]
    Left,
    /// It was opened and closed.
    #[error("the client left without a word")]
    Unused,
    /// Nothing came for too long, or all took too long.
    #[error("the client took too long")]
    Slow,
    /// The process ends.
    #[error("the gateway is shutting down")]
    Draining,
    /// It is no QMQP.
    #[error("this is no QMQP: {0}")]
    Malformed(Malformed),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Socket(#[from] io::Error),
}

/// Between two pieces; a client that says nothing for so long is gone.
const PAUSE: Duration = Duration::from_secs(120);
/// For a whole request (`alarm(3600)` of `qmail-qmqpd.c`).
const REQUEST: Duration = Duration::from_secs(3600);
/// A client that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// A verdict leaves the downstream this share of the time at least.
pub(crate) const LONGEST_DEADLINE: Duration = Duration::from_secs(45);

impl Session {
    pub(super) fn new(
        stream: Stream,
        client: Arc<Client>,
        shared: Arc<Shared>,
        config: Arc<Qmqp>,
        doom: Option<Failure>,
    ) -> Self {
        Self {
            stream,
            client,
            shared,
            config,
            doom,
        }
    }

    /// Serves the connection to its end. Whatever happens in here costs this connection only.
    pub(super) async fn run(mut self, listener: Arc<str>) {
        let served = AssertUnwindSafe(self.serve()).catch_unwind().await;
        let (client, peer) = (&self.client.config.name, self.stream.peer());
        let broken = match served {
            Ok(Ok(()) | Err(End::Unused)) => return,
            Err(_) => {
                self.client.metrics.broken(Broken::Panic);
                tracing::error!(%listener, %client, %peer, "a fault of ours ended a QMQP connection");
                let reply = deferred("the mail filter failed; try again later");
                self.stream.write_now(&reply.encode());
                return;
            }
            Ok(Err(end)) => {
                let broken = match &end {
                    End::Draining => {
                        let reply = deferred("the mail filter is shutting down; try again later");
                        self.stream.write_now(&reply.encode());
                        return;
                    }
                    End::Left | End::Unused => {
                        self.client.metrics.aborted.inc();
                        tracing::info!(%listener, %client, %peer, problem = %end, "a QMQP message was given up");
                        return;
                    }
                    End::Malformed(_) => {
                        let reply = self.refusal_of(FailureKind::Malformed, &end.to_string());
                        self.stream.write_now(&reply.encode());
                        Broken::WrongProtocol
                    }
                    End::Slow => Broken::Idle,
                    End::Socket(_) => Broken::Socket,
                };
                tracing::warn!(%listener, %client, %peer, problem = %end, "a QMQP connection is given up");
                broken
            }
        };
        self.client.metrics.broken(broken);
    }

    async fn serve(&mut self) -> Result<(), End> {
        let mut incoming = Incoming::new(&self.shared, &self.client, self.doom.take());
        let begun = Instant::now();
        while !incoming.whole() {
            self.read(&mut incoming, begun).await?;
            incoming.take().await.map_err(End::Malformed)?;
        }
        let _in_flight = self.shared.drain.activity();
        let span = trace_span!("qmqp.message", size = incoming.size());
        Box::pin(self.message(incoming)).instrument(span).await
    }

    /// Waits for bytes, and reads them.
    async fn read(&mut self, incoming: &mut Incoming, begun: Instant) -> Result<(), End> {
        let untouched = incoming.untouched();
        let pause = self.shared.times.idle.min(PAUSE);
        let end = (Instant::now() + pause).min(begun + REQUEST);
        loop {
            tokio::select! {
                biased;
                ready = self.stream.readable() => ready?,
                () = self.shared.drain.closing().cancelled(), if untouched => return Err(End::Unused),
                () = self.shared.drain.cut().cancelled() => return Err(End::Draining),
                () = tokio::time::sleep_until(end) => return Err(End::Slow),
            }
            match self.stream.read_now(incoming.space()) {
                Ok(0) if untouched => return Err(End::Unused),
                Ok(0) => return Err(End::Left),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What a failure before there is a transaction comes to.
    fn refusal_of(&self, kind: FailureKind, problem: &str) -> Reply {
        let config = &self.client.config;
        let action = self
            .shared
            .failures
            .action(&config.name, config.direction, kind);
        self.client.metrics.failure(kind, action);
        let answer = match action {
            FailureAction::Reject => Answer::Refused,
            // There is nothing to take, or to hold.
            FailureAction::Tempfail | FailureAction::AcceptAndStamp | FailureAction::Hold => {
                Answer::Deferred
            }
        };
        Reply::new(answer, problem.as_bytes())
    }

    async fn write(&self, reply: &Reply) -> Result<(), End> {
        let wire = reply.encode();
        match tokio::time::timeout(WRITE_PATIENCE, self.stream.write_all(&wire)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Slow),
        }
    }

    /// Comes back when the client is gone. It has said all that it has to say.
    async fn gone(&self) {
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            match self.stream.after() {
                After::Gone => return,
                // What comes after the end of a request is nothing to us.
                After::Bytes => std::future::pending().await,
                After::Nothing => tokio::task::coop::consume_budget().await,
            }
        }
    }

    fn is_gone(&self) -> bool {
        self.stream.after() == After::Gone
    }
}

fn deferred(text: &str) -> Reply {
    Reply::new(Answer::Deferred, format!("{text} (#4.3.0)").as_bytes())
}
