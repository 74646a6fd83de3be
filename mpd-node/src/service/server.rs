//! The listening side: one port with the contract, health and reflection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::Stream;
use millrace_proto::pb;
use millrace_proto::pb::processing_service_server::ProcessingServiceServer;
use millrace_proto::pb::quarantine_service_server::QuarantineServiceServer;
use millrace_runtime::lifecycle::{Drain, Phase};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::transport::server::{Connected, TcpIncoming};

use super::processing::Processing;
use super::quarantine::Copies;
use crate::node::Node;

/// A bound port, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    node: Node,
}

/// Why the port is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}; name another with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The server broke.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// Reflection could not be built from our own descriptors.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A large message is not to wait for window updates of 64 KiB each.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Half-open connections are found by these.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    /// Binds the port; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, node: Node) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address, source })?;
        Ok(Self { listener, node })
    }

    /// The address that is bound.
    ///
    /// # Errors
    /// The socket has none any more.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the drain closes and the calls in flight are answered.
    ///
    /// Health goes as soon as the drain begins, so that whoever balances over
    /// nodes sends no more. Connections older than `max_age` are asked to go,
    /// so that a plain load balancer spreads load again after nodes were added.
    ///
    /// # Errors
    /// The server broke.
    pub async fn serve(self, drain: Drain, max_age: Option<Duration>) -> Result<(), ServeError> {
        let connections = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        Self::serve_over(connections, self.node, drain, max_age).await
    }

    /// As [`Server::serve`], over connections that come from elsewhere than a port of the system.
    ///
    /// # Errors
    /// The server broke.
    pub async fn serve_over<C>(
        connections: impl Stream<Item = io::Result<C>>,
        node: Node,
        drain: Drain,
        max_age: Option<Duration>,
    ) -> Result<(), ServeError>
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_serving::<ProcessingServiceServer<Processing>>()
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;

        let draining = drain.clone();
        tokio::spawn(async move {
            draining.reached(Phase::Unready).await;
            health
                .set_not_serving::<ProcessingServiceServer<Processing>>()
                .await;
            health
                .set_service_status("", tonic_health::ServingStatus::NotServing)
                .await;
        });

        let mut server = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT));
        if let Some(age) = max_age {
            server = server.max_connection_age(age);
        }
        let closing = drain.closing().clone();
        let copies = node
            .serves_copies()
            .then(|| QuarantineServiceServer::new(Copies::new(node.clone())));
        let serving = server
            .add_service(health_service)
            .add_service(reflection)
            .add_optional_service(copies)
            .add_service(ProcessingServiceServer::new(Processing::new(
                node,
                drain.clone(),
            )))
            .serve_with_incoming_shutdown(connections, closing.cancelled_owned());
        tokio::select! {
            result = serving => result?,
            // Watchers of our health keep connections open for ever.
            () = drain.cut().cancelled() => {}
        }
        Ok(())
    }
}
