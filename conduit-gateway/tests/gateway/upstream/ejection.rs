//! A node whose health serves and that is not sound all the same.

use std::time::Duration;

use conduit_gateway::UpstreamConfig;
use millrace_proto::CallError;

use super::{FOR_EVER, before, one_at_a_time, send, send_at_once};
use crate::support::{Script, ScriptedNode, config, config_with, until};

fn ejected(node: &ScriptedNode) -> String {
    format!(
        "millrace_gateway_node_ejected{{node=\"{}\"}}",
        node.address()
    )
}

fn ejections(node: &ScriptedNode, reason: &str) -> String {
    format!(
        "millrace_gateway_node_ejections_total{{node=\"{}\",reason=\"{reason}\"}}",
        node.address()
    )
}

#[tokio::test]
async fn one_that_fails_again_and_again_is_left_alone_for_a_while() {
    let failing = ScriptedNode::start(Script::failing(CallError::NoPolicy("none".into()))).await;
    let good = ScriptedNode::start(Script::default().slowly(Duration::from_millis(50))).await;
    let gateway = before(&[&failing, &good], one_at_a_time(), config()).await;
    until("it is ejected", async || {
        let answers = send_at_once(&gateway, 20).await;
        assert!(
            answers.iter().all(|answer| answer == "accept"),
            "{answers:?}"
        );
        gateway.metric(&ejections(&failing, "failures")).await > 0.0
    })
    .await;
}

/// It takes calls, its connection is alive, its health serves: and it answers none.
#[tokio::test]
async fn one_that_accepts_and_never_answers_is_found_by_its_oldest_call_and_comes_back() {
    let silent = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
    let good = ScriptedNode::start(Script::default()).await;
    let config = config_with(|_, client| client.deadline = Duration::from_secs(120));
    let gateway = before(&[&silent, &good], UpstreamConfig::default(), config).await;
    until("it is ejected", async || {
        let answers = send_at_once(&gateway, 10).await;
        assert!(
            answers.iter().all(|answer| answer == "accept"),
            "{answers:?}"
        );
        gateway.metric(&ejected(&silent)).await == 1.0
    })
    .await;
    until("nobody waits for it", async || silent.working() == 0).await;
    // It is well again: after a while it is let in, and one answer is enough.
    silent.takes(Duration::ZERO);
    until("it answers again", async || {
        send_at_once(&gateway, 10).await;
        silent.judged() > 10
    })
    .await;
    assert_eq!(gateway.metric(&ejected(&silent)).await, 0.0);
}

/// What befalls all of them is no node's own.
#[tokio::test]
async fn half_of_all_nodes_stay_whatever_they_do() {
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(ScriptedNode::start(Script::failing(CallError::NoPolicy("none".into()))).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    let gateway = before(&all, one_at_a_time(), config()).await;
    for _ in 0..20 {
        send(&gateway).await;
    }
    let mut out = 0.0;
    for node in &nodes {
        out += gateway.metric(&ejected(node)).await;
    }
    assert!(out <= 2.0, "{out}");
}
