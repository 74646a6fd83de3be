//! The client of the processing service that conduits and the gateway share:
//! domain types in, domain types out, one HTTP/2 connection to one endpoint.
//!
//! Choosing among endpoints, trying again and hedging are the caller's; a call
//! here is one try.

mod content;
mod fault;
mod health;
pub mod once;
mod preface;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use http::Uri;
use hyper::rt;
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt as _};

use millrace_proto::pb::processing_service_client::ProcessingServiceClient;
use millrace_proto::{
    CallError, ClientName, Direction, Plan, ScreenRequest, Settlement, Transaction, Verdict, pb,
};

use preface::{Line, Prefaced};

pub use content::Content;

/// A client of one endpoint: a node, a gateway, or a load balancer before
/// them. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    line: Option<Arc<Line>>,
}

/// How long a call may take, and what travels beside it.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// From the call's start to its answer; it travels as the gRPC timeout.
    pub deadline: Duration,
    /// Trace context and the like.
    pub metadata: MetadataMap,
    /// Whether the caller is under load: checks that the policy calls optional
    /// are left out. Of messages alone.
    pub overloaded: bool,
}

/// The text is no endpoint.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{uri}' is not the address of a node, such as http://127.0.0.1:7750 or https://node-1.example:7750"
)]
pub struct InvalidEndpoint {
    uri: String,
}

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that stopped answers no pings, and its calls fail after these two.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// A large message is not to wait for window updates of 64 KiB each.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

impl Client {
    /// A client of the endpoint in plain text, which connects with the first call and again whenever the connection
    /// was lost. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The text is not an `http://` address.
    pub fn connect_lazy(uri: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint {
            uri: uri.to_owned(),
        };
        let endpoint = endpoint(uri).filter(|_| uri.starts_with("http://"));
        let channel = endpoint.ok_or_else(invalid)?.connect_lazy();
        Ok(Self {
            channel,
            line: None,
        })
    }

    /// The same, over connections that `connector` makes: it is given the endpoint's address, `https://` where TLS
    /// is wanted.
    ///
    /// # Errors
    /// The text is no address of a server.
    pub fn over<C>(uri: &str, connector: C) -> Result<Self, InvalidEndpoint>
    where
        C: Service<Uri, Error: std::error::Error + Send + Sync + 'static> + Send + 'static,
        C::Response: rt::Read + rt::Write + Send + Unpin,
        C::Future: Send,
    {
        let (channel, line) = line(uri, connector)?;
        Ok(Self {
            channel,
            line: Some(line),
        })
    }

    /// What the policy wants of this client: one plan at once, another at each
    /// change, until the stream breaks.
    ///
    /// # Errors
    /// The call failed; the stream's items fail likewise.
    pub async fn watch_plan(
        &self,
        client: &ClientName,
        direction: Direction,
    ) -> Result<impl Stream<Item = Result<Plan, CallError>> + Send + use<>, CallError> {
        let request = pb::WatchPlanRequest {
            client: client.as_str().to_owned(),
            direction: pb::Direction::from(direction).into(),
        };
        let stream = self
            .heard(self.service().watch_plan(request))
            .await?
            .into_inner();
        Ok(stream.map(|item| {
            let plan = item
                .map_err(|status| fault::error(status, true))?
                .plan
                .ok_or_else(|| malformed("plan is missing"))?;
            plan.try_into().map_err(malformed)
        }))
    }

    /// Judges what can be judged before there is a message.
    ///
    /// # Errors
    /// Why there is no verdict.
    pub async fn screen(
        &self,
        request: &ScreenRequest,
        options: CallOptions,
    ) -> Result<Verdict, CallError> {
        let deadline = options.deadline;
        let request = options.apply(pb::ScreenRequest::from(request.clone()));
        let answer = self
            .within(deadline, self.service().screen(request))
            .await?;
        verdict(answer.into_inner().verdict)
    }

