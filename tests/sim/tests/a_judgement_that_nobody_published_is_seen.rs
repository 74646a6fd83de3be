use millrace_sim::promises;
use millrace_sim::run::{Nodes, run};

/// The simulation can fail: a node that judges by a policy of its own is found out.
#[test]
fn when_a_node_judges_by_a_policy_of_its_own() {
    let broken = promises::broken(&run(1, &[], Nodes::WithMutant)).join("\n");
    assert!(broken.contains("never published"), "{broken:?}");
}
