//! Who gets how much.

use std::time::Duration;

use conduit_gateway::UpstreamConfig;
use millrace_proto::CallError;

use super::{before, one_at_a_time, send_at_once};
use crate::support::{Script, ScriptedNode, config};

#[tokio::test]
async fn a_node_that_is_ten_times_slower_gets_less() {
    let slow = ScriptedNode::start(Script::default().slowly(Duration::from_millis(100))).await;
    let mut quick = Vec::new();
    for _ in 0..2 {
        quick.push(ScriptedNode::start(Script::default().slowly(Duration::from_millis(10))).await);
    }
    let gateway = before(&[&slow, &quick[0], &quick[1]], one_at_a_time(), config()).await;
    for _ in 0..40 {
        send_at_once(&gateway, 5).await;
    }
    let others = quick.iter().map(ScriptedNode::judged).min().unwrap();
    assert!(
        slow.judged() * 2 < others,
        "{} of the slow one, {others} of another",
        slow.judged()
    );
}

#[tokio::test]
async fn nodes_that_are_alike_get_about_the_same() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ScriptedNode::start(Script::default().slowly(Duration::from_millis(5))).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    let gateway = before(&all, one_at_a_time(), config()).await;
    for _ in 0..30 {
        send_at_once(&gateway, 10).await;
    }
    let judged: Vec<_> = nodes.iter().map(ScriptedNode::judged).collect();
    assert_eq!(judged.iter().sum::<usize>(), 300);
    assert!(judged.iter().all(|&count| count >= 40), "{judged:?}");
}

#[tokio::test]
async fn a_node_is_given_no_more_calls_at_once_than_its_limit_and_the_rest_waits() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(30))).await;
    let upstream = UpstreamConfig {
        calls_per_node: 3,
        ..one_at_a_time()
    };
    let gateway = before(&[&node], upstream, config()).await;
    let done = std::cell::Cell::new(false);
    let watch = async {
        let mut most = 0;
        while !done.get() {
            most = most.max(node.working());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        most
    };
    let sent = async {
        let answers = send_at_once(&gateway, 30).await;
        done.set(true);
        answers
    };
    let (answers, most) = tokio::join!(sent, watch);
    assert!(
        answers.iter().all(|answer| answer == "accept"),
        "{answers:?}"
    );
    assert!((1..=3).contains(&most), "{most}");
}

#[tokio::test]
async fn a_node_that_sheds_is_given_less_at_once() {
    let shedding = ScriptedNode::start(Script::failing(CallError::Overloaded("full".into()))).await;
    let good = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&shedding, &good], one_at_a_time(), config()).await;
    let limit =
        |node: &ScriptedNode| format!("millrace_gateway_node_limit{{node=\"{}\"}}", node.address());
    crate::support::until("it has shed", async || {
        send_at_once(&gateway, 10).await;
        gateway.calls(&shedding, "overloaded").await > 0.0
    })
    .await;
    let (less, more) = (
        gateway.metric(&limit(&shedding)).await,
        gateway.metric(&limit(&good)).await,
    );
    assert!(less < more, "{less} {more}");
}
