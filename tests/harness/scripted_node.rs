//! A node that a test writes: it speaks the contract, and judges as the test says.
//!
//! With it a test asks of a conduit what no policy may ask for, and sees to the last byte what a
//! conduit tells its node. Like a real node it lowers its verdicts to what the conduit can do.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{
    Edit, Keeping, Plan, Reply, Revision, Stage, StageSet, Transaction, Verdict, lower, pb,
};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// The revision that the scripted node judges under.
pub const REVISION: &str = "5c0ff1e";

type Screening = dyn Fn(Stage, &Transaction) -> Verdict + Send + Sync;
type Judging = dyn Fn(&Transaction, &[u8]) -> Verdict + Send + Sync;

/// How a scripted node judges. The default accepts everything, and asks for nothing before the end
/// of the message.
#[derive(Clone)]
pub struct Script {
    plan: Plan,
    screen: Arc<Screening>,
    judge: Arc<Judging>,
    delay: Duration,
}

/// A message that a scripted node was shown.
#[derive(Debug, Clone)]
pub struct Judged {
    /// All that the conduit told of it.
    pub transaction: Transaction,
    /// Header block, empty line and body.
    pub content: Vec<u8>,
}

/// A running scripted node.
#[derive(Debug)]
pub struct ScriptedNode {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    // Ends all of its tasks when dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Seen {
    judged: Vec<Judged>,
    screened: Vec<(Stage, Transaction)>,
    settled: Vec<pb::SettleRequest>,
    abandoned: usize,
}

/// Work on a message; counted as abandoned when it is dropped before its end.
struct Working<'a> {
    service: &'a Service,
    done: bool,
}

/// The service behind a scripted node's port.
struct Service {
    script: Script,
    seen: Arc<Mutex<Seen>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            plan: Plan {
                revision: revision(),
                stages: StageSet::default(),
                macros: Vec::new(),
                size_limit: None,
                needs_body: true,
            },
            screen: Arc::new(|_, _| accept()),
            judge: Arc::new(|_, _| accept()),
            delay: Duration::ZERO,
        }
    }
}

impl Script {
    /// Judges every message so.
    pub fn judging(judge: impl Fn(&Transaction, &[u8]) -> Verdict + Send + Sync + 'static) -> Self {
        Self::default().and_judging(judge)
    }

    /// Gives every message this verdict.
    pub fn giving(verdict: Verdict) -> Self {
        Self::judging(move |_, _| verdict.clone())
    }

    /// Accepts every message with these edits.
    pub fn editing(edits: Vec<Edit>) -> Self {
        Self::giving(Verdict { edits, ..accept() })
    }

    /// Judges every message so, too.
    pub fn and_judging(
        mut self,
        judge: impl Fn(&Transaction, &[u8]) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.judge = Arc::new(judge);
        self
    }

    /// Wants to be asked at these stages, and judges them so.
    pub fn screening(
        stages: &[Stage],
        screen: impl Fn(Stage, &Transaction) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let mut script = Self::default();
        for stage in stages {
            script.plan.stages.insert(*stage);
        }
        script.screen = Arc::new(screen);
        script
    }

    /// Takes this long for each message.
    pub fn slowly(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Wants no message larger than this.
    pub fn up_to(mut self, size_limit: u64) -> Self {
        self.plan.size_limit = Some(size_limit);
        self
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Script")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl ScriptedNode {
    /// Starts a node on a free port.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(script: Script) -> Self {
        Self::start_at(0, script)
    }

    /// Starts a node on this port, which another one may have had before.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start_at(port: u16, script: Script) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(("127.0.0.1", port)))
            .expect("the port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let service = Service {
            script,
            seen: Arc::clone(&seen),
        };
        runtime.spawn(async move {
            let (health, health_service) = tonic_health::server::health_reporter();
            health
                .set_serving::<ProcessingServiceServer<Service>>()
                .await;
            Server::builder()
                .tcp_nodelay(true)
                .add_service(health_service)
                .add_service(
                    ProcessingServiceServer::new(service).max_decoding_message_size(64 << 20),
                )
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
        });
        Self {
            address,
            seen,
            runtime: Some(runtime),
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The messages that it was shown so far.
    pub fn judged(&self) -> Vec<Judged> {
        self.seen().judged.clone()
    }

    /// What it was asked before there was a message, so far.
    pub fn screened(&self) -> Vec<(Stage, Transaction)> {
        self.seen().screened.clone()
    }

    /// The outcomes that it was told so far.
    pub fn settled(&self) -> Vec<pb::SettleRequest> {
        self.seen().settled.clone()
    }

    /// How many messages it was still at work on when the caller gave them up.
    pub fn abandoned(&self) -> usize {
        self.seen().abandoned
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no one panics with it in hand")
    }
}

impl Drop for ScriptedNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if thread::panicking() {
            eprintln!(
                "--- the node was told: {:?}\n---",
                self.seen.lock().map(|seen| seen.settled.clone())
            );
        }
    }
}

