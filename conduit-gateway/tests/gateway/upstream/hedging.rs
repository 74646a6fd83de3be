//! A second node beside a slow one.

use std::time::Duration;

use conduit_gateway::UpstreamConfig;
use millrace_proto::Stage;

use super::{FOR_EVER, before, send};
use crate::support::{Script, ScriptedNode, accept, config, config_with, message, until};

fn hedged() -> UpstreamConfig {
    UpstreamConfig {
        hedge_after: Duration::from_millis(20),
        hedge_share: 1.0,
        seed: Some(7),
        ..UpstreamConfig::default()
    }
}

#[tokio::test]
async fn a_slow_call_is_asked_of_one_other_node_and_the_loser_is_cancelled() {
    let slow = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
    let one = ScriptedNode::start(Script::default()).await;
    let other = ScriptedNode::start(Script::default()).await;
    let gateway = before(&[&slow, &one, &other], hedged(), config()).await;
    // On a busy machine a call to one of the others may be hedged as well.
    until("the slow one was outrun", async || {
        assert_eq!(send(&gateway).await.answer(), "accept");
        gateway.calls(&slow, "outrun").await >= 1.0
    })
    .await;
    until("the loser is cancelled", async || slow.working() == 0).await;
    assert!(gateway.metric("millrace_gateway_hedges_won_total").await >= 1.0);
    assert_eq!(slow.judged(), 0);
    let answered = gateway.calls(&one, "ok").await + gateway.calls(&other, "ok").await;
    let judged = one.judged() + other.judged();
    assert!(answered > 0.0 && answered <= f64::from(u32::try_from(judged).unwrap()));
}

#[tokio::test]
async fn both_slow_is_asked_of_two_and_no_more() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(ScriptedNode::start(Script::default().slowly(FOR_EVER)).await);
    }
    let all: Vec<_> = nodes.iter().collect();
    let gateway = before(&all, hedged(), config()).await;
    let mut server = gateway.connect().await;
    server.mta.send(message("x\r\n"));
    server.advance().await;
    server.reply().await;
    server.advance().await;
    let working = || nodes.iter().map(ScriptedNode::working).sum::<usize>();
    until("two work", async || working() == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(working(), 2);
    // The mail server leaves: both stop.
    drop(server);
    until("nobody works", async || working() == 0).await;
    for node in &nodes {
        assert_eq!(
            gateway.calls(node, "outrun").await,
            0.0,
            "nobody was faster"
        );
    }
}

#[tokio::test]
async fn a_question_before_there_is_a_message_is_hedged_as_well() {
    let stages = [Stage::Mail];
    let slow = ScriptedNode::start(Script::screening(&stages, |_, _| {
        // On a thread of its own runtime: this node does nothing else meanwhile.
        #[allow(clippy::disallowed_methods)]
        std::thread::sleep(Duration::from_secs(2));
        Ok(accept())
    }))
    .await;
    let quick = ScriptedNode::start(Script::screening(&stages, |_, _| Ok(accept()))).await;
    let gateway = before(&[&slow, &quick], hedged(), config()).await;
    until("a question was hedged", async || {
        assert_eq!(send(&gateway).await.answer(), "accept");
        gateway.metric("millrace_gateway_hedges_total").await >= 1.0
    })
    .await;
}

#[tokio::test]
async fn what_is_in_a_spool_file_is_asked_once() {
    let one = ScriptedNode::start(Script::default().slowly(Duration::from_millis(400))).await;
    let other = ScriptedNode::start(Script::default().slowly(Duration::from_millis(400))).await;
    let config = config_with(|config, _| config.limits.spool_above = 1000);
    let gateway = before(&[&one, &other], hedged(), config).await;
    let large = message(&"x\r\n".repeat(10_000));
    let mail = gateway.connect().await.send(large).await.unwrap();
    assert_eq!(mail.answer(), "accept");
    assert_eq!(
        gateway
            .metric("millrace_gateway_spooled_messages_total")
            .await,
        1.0
    );
    assert_eq!(gateway.metric("millrace_gateway_hedges_total").await, 0.0);
    assert_eq!(one.judged() + other.judged(), 1);
}

#[tokio::test]
async fn no_more_than_a_share_of_all_calls_is_hedged() {
    let slowly = || Script::default().slowly(Duration::from_millis(60));
    let one = ScriptedNode::start(slowly()).await;
    let other = ScriptedNode::start(slowly()).await;
    let upstream = UpstreamConfig {
        hedge_after: Duration::from_millis(1),
        hedge_share: 0.1,
        ..hedged()
    };
    let gateway = before(&[&one, &other], upstream, config()).await;
    for _ in 0..10 {
        super::send_at_once(&gateway, 60).await;
    }
    // A hundred are there at any time, and every tenth call adds one.
    let hedges = gateway.metric("millrace_gateway_hedges_total").await;
    assert!((1.0..=170.0).contains(&hedges), "{hedges}");
}
