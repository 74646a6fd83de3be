//! A message over which two nodes were lost goes nowhere else.

use std::time::Duration;

use conduit_gateway::{FailureAction, FailureKind, FailureRow, FailureTable, UpstreamConfig};

use super::{FOR_EVER, before, one_at_a_time, send};
use crate::support::{Script, ScriptedNode, config, config_with, until};

/// Three nodes that take for ever, and a way to kill whichever has a message in hand.
async fn slow_nodes() -> Vec<ScriptedNode> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ScriptedNode::start(Script::default().slowly(FOR_EVER)).await);
    }
    nodes
}

async fn kill_the_one_that_works(nodes: &mut Vec<ScriptedNode>) {
    let mut place = None;
    until("a node works", async || {
        place = nodes.iter().position(|node| node.working() > 0);
        place.is_some()
    })
    .await;
    drop(nodes.remove(place.unwrap()));
}

#[tokio::test]
async fn after_two_nodes_were_lost_the_third_is_not_asked() {
    let mut nodes = slow_nodes().await;
    let all: Vec<_> = nodes.iter().collect();
    let gateway = before(&all, one_at_a_time(), config()).await;
    let (mail, ()) = tokio::join!(send(&gateway), async {
        kill_the_one_that_works(&mut nodes).await;
        kill_the_one_that_works(&mut nodes).await;
    });
    let answer = mail.answer();
    assert!(answer.starts_with("451 4.3.0 "), "{answer}");
    assert!(answer.contains("(suspect; "), "{answer}");
    assert_eq!(nodes[0].working() + nodes[0].judged(), 0);
}

#[tokio::test]
async fn after_one_was_lost_it_is_shown_to_one_node_at_a_time() {
    let mut nodes = slow_nodes().await;
    let all: Vec<_> = nodes.iter().collect();
    // So slow a hedge that the first node is dead before.
    let upstream = UpstreamConfig {
        hedge_after: Duration::from_millis(700),
        ..UpstreamConfig::default()
    };
    let gateway = before(&all, upstream, config()).await;
    let sent = async { send(&gateway).await };
    let watched = async {
        kill_the_one_that_works(&mut nodes).await;
        until("another works", async || {
            nodes.iter().any(|node| node.working() > 0)
        })
        .await;
        // Twice the hedging delay: nothing else is to come.
        tokio::time::sleep(Duration::from_millis(1400)).await;
        let working: Vec<_> = nodes.iter().map(ScriptedNode::working).collect();
        assert_eq!(working.iter().sum::<usize>(), 1, "{working:?}");
        for node in &nodes {
            node.takes(Duration::ZERO);
        }
        kill_the_one_that_works(&mut nodes).await;
    };
    let (mail, ()) = tokio::join!(sent, watched);
    assert!(mail.answer().contains("(suspect; "), "{}", mail.answer());
    assert_eq!(gateway.metric("millrace_gateway_hedges_total").await, 0.0);
}

#[tokio::test]
async fn what_is_done_with_it_is_a_row_of_the_failure_table() {
    let mut nodes = slow_nodes().await;
    let all: Vec<_> = nodes.iter().collect();
    let config = config_with(|config, _| {
        config.failures = FailureTable::new(vec![FailureRow {
            client: None,
            direction: None,
            kinds: vec![FailureKind::Suspect],
            action: FailureAction::Hold,
        }]);
    });
    let gateway = before(&all, one_at_a_time(), config).await;
    let (mail, ()) = tokio::join!(send(&gateway), async {
        kill_the_one_that_works(&mut nodes).await;
        kill_the_one_that_works(&mut nodes).await;
    });
    let held = String::from_utf8_lossy(mail.outcome.held().unwrap()).into_owned();
    assert!(held.contains("suspect"), "{held}");
}

#[tokio::test]
async fn one_node_that_is_lost_costs_nothing() {
    let mut nodes = slow_nodes().await;
    let all: Vec<_> = nodes.iter().collect();
    let gateway = before(&all, one_at_a_time(), config()).await;
    let (mail, ()) = tokio::join!(send(&gateway), async {
        until("a node works", async || {
            nodes.iter().any(|node| node.working() > 0)
        })
        .await;
        for node in nodes.iter().filter(|node| node.working() == 0) {
            node.takes(Duration::ZERO);
        }
        kill_the_one_that_works(&mut nodes).await;
    });
    assert_eq!(mail.answer(), "accept");
}
