//! The contract's service, as conduits see it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt, stream};
use millrace_proto::pb::processing_service_server::ProcessingService;
use millrace_proto::{
    CallError, InvalidMessage, ScreenRequest, Settlement, Stage, Transaction, pb,
};
use millrace_runtime::grpc::{Arrived, Leaving};
use millrace_runtime::{trace_context, trace_span};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::io::Caller;
use super::judge::Question;
use crate::config::DirectionFrom;
use crate::failure::Failure;
use crate::gateway::{Client, Shared};

/// The service on one listener.
#[derive(Debug, Clone)]
pub(super) struct Conduits {
    pub(super) client: Arc<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) direction: DirectionFrom,
}

impl Conduits {
    /// What the listener says stands above what the conduit says.
    fn owned(&self, mut transaction: Transaction) -> Transaction {
        let config = &self.client.config;
        transaction.client = config.name.clone();
        if self.direction == DirectionFrom::Listener {
            transaction.direction = config.direction;
        }
        transaction
    }

    fn question(
        &self,
        transaction: Transaction,
        stage: Stage,
        asked: Option<Duration>,
    ) -> Question<'_> {
        let own = self.client.config.deadline;
        // A little less than the conduit waits: the failure table is to answer, and not silence.
        let deadline = asked.map_or(own, |asked| own.min(asked.mul_f64(0.95)));
        Question {
            shared: &self.shared,
            client: &self.client,
            transaction: Arc::new(self.owned(transaction)),
            stage,
            begun: Instant::now(),
            deadline,
        }
    }
}

#[tonic::async_trait]
impl ProcessingService for Conduits {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send + 'static>>;

    async fn watch_plan(
        &self,
        request: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        doom(&request)?;
        let leaving = Leaving::of::<Caller, _>(&request);
        let plans = stream::unfold((self.client.clone(), None), |(client, known)| async move {
            let current = client.plans.after(known.as_ref()).await;
            let plan = pb::Plan::from(current.plan.clone());
            let response = pb::WatchPlanResponse { plan: Some(plan) };
            Some((Ok(response), (client, Some(current))))
        });
        // An open stream would hold the connection, and so the end, up.
        Ok(Response::new(Box::pin(plans.take_until(leaving.reached()))))
    }

    async fn screen(
        &self,
        request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        let span = trace_span!("conduit.screen");
        trace_context::adopt(&span, request.metadata());
        let (doom, asked) = (doom(&request)?, timeout(request.metadata()));
        let request = ScreenRequest::try_from(request.into_inner()).map_err(malformed)?;
        let question = self.question(request.transaction, request.stage, asked);
        let verdict = question.screen(doom).instrument(span).await;
        Ok(Response::new(pb::ScreenResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let span = trace_span!("conduit.process");
        trace_context::adopt(&span, request.metadata());
        let _activity = self.shared.drain.activity();
        let (doom, asked) = (doom(&request)?, timeout(request.metadata()));
        let mut frames = request.into_inner();
        let first = frames
            .next()
            .await
            .ok_or_else(|| CallError::Malformed("the call has no frame".to_owned()))??;
        let transaction = first
            .transaction
            .ok_or(InvalidMessage::Missing("transaction"))
            .map_err(malformed)?;
        let transaction = Transaction::try_from(transaction).map_err(malformed)?;
        let question = self.question(transaction, Stage::EndOfMessage, asked);
        let verdict = Box::pin(question.message(doom, first.content, frames))
            .instrument(span)
            .await?;
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        doom(&request)?;
        let mut settlement = Settlement::try_from(request.into_inner()).map_err(malformed)?;
        settlement.client = self.client.config.name.clone();
        self.shared.upstream.settle(settlement, None);
        Ok(Response::new(pb::SettleResponse {}))
    }
}

/// Why nothing of the caller's is judged; an error for one who may not speak for this client.
fn doom<T>(request: &Request<T>) -> Result<Option<Failure>, CallError> {
    let Some(arrived) = request.extensions().get::<Arrived<Caller>>() else {
        return Ok(None);
    };
    match &arrived.peer.denied {
        Some(denied) => Err(CallError::Denied(denied.to_string())),
        None => Ok(arrived.peer.doom.clone()),
    }
}

fn malformed(problem: impl std::fmt::Display) -> Status {
    CallError::Malformed(problem.to_string()).into()
}

/// How long the caller waits: `grpc-timeout` (gRPC over HTTP/2, "Requests": up to 8 digits and a unit).
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_patience_is_read() {
        for (text, expected) in [
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("999999999u", None),
            ("5", None),
            ("", None),
            ("S", None),
            ("-5S", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("a value"));
            assert_eq!(timeout(&metadata), expected, "{text}");
        }
    }
}
