//! A node in the same process.

use conduit_gateway::Upstream;
use millrace_runtime::metrics::Metrics;
use mpd_node::{Node, NodeConfig};

use crate::support::{TestGateway, config, config_with, message};

/// The standard test string for spam filters: every policy of ours knows it.
const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

fn node() -> Upstream {
    Upstream::embedded(Node::start(&NodeConfig::default(), &Metrics::new("node")).unwrap())
}

#[tokio::test]
async fn the_built_in_policy_passes_mail_and_refuses_the_test_string() {
    let gateway = TestGateway::start(node(), config()).await;
    let mut server = gateway.connect().await;
    let mail = server.send(message("hello\r\n")).await.unwrap();
    assert_eq!(mail.answer(), "accept");
    let mail = server.send(message(&format!("{GTUBE}\r\n"))).await.unwrap();
    assert!(mail.answer().starts_with('5'), "{mail:?}");
}

#[tokio::test]
async fn a_message_from_the_spool_is_judged_whole() {
    let config = config_with(|config, _| config.limits.spool_above = 64 << 10);
    let gateway = TestGateway::start(node(), config).await;
    let filler = "a line of text that says nothing\r\n".repeat(10_000);
    let mut server = gateway.connect().await;
    assert_eq!(
        server.send(message(&filler)).await.unwrap().answer(),
        "accept"
    );
    let mail = server
        .send(message(&format!("{filler}{GTUBE}\r\n")))
        .await
        .unwrap();
    assert!(mail.answer().starts_with('5'), "{mail:?}");
    assert_eq!(
        gateway
            .metric("millrace_gateway_spooled_messages_total")
            .await,
        2.0
    );
}
