//! The processing service over a [`Node`].

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use millrace_proto::pb::processing_service_server::ProcessingService;
use millrace_proto::{
    CallError, ClientName, Direction, InvalidMessage, ScreenRequest, Settlement, Transaction, pb,
};
use millrace_runtime::grpc::{Arrived, Leaving};
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::tls::{Peers, TlsPeer};
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
    peers: Arc<Peers>,
}

impl Processing {
    pub(super) fn new(node: Node, drain: Drain, peers: Arc<Peers>) -> Self {
        Self { node, drain, peers }
    }

    /// Whether whoever is there may speak for the client.
    fn permit(&self, peer: Option<&TlsPeer>, client: &ClientName) -> Result<(), CallError> {
        let names = peer.and_then(|peer| peer.names.as_ref());
        self.peers
            .may_process(names, client.as_str())
            .map_err(|denied| {
                let address = peer.and_then(|peer| peer.address);
                let address = address.map(tracing::field::display);
                tracing::warn!(peer = address, %client, %denied, "refused");
                CallError::Denied(denied.to_string())
            })
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
        let peer = peer_of(&request);
        let until_leaving = Leaving::of::<TlsPeer, _>(&request);
        let request = request.into_inner();
        let direction = Direction::try_from(request.direction()).map_err(malformed)?;
        let client: ClientName = request
            .client
            .parse()
            .map_err(|problem| malformed(InvalidMessage::Client(problem)))?;
        self.permit(peer.as_ref(), &client)?;
        let watch = self.node.watch_plan(&client, direction);
        let plans = stream::unfold((watch, true), |(mut watch, first)| async move {
            if !first && !watch.changed().await {
                return None;
            }
            let plan = pb::Plan::from(watch.current().as_ref().clone());
            let response = pb::WatchPlanResponse { plan: Some(plan) };
            Some((Ok(response), (watch, false)))
        });
        // An open stream would hold the connection, and so the end, up.
        let plans = plans.take_until(until_leaving.reached());
        Ok(Response::new(Box::pin(plans)))
    }

    async fn screen(
        &self,
        request: Request<pb::ScreenRequest>,
    ) -> Result<Response<pb::ScreenResponse>, Status> {
        let span = trace_span!("node.screen");
        trace_context::adopt(&span, request.metadata());
        let peer = peer_of(&request);
        let request = ScreenRequest::try_from(request.into_inner()).map_err(malformed)?;
        self.permit(peer.as_ref(), &request.transaction.client)?;
        self.node.obtain(&request.transaction).await;
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
        let peer = peer_of(&request);
        let frames = request.into_inner();
        let permit = |transaction: &Transaction| self.permit(peer.as_ref(), &transaction.client);
        let work = async {
            let Assembled {
                transaction,
                content,
                overloaded,
                memory,
            } = assemble(&self.node, permit, frames).await?;
            let verdict = self
                .node
                .process_under_load(Arc::new(transaction), content, overloaded)
                .await;
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
        let peer = peer_of(&request);
        let settlement = Settlement::try_from(request.into_inner()).map_err(malformed)?;
        self.permit(peer.as_ref(), &settlement.client)?;
        self.node.settle(&settlement);
        Ok(Response::new(pb::SettleResponse {}))
    }
}

/// Who is there.
fn peer_of<T>(request: &Request<T>) -> Option<TlsPeer> {
    let arrived = request.extensions().get::<Arrived<TlsPeer>>();
    arrived.map(|arrived| arrived.peer.clone())
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn malformed(problem: InvalidMessage) -> Status {
    CallError::Malformed(problem.to_string()).into()
}
