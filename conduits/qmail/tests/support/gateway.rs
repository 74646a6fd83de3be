//! A gateway that answers as the test says.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{
    CallError, Disposition, Keeping, Reply, Revision, Transaction, Verdict, lower, pb,
};
use tokio_stream::{Empty, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// What it answers.
pub type Answer = dyn Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync;
/// Transactions and messages that it was shown.
pub type Asked = Arc<Mutex<Vec<(Transaction, Vec<u8>)>>>;

/// The service.
#[derive(Clone)]
pub struct Gateway {
    answer: Arc<Answer>,
    asked: Asked,
    keeping: Keeping,
    remembers: bool,
    held: tokio::sync::watch::Receiver<bool>,
    hold: Arc<tokio::sync::watch::Sender<bool>>,
}

pub fn accept() -> Verdict {
    Verdict::accept(Revision::new("abc123").unwrap(), "scripted".into())
}

pub fn refuse(code: u32, text: &str) -> Verdict {
    let enhanced = if code < 500 { "4.7.1" } else { "5.7.1" };
    Verdict {
        disposition: if code < 500 {
            Disposition::Tempfail
        } else {
            Disposition::Reject
        },
        reply: Some(Reply::new(code, Some(enhanced), text).unwrap()),
        ..accept()
    }
}

impl Gateway {
    pub fn new(
        answer: impl Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        let (hold, held) = tokio::sync::watch::channel(false);
        Self {
            answer: Arc::new(answer),
            asked: Asked::default(),
            keeping: Keeping::Unavailable,
            remembers: true,
            held,
            hold: Arc::new(hold),
        }
    }

    /// Copies can be kept, or not.
    pub fn keeping(self, keeping: Keeping) -> Self {
        Self { keeping, ..self }
    }

    /// Of what it is asked, it keeps nothing.
    pub fn forgetting(self) -> Self {
        Self {
            remembers: false,
            ..self
        }
    }

    pub fn asked(&self) -> Vec<(Transaction, Vec<u8>)> {
        self.asked.lock().unwrap().clone()
    }

    /// From now on it gives no answer, until it is told otherwise.
    pub fn hold(&self, held: bool) {
        self.hold.send_replace(held);
    }

    pub fn server(self) -> tonic::transport::server::Router {
        tonic::transport::Server::builder()
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .add_service(ProcessingServiceServer::new(self))
    }
}

#[tonic::async_trait]
impl ProcessingService for Gateway {
    type WatchPlanStream = Pin<Box<Empty<Result<pb::WatchPlanResponse, Status>>>>;

    async fn watch_plan(
        &self,
        _: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        Ok(Response::new(Box::pin(tokio_stream::empty())))
    }

    async fn screen(
        &self,
        _: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        Err(Status::unimplemented("a qmail-queue screens nothing"))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let mut frames = request.into_inner();
        let (mut transaction, mut content) = (None, Vec::new());
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            transaction = transaction.or(frame.transaction);
            content.extend_from_slice(&frame.content);
        }
        let transaction = Transaction::try_from(transaction.unwrap()).unwrap();
        let verdict = (self.answer)(&transaction);
        if self.remembers {
            let mut asked = self.asked.lock().unwrap();
            asked.push((transaction.clone(), content));
        }
        let _ = self.held.clone().wait_for(|held| !held).await;
        let verdict = lower(verdict?, &transaction, self.keeping);
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        _: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        Ok(Response::new(pb::SettleResponse {}))
    }
}