/// A verdict that accepts.
pub fn accept() -> Verdict {
    Verdict::accept(revision(), "scripted".into())
}

/// A verdict that refuses with this reply.
///
/// # Panics
/// When it is no SMTP reply.
pub fn refuse(code: u32, enhanced: &str, text: &str) -> Verdict {
    let reply = Reply::new(code, Some(enhanced), text).expect("the test writes a valid reply");
    let disposition = if reply.is_permanent() {
        millrace_proto::Disposition::Reject
    } else {
        millrace_proto::Disposition::Tempfail
    };
    Verdict {
        disposition,
        reply: Some(reply),
        ..accept()
    }
}

fn revision() -> Revision {
    Revision::new(REVISION).expect("it is hexadecimal")
}

#[tonic::async_trait]
impl ProcessingService for Service {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send>>;

    async fn watch_plan(
        &self,
        _: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        let plan = pb::WatchPlanResponse {
            plan: Some(self.script.plan.clone().into()),
        };
        let plans = tokio_stream::once(Ok(plan)).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(plans)))
    }

    async fn screen(
        &self,
        request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        let asked =
            millrace_proto::ScreenRequest::try_from(request.into_inner()).map_err(invalid)?;
        let verdict = (self.script.screen)(asked.stage, &asked.transaction);
        let verdict = lower(verdict, &asked.transaction, Keeping::Unavailable);
        self.record(|seen| seen.screened.push((asked.stage, asked.transaction)));
        Ok(Response::new(pb::ScreenResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let mut frames = request.into_inner();
        let (mut transaction, mut content) = (None, Vec::new());
        while let Some(frame) = frames.message().await? {
            transaction = transaction.or(frame.transaction);
            content.extend_from_slice(&frame.content);
        }
        let told = transaction.ok_or_else(|| invalid("no transaction"))?;
        let transaction = Transaction::try_from(told).map_err(invalid)?;
        let verdict = (self.script.judge)(&transaction, &content);
        let verdict = lower(verdict, &transaction, Keeping::Unavailable);
        self.record(|seen| {
            seen.judged.push(Judged {
                transaction,
                content,
            });
        });
        let mut working = Working {
            service: self,
            done: false,
        };
        tokio::time::sleep(self.script.delay).await;
        working.done = true;
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        self.record(|seen| seen.settled.push(request.into_inner()));
        Ok(Response::new(pb::SettleResponse {}))
    }
}

impl Service {
    fn record(&self, write: impl FnOnce(&mut Seen)) {
        write(&mut self.seen.lock().expect("no one panics with it in hand"));
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.service.record(|seen| seen.abandoned += 1);
        }
    }
}

fn invalid(problem: impl fmt::Display) -> Status {
    Status::invalid_argument(problem.to_string())
}

/// Edits, briefly.
pub mod edit {
    use super::{Bytes, Edit};

    /// Appends a header.
    pub fn add(name: &'static str, value: &'static str) -> Edit {
        Edit::AddHeader {
            name: bytes(name),
            value: bytes(value),
        }
    }

    /// Puts a header on top.
    pub fn insert(name: &'static str, value: &'static str) -> Edit {
        Edit::InsertHeader {
            name: bytes(name),
            value: bytes(value),
        }
    }

    /// Changes the n-th header of this name.
    pub fn change(name: &'static str, occurrence: u32, value: &'static str) -> Edit {
        Edit::ChangeHeader {
            name: bytes(name),
            occurrence,
            value: bytes(value),
        }
    }

    /// Deletes the n-th header of this name.
    pub fn delete(name: &'static str, occurrence: u32) -> Edit {
        Edit::DeleteHeader {
            name: bytes(name),
            occurrence,
        }
    }

    /// Replaces the body.
    pub fn body(body: &'static str) -> Edit {
        Edit::ReplaceBody { body: bytes(body) }
    }

    /// Changes the envelope's sender.
    pub fn sender(address: &'static str) -> Edit {
        Edit::ChangeSender {
            address: bytes(address),
        }
    }

    /// Adds a recipient.
    pub fn add_recipient(address: &'static str) -> Edit {
        Edit::AddRecipient {
            address: bytes(address),
        }
    }

    /// Removes the recipient with this index in the envelope.
    pub fn remove_recipient(index: u32) -> Edit {
        Edit::DeleteRecipient { index }
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }
}
