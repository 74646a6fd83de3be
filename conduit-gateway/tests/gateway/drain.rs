//! The end of a gateway: what has begun is finished, what has not is sent elsewhere.

use std::time::Duration;

use millrace_milter::mta::Received;
use tokio::net::TcpStream;

use crate::support::{Script, ScriptedNode, TestGateway, config, message, soon, until};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn what_is_in_flight_ends_and_the_listener_is_closed() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(300))).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut idle = gateway.connect().await;
    assert_eq!(
        idle.send(message("x\r\n")).await.unwrap().answer(),
        "accept"
    );
    let mut busy = gateway.connect().await;
    busy.mta.send(message("x\r\n"));
    busy.advance().await;
    assert_eq!(busy.reply().await, Some(Received::Negotiated));
    busy.advance().await;
    until("the node works", async || node.working() == 1).await;

    let mut silent = gateway.connect().await;
    let ended = gateway.end(Duration::ZERO, LONG);
    let answered = soon("the answer", busy.outcome()).await.unwrap();
    assert_eq!(answered.answer(), "accept");
    // One on which no session has begun has nothing to lose.
    silent.closed().await;
    // Sessions go on until the mail server ends them.
    let next = idle.send(message("x\r\n")).await.unwrap();
    assert_eq!(next.answer(), "accept");
    drop((idle, busy));
    soon("the end", ended).await.unwrap();
    soon("drained", gateway.running.drained()).await;
    let conduit_gateway::ListenAddress::Tcp(address) = gateway.address() else {
        panic!("TCP")
    };
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn in_the_grace_period_mail_is_still_taken() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config()).await;
    let _ended = gateway.end(LONG, LONG);
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
async fn at_the_bound_the_rest_is_told_to_come_again() {
    let node = ScriptedNode::start(Script::default().slowly(LONG)).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut busy = gateway.connect().await;
    busy.mta.send(message("x\r\n"));
    busy.advance().await;
    assert_eq!(busy.reply().await, Some(Received::Negotiated));
    busy.advance().await;
    until("the node works", async || node.working() == 1).await;
    let ended = gateway.end(Duration::ZERO, Duration::from_millis(100));
    let answered = soon("the answer", busy.outcome()).await.unwrap();
    assert!(answered.answer().starts_with("421 4.3.2 "), "{answered:?}");
    soon("the end", ended).await.unwrap();
    soon("drained", gateway.running.drained()).await;
    until("the node has stopped", async || node.working() == 0).await;
}
