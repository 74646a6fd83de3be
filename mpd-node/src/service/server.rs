//! The listening side: one port with the contract, health and reflection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use millrace_proto::pb;
use millrace_proto::pb::processing_service_server::ProcessingServiceServer;
use millrace_proto::pb::quarantine_service_server::QuarantineServiceServer;
use millrace_runtime::grpc::{self, ConnectionAge};
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::tls::{Links, Peers, TlsPeer, incoming};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::processing::Processing;
use super::quarantine::Copies;
use crate::node::Node;

/// A bound port, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    node: Node,
    links: Links,
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
    /// Reflection could not be built from our own descriptors.
    #[error("gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Server {
    /// Binds the port; port 0 takes a free one. `links` say whether it speaks TLS, and who may do what.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(address: SocketAddr, node: Node, links: &Links) -> Result<Self, ServeError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address, source })?;
        Ok(Self {
            listener,
            node,
            links: links.clone(),
        })
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
    /// nodes sends no more.
    ///
    /// # Errors
    /// Reflection cannot be had.
    pub async fn serve(self, drain: Drain, age: ConnectionAge) -> Result<(), ServeError> {
        let acceptor = self.links.acceptor();
        let connections = incoming(self.listener, acceptor, drain.closing().clone())
            .map(|stream| (TlsPeer::of(&stream), stream));
        serve(connections, self.node, self.links.peers(), drain, age).await
    }

    /// As [`Server::serve`], over connections that come from elsewhere than a port of the system. One that failed
    /// before it came is a line in the log.
    ///
    /// # Errors
    /// Reflection cannot be had.
    pub async fn serve_over<C>(
        connections: impl Stream<Item = io::Result<C>>,
        node: Node,
        drain: Drain,
        age: ConnectionAge,
    ) -> Result<(), ServeError>
    where
        C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connections = connections.filter_map(|connection| {
            let taken = connection
                .inspect_err(|error| tracing::warn!(%error, "a connection cannot be accepted"))
                .ok();
            std::future::ready(taken.map(|stream| (TlsPeer::default(), stream)))
        });
        serve(connections, node, &Arc::default(), drain, age).await
    }
}

async fn serve<C>(
    connections: impl Stream<Item = (TlsPeer, C)>,
    node: Node,
    peers: &Arc<Peers>,
    drain: Drain,
    age: ConnectionAge,
) -> Result<(), ServeError>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let health = grpc::health::<ProcessingServiceServer<Processing>, TlsPeer>(&drain).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let mut routes = Routes::new(health).add_service(reflection);
    if node.serves_copies() {
        let copies = Copies::new(node.clone(), peers.clone());
        routes = routes.add_service(QuarantineServiceServer::new(copies));
    }
    let processing = Processing::new(node, drain.clone(), peers.clone());
    let routes = routes.add_service(ProcessingServiceServer::new(processing));
    grpc::serve(routes, connections, age, &drain).await;
    Ok(())
}
