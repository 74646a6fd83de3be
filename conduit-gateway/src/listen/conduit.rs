//! Conduits that speak the contract: the processing service in front of whoever judges.
//!
//! What the listener is configured for stands above what a conduit says of itself: the client's name always, the
//! direction where one is given. Where there is no verdict, the failure table's answer is one: a conduit needs a
//! failure policy of its own only for a gateway that it does not reach.

mod io;
mod judge;
mod service;

use std::sync::Arc;
use std::time::Duration;

use millrace_proto::pb::processing_service_server::ProcessingServiceServer;
use millrace_runtime::lifecycle::Phase;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use self::service::Conduits;
use crate::config::DirectionFrom;
use crate::gateway::{Client, Shared};

pub(super) use io::Connected;

/// Half-open connections are found by these.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A large message is not to wait for window updates of 64 KiB each.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Serves connections as they come, until the drain closes and the calls in flight are answered.
pub(super) async fn serve(
    connections: mpsc::Receiver<Connected>,
    client: Arc<Client>,
    shared: Arc<Shared>,
    direction: DirectionFrom,
) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_serving::<ProcessingServiceServer<Conduits>>()
        .await;
    let drain = shared.drain.clone();
    let unready = drain.clone();
    let watch = async move {
        unready.reached(Phase::Unready).await;
        health
            .set_not_serving::<ProcessingServiceServer<Conduits>>()
            .await;
        health
            .set_service_status("", tonic_health::ServingStatus::NotServing)
            .await;
        std::future::pending::<()>().await;
    };
    let name = client.config.name.clone();
    let incoming = ReceiverStream::new(connections).map(Ok::<_, std::convert::Infallible>);
    let serving = tonic::transport::Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(health_service)
        .add_service(ProcessingServiceServer::new(Conduits {
            client,
            shared,
            direction,
        }))
        .serve_with_incoming_shutdown(incoming, drain.closing().clone().cancelled_owned());
    tokio::select! {
        result = serving => if let Err(error) = result {
            tracing::error!(client = %name, %error, "the listener for conduits failed");
        },
        () = watch => {}
        // Watchers of our health keep connections open for ever.
        () = drain.cut().cancelled() => {}
    }
}
