//! A node with a fault: it judges by a policy that nobody published. What it does must be seen.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{Edit, Plan, Revision, StageSet, TransactionId, Verdict, pb};
use tonic::{Request, Response, Status, Streaming};

use crate::network::{NODE, taken};

struct Mutant;

fn revision() -> Revision {
    Revision::new("f0e1d2c3b4a5f0e1d2c3b4a5").expect("digits are a revision")
}

/// Serves on this host.
pub(crate) async fn serve() -> turmoil::Result {
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_serving::<ProcessingServiceServer<Mutant>>()
        .await;
    tonic::transport::Server::builder()
        .add_service(health_service)
        .add_service(ProcessingServiceServer::new(Mutant))
        .serve_with_incoming(taken(NODE))
        .await?;
    Ok(())
}

#[tonic::async_trait]
impl ProcessingService for Mutant {
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
        let plans = stream::iter([Ok(told)]).chain(stream::pending());
        Ok(Response::new(plans.boxed()))
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
        let mut frames = request.into_inner();
        while frames.next().await.transpose()?.is_some() {}
        let mut verdict = Verdict::accept(revision(), "mutant".into());
        verdict.edits.push(Edit::AddHeader {
            name: Bytes::from_static(b"X-Judged"),
            value: Bytes::from(format!("{} {} 0", revision().short(), TransactionId::new())),
        });
        Ok(Response::new(pb::ProcessResponse {
            verdict: Some(verdict.into()),
        }))
    }

    async fn settle(
        &self,
        _request: Request<pb::SettleRequest>,
    ) -> Result<Response<pb::SettleResponse>, Status> {
        Ok(Response::new(pb::SettleResponse {}))
    }
}
