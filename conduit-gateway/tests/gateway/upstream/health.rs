//! A node is in while its health serves.

use super::{before, one_at_a_time, send};
use crate::support::{Script, ScriptedNode, config, until};

#[tokio::test]
async fn a_dead_node_among_live_ones_costs_no_call() {
    let dead = ScriptedNode::start(Script::default()).await;
    let alive = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&dead, &alive], one_at_a_time(), config()).await;
    send(&gateway).await;
    let dead_before = dead.judged();
    let address = dead.address();
    drop(dead);
    for n in 0..200 {
        assert_eq!(send(&gateway).await.answer(), "accept", "{n}");
    }
    assert_eq!(alive.judged() + dead_before, 201);
    // It comes back on its port, and gets its share.
    let again = ScriptedNode::start_at(address.trim_start_matches("http://"), Script::default());
    let again = again.await;
    until("it is asked again", async || {
        send(&gateway).await;
        again.judged() > 0
    })
    .await;
}

#[tokio::test]
async fn a_node_that_says_it_does_not_serve_is_not_asked() {
    let leaving = ScriptedNode::start(Script::default()).await;
    let other = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&leaving, &other], one_at_a_time(), config()).await;
    leaving.serves(false).await;
    gateway.leaves(&leaving).await;
    let before = leaving.judged();
    for _ in 0..20 {
        assert_eq!(send(&gateway).await.answer(), "accept");
    }
    assert_eq!(leaving.judged(), before);
    leaving.serves(true).await;
    gateway.serving(&[&leaving]).await;
    until("it is asked again", async || {
        send(&gateway).await;
        leaving.judged() > before
    })
    .await;
}

/// That a node does not serve is a hint as well.
#[tokio::test]
async fn when_none_serves_the_least_bad_is_asked() {
    let one = ScriptedNode::start(Script::default()).await;
    let other = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&one, &other], one_at_a_time(), config()).await;
    for node in [&one, &other] {
        node.serves(false).await;
        gateway.leaves(node).await;
    }
    assert_eq!(send(&gateway).await.answer(), "accept");
}
