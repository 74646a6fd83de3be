//! Clients that share what there is: one that floods waits for itself.

use std::time::Duration;

use conduit_gateway::{ClientConfig, Config};
use tokio::task::JoinHandle;

use crate::support::{Script, ScriptedNode, TestGateway, config, message, soon, until};

/// One message at a time, and two clients.
fn two_clients(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    let first = config.clients.remove(0);
    config.clients = ["flood", "quiet"]
        .map(|name| ClientConfig {
            name: name.parse().unwrap(),
            ..first.clone()
        })
        .into();
    config.limits.in_flight = Some(1);
    change(&mut config);
    config
}

/// Sends a message from a connection of its own; gives the answer.
async fn send(gateway: &TestGateway, client: &str) -> JoinHandle<String> {
    let mut server = gateway.connect_to(client).await;
    tokio::spawn(async move { server.send(message("x\r\n")).await.unwrap().answer() })
}

async fn waiting(gateway: &TestGateway, client: &str) -> f64 {
    let name = format!("millrace_gateway_queue_messages{{client=\"{client}\"}}");
    gateway.metric(&name).await
}

#[tokio::test]
async fn a_quiet_client_is_judged_before_a_flood_that_was_there_first() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(200))).await;
    let gateway = TestGateway::before(&node, two_clients(|_| {})).await;
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(send(&gateway, "flood").await);
    }
    until("the flood waits", async || {
        waiting(&gateway, "flood").await >= 8.0
    })
    .await;
    let before = node.seen(|seen| seen.judged.len());
    let quiet = send(&gateway, "quiet").await;
    assert_eq!(
        soon("the quiet one's answer", quiet).await.unwrap(),
        "accept"
    );
    for answer in answers {
        assert_eq!(soon("an answer", answer).await.unwrap(), "accept");
    }
    let judged: Vec<String> = node.seen(|seen| {
        let clients = seen
            .judged
            .iter()
            .map(|(transaction, _)| transaction.client.to_string());
        clients.collect()
    });
    assert_eq!(judged.len(), 13, "nothing is lost, nothing twice");
    let at = judged.iter().position(|client| client == "quiet").unwrap();
    // What was being judged when it came, one turn of the flood, and what was judged while it connected.
    assert!(
        at <= before + 3,
        "{before} were judged, and then {judged:?}"
    );
    let waits = "millrace_gateway_queue_wait_seconds_count{client=\"quiet\"}";
    assert_eq!(gateway.metric(waits).await, 1.0);
}

#[tokio::test]
async fn a_flood_above_the_bound_is_put_off_and_the_quiet_client_is_not() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(200))).await;
    let config = two_clients(|config| config.limits.queue.length = 4);
    let gateway = TestGateway::before(&node, config).await;
    let mut flood = Vec::new();
    for _ in 0..20 {
        flood.push(send(&gateway, "flood").await);
    }
    let quiet = send(&gateway, "quiet").await;
    assert_eq!(
        soon("the quiet one's answer", quiet).await.unwrap(),
        "accept"
    );
    let (mut accepted, mut put_off) = (0, 0);
    for answer in flood {
        let answer = soon("an answer", answer).await.unwrap();
        if answer == "accept" {
            accepted += 1;
        } else {
            assert!(answer.contains("(overload; transaction"), "{answer}");
            put_off += 1;
        }
    }
    assert_eq!(accepted + put_off, 20);
    assert!(put_off > 0 && accepted >= 4, "{accepted} and {put_off}");
    let counted = gateway
        .metric("millrace_gateway_queue_shed_total{client=\"flood\"}")
        .await;
    assert_eq!(counted, f64::from(put_off));
    assert_eq!(
        gateway
            .metric("millrace_gateway_queue_shed_total{client=\"quiet\"}")
            .await,
        0.0
    );
}

#[tokio::test]
async fn who_hangs_up_while_it_waits_leaves_its_place() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_secs(600))).await;
    let gateway = TestGateway::before(&node, two_clients(|_| {})).await;
    let _busy = send(&gateway, "quiet").await;
    until("the node works", async || node.working() == 1).await;
    let mut gone = gateway.connect_to("flood").await;
    gone.mta.send(message("x\r\n"));
    gone.advance().await;
    gone.reply().await;
    gone.advance().await;
    until("it waits", async || waiting(&gateway, "flood").await == 1.0).await;
    drop(gone);
    until("its place is free", async || {
        waiting(&gateway, "flood").await == 0.0
    })
    .await;
    assert_eq!(node.working(), 1, "nobody was asked about it");
}

#[tokio::test]
async fn who_waited_for_long_is_judged_under_load() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(100))).await;
    let config = two_clients(|config| config.limits.queue.brownout = Duration::from_millis(50));
    let gateway = TestGateway::before(&node, config).await;
    let answers = [send(&gateway, "quiet").await, send(&gateway, "flood").await];
    for answer in answers {
        assert_eq!(soon("an answer", answer).await.unwrap(), "accept");
    }
    let overloaded = node.seen(|seen| seen.overloaded.clone());
    assert_eq!(overloaded.first(), Some(&false), "the first did not wait");
    assert_eq!(overloaded.len(), 2);
    assert_eq!(overloaded.last(), Some(&true), "the second did");
}
