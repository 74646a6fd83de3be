//! Whatever arrives on the port: the peer is named, counted and closed, and the process goes on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Script, ScriptedNode, TestGateway, config, message, soon, until};

const BROKEN: &str = "millrace_gateway_connections_broken_total{client=\"default\",reason=";

#[tokio::test]
async fn another_protocol_is_closed_and_counted() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config()).await;
    for (n, bytes) in [
        &b"POST /x HTTP/1.1\r\n\r\n"[..],
        b"EHLO mx\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"UNKNOWN COMMAND",
    ]
    .iter()
    .enumerate()
    {
        let mut stream = gateway.connect_raw().await;
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
        assert!(
            rest.is_empty(),
            "nothing is answered to what is not understood: {rest:?}"
        );
        let counted = format!("{BROKEN}\"wrong-protocol\"}}");
        until("it is counted", async || {
            gateway.metric(&counted).await == (n + 1) as f64
        })
        .await;
    }
    assert_eq!(
        gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap()
            .answer(),
        "accept"
    );
}

#[tokio::test]
async fn a_broken_protocol_is_answered_with_a_temporary_failure() {
    for (bytes, what) in [
        (&b"\0\0\0\x01Z"[..], "an unknown command"),
        (b"\0\0\0\0", "a frame of no length"),
        (b"\0\0\0\x02C\0", "a command that is cut short"),
        (b"\x7f\xff\xff\xffB", "a frame that is too long"),
    ] {
        let node = ScriptedNode::start(Script::default()).await;
        let gateway = TestGateway::before(&node, config()).await;
        let mut server = gateway.connect().await;
        server.advance().await;
        server.reply().await.expect("the negotiation");
        server.write(bytes).await;
        let mut end = Vec::new();
        soon("the end", server.read_to_end(&mut end)).await;
        assert_eq!(end, b"\0\0\0\x01t", "{what}");
        let counted = format!("{BROKEN}\"protocol\"}}");
        until(what, async || gateway.metric(&counted).await == 1.0).await;
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_and_leaves_is_no_event() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config()).await;
    drop(gateway.connect_raw().await);
    until("it was taken", async || {
        gateway
            .metric("millrace_gateway_connections_accepted_total{client=\"default\"}")
            .await
            == 1.0
            && gateway
                .metric("millrace_gateway_connections{client=\"default\"}")
                .await
                == 0.0
    })
    .await;
    assert_eq!(gateway.metric(&format!("{BROKEN}\"socket\"}}")).await, 0.0);
}
