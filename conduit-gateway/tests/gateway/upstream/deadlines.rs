//! The time that a mail server waits, shared out over the nodes that are asked.

use std::time::Duration;

use millrace_proto::CallError;

use super::{FOR_EVER, before, one_at_a_time, send};
use crate::support::{Script, ScriptedNode, config_with, message, until};

/// Not hedged (it is in a file), and the node's connection is alive: the time is what ends it.
#[tokio::test]
async fn a_node_that_says_nothing_leaves_time_for_another() {
    let silent = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
    let good = ScriptedNode::start(Script::default()).await;
    let config = config_with(|config, client| {
        config.limits.spool_above = 1000;
        client.deadline = Duration::from_secs(4);
    });
    let gateway = before(&[&silent, &good], one_at_a_time(), config).await;
    until("the silent one was asked first", async || {
        let large = message(&"x\r\n".repeat(10_000));
        let mail = gateway.connect().await.send(large).await.unwrap();
        assert_eq!(mail.answer(), "accept");
        gateway.calls(&silent, "deadline").await + gateway.calls(&silent, "given-up").await > 0.0
    })
    .await;
    until("it was told to stop", async || silent.working() == 0).await;
}

#[tokio::test]
async fn when_the_time_is_over_no_other_node_is_asked() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ScriptedNode::start(Script::default().slowly(FOR_EVER)).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    let config = config_with(|_, client| client.deadline = Duration::from_secs(1));
    let gateway = before(&all, one_at_a_time(), config).await;
    let answer = send(&gateway).await.answer();
    assert!(answer.contains("(deadline; "), "{answer}");
    until("all have stopped", async || {
        nodes.iter().all(|node| node.working() == 0)
    })
    .await;
}

#[tokio::test]
async fn a_node_is_told_how_long_it_may_take() {
    let node = ScriptedNode::start(Script::failing(CallError::Deadline)).await;
    let config = config_with(|_, client| client.deadline = Duration::from_secs(1));
    let gateway = before(&[&node], one_at_a_time(), config).await;
    let answer = send(&gateway).await.answer();
    assert!(answer.contains("(deadline; "), "{answer}");
}
