//! One milter connection: bytes in, answers out, for as long as it lasts.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use millrace_milter::{Event, FrameError, Session, SessionError, Step};
use millrace_proto::Stage;
use millrace_runtime::lifecycle::Activity;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::message::Message;
use super::stream::Stream;
use crate::failure::{Failure, FailureAction, FailureKind};
use crate::gateway::{Client, Shared};
use crate::metrics::Broken;
use crate::upstream::{CurrentPlan, without_plan};

/// One connection of a mail server.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) client: Arc<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) session: Session,
    /// What was negotiated for; `None` when no node had told a plan.
    pub(super) plan: Option<Arc<CurrentPlan>>,
    /// The message in progress.
    pub(super) message: Option<Box<Message>>,
    /// Held while an SMTP session runs: the end of the process waits for it.
    session_runs: Option<Activity>,
    /// Why nothing on this connection is judged.
    pub(super) doom: Option<Failure>,
    pub(super) out: BytesMut,
    /// Whether something was written since the last read.
    answered: bool,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The mail server said so, or closed its end between two commands.
    #[error("the mail server has left")]
    Left,
    /// The process ends.
    #[error("the gateway is shutting down")]
    Draining,
    /// Nothing came for too long.
    #[error("nothing came for {} seconds", .0.as_secs())]
    Idle(Duration),
    /// The milter protocol was broken.
    #[error(transparent)]
    Protocol(#[from] SessionError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Socket(#[from] io::Error),
}

/// What was waited for came, or something else.
enum Wake {
    Readable,
    Idle,
    Ending,
}

/// What a connection waits for besides its socket: made once, and armed when it first has to wait.
struct Waits<'p> {
    idle: Pin<&'p mut Sleep>,
    closing: Pin<&'p mut WaitForCancellationFutureOwned>,
    cut: Pin<&'p mut WaitForCancellationFutureOwned>,
}

/// A mail server that takes nothing for so long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// Room for what a mail server sends in one go: a small message is one read.
const READ: usize = 16 << 10;
/// Once a message is larger than one chunk of 64 KiB, there is room for a chunk and what follows it.
const READ_LARGE: usize = 80 << 10;
const LARGE_BEGINS: u64 = 64 << 10;
/// The answer that every mail server takes for a temporary failure, whatever it asked (libmilter's
/// `SMFIR_TEMPFAIL`).
const TEMPFAIL_FRAME: &[u8] = b"\0\0\0\x01t";
const REJECT_FRAME: &[u8] = b"\0\0\0\x01r";

impl Connection {
    pub(super) fn new(
        stream: Stream,
        client: Arc<Client>,
        shared: Arc<Shared>,
        doom: Option<Failure>,
    ) -> Box<Self> {
        let plan = client.plans.current();
        let mut wanted = match &plan {
            Some(current) => current.wanted.clone(),
            None => without_plan(),
        };
        if doom.is_some() {
            // It is said at MAIL.
            wanted = wanted.answering(Stage::Mail);
        }
        // In a box: a future holds what is moved into it more than once, and there may be ten thousand.
        Box::new(Self {
            stream,
            client,
            shared,
            session: Session::new(wanted),
            plan,
            message: None,
            session_runs: None,
            doom,
            out: BytesMut::new(),
            answered: false,
        })
    }

    /// Serves the connection to its end. Whatever happens in here costs this connection only.
    pub(super) async fn run(mut self: Box<Self>, listener: Arc<str>) {
        let served = AssertUnwindSafe(self.serve()).catch_unwind().await;
        let end = match served {
            Ok(end) => end,
            Err(_) => {
                self.client.metrics.broken(Broken::Panic);
                tracing::error!(
                    %listener, client = %self.client.config.name, peer = %self.stream.peer(),
                    "a fault of ours ended a milter connection"
                );
                // Whatever was being written may not be whole.
                self.out.clear();
                self.part(FailureKind::Internal);
                self.withdraw();
                return;
            }
        };
        self.withdraw();
        let (client, peer) = (&self.client.config.name, self.stream.peer());
        let broken = match &end {
            End::Left | End::Draining => {
                tracing::debug!(%listener, %client, %peer, %end, "a milter connection ended");
                return;
            }
            End::Protocol(SessionError::Frame(FrameError::WrongProtocol { .. })) => {
                Broken::WrongProtocol
            }
            End::Protocol(_) => {
                self.part(FailureKind::Malformed);
                Broken::Protocol
            }
            End::Idle(_) => Broken::Idle,
            End::Socket(_) => Broken::Socket,
        };
        self.client.metrics.broken(broken);
        tracing::warn!(%listener, %client, %peer, problem = %end, "a milter connection is given up");
    }

