//! Who may connect, and how many.

use std::time::Duration;

use ipnet::IpNet;
use tokio::io::AsyncReadExt;

use crate::support::{Script, ScriptedNode, TestGateway, config_with, message, soon, until};

#[tokio::test]
async fn a_peer_that_is_not_in_the_list_is_closed() {
    let node = ScriptedNode::start(Script::default()).await;
    let network: IpNet = "192.0.2.0/24".parse().unwrap();
    let gateway =
        TestGateway::before(&node, config_with(|_, client| client.allow = vec![network])).await;
    let mut rest = Vec::new();
    let _ = soon(
        "the end",
        gateway.connect_raw().await.read_to_end(&mut rest),
    )
    .await;
    assert!(rest.is_empty());
    let refused =
        "millrace_gateway_connections_refused_total{client=\"default\",reason=\"not-allowed\"}";
    until("it is counted", async || {
        gateway.metric(refused).await == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_in_the_protocol() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config_with(|_, client| client.connections = 1)).await;
    let mut first = gateway.connect().await;
    assert_eq!(
        first.send(message("x\r\n")).await.unwrap().answer(),
        "accept"
    );
    let mail = gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    assert_eq!(mail.outcome.at, b'M');
    assert!(
        mail.answer()
            .starts_with("451 4.3.2 Try again later: the mail filter is overloaded"),
        "{mail:?}"
    );
    assert_eq!(
        first.send(message("x\r\n")).await.unwrap().answer(),
        "accept",
        "who is in stays in"
    );
    drop(first);
    until("there is room again", async || {
        let mail = gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap();
        mail.answer() == "accept"
    })
    .await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_its_time() {
    let node = ScriptedNode::start(Script::default()).await;
    let config = config_with(|config, _| config.times.idle = Duration::from_millis(200));
    let gateway = TestGateway::before(&node, config).await;
    let mut rest = Vec::new();
    let _ = soon(
        "the end",
        gateway.connect_raw().await.read_to_end(&mut rest),
    )
    .await;
    let broken = "millrace_gateway_connections_broken_total{client=\"default\",reason=\"idle\"}";
    until("it is counted", async || {
        gateway.metric(broken).await == 1.0
    })
    .await;
}
