//! Another node, when one has failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit_gateway::UpstreamConfig;
use millrace_proto::CallError;

use super::{FOR_EVER, before, one_at_a_time, send, send_at_once};
use crate::support::{Script, ScriptedNode, accept, config, until};

/// Nodes that fail so, and how often they were asked.
async fn failing(count: usize, error: &CallError) -> (Vec<ScriptedNode>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut nodes = Vec::new();
    for _ in 0..count {
        let (error, asked) = (error.clone(), asked.clone());
        let script = Script::judging(move |_, _| {
            asked.fetch_add(1, Ordering::SeqCst);
            Err(error.clone())
        });
        nodes.push(ScriptedNode::start(script).await);
    }
    (nodes, asked)
}

#[tokio::test]
async fn three_nodes_are_asked_and_each_once() {
    for error in [
        CallError::Overloaded("full".into()),
        CallError::UnknownRevision("abc123".into()),
        CallError::NoPolicy("none".into()),
    ] {
        let (bad, asked) = failing(2, &error).await;
        let good = ScriptedNode::start(Script::default()).await;
        let nodes = [&bad[0], &bad[1], &good];
        let gateway = before(&nodes, one_at_a_time(), config()).await;
        for n in 1..=20 {
            let before = asked.load(Ordering::SeqCst);
            assert_eq!(send(&gateway).await.answer(), "accept", "{error} {n}");
            assert!(asked.load(Ordering::SeqCst) - before <= 2, "{error}");
        }
        assert_eq!(good.judged(), 20);
    }
}

#[tokio::test]
async fn a_fourth_is_not_asked() {
    let error = CallError::UnknownRevision("abc123".into());
    let (bad, asked) = failing(4, &error).await;
    let nodes: Vec<_> = bad.iter().collect();
    let gateway = before(&nodes, one_at_a_time(), config()).await;
    let answer = send(&gateway).await.answer();
    assert!(answer.contains("(unknown-revision; "), "{answer}");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

/// Nothing was done at a node that is going away: all others may be asked.
#[tokio::test]
async fn nodes_that_are_going_away_are_not_counted() {
    let (bad, asked) = failing(5, &CallError::Unavailable("draining".into())).await;
    let good = ScriptedNode::start(Script::default()).await;
    let nodes: Vec<_> = bad.iter().chain([&good]).collect();
    let gateway = before(&nodes, one_at_a_time(), config()).await;
    for _ in 0..10 {
        assert_eq!(send(&gateway).await.answer(), "accept");
    }
    assert!(asked.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn an_overloaded_cluster_is_not_asked_three_times_as_much() {
    let (bad, asked) = failing(3, &CallError::Overloaded("full".into())).await;
    let nodes: Vec<_> = bad.iter().collect();
    let upstream = UpstreamConfig {
        retry_share: 0.0,
        ..one_at_a_time()
    };
    let gateway = before(&nodes, upstream, config()).await;
    for _ in 0..10 {
        let answer = send(&gateway).await.answer();
        assert!(answer.contains("(overload; "), "{answer}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 10);
    let denied = "millrace_gateway_budget_exhausted_total{budget=\"retry\"}";
    assert_eq!(gateway.metric(denied).await, 10.0);
}

/// A budget that is empty is no reason to lose what a dead node had in hand.
#[tokio::test]
async fn lost_connections_do_not_draw_on_the_budget() {
    let upstream = UpstreamConfig {
        retry_share: 0.0,
        ..one_at_a_time()
    };
    let dying = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
    let other = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&dying, &other], upstream, config()).await;
    other.serves(false).await;
    gateway.leaves(&other).await;
    let (answers, ()) = tokio::join!(send_at_once(&gateway, 20), async {
        until("all is in hand", async || dying.working() == 20).await;
        other.serves(true).await;
        gateway.serving(&[&other]).await;
        drop(dying);
    });
    assert!(
        answers.iter().all(|answer| answer == "accept"),
        "{answers:?}"
    );
    assert_eq!(other.judged(), 20);
    let denied = "millrace_gateway_budget_exhausted_total{budget=\"retry\"}";
    assert_eq!(gateway.metric(denied).await, 0.0);
}

#[tokio::test]
async fn a_settlement_goes_to_the_node_that_judged() {
    let named = |name: &'static str| {
        Script::judging(move |_, _| {
            Ok(millrace_proto::Verdict {
                node: name.into(),
                ..accept()
            })
        })
    };
    let one = ScriptedNode::start(named("one")).await;
    let other = ScriptedNode::start(named("other")).await;
    let gateway = before(&[&one, &other], one_at_a_time(), config()).await;
    for _ in 0..30 {
        send(&gateway).await;
    }
    until("all is settled", async || {
        one.settled().len() + other.settled().len() == 30
    })
    .await;
    assert_eq!(one.settled().len(), one.judged());
    assert!(one.judged() > 0 && other.judged() > 0);
}
