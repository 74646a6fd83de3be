//! Many nodes: who is asked, what is done when one fails, and how they are found.

mod cancelling;
mod deadlines;
mod discovery;
mod ejection;
mod health;
mod hedging;
mod load;
mod retries;
mod suspects;

use std::time::Duration;

use conduit_gateway::discovery::Source;
use conduit_gateway::{Config, Upstream, UpstreamConfig};

use crate::support::{Mail, ScriptedNode, TestGateway, message};

const FOR_EVER: Duration = Duration::from_secs(600);

/// A gateway before these nodes, which all serve.
async fn before(nodes: &[&ScriptedNode], upstream: UpstreamConfig, config: Config) -> TestGateway {
    let addresses = nodes.iter().map(|node| node.address().parse().unwrap());
    let sources = vec![Source::fixed(addresses.collect())];
    let gateway = TestGateway::start(Upstream::remote(sources, upstream), config).await;
    gateway.ready().await;
    gateway.serving(nodes).await;
    gateway
}

/// The same choices each time, and no second call beside a slow one.
fn one_at_a_time() -> UpstreamConfig {
    UpstreamConfig {
        hedge_share: 0.0,
        seed: Some(7),
        ..UpstreamConfig::default()
    }
}

async fn send(gateway: &TestGateway) -> Mail {
    let mut server = gateway.connect().await;
    server.send(message("x\r\n")).await.unwrap()
}

/// So many messages at once, each on its own connection: the answers.
async fn send_at_once(gateway: &TestGateway, count: usize) -> Vec<String> {
    let sent = (0..count).map(|_| async { send(gateway).await.answer() });
    futures_util::future::join_all(sent).await
}
