//! Large messages, and memory that is short.

use std::time::Duration;

use millrace_milter::mta::Message;

use crate::support::{Script, ScriptedNode, TestGateway, config_with, message, until};

fn large(bytes: usize) -> Message {
    let line = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n";
    message(&line.repeat(bytes / line.len()))
}

#[tokio::test]
async fn a_message_above_the_limit_of_memory_reaches_the_node_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let node = ScriptedNode::start(Script::default()).await;
    let config = config_with(|config, _| {
        config.limits.spool_above = 100_000;
        config.limits.spool_folder = folder.path().to_owned();
    });
    let gateway = TestGateway::before(&node, config).await;
    let mut server = gateway.connect().await;
    for size in [1_000, 99_000, 101_000, 3_000_000] {
        let mail = large(size);
        let expected = mail.body.clone();
        assert_eq!(server.send(mail).await.unwrap().answer(), "accept");
        node.seen(|seen| {
            let content = &seen.judged.last().unwrap().1;
            assert!(
                content.ends_with(&expected) && content.len() < expected.len() + 100,
                "{size}"
            );
        });
    }
    assert_eq!(
        gateway
            .metric("millrace_gateway_spooled_messages_total")
            .await,
        2.0
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the files have no names"
    );
    until("nothing is held", async || {
        gateway.metric("millrace_gateway_spool_bytes").await == 0.0
            && gateway.metric("millrace_gateway_memory_bytes").await == 0.0
    })
    .await;
}

#[tokio::test]
async fn without_memory_and_spool_a_message_is_put_off_and_others_pass() {
    let node = ScriptedNode::start(Script::default()).await;
    let config = config_with(|config, client| {
        client.memory = 1 << 20;
        config.limits.spool = 64 << 10;
    });
    let gateway = TestGateway::before(&node, config).await;
    let mut server = gateway.connect().await;
    let mail = server.send(large(4_000_000)).await.unwrap();
    assert!(mail.answer().starts_with("451 4.3.2 "), "{mail:?}");
    assert!(
        mail.answer().contains("(overload; transaction "),
        "{mail:?}"
    );
    assert_eq!(
        server.send(message("x\r\n")).await.unwrap().answer(),
        "accept"
    );
    assert_eq!(node.seen(|seen| seen.judged.len()), 1);
}

#[tokio::test]
async fn many_large_messages_at_once_stay_within_the_memory() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(20))).await;
    let config = config_with(|config, _| config.limits.memory = 2 << 20);
    let gateway = TestGateway::before(&node, config).await;
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut server = gateway.connect().await;
        senders.spawn(async move { server.send(large(1_500_000)).await.unwrap().answer() });
    }
    let answers = senders.join_all().await;
    assert!(
        answers.iter().all(|answer| answer == "accept"),
        "what has no room in memory is spooled: {answers:?}"
    );
}