    /// Judges a message.
    ///
    /// # Errors
    /// Why there is no verdict.
    pub async fn process(
        &self,
        transaction: &Transaction,
        content: &Content,
        options: CallOptions,
    ) -> Result<Verdict, CallError> {
        let deadline = options.deadline;
        let frames = content.frames(transaction, options.overloaded);
        let request = options.apply(frames);
        let answer = self
            .within(deadline, self.service().process(request))
            .await?;
        verdict(answer.into_inner().verdict)
    }

    /// Tells what was really done.
    ///
    /// # Errors
    /// It may not have arrived. A lost settlement loses a count, never a
    /// message.
    pub async fn settle(
        &self,
        settlement: Settlement,
        options: CallOptions,
    ) -> Result<(), CallError> {
        let deadline = options.deadline;
        let request = options.apply(pb::SettleRequest::from(settlement));
        self.within(deadline, self.service().settle(request))
            .await?;
        Ok(())
    }

    /// The server ends a call in time on its own; this is for one that does not answer at all.
    async fn within<T>(
        &self,
        deadline: Duration,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, CallError> {
        match tokio::time::timeout(deadline, self.heard(call)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Deadline),
        }
    }

    /// A call, and whether a server can have heard it that was lost.
    async fn heard<T>(
        &self,
        call: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Result<T, CallError> {
        let line = self.line.as_deref().map(|line| (line, line.now()));
        call.await.map_err(|status| {
            let heard = line.is_none_or(|(line, since)| line.was_heard(since));
            fault::error(status, heard)
        })
    }

    fn service(&self) -> ProcessingServiceClient<Channel> {
        ProcessingServiceClient::new(self.channel.clone())
    }
}

/// A channel to an endpoint over connections that `connector` makes, for other services than this crate's. It
/// connects with the first call. Must be called inside a tokio runtime.
///
/// # Errors
/// The text is no address of a server.
pub fn channel<C>(uri: &str, connector: C) -> Result<Channel, InvalidEndpoint>
where
    C: Service<Uri, Error: std::error::Error + Send + Sync + 'static> + Send + 'static,
    C::Response: rt::Read + rt::Write + Send + Unpin,
    C::Future: Send,
{
    line(uri, connector).map(|(channel, _)| channel)
}

/// A channel, and what is heard over it.
fn line<C>(uri: &str, connector: C) -> Result<(Channel, Arc<Line>), InvalidEndpoint>
where
    C: Service<Uri, Error: std::error::Error + Send + Sync + 'static> + Send + 'static,
    C::Response: rt::Read + rt::Write + Send + Unpin,
    C::Future: Send,
{
    let endpoint = endpoint(uri).ok_or_else(|| InvalidEndpoint {
        uri: uri.to_owned(),
    })?;
    // As it was asked for: what tonic is told has no TLS, which the connector sees to.
    let address: Uri = uri.parse().map_err(|_| InvalidEndpoint {
        uri: uri.to_owned(),
    })?;
    let line = Arc::new(Line::default());
    let heard = line.clone();
    let connector = connector
        .map_request(move |_: Uri| address.clone())
        .map_response(move |connection| Prefaced::new(connection, heard.clone()));
    Ok((endpoint.connect_with_connector_lazy(connector), line))
}

fn endpoint(uri: &str) -> Option<Endpoint> {
    let address: Uri = uri.parse().ok()?;
    let plain = match address.scheme_str()? {
        "http" => uri.to_owned(),
        "https" => format!("http://{}", address.authority()?),
        _ => return None,
    };
    let endpoint = Endpoint::from_shared(plain).ok()?;
    Some(
        endpoint
            .origin(address)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW),
    )
}

impl CallOptions {
    /// A deadline, and nothing beside it.
    #[must_use]
    pub fn deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            metadata: MetadataMap::new(),
            overloaded: false,
        }
    }

    fn apply<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata;
        request.set_timeout(self.deadline);
        request
    }
}

fn verdict(raw: Option<pb::Verdict>) -> Result<Verdict, CallError> {
    let raw = raw.ok_or_else(|| malformed("verdict is missing"))?;
    Verdict::try_from(raw).map_err(malformed)
}

/// An answer that breaks the contract is the server's fault, not the request's.
fn malformed(problem: impl std::fmt::Display) -> CallError {
    CallError::Internal(format!("malformed answer: {problem}"))
}
