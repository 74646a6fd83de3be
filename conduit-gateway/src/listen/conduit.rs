//! Conduits that speak the contract: the processing service in front of whoever judges.
//!
//! What the listener is configured for stands above what a conduit says of itself: the client's name always, the
//! direction where one is given. Where there is no verdict, the failure table's answer is one: a conduit needs a
//! failure policy of its own only for a gateway that it does not reach.

mod io;
mod judge;
mod service;

use std::sync::Arc;

use millrace_proto::pb::processing_service_server::ProcessingServiceServer;
use millrace_runtime::grpc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use self::service::Conduits;
use crate::config::DirectionFrom;
use crate::gateway::{Client, Shared};

pub(super) use io::{Caller, Connected, Waiting, hand_over};

/// Serves connections as they come, until the drain closes and the calls in flight are answered.
pub(super) async fn serve(
    connections: mpsc::Receiver<(Caller, Connected)>,
    client: Arc<Client>,
    shared: Arc<Shared>,
    direction: DirectionFrom,
) {
    let drain = shared.drain.clone();
    let age = shared.times.connection_age;
    let health = grpc::health::<ProcessingServiceServer<Conduits>, Caller>(&drain).await;
    let conduits = Conduits {
        client,
        shared,
        direction,
    };
    let routes = Routes::new(health).add_service(ProcessingServiceServer::new(conduits));
    grpc::serve(routes, ReceiverStream::new(connections), age, &drain).await;
}
