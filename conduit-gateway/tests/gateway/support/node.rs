//! A node that answers as the test says.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{
    CallError, Disposition, Keeping, Plan, Reply, Revision, ScreenRequest, Settlement, Stage,
    StageSet, Transaction, Verdict, lower, pb,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tonic_health::server::HealthReporter;

type Screening = dyn Fn(Stage, &Transaction) -> Result<Verdict, CallError> + Send + Sync;
type Judging = dyn Fn(&Transaction, &[u8]) -> Result<Verdict, CallError> + Send + Sync;

/// How the node answers. By default it accepts, and wants nothing before the end of a message.
#[derive(Clone)]
pub struct Script {
    pub stages: StageSet,
    pub size_limit: Option<u64>,
    pub screen: Arc<Screening>,
    pub judge: Arc<Judging>,
    pub delay: Duration,
    pub keeping: Keeping,
}

#[derive(Default)]
pub struct Seen {
    pub judged: Vec<(Transaction, Vec<u8>)>,
    pub screened: Vec<(Stage, Transaction)>,
    pub settled: Vec<pb::SettleRequest>,
    /// Of each message, whether its sender said that it is under load.
    pub overloaded: Vec<bool>,
}

pub struct ScriptedNode {
    plans: Arc<watch::Sender<Plan>>,
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    working: Arc<AtomicUsize>,
    delay: Arc<Mutex<Duration>>,
    health: HealthReporter,
    // The connections end with it, as those of a process do.
    runtime: Option<Runtime>,
}

struct Service {
    script: Script,
    plans: Arc<watch::Sender<Plan>>,
    seen: Arc<Mutex<Seen>>,
    working: Arc<AtomicUsize>,
    delay: Arc<Mutex<Duration>>,
}

/// A call that is being worked on.
struct Working(Arc<AtomicUsize>);

pub fn accept() -> Verdict {
    Verdict::accept(Revision::new("abc123").unwrap(), "scripted".into())
}

pub fn refuse(code: u32, text: &str) -> Verdict {
    let reply = Reply::new(code, None, text).unwrap();
    let disposition = if reply.is_permanent() {
        Disposition::Reject
    } else {
        Disposition::Tempfail
    };
    Verdict {
        disposition,
        reply: Some(reply),
        ..accept()
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            stages: StageSet::EMPTY,
            size_limit: None,
            screen: Arc::new(|_, _| Ok(accept())),
            judge: Arc::new(|_, _| Ok(accept())),
            delay: Duration::ZERO,
            keeping: Keeping::Unavailable,
        }
    }
}

impl Script {
    pub fn judging(
        judge: impl Fn(&Transaction, &[u8]) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            judge: Arc::new(judge),
            ..Self::default()
        }
    }

    pub fn giving(verdict: Verdict) -> Self {
        Self::judging(move |_, _| Ok(verdict.clone()))
    }

    pub fn failing(error: CallError) -> Self {
        Self::judging(move |_, _| Err(error.clone()))
    }

    pub fn slowly(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub fn screening(
        stages: &[Stage],
        screen: impl Fn(Stage, &Transaction) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            stages: stages.iter().copied().collect(),
            screen: Arc::new(screen),
            ..Self::default()
        }
    }
}

impl ScriptedNode {
    pub async fn start(script: Script) -> Self {
        Self::start_at("127.0.0.1:0", script).await
    }

    pub async fn start_at(address: &str, script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = bind(address).await;
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, working) = (Arc::default(), Arc::default());
        let plans = Arc::new(watch::Sender::new(Plan {
            revision: Revision::new("abc123").unwrap(),
            stages: script.stages,
            macros: Vec::new(),
            size_limit: script.size_limit,
            needs_body: true,
        }));
        let delay = Arc::new(Mutex::new(script.delay));
        let service = Service {
            script,
            delay: delay.clone(),
            plans: Arc::clone(&plans),
            seen: Arc::clone(&seen),
            working: Arc::clone(&working),
        };
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_serving::<ProcessingServiceServer<Service>>()
            .await;
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(health_service)
                .add_service(
                    ProcessingServiceServer::new(service).max_decoding_message_size(64 << 20),
                )
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
        });
        Self {
            plans,
            address,
            seen,
            working,
            delay,
            health,
            runtime: Some(runtime),
        }
    }

    /// Takes so long for each message from now on.
    pub fn takes(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// Messages that it has answered.
    pub fn judged(&self) -> usize {
        self.seen(|seen| seen.judged.len())
    }

    /// Says through its health that it serves, or that it does not.
    pub async fn serves(&self, serves: bool) {
        let health = &self.health;
        if serves {
            health
                .set_serving::<ProcessingServiceServer<Service>>()
                .await;
        } else {
            health
                .set_not_serving::<ProcessingServiceServer<Service>>()
                .await;
        }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&self.seen.lock().unwrap())
    }

    /// Puts another policy in force.
    pub fn change_policy(&self, revision: &str, stages: &[Stage]) {
        self.plans.send_modify(|plan| {
            plan.revision = Revision::new(revision).unwrap();
            plan.stages = stages.iter().copied().collect();
        });
    }

    /// Outcomes that it was told, by name.
    pub fn settled(&self) -> Vec<String> {
        self.seen(|seen| {
            let settled = seen
                .settled
                .iter()
                .cloned()
                .map(|raw| Settlement::try_from(raw).unwrap());
            settled
                .map(|settled| {
                    format!(
                        "{} {}",
                        settled.outcome.kind.name(),
                        settled.outcome.disposition
                    )
                })
                .collect()
        })
    }

    /// Calls that it works on now.
    pub fn working(&self) -> usize {
        self.working.load(Ordering::SeqCst)
    }
}

impl Drop for ScriptedNode {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl ProcessingService for Service {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send>>;

    async fn watch_plan(
        &self,
        _: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        let plans = WatchStream::new(self.plans.subscribe()).map(|plan| {
            Ok(pb::WatchPlanResponse {
                plan: Some(plan.into()),
            })
        });
        Ok(Response::new(Box::pin(plans)))
    }

    async fn screen(
        &self,
        request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        let ScreenRequest { transaction, stage } = request.into_inner().try_into().unwrap();
        let verdict = (self.script.screen)(stage, &transaction)?;
        self.seen
            .lock()
            .unwrap()
            .screened
            .push((stage, transaction));
        Ok(Response::new(pb::ScreenResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        self.working.fetch_add(1, Ordering::SeqCst);
        let _working = Working(self.working.clone());
        let mut frames = request.into_inner();
        let (mut transaction, mut content) = (None, Vec::new());
        let mut overloaded = false;
        while let Some(frame) = frames.message().await? {
            overloaded |= frame.overloaded;
            transaction = transaction.or(frame.transaction);
            content.extend_from_slice(&frame.content);
        }
        let transaction = Transaction::try_from(transaction.unwrap()).unwrap();
        let verdict = (self.script.judge)(&transaction, &content);
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let verdict = lower(verdict?, &transaction, self.script.keeping);
        let mut seen = self.seen.lock().unwrap();
        seen.judged.push((transaction, content));
        seen.overloaded.push(overloaded);
        drop(seen);
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        self.seen.lock().unwrap().settled.push(request.into_inner());
        Ok(Response::new(pb::SettleResponse {}))
    }
}

/// Listens, waiting out whoever held the address a moment ago: a node that comes back at its own.
async fn bind(address: &str) -> std::net::TcpListener {
    for _ in 0..500 {
        match std::net::TcpListener::bind(address) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            bound => return bound.unwrap(),
        }
    }
    panic!("{address} never became free");
}
