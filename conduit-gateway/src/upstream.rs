//! Who judges: a node in this process, or nodes elsewhere.
//!
//! This is the one place that knows how many nodes there are and which one is asked. `discovery` says where nodes
//! may be, `members` and `health` which of them are there, `pool` what is known of each; a question goes through the
//! layers of `stack`, down to the gRPC call of `node`.

mod agreement;
mod balance;
mod call;
mod config;
mod deadline;
pub mod discovery;
mod embedded;
mod ewma;
mod health;
mod hedge;
mod limit;
mod members;
mod metrics;
mod node;
mod plans;
mod pool;
mod random;
mod remote;
mod retry;
mod settle;
mod stack;
mod standing;
mod window;

use std::sync::Arc;
use std::time::Duration;

use millrace_client::Content;
use millrace_proto::{
    CallError, ClientName, Direction, ScreenRequest, Settlement, Transaction, Verdict,
};
use millrace_runtime::metrics::Metrics;
use mpd_node::Node;

use discovery::{InvalidNode, NodeAddress, Source};

pub use config::{Connect, UpstreamConfig};
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
    pub fn nodes<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNode> {
        let addresses = addresses
            .into_iter()
            .map(str::parse)
            .collect::<Result<Vec<NodeAddress>, _>>()?;
        let sources = vec![Source::fixed(addresses)];
        Ok(Self::remote(sources, UpstreamConfig::default()))
    }

    /// Nodes elsewhere, which these sources know. Must be called inside a tokio runtime.
    #[must_use]
    pub fn remote(sources: Vec<Source>, config: UpstreamConfig) -> Self {
        Self(Kind::Remote(Arc::new(remote::Nodes::new(sources, config))))
    }

    /// Whether messages are judged in this process.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self.0, Kind::Embedded(_))
    }

    /// Waits until a node is known, or for so long: whoever takes mail before that has nobody to ask, though there may
    /// be nodes.
    pub(crate) async fn known(&self, patience: Duration) {
        if let Kind::Remote(nodes) = &self.0 {
            nodes.known(patience).await;
        }
    }

    /// Has what is counted of nodes told with the process's metrics.
    pub(crate) fn register(&self, metrics: &Metrics) {
        if let Kind::Remote(nodes) = &self.0 {
            nodes.register(metrics);
        }
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
        request: Arc<ScreenRequest>,
        deadline: Duration,
    ) -> Result<Verdict, CallError> {
        match &self.0 {
            Kind::Embedded(node) => node.screen(&request),
            // A call's future is large; embedded, nothing of it is needed.
            Kind::Remote(nodes) => Box::pin(nodes.screen(request, deadline)).await,
        }
    }

    /// Asks about a message. Dropping the future gives the work up.
    pub(crate) async fn process(
        &self,
        transaction: Arc<Transaction>,
        content: Content,
        deadline: Duration,
        overloaded: bool,
    ) -> Result<Verdict, CallError> {
        match &self.0 {
            Kind::Embedded(node) => {
                embedded::process(node, transaction, content, deadline, overloaded).await
            }
            Kind::Remote(nodes) => {
                Box::pin(nodes.process(transaction, content, deadline, overloaded)).await
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

    /// Tells what was done, to the node of this name (as a verdict gives it) if there is one; never waits.
    pub(crate) fn settle(&self, settlement: Settlement, judge: Option<&str>) {
        match &self.0 {
            Kind::Embedded(node) => node.settle(&settlement),
            Kind::Remote(nodes) => nodes.settle(settlement, judge),
        }
    }
}
