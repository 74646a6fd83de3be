//! How a process serves gRPC: health that goes first when it ends, and connections that grow old.
//!
//! A connection of a certain age is asked to go (GOAWAY, RFC 9113 §6.8): what is under way on it ends there, what
//! comes next finds a new one. So a plain load balancer, which spreads connections and not calls, spreads load again
//! after servers were added, and replaced certificates come into use. Ages differ a little, so that connections that
//! were made together are not made again together.

use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};

use crate::lifecycle::{Drain, Phase};

/// How old connections may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionAge {
    /// At about this age a connection is asked to go; 0 for never. Seconds.
    pub max_connection_age_seconds: u32,
    /// What is under way then has so long to end, before it is cut off. Seconds.
    pub max_connection_age_grace_seconds: u32,
}

/// Whose calls come over a connection, and until when: an extension of each call.
#[derive(Debug, Clone)]
pub struct Arrived<P> {
    /// What the connection tells of its peer.
    pub peer: P,
    leaving: CancellationToken,
}

/// When a connection is to go. A stream that would never end is to end then, so that it does not hold the connection:
/// whoever listens asks again, on another one.
#[derive(Debug)]
pub struct Leaving(Option<CancellationToken>);

/// The standard health service, whose watchers do not hold a connection that is to go.
#[derive(Debug)]
pub struct HealthOf<P> {
    service: HealthService,
    peer: PhantomData<fn() -> P>,
}

/// A connection that says when it is gone.
struct Tracked<P, C> {
    arrived: Arrived<P>,
    connection: C,
    _gone: DropGuard,
}

/// A large message is not to wait for window updates of 64 KiB each.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Half-open connections are found by these.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Ages differ by so many percent, up and down.
const JITTER: u32 = 10;

impl Default for ConnectionAge {
    fn default() -> Self {
        Self {
            max_connection_age_seconds: 600,
            max_connection_age_grace_seconds: 300,
        }
    }
}

impl ConnectionAge {
    /// Connections are never asked to go.
    pub const ENDLESS: Self = Self {
        max_connection_age_seconds: 0,
        max_connection_age_grace_seconds: 0,
    };

    /// The age of one connection; `chance` is any number.
    fn of_one(self, chance: u32) -> Option<Duration> {
        let age = Duration::from_secs(self.max_connection_age_seconds.into());
        let percent = 100 - JITTER + chance % (2 * JITTER + 1);
        (!age.is_zero()).then(|| age * percent / 100)
    }
}

/// Serves connections as they come, each with what is known of its peer, until the drain closes and the calls in
/// flight are answered, or are cut off.
pub async fn serve<P, C>(
    routes: Routes,
    connections: impl Stream<Item = (P, C)>,
    age: ConnectionAge,
    drain: &Drain,
) where
    P: Clone + Send + Sync + Unpin + 'static,
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT));
    // axum's router is built once, and cloned by reference.
    let routes = routes.prepare();
    let served = TaskTracker::new();
    let mut connections = std::pin::pin!(connections);
    loop {
        let connection = tokio::select! {
            biased;
            () = drain.closing().cancelled() => break,
            next = connections.next() => match next {
                Some(connection) => connection,
                None => break,
            },
        };
        let closing = drain.closing();
        served.spawn(one(
            server.clone(),
            routes.clone(),
            connection,
            age,
            closing.clone(),
        ));
    }
    served.close();
    tokio::select! {
        () = served.wait() => {}
        // Calls that do not end.
        () = drain.cut().cancelled() => {}
    }
}

/// A server of its own for each connection, as tonic gives all connections of a server the same age.
async fn one<P, C>(
    mut server: Server,
    routes: Routes,
    (peer, connection): (P, C),
    age: ConnectionAge,
    closing: CancellationToken,
) where
    P: Clone + Send + Sync + Unpin + 'static,
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let leaving = closing.child_token();
    let gone = CancellationToken::new();
    let age_of_this = getrandom::u32().ok().and_then(|chance| age.of_one(chance));
    if let Some(age_of_this) = age_of_this {
        // With a grace tonic cuts off, and asks nobody to go before: that is done below.
        let grace = Duration::from_secs(age.max_connection_age_grace_seconds.into());
        server = server
            .max_connection_age(age_of_this)
            .max_connection_age_grace(grace);
    }
    let tracked = Tracked {
        arrived: Arrived {
            peer,
            leaving: leaving.clone(),
        },
        connection,
        _gone: gone.clone().drop_guard(),
    };
    let incoming = futures_util::stream::iter([Ok::<_, Infallible>(tracked)])
        .chain(futures_util::stream::pending());
    let over = async move {
        let aged = async {
            match age_of_this {
                Some(age) => tokio::time::sleep(age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = aged => {}
            () = closing.cancelled() => {}
            () = gone.cancelled() => {}
        }
        leaving.cancel();
    };
    let served = server
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, over)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a gRPC connection broke");
    }
}

/// The standard health service of service `S`, which serves until the drain begins: whoever balances over servers is
/// to send no more then. `P` is what connections tell of their peers.
pub async fn health<S: NamedService, P>(drain: &Drain) -> HealthServer<HealthOf<P>>
where
    P: Clone + Send + Sync + 'static,
{
    let reporter = HealthReporter::new();
    reporter.set_serving::<S>().await;
    let service = HealthService::from_health_reporter(reporter.clone());
    let drain = drain.clone();
    tokio::spawn(async move {
        drain.reached(Phase::Unready).await;
        reporter.set_not_serving::<S>().await;
        reporter
            .set_service_status("", ServingStatus::NotServing)
            .await;
    });
    HealthServer::new(HealthOf {
        service,
        peer: PhantomData,
    })
}

impl Leaving {
    /// Of the connection that this call came over. `P` is what connections tell of their peers.
    #[must_use]
    pub fn of<P, T>(request: &Request<T>) -> Self
    where
        P: Clone + Send + Sync + 'static,
    {
        let arrived = request.extensions().get::<Arrived<P>>();
        Self(arrived.map(|arrived| arrived.leaving.clone()))
    }

    /// Waits until then.
    pub async fn reached(self) {
        match self.0 {
            Some(leaving) => leaving.cancelled_owned().await,
            None => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl<P: Clone + Send + Sync + 'static> Health for HealthOf<P> {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.service.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = Request::new(request.get_ref().clone());
        let watched = self.service.watch(asked).await?.into_inner();
        let told = watched.take_until(Leaving::of::<P, _>(&request).reached());
        Ok(Response::new(Box::pin(told)))
    }
}

impl<P: Clone + Send + Sync + 'static, C> Connected for Tracked<P, C> {
    type ConnectInfo = Arrived<P>;

    fn connect_info(&self) -> Arrived<P> {
        self.arrived.clone()
    }
}

impl<P: Unpin, C: AsyncRead + Unpin> AsyncRead for Tracked<P, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<P: Unpin, C: AsyncWrite + Unpin> AsyncWrite for Tracked<P, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_a_little() {
        let age = ConnectionAge {
            max_connection_age_seconds: 100,
            max_connection_age_grace_seconds: 1,
        };
        for (chance, seconds) in [(0, 90), (10, 100), (20, 110), (21, 90), (u32::MAX, 93)] {
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(age.of_one(chance), expected, "{chance}");
        }
        assert_eq!(ConnectionAge::ENDLESS.of_one(7), None);
    }
}