    async fn serve(&mut self) -> End {
        let shared = self.shared.clone();
        let idle = pin!(tokio::time::sleep(shared.times.idle));
        let closing = pin!(shared.drain.closing().clone().cancelled_owned());
        let cut = pin!(shared.drain.cut().clone().cancelled_owned());
        let mut waits = Waits { idle, closing, cut };
        loop {
            match self.turn(&mut waits).await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Reads what came, and answers it.
    async fn turn(&mut self, waits: &mut Waits<'_>) -> Result<(), End> {
        self.read(waits).await?;
        self.answered = false;
        while let Some(step) = self.session.next_step(&mut self.out)? {
            self.step(step).await?;
            if self.session.buffered() == 0 {
                break;
            }
        }
        if self.message.is_some() {
            // What a slow sender has sent so far waits in the spool, not here.
            self.store().await;
        }
        self.flush().await?;
        if !self.answered {
            self.stream.acknowledge();
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), End> {
        let Step {
            event,
            reply_due,
            withdrew,
        } = step;
        if withdrew {
            self.withdraw();
        }
        match event {
            Event::Negotiated => self.session_begins(),
            Event::Connect => {
                self.session_begins();
                self.stage(Stage::Connect, reply_due).await;
            }
            Event::Helo => self.stage(Stage::Helo, reply_due).await,
            Event::Data => self.stage(Stage::Data, reply_due).await,
            Event::Mail => {
                self.begin();
                if reply_due {
                    Box::pin(self.mail()).await;
                    self.forget_if_ended();
                }
            }
            Event::Rcpt { rejected } => {
                self.count_recipient();
                if rejected && reply_due {
                    self.proceed();
                } else {
                    self.stage(Stage::Rcpt, reply_due).await;
                }
            }
            Event::EndOfMessage => {
                Box::pin(self.end_of_message()).await?;
            }
            Event::Body => {
                if reply_due {
                    self.proceed_with_body();
                }
                let large = self.session.content().held() >= LARGE;
                if large {
                    Box::pin(self.store()).await;
                }
            }
            Event::Header | Event::EndOfHeaders | Event::Unknown(_) => {
                if reply_due {
                    self.proceed();
                }
            }
            Event::Quit => {
                self.flush().await?;
                return Err(End::Left);
            }
            Event::QuitNewConnection => self.session_runs = None,
            Event::Macros | Event::Abort | Event::Ignored => {}
        }
        Ok(())
    }

    fn session_begins(&mut self) {
        if self.session_runs.is_none() {
            self.session_runs = Some(self.shared.drain.activity());
        }
    }

    async fn stage(&mut self, stage: Stage, reply_due: bool) {
        if reply_due {
            Box::pin(self.screen(stage)).await;
            self.forget_if_ended();
        }
    }

    /// Waits for bytes, and reads them into the session.
    async fn read(&mut self, waits: &mut Waits<'_>) -> Result<(), End> {
        let since = Instant::now();
        loop {
            match self.wait(waits).await? {
                Wake::Readable => {}
                Wake::Ending => return Err(End::Draining),
                Wake::Idle => {
                    let limit = self.shared.times.idle;
                    if since.elapsed() >= limit {
                        return Err(End::Idle(limit));
                    }
                    waits.idle.as_mut().reset(since + limit);
                    continue;
                }
            }
            let large = self.session.content().total() > LARGE_BEGINS;
            let space = self.session.space();
            space.reserve(if large { READ_LARGE } else { READ });
            match self.stream.read_now(space) {
                Ok(0) => return Err(End::Left),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.session.release();
                    // The socket may well have bytes: a task that read without a pause for long enough is told by
                    // tokio to let others run, and gets nothing before it has.
                    tokio::task::coop::consume_budget().await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn wait(&mut self, waits: &mut Waits<'_>) -> Result<Wake, End> {
        let readable = self.stream.readable();
        let mut readable = pin!(readable);
        let in_session = self.session_runs.is_some();
        let session = &mut self.session;
        let mut released = false;
        std::future::poll_fn(move |context: &mut Context<'_>| {
            if let Poll::Ready(ready) = readable.as_mut().poll(context) {
                return Poll::Ready(ready.map(|()| Wake::Readable).map_err(End::from));
            }
            if !released {
                released = true;
                // A connection that waits holds no buffer.
                session.release();
            }
            // A session that has begun has until the cut: its next message would be put off.
            let end = if in_session {
                &mut waits.cut
            } else {
                &mut waits.closing
            };
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(Wake::Ending));
            }
            waits.idle.as_mut().poll(context).map(|()| Ok(Wake::Idle))
        })
        .await
    }

    /// Writes what has been answered, in one go.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.answered = true;
        let patience = self.shared.times.idle.min(WRITE_PATIENCE);
        let written = tokio::time::timeout(patience, self.stream.write_all(&self.out)).await;
        // Gives the memory of a long answer back.
        self.out = BytesMut::new();
        match written {
            Ok(result) => Ok(result?),
            Err(_) => Err(End::Idle(patience)),
        }
    }

    /// The last word on a connection that cannot go on: so that a mail server that waits puts the message off, even
    /// one that is configured to do without a filter that fails.
    fn part(&self, kind: FailureKind) {
        let config = &self.client.config;
        // To break off is to leave it to the mail server, and it was told what to do then.
        let last: &[u8] = match self
            .shared
            .failures
            .action(&config.name, config.direction, kind)
        {
            FailureAction::Tempfail | FailureAction::Hold => TEMPFAIL_FRAME,
            FailureAction::Reject => REJECT_FRAME,
            FailureAction::AcceptAndStamp => b"",
        };
        // What was answered before, and is not yet written, comes first.
        self.stream.write_now(&[&self.out[..], last].concat());
    }
}

/// A message above this goes to the spool while it still comes in, if that is where it has to go.
const LARGE: usize = 256 << 10;
