//! A node's host: the real service over the simulated network.

use std::sync::Arc;

use millrace_runtime::grpc::ConnectionAge;
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::metrics::Metrics;
use mpd_node::service::Server;
use mpd_node::{Node, NodeConfig};

use crate::network::{NODE, taken};
use crate::world::World;

pub(crate) async fn serve(number: usize, world: Arc<World>) -> turmoil::Result {
    let metrics = Metrics::new("mpd-node");
    let name = format!("node-{number}");
    let config = NodeConfig {
        name: name.clone(),
        workers: 1,
        ..NodeConfig::default()
    };
    let node = Node::start(&config, &metrics)?;
    let mut heard = world.heard(number);
    node.publish(world.policy(*heard.borrow_and_update()));
    world.measures(name, &metrics);
    let told = node.clone();
    tokio::spawn(async move {
        while heard.changed().await.is_ok() {
            told.publish(world.policy(*heard.borrow_and_update()));
        }
    });
    Server::serve_over(taken(NODE), node, Drain::new(), ConnectionAge::default()).await?;
    Ok(())
}
