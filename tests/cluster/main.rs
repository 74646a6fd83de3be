//! Real nodes behind a real gateway, and what becomes of mail when one of them dies, stops, or is slow. Messages are
//! counted at both ends: sent, answered, judged.

mod load;

mod a_killed_node_costs_no_message;
mod a_stopped_node_costs_no_message;
mod dead_peers_cost_no_call;
mod every_stage_survives_a_node;
mod nodes_with_different_folders_are_not_mixed;

use millrace_tests::admin;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

/// A policy that marks what it has judged.
const MARK: &str = "[[action]]\nname = \"mark\"\nwhen = \"1\"\nadd_header = \"X-Judged: yes\"\n";

/// A gateway before nodes that judge by one policy.
struct Cluster {
    nodes: Vec<Node>,
    gateway: Gateway,
    _policy: PolicyFolder,
}

impl Cluster {
    /// So many nodes, all of which serve, behind a gateway with this configuration.
    fn of(count: usize, policy: &str, configuration: &str) -> Self {
        let policy = PolicyFolder::of(policy);
        let nodes: Vec<_> = (0..count).map(|_| Node::start(policy.path())).collect();
        let upstream = Upstream::Nodes(nodes.iter().map(Node::port).collect());
        let gateway = Gateway::start_with(&upstream, &[], configuration);
        let cluster = Self {
            nodes,
            gateway,
            _policy: policy,
        };
        cluster.serving(count);
        cluster
    }

    /// Waits until the health of so many nodes serves.
    fn serving(&self, count: usize) {
        until(&format!("{count} nodes serve"), || {
            count_of(self.metric("millrace_gateway_node_serving")) == count
        });
    }

    fn metric(&self, prefix: &str) -> f64 {
        admin::metric(self.gateway.admin_port(), prefix)
    }

    /// Messages that have been answered so far.
    fn answered(&self) -> usize {
        count_of(self.metric("millrace_gateway_verdicts_total"))
    }

    /// Calls of a node that ended so.
    fn calls(&self, node: usize, result: &str) -> usize {
        let port = self.nodes[node].port();
        count_of(self.metric(&format!(
            "millrace_gateway_node_calls_total{{node=\"http://127.0.0.1:{port}\",result=\"{result}\"}}"
        )))
    }
}

/// A count that came as a metric's value.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small counts
fn count_of(value: f64) -> usize {
    value as usize
}
