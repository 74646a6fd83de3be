//! Several nodes: those that are gone are passed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit_gateway::Upstream;
use millrace_proto::CallError;

use crate::support::{Script, ScriptedNode, TestGateway, config, message, until};

#[tokio::test]
async fn a_dead_node_costs_no_message() {
    let dead = ScriptedNode::start(Script::default()).await;
    let alive = ScriptedNode::start(Script::default()).await;
    let addresses = [dead.address(), alive.address()];
    drop(dead);
    let upstream = Upstream::nodes(addresses.iter().map(String::as_str)).unwrap();
    let gateway = TestGateway::start(upstream, config()).await;
    for _ in 0..20 {
        let mail = gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap();
        assert_eq!(mail.answer(), "accept");
    }
    assert_eq!(alive.seen(|seen| seen.judged.len()), 20);
}

#[tokio::test]
async fn what_another_node_may_do_better_is_tried_once_more() {
    for (error, tried) in [
        (CallError::Overloaded("full".into()), true),
        (CallError::UnknownRevision("abc123".into()), true),
        (CallError::NoPolicy("none".into()), true),
        (CallError::Store("full".into()), true),
        (CallError::Denied("not you".into()), true),
        (CallError::Unavailable("draining".into()), true),
        (CallError::Malformed("odd".into()), false),
        (CallError::Internal("oh".into()), false),
    ] {
        // Whichever is asked first fails.
        let asked = Arc::new(AtomicUsize::new(0));
        let (calls, answer) = (asked.clone(), error.clone());
        let script = Script::judging(move |transaction, content| {
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => Err(answer.clone()),
                _ => (Script::default().judge)(transaction, content),
            }
        });
        let nodes = [
            ScriptedNode::start(script.clone()).await,
            ScriptedNode::start(script).await,
        ];
        let addresses = nodes.each_ref().map(ScriptedNode::address);
        let upstream = Upstream::nodes(addresses.iter().map(String::as_str)).unwrap();
        let gateway = TestGateway::start(upstream, config()).await;
        let mail = gateway.connect().await.send(message("x\r\n")).await;
        let answer = mail.unwrap().answer();
        assert_eq!(answer == "accept", tried, "{error}: {answer}");
        let calls = asked.load(Ordering::SeqCst);
        assert_eq!(calls, 1 + usize::from(tried), "{error}");
    }
}

#[tokio::test]
async fn mail_that_came_before_any_node_is_put_off_and_passes_once_there_is_one() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let gateway = TestGateway::start(Upstream::nodes([address.as_str()]).unwrap(), config()).await;
    let mail = gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    assert!(mail.answer().starts_with("451 4.3.0 "), "{mail:?}");
    let node =
        ScriptedNode::start_at(address.trim_start_matches("http://"), Script::default()).await;
    until("mail passes", async || {
        gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap()
            .answer()
            == "accept"
    })
    .await;
    assert!(node.seen(|seen| !seen.judged.is_empty()));
}
