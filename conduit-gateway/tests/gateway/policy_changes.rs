//! Another policy comes into force while mail passes.

use millrace_milter::mta::Received;
use millrace_proto::Stage;

use crate::support::{Script, ScriptedNode, TestGateway, config, message, path, refuse, until};

#[tokio::test]
async fn new_connections_are_screened_as_it_says_and_old_ones_go_on() {
    let script = Script {
        screen: std::sync::Arc::new(|_, _| Ok(refuse(550, "No."))),
        ..Script::default()
    };
    let node = ScriptedNode::start(script).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut old = gateway.connect().await;
    assert_eq!(old.send(message("x\r\n")).await.unwrap().answer(), "accept");
    node.change_policy("def456", &[Stage::Helo]);
    until("a new connection is screened", async || {
        gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap()
            .answer()
            == "550 No."
    })
    .await;
    assert_eq!(old.send(message("x\r\n")).await.unwrap().answer(), "accept");
}

#[tokio::test]
async fn a_message_is_judged_under_the_revision_that_was_in_force_at_mail() {
    // A size limit makes MAIL a question that is answered: the message has begun once the answer is there.
    let node = ScriptedNode::start(Script {
        size_limit: Some(1 << 20),
        ..Script::default()
    })
    .await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut server = gateway.connect().await;
    let mut begun = message("x\r\n");
    begun.sender = path("<begun@example.org>", &[]);
    server.mta.send(begun);
    server.advance().await;
    assert_eq!(server.reply().await, Some(Received::Negotiated));
    server.advance().await;
    assert_eq!(server.reply().await, Some(Received::Continue), "MAIL");

    node.change_policy("def456", &[]);
    until("the new revision is known", async || {
        let mut other = message("x\r\n");
        other.sender = path("<other@example.org>", &[]);
        gateway.connect().await.send(other).await.unwrap();
        node.seen(|seen| {
            seen.judged
                .last()
                .unwrap()
                .0
                .revision
                .as_ref()
                .unwrap()
                .as_str()
                == "def456"
        })
    })
    .await;
    let before = node.seen(|seen| seen.judged.len());
    assert_eq!(server.outcome().await.unwrap().answer(), "accept");
    node.seen(|seen| {
        let (transaction, _) = &seen.judged[before];
        assert_eq!(
            transaction.envelope.sender.as_ref().unwrap().address,
            "begun@example.org"
        );
        assert_eq!(transaction.revision.as_ref().unwrap().as_str(), "abc123");
    });
}
