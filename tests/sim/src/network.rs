//! The simulated network, as gateway and node take it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use conduit_gateway::{Duplex, Network};
use futures_util::{Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};

/// The port that nodes serve.
pub(crate) const NODE: u16 = 7750;
/// The port that gateways take mail servers at.
pub(crate) const MILTER: u16 = 8891;

/// A connection, as the node's gRPC server takes it.
pub(crate) struct Taken(TcpStream);

/// What connects to a port of this host.
pub(crate) fn incoming(
    port: u16,
) -> impl Stream<Item = io::Result<(TcpStream, SocketAddr)>> + Send + 'static {
    stream::unfold(None, move |listener: Option<TcpListener>| async move {
        let listener = match listener {
            Some(listener) => listener,
            None => match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
                Ok(listener) => listener,
                Err(error) => return Some((Err(error), None)),
            },
        };
        let accepted = listener.accept().await;
        Some((accepted, Some(listener)))
    })
}

/// As a node's server takes them.
pub(crate) fn taken(port: u16) -> impl Stream<Item = io::Result<Taken>> + Send + 'static {
    incoming(port).map(|accepted| accepted.map(|(stream, _)| Taken(stream)))
}

/// As a gateway's listeners are given them.
pub(crate) fn network() -> Network {
    Network::Simulated(Arc::new(|address: SocketAddr| {
        incoming(address.port())
            .map(|accepted| {
                let (stream, peer) = accepted?;
                Ok((Box::new(stream) as Box<dyn Duplex>, peer))
            })
            .boxed()
    }))
}

impl Connected for Taken {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Taken {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
