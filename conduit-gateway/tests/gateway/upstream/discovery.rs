//! How nodes are found, and that every source is a hint.

use std::time::Duration;

use conduit_gateway::discovery::{DnsConfig, NodeHint, Source, SourceProblem};
use conduit_gateway::{Upstream, UpstreamConfig};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{one_at_a_time, send};
use crate::support::{Script, ScriptedNode, TestGateway, config, until};

mod name_server;

type Told = Result<Vec<NodeHint>, SourceProblem>;

fn source() -> (mpsc::UnboundedSender<Told>, Source) {
    let (tell, told) = mpsc::unbounded_channel();
    (
        tell,
        Source::new("the test", UnboundedReceiverStream::new(told)),
    )
}

fn set(nodes: &[&ScriptedNode]) -> Told {
    let hint = |node: &&ScriptedNode| NodeHint::at(node.address().parse().unwrap());
    Ok(nodes.iter().map(hint).collect())
}

async fn gateway(sources: Vec<Source>, upstream: UpstreamConfig) -> TestGateway {
    TestGateway::start(Upstream::remote(sources, upstream), config()).await
}

#[tokio::test]
async fn a_source_that_empties_breaks_or_ends_leaves_the_last_known_set() {
    let node = ScriptedNode::start(Script::default()).await;
    let (tell, source) = source();
    let gateway = gateway(vec![source], one_at_a_time()).await;
    tell.send(set(&[&node])).unwrap();
    gateway.serving(&[&node]).await;
    tell.send(Ok(vec![])).unwrap();
    tell.send(Err(SourceProblem("it broke".into()))).unwrap();
    drop(tell);
    for _ in 0..20 {
        assert_eq!(send(&gateway).await.answer(), "accept");
    }
    // Gone for a moment, and still known.
    let address = node.address();
    drop(node);
    let again = ScriptedNode::start_at(address.trim_start_matches("http://"), Script::default());
    let again = again.await;
    until("mail passes", async || {
        send(&gateway).await.answer() == "accept"
    })
    .await;
    assert!(again.judged() > 0);
}

#[tokio::test]
async fn a_node_that_no_source_knows_stays_while_its_health_serves() {
    let (kept, other) = (
        ScriptedNode::start(Script::default()).await,
        ScriptedNode::start(Script::default()).await,
    );
    let (tell, source) = source();
    let gateway = gateway(vec![source], one_at_a_time()).await;
    tell.send(set(&[&kept, &other])).unwrap();
    gateway.serving(&[&kept, &other]).await;
    tell.send(set(&[&other])).unwrap();
    until("it is still asked", async || {
        assert_eq!(send(&gateway).await.answer(), "accept");
        kept.judged() > 5
    })
    .await;
    // Its health does not serve any more: now it goes, and its rows go with it.
    let calls = format!(
        "millrace_gateway_node_calls_total{{node=\"{}\",result=\"ok\"}}",
        kept.address()
    );
    assert!(gateway.metric(&calls).await > 0.0);
    kept.serves(false).await;
    until("its figures are gone", async || {
        gateway.metric(&calls).await == 0.0
    })
    .await;
    assert_eq!(send(&gateway).await.answer(), "accept");
}

#[tokio::test]
async fn several_sources_are_joined() {
    let (one, other) = (
        ScriptedNode::start(Script::default()).await,
        ScriptedNode::start(Script::default()).await,
    );
    let (tell, first) = source();
    let second = Source::fixed(vec![other.address().parse().unwrap()]);
    let gateway = gateway(vec![first, second], one_at_a_time()).await;
    gateway.serving(&[&other]).await;
    tell.send(set(&[&one])).unwrap();
    gateway.serving(&[&one, &other]).await;
}

#[tokio::test]
async fn names_are_asked_for_again_and_again() {
    let one = ScriptedNode::start(Script::default()).await;
    // All addresses of a name have one port.
    let port = one.address.port();
    let other = ScriptedNode::start_at(&format!("127.0.0.2:{port}"), Script::default()).await;
    let names = name_server::NameServer::start(&["127.0.0.1"]).await;
    let dns = DnsConfig {
        name_servers: vec![names.address],
        shortest: Duration::from_millis(50),
        longest: Duration::from_millis(100),
    };
    let name = format!("dns://nodes.mail.example:{port}").parse().unwrap();
    let source = Source::dns(name, &dns).unwrap();
    let gateway = gateway(vec![source], one_at_a_time()).await;
    gateway.serving(&[&one]).await;
    names.tell(&["127.0.0.1", "127.0.0.2"]);
    gateway.serving(&[&one, &other]).await;

    // No address, no such name, no answer at all: what is known stays, and mail passes.
    for trouble in [
        name_server::Says::Addresses(vec![]),
        name_server::Says::NoSuchName,
        name_server::Says::Failure,
        name_server::Says::Nothing,
    ] {
        let asked = names.asked();
        names.says(trouble.clone());
        until("it was asked again", async || names.asked() > asked + 2).await;
        gateway.serving(&[&one, &other]).await;
        assert_eq!(send(&gateway).await.answer(), "accept", "{trouble:?}");
    }

    // One of two is missing, and is really gone.
    names.tell(&["127.0.0.1"]);
    let gone = format!(
        "millrace_gateway_node_limit{{node=\"{}\"}}",
        other.address()
    );
    drop(other);
    until("it is forgotten", async || {
        gateway.metric(&gone).await == 0.0
    })
    .await;
    assert_eq!(send(&gateway).await.answer(), "accept");
}
