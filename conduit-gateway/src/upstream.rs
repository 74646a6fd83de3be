//! Who judges: a node in this process, or nodes elsewhere.
//!
//! This is the one place that knows how many nodes there are and which one is asked. What finds nodes, spreads
//! calls over them and asks twice belongs between [`Upstream`] and the single call of [`remote`].

pub mod discovery;
mod embedded;
mod plans;
mod remote;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use millrace_client::{Content, InvalidEndpoint};
use millrace_proto::{
    CallError, ClientName, Direction, ScreenRequest, Settlement, Transaction, Verdict,
};
use millrace_runtime::tls::Connector;
use mpd_node::Node;

use crate::metrics::GatewayMetrics;

pub(crate) use plans::{CurrentPlan, Plans, without_plan};

/// Who judges. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Upstream(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Embedded(Node),
    Remote(Arc<remote::Nodes>),
}

impl Upstream {
    /// A node in this process.
    #[must_use]
    pub fn embedded(node: Node) -> Self {
        Self(Kind::Embedded(node))
    }

    /// Nodes elsewhere, by their addresses, such as `http://127.0.0.1:7750`. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn nodes<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidEndpoint> {
        Self::nodes_over(addresses, &Connector::plain())
    }

    /// The same, over connections that the connector makes: for `https://` addresses.
    ///
    /// # Errors
    /// One of them is no address.
    pub fn nodes_over<'a>(
        addresses: impl IntoIterator<Item = &'a str>,
        connector: &Connector,
    ) -> Result<Self, InvalidEndpoint> {
        let nodes = remote::Nodes::new(addresses, connector)?;
        Ok(Self(Kind::Remote(Arc::new(nodes))))
    }

    /// Whether messages are judged in this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self.0, Kind::Embedded(_))
    }

    /// What the policy wants of a client, followed from now on; `sized` when the client has a size limit of its own.
    pub(crate) fn follow(&self, client: &ClientName, direction: Direction, sized: bool) -> Plans {
        match &self.0 {
            Kind::Embedded(node) => embedded::follow(node, client, direction, sized),
            Kind::Remote(nodes) => nodes.follow(client, direction, sized),
        }
    }

    /// Asks about what is known before there is a message.
    pub(crate) async fn screen(
        &self,
        request: &ScreenRequest,
        deadline: Duration,
        metrics: &GatewayMetrics,
    ) -> Result<Verdict, CallError> {
        match &self.0 {
            Kind::Embedded(node) => node.screen(request),
            // A gRPC call's future is large; embedded, nothing of it is needed.
            Kind::Remote(nodes) => Box::pin(nodes.screen(request, deadline, metrics)).await,
        }
    }

    /// Asks about a message. Dropping the future gives the work up.
    pub(crate) async fn process(
        &self,
        transaction: Arc<Transaction>,
        content: Content,
        deadline: Duration,
        overloaded: bool,
        metrics: &GatewayMetrics,
    ) -> Result<Verdict, CallError> {
        match &self.0 {
            Kind::Embedded(node) => {
                embedded::process(node, transaction, content, deadline, overloaded).await
            }
            Kind::Remote(nodes) => {
                let call = nodes.process(&transaction, &content, deadline, overloaded, metrics);
                Box::pin(call).await
            }
        }
    }

    /// How many messages are judged at once, at most.
    pub(crate) fn admits(&self) -> usize {
        match &self.0 {
            Kind::Embedded(_) => embedded::admits(),
            Kind::Remote(nodes) => nodes.admits(),
        }
    }

    /// Tells what was done; never waits.
    pub(crate) fn settle(&self, settlement: Settlement, metrics: &GatewayMetrics) {
        match &self.0 {
            Kind::Embedded(node) => node.settle(&settlement),
            Kind::Remote(nodes) => nodes.settle(settlement, metrics),
        }
    }
}
