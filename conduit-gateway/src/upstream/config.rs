//! How nodes are asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use millrace_client::{Client, InvalidEndpoint};
use millrace_runtime::tls::Connector;

use super::discovery::NodeAddress;

/// How nodes are asked.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// A call that takes longer than this, and longer than 99 of 100 do, is asked of another node as well.
    pub hedge_after: Duration,
    /// So many more calls that makes at most, as a share of all, from 0 (none) to 1.
    pub hedge_share: f32,
    /// So many more calls retries may make, as a share of all, from 0 to 1; those of lost connections are not counted.
    pub retry_share: f32,
    /// So many calls at once a node is given at most.
    pub calls_per_node: usize,
    /// How nodes are connected to.
    pub connect: Connect,
    /// What random choices come from; the system's randomness without one.
    pub seed: Option<u64>,
}

/// Makes the client of a node, which connects when it is used.
#[derive(Clone)]
pub struct Connect(Arc<MakeClient>);

type MakeClient = dyn Fn(&NodeAddress) -> Result<Client, InvalidEndpoint> + Send + Sync;

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            hedge_after: Duration::from_millis(50),
            hedge_share: 0.1,
            retry_share: 0.2,
            calls_per_node: 1000,
            connect: Connect::default(),
            seed: None,
        }
    }
}

impl Connect {
    /// Clients that this function makes.
    pub fn with(
        connect: impl Fn(&NodeAddress) -> Result<Client, InvalidEndpoint> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(connect))
    }

    /// Clients over connections that this makes, in TLS where the address says so.
    #[must_use]
    pub fn over(connector: Connector) -> Self {
        Self::with(move |address| Client::over(address.as_str(), connector.clone()))
    }

    pub(super) fn client(&self, address: &NodeAddress) -> Result<Client, InvalidEndpoint> {
        (self.0)(address)
    }
}

/// Plain text over TCP.
impl Default for Connect {
    fn default() -> Self {
        Self::over(Connector::plain())
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}
