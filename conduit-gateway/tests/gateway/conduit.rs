//! Conduits that speak the contract to the gateway.

use std::time::Duration;

use conduit_gateway::{
    Config, DirectionFrom, FailureAction, FailureRow, FailureTable, ListenAddress, Protocol,
};
use futures_util::StreamExt as _;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{
    CallError, ConduitKind, Connection, Direction, Disposition, Edit, Envelope, LineEnding, Path,
    Revision, Transaction, TransactionId, Verdict,
};

use crate::support::{
    PATIENCE, Script, ScriptedNode, TestGateway, config_with, refuse, soon, until,
};

fn contract(direction: DirectionFrom) -> Config {
    config_with(|_, client| {
        client.name = "qmail".parse().unwrap();
        client.protocol = Protocol::Contract { direction };
        client.direction = Direction::Outbound;
    })
}

fn transaction() -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::QmailQueue,
        client: "says-so-itself".parse().unwrap(),
        direction: Direction::Local,
        capabilities: ConduitKind::QmailQueue.capabilities(),
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(Path::new("a@example.org")),
            recipients: vec![Path::new("b@example.org")],
        },
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Lf,
        revision: Revision::new("abc123"),
    }
}

fn client(gateway: &TestGateway) -> Client {
    let ListenAddress::Tcp(address) = gateway.address() else {
        panic!("a TCP listener")
    };
    Client::connect_lazy(&format!("http://{address}")).unwrap()
}

async fn process(gateway: &TestGateway, content: &[u8]) -> Result<Verdict, CallError> {
    let content = Content::Memory(content.to_vec().into());
    let options = CallOptions::deadline(PATIENCE);
    client(gateway)
        .process(&transaction(), &content, options)
        .await
}

#[tokio::test]
async fn a_conduit_is_the_listeners_client_and_its_pinned_revision_is_kept() {
    for (from, expected) in [
        (DirectionFrom::Listener, Direction::Outbound),
        (DirectionFrom::Conduit, Direction::Local),
    ] {
        let node = ScriptedNode::start(Script::default()).await;
        let gateway = TestGateway::before(&node, contract(from)).await;
        for content in [&b"Subject: x\n\nbody\n"[..], &vec![b'x'; 3_000_000]] {
            let verdict = process(&gateway, content).await.unwrap();
            assert_eq!(verdict.disposition, Disposition::Accept);
            let (seen, body) = node.seen(|seen| seen.judged.last().unwrap().clone());
            assert_eq!(seen.client.as_str(), "qmail");
            assert_eq!(seen.direction, expected);
            assert_eq!(seen.revision, Revision::new("abc123"));
            assert!(body == content, "{} bytes came", body.len());
        }
        // A program that becomes the real qmail-queue has nobody left who would settle.
        until("two settlements", async || node.settled().len() == 2).await;
        assert_eq!(node.settled()[0], "done accept");
    }
}

#[tokio::test]
async fn where_there_is_no_verdict_the_failure_table_gives_one() {
    for (action, disposition) in [
        (None, Disposition::Tempfail),
        (Some(FailureAction::Reject), Disposition::Reject),
        (Some(FailureAction::AcceptAndStamp), Disposition::Accept),
    ] {
        let node = ScriptedNode::start(Script::failing(CallError::Unavailable("x".into()))).await;
        let mut config = contract(DirectionFrom::Conduit);
        if let Some(action) = action {
            config.failures = FailureTable::new(vec![FailureRow {
                client: Some("qmail".parse().unwrap()),
                direction: None,
                kinds: vec![],
                action,
            }]);
        }
        let gateway = TestGateway::before(&node, config).await;
        let verdict = process(&gateway, b"\nx\n").await.unwrap();
        assert_eq!(verdict.disposition, disposition);
        let stamped = verdict.edits.iter().any(|edit| {
            matches!(edit, Edit::InsertHeader { name, .. } if name == "X-Millrace-Unscanned")
        });
        assert_eq!(stamped, disposition == Disposition::Accept);
        let text = verdict.reply.map(|reply| reply.to_string());
        assert!(text.is_none_or(|text| text.contains("no-node")));
    }
}

#[tokio::test]
async fn what_is_above_the_clients_limit_is_refused_and_not_judged() {
    let node = ScriptedNode::start(Script::default()).await;
    let mut config = contract(DirectionFrom::Conduit);
    config.clients[0].message_size = Some(200_000);
    let gateway = TestGateway::before(&node, config).await;
    let verdict = process(&gateway, &vec![b'x'; 1_000_000]).await.unwrap();
    assert_eq!(verdict.disposition, Disposition::Reject);
    assert!(verdict.reply.unwrap().to_string().starts_with("552 5.3.4 "));
    assert!(process(&gateway, b"\nx\n").await.is_ok());
    assert_eq!(node.seen(|seen| seen.judged.len()), 1);
}

#[tokio::test]
async fn a_verdict_that_refuses_reaches_the_conduit_with_its_text() {
    let node = ScriptedNode::start(Script::giving(refuse(550, "no spam"))).await;
    let gateway = TestGateway::before(&node, contract(DirectionFrom::Conduit)).await;
    let verdict = process(&gateway, b"\nx\n").await.unwrap();
    assert_eq!(verdict.disposition, Disposition::Reject);
    assert_eq!(verdict.reply.unwrap().lines(), ["no spam"]);
}

#[tokio::test]
async fn who_is_not_in_the_allow_list_is_not_served() {
    let node = ScriptedNode::start(Script::default()).await;
    let mut config = contract(DirectionFrom::Conduit);
    config.clients[0].allow = vec!["192.0.2.0/24".parse().unwrap()];
    let gateway = TestGateway::before(&node, config).await;
    assert!(process(&gateway, b"\nx\n").await.is_err());
    assert_eq!(node.seen(|seen| seen.judged.len()), 0);
}

#[tokio::test]
async fn a_conduit_is_told_the_policys_plan() {
    let node = ScriptedNode::start(Script {
        size_limit: Some(777),
        ..Script::default()
    })
    .await;
    let gateway = TestGateway::before(&node, contract(DirectionFrom::Conduit)).await;
    let name = "any".parse().unwrap();
    let plans = client(&gateway)
        .watch_plan(&name, Direction::Inbound)
        .await
        .unwrap();
    let plan = soon("a plan", std::pin::pin!(plans).next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(plan.size_limit, Some(777));
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_millis(300))).await;
    let gateway = TestGateway::before(&node, contract(DirectionFrom::Conduit)).await;
    let (verdict, ()) = tokio::join!(process(&gateway, b"\nx\n"), async {
        until("the node works", async || node.working() == 1).await;
        let end = gateway.end(Duration::ZERO, PATIENCE);
        soon("the drain", end).await.unwrap();
        soon("the end", gateway.running.drained()).await;
    });
    assert_eq!(verdict.unwrap().disposition, Disposition::Accept);
}
