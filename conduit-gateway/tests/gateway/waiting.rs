//! While a node works: the mail server is told so, and a call that nobody waits for is given up.

use std::time::Duration;

use millrace_milter::mta::Received;

use crate::support::{Script, ScriptedNode, TestGateway, config, config_with, message, until};

const FOR_EVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn progress_is_told_until_the_verdict() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(500))).await;
    let config = config_with(|config, _| config.times.progress = Duration::from_millis(50));
    let gateway = TestGateway::before(&node, config).await;
    let mail = gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    assert_eq!(mail.answer(), "accept");
    assert!(mail.progress >= 1, "{mail:?}");
}

#[tokio::test]
async fn a_call_is_cancelled_when_the_mail_server_leaves_or_aborts() {
    for leaves in [true, false] {
        let node = ScriptedNode::start(Script::default().slowly(FOR_EVER)).await;
        let gateway = TestGateway::before(&node, config()).await;
        let mut server = gateway.connect().await;
        server.mta.send(message("x\r\n"));
        server.advance().await;
        assert_eq!(server.reply().await, Some(Received::Negotiated));
        server.advance().await;
        until("the node works", async || node.working() == 1).await;
        if leaves {
            drop(server);
        } else {
            server.abort().await;
        }
        until("the node has stopped", async || node.working() == 0).await;
        until("it is told", async || {
            node.settled() == ["aborted tempfail"]
        })
        .await;
        assert_eq!(
            gateway
                .metric("millrace_gateway_aborted_total{client=\"default\"}")
                .await,
            1.0
        );
    }
}
