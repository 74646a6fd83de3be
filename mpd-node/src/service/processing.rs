//! The processing service over a [`Node`].

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use millrace_proto::pb::processing_service_server::ProcessingService;
use millrace_proto::{
    CallError, ClientName, Direction, InvalidMessage, ScreenRequest, Settlement, pb,
};
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::{trace_context, trace_span};
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use super::assemble::{Assembled, assemble};
use crate::node::Node;

/// The contract's service.
#[derive(Debug, Clone)]
pub(super) struct Processing {
    node: Node,
    drain: Drain,
}

impl Processing {
    pub(super) fn new(node: Node, drain: Drain) -> Self {
        Self { node, drain }
    }
}

#[tonic::async_trait]
impl ProcessingService for Processing {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send + 'static>>;

    async fn watch_plan(
        &self,
        request: Request<pb::WatchPlanRequest>,
    ) -> Result<Response<Self::WatchPlanStream>, Status> {
        let request = request.into_inner();
        let direction = Direction::try_from(request.direction()).map_err(malformed)?;
        let client: ClientName = request
            .client
            .parse()
            .map_err(|problem| malformed(InvalidMessage::Client(problem)))?;
        let watch = self.node.watch_plan(&client, direction);
        // An open stream would hold the connection, and so the end, up.
        let closing = self.drain.closing().clone();
        let plans = stream::unfold((watch, true), |(mut watch, first)| async move {
            if !first && !watch.changed().await {
                return None;
            }
            let plan = pb::Plan::from(watch.current().as_ref().clone());
            let response = pb::WatchPlanResponse { plan: Some(plan) };
            Some((Ok(response), (watch, false)))
        });
        let plans = plans.take_until(closing.cancelled_owned());
        Ok(Response::new(Box::pin(plans)))
    }

    async fn screen(
        &self,
        request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        let span = trace_span!("node.screen");
        trace_context::adopt(&span, request.metadata());
        let request = ScreenRequest::try_from(request.into_inner()).map_err(malformed)?;
        let verdict = span.in_scope(|| self.node.screen(&request))?;
        Ok(Response::new(pb::ScreenResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn process(
        &self,
        request: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Response<pb::ProcessResponse>, Status> {
        let span = trace_span!("node.process");
        trace_context::adopt(&span, request.metadata());
        let _activity = self.drain.activity();
        let frames = request.into_inner();
        let work = async {
            let Assembled {
                transaction,
                content,
                memory,
            } = assemble(&self.node, frames).await?;
            let verdict = self.node.process(Arc::new(transaction), content).await;
            drop(memory);
            verdict
        };
        let verdict = work.instrument(span).await?;
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        let settlement = Settlement::try_from(request.into_inner()).map_err(malformed)?;
        self.node.settle(&settlement);
        Ok(Response::new(pb::SettleResponse {}))
    }
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn malformed(problem: InvalidMessage) -> Status {
    CallError::Malformed(problem.to_string()).into()
}
