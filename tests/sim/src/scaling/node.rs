//! A node whose work is a model: a message takes a worker for a random time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use hyper_util::rt::TokioIo;
use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{Plan, Revision, StageSet, Verdict, pb};
use tokio::io::DuplexStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::pipes::{Mortal, to_node};

/// Messages at a time.
pub(super) const WORKERS: usize = 2;
/// What a message takes at least, and what it takes beyond that on average (exponentially distributed).
pub(super) const LEAST: Duration = Duration::from_millis(50);
pub(super) const BEYOND: Duration = Duration::from_millis(50);
/// Messages that wait for a worker; the next is shed.
const QUEUE: usize = 8;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It answers.
    Working,
    /// It takes calls, and answers none.
    Hung,
    /// Its connections are broken, and it takes none.
    Dead,
}

/// One node.
pub(super) struct ModelNode {
    state: watch::Sender<State>,
    life: Mutex<CancellationToken>,
    connections: mpsc::UnboundedSender<io::Result<Mortal>>,
}

struct Work {
    state: watch::Receiver<State>,
    workers: Semaphore,
    places: Semaphore,
}

impl ModelNode {
    pub(super) fn start() -> Arc<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let state = watch::Sender::new(State::Working);
        let work = Work {
            state: state.subscribe(),
            workers: Semaphore::new(WORKERS),
            places: Semaphore::new(WORKERS + QUEUE),
        };
        tokio::spawn(async move {
            let (health, health_service) = tonic_health::server::health_reporter();
            health.set_serving::<ProcessingServiceServer<Work>>().await;
            tonic::transport::Server::builder()
                .add_service(health_service)
                .add_service(ProcessingServiceServer::new(work))
                .serve_with_incoming(UnboundedReceiverStream::new(incoming))
                .await
        });
        Arc::new(Self {
            state,
            life: Mutex::default(),
            connections,
        })
    }

    pub(super) fn is(&self, state: State) {
        if state == State::Dead {
            self.life().cancel();
        } else if self.life().is_cancelled() {
            *self.life() = CancellationToken::new();
        }
        self.state.send_replace(state);
    }

    pub(super) fn connect(&self) -> io::Result<TokioIo<DuplexStream>> {
        let life = self.life().clone();
        if life.is_cancelled() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = to_node(&life);
        let sent = self.connections.send(Ok(far));
        sent.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(TokioIo::new(near))
    }

    fn life(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn revision() -> Revision {
    Revision::new("0de1").expect("digits are a revision")
}

#[tonic::async_trait]
impl ProcessingService for Work {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send + 'static>>;

    async fn watch_plan(
        &self,
        _request: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        let plan = Plan {
            revision: revision(),
            stages: StageSet::default(),
            macros: Vec::new(),
            size_limit: None,
            needs_body: true,
        };
        let told = pb::WatchPlanResponse {
            plan: Some(plan.into()),
        };
        Ok(Response::new(
            stream::iter([Ok(told)]).chain(stream::pending()).boxed(),
        ))
    }

    async fn screen(
        &self,
        _request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        Err(Status::unimplemented("its plan has no stages"))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let Ok(_place) = self.places.try_acquire() else {
            let full = "the queue is full".to_owned();
            return Err(millrace_proto::CallError::Overloaded(full).into());
        };
        let mut frames = request.into_inner();
        while frames.next().await.transpose()?.is_some() {}
        let _worker = self.workers.acquire().await;
        let beyond = BEYOND.mul_f64(-(1.0 - fastrand::f64()).ln());
        tokio::time::sleep(LEAST + beyond).await;
        let mut state = self.state.clone();
        let _ = state.wait_for(|&state| state != State::Hung).await;
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(Verdict::accept(revision(), "model".into()).into()),
        }))
    }

    async fn settle(
        &self,
        _request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        Ok(Response::new(pb::SettleResponse {}))
    }
}
