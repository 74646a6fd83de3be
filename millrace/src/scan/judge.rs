//! Who judges: a node in this process, or a server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::StreamExt;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{CallError, ClientName, Direction, Transaction, Verdict};
use millrace_runtime::metrics::Metrics;
use mpd_node::{Node, NodeConfig};
use tokio::time::timeout;

/// Who judges. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Judge {
    Node(Node),
    Server(Client, Duration),
}

impl Judge {
    /// A node in this process, with the policy of a folder or the built-in one.
    pub(super) fn in_process(policy: Option<&Path>) -> anyhow::Result<Self> {
        let config = NodeConfig {
            policy: policy.map(Path::to_owned),
            ..NodeConfig::default()
        };
        Ok(Self::Node(Node::start(
            &config,
            &Metrics::new("millrace-scan"),
        )?))
    }

    /// A server, which must answer now: a thousand messages are not to find out one by one that it does not.
    pub(super) async fn server(
        url: &str,
        client: &ClientName,
        direction: Direction,
        deadline: Duration,
    ) -> anyhow::Result<Self> {
        let server = Client::connect_lazy(url)?;
        let first = async {
            let mut plans = Box::pin(server.watch_plan(client, direction).await?);
            plans
                .next()
                .await
                .unwrap_or(Err(CallError::Unavailable("it gave no plan".to_owned())))
        };
        timeout(deadline, first)
            .await
            .map_err(|_| anyhow!("no answer within {} s", deadline.as_secs()))
            .and_then(|plan| Ok(plan?))
            .with_context(|| format!("the server {url}"))?;
        Ok(Self::Server(server, deadline))
    }

    /// Judges one message.
    pub(super) async fn judge(
        &self,
        transaction: Transaction,
        content: Bytes,
    ) -> Result<Verdict, CallError> {
        match self {
            Self::Node(node) => node.process(Arc::new(transaction), content).await,
            Self::Server(client, deadline) => {
                let options = CallOptions::deadline(*deadline);
                client
                    .process(&transaction, &Content::Memory(content), options)
                    .await
            }
        }
    }
}
