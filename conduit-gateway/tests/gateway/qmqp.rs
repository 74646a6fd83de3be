//! QMQP clients: what they hand in is judged, passed on, and answered with what the downstream server answered.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use conduit_gateway::{
    Config, FailureAction, FailureKind, FailureRow, FailureTable, ListenAddress, Protocol, Qmqp,
};
use millrace_proto::{CallError, ConduitKind, Direction, Edit, Verdict};
use millrace_qmail::Envelope;
use millrace_qmail::qmqp::{Part, RequestDecoder, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    PATIENCE, Script, ScriptedNode, TestGateway, accept, config_with, soon, until,
};

mod conformance;

const MAIL: &[u8] = b"Received: from client.example (HELO me) (u@198.51.100.7)\n  by us with SMTP\nX-Test: no\nSubject: x\n\nbody\n";

/// Messages with their envelopes, as they came.
type Taken = Arc<Mutex<Vec<(Vec<u8>, Envelope)>>>;

/// A downstream server that takes what comes, or does as it is told.
struct Downstream {
    address: SocketAddr,
    got: Taken,
}

#[derive(Clone, Copy)]
enum Manner {
    Says(&'static str),
    /// Reads everything, and closes.
    Closes,
    /// Closes before it has read anything.
    ClosesAtOnce,
    /// Reads everything, and says nothing.
    Hangs,
    /// Reads the beginning, says this, and closes.
    ClosesMidway(&'static str),
}

impl Downstream {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = got.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner, kept.clone()));
            }
        });
        Self { address, got }
    }

    fn got(&self) -> Vec<(Vec<u8>, Envelope)> {
        self.got.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, kept: Taken) {
    if matches!(manner, Manner::ClosesAtOnce) {
        return;
    }
    if let Manner::ClosesMidway(said) = manner {
        let _ = stream.read_exact(&mut [0; 100]).await;
        let _ = stream.write_all(said.as_bytes()).await;
        return;
    }
    let mut decoder = RequestDecoder::new();
    let (mut content, mut sender, mut recipients) = (Vec::new(), None, Vec::new());
    loop {
        if stream.read_buf(decoder.space()).await.unwrap_or(0) == 0 {
            return;
        }
        while let Some(part) = decoder.next_part().unwrap() {
            match part {
                Part::Begin(_) => {}
                Part::Content(piece) => content.extend_from_slice(&piece),
                Part::Sender(address) => sender = Some(address),
                Part::Recipient(address) => recipients.push(address),
                Part::End => {
                    let sender = sender.clone().unwrap();
                    let envelope = Envelope {
                        sender,
                        recipients: std::mem::take(&mut recipients),
                    };
                    kept.lock()
                        .unwrap()
                        .push((std::mem::take(&mut content), envelope));
                    match manner {
                        Manner::Says(text) => {
                            let wire = format!("{}:{text},", text.len());
                            stream.write_all(wire.as_bytes()).await.unwrap();
                        }
                        Manner::Hangs => std::future::pending().await,
                        Manner::Closes | Manner::ClosesAtOnce | Manner::ClosesMidway(_) => {}
                    }
                    return;
                }
            }
        }
    }
}

fn qmqp(downstream: &[SocketAddr]) -> Config {
    config_with(|_, client| {
        client.name = "qmail".parse().unwrap();
        client.direction = Direction::Outbound;
        client.deadline = Duration::from_secs(20);
        client.protocol = Protocol::Qmqp(Arc::new(Qmqp {
            downstream: downstream.to_vec(),
            believe_received: true,
        }));
    })
}

/// Before `Kok` with this verdict.
async fn giving(verdict: Verdict) -> (ScriptedNode, Downstream, TestGateway) {
    let node = ScriptedNode::start(Script::giving(verdict)).await;
    let downstream = Downstream::start(Manner::Says("Kok 1 qp 2")).await;
    let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
    (node, downstream, gateway)
}

fn envelope(recipients: usize) -> Envelope {
    Envelope {
        sender: "a@example.org".into(),
        recipients: (0..recipients)
            .map(|n| format!("r{n}@example.org").into())
            .collect(),
    }
}

async fn connect(gateway: &TestGateway) -> TcpStream {
    let ListenAddress::Tcp(address) = gateway.address() else {
        panic!("a TCP listener")
    };
    TcpStream::connect(address).await.unwrap()
}

fn request(content: &[u8], envelope: &Envelope) -> Vec<u8> {
    let framed = frame(content.len() as u64, envelope);
    [&framed.head, content, &framed.tail].concat()
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    soon("an answer", stream.read_to_end(&mut text)).await.ok();
    let text = String::from_utf8(text).unwrap();
    match text.split_once(':') {
        Some((length, rest)) => {
            assert_eq!(length.parse::<usize>().unwrap() + 1, rest.len(), "{text}");
            rest.strip_suffix(',').unwrap().to_owned()
        }
        None => text,
    }
}

async fn hand_in(gateway: &TestGateway, content: &[u8], envelope: &Envelope) -> String {
    let mut stream = connect(gateway).await;
    stream.write_all(&request(content, envelope)).await.unwrap();
    answer(&mut stream).await
}

#[tokio::test]
async fn a_message_is_judged_edited_and_passed_on_and_its_client_told_what_the_next_server_said() {
    let verdict = Verdict {
        edits: vec![
            Edit::InsertHeader {
                name: "X-Added".into(),
                value: "1".into(),
            },
            Edit::DeleteRecipient { index: 0 },
            Edit::ChangeSender {
                address: "new@example.org".into(),
            },
        ],
        ..accept()
    };
    let (node, downstream, gateway) = giving(verdict).await;
    assert_eq!(hand_in(&gateway, MAIL, &envelope(2)).await, "Kok 1 qp 2");
    let [(content, passed)] = &downstream.got()[..] else {
        panic!("one message")
    };
    assert_eq!(*content, [b"X-Added: 1\n", MAIL].concat());
    assert_eq!(passed.sender, "new@example.org");
    assert_eq!(passed.recipients, ["r1@example.org"]);
    let (seen, judged) = node.seen(|seen| seen.judged[0].clone());
    assert_eq!(judged, MAIL);
    assert_eq!(
        (seen.conduit, seen.client.as_str()),
        (ConduitKind::Qmqp, "qmail")
    );
    assert_eq!(seen.direction, Direction::Outbound);
    assert_eq!(seen.connection.peer.to_string(), "198.51.100.7");
    assert_eq!(seen.connection.helo.as_deref(), Some(&b"me"[..]));
    assert_eq!(seen.envelope.recipients.len(), 2);
    until("it is settled", async || node.settled() == ["done accept"]).await;
    let passed_on = gateway
        .metric("millrace_gateway_passed_on_total{client=\"qmail\",answer=\"taken\"}")
        .await;
    assert!((passed_on - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn messages_of_all_sizes_and_bytes_are_passed_on_unchanged() {
    let (_node, downstream, gateway) = giving(accept()).await;
    let large: Vec<u8> = (0..30 << 20).map(|n: u32| (n % 251) as u8).collect();
    for (content, envelope) in [
        (&b""[..], envelope(0)),
        (b"no final newline, 8-bit \xff and \0", envelope(1)),
        (MAIL, envelope(10_000)),
        (&large, envelope(1)),
    ] {
        let answered = hand_in(&gateway, content, &envelope).await;
        assert_eq!(answered, "Kok 1 qp 2", "{} bytes", content.len());
        let (passed, to) = downstream.got().pop().unwrap();
        assert!(passed == content && to == envelope, "{}", content.len());
    }
}

#[tokio::test]
async fn large_messages_are_edited_in_their_file() {
    let verdict = Verdict {
        edits: vec![Edit::InsertHeader {
            name: "X-Added".into(),
            value: "1".into(),
        }],
        ..accept()
    };
    let (_node, downstream, gateway) = giving(verdict).await;
    for size in [100_000, 12 << 20] {
        let content = [b"Subject: x\n\n".to_vec(), vec![b'x'; size]].concat();
        assert_eq!(
            hand_in(&gateway, &content, &envelope(1)).await,
            "Kok 1 qp 2"
        );
        let (passed, _) = downstream.got().pop().unwrap();
        assert!(passed == [b"X-Added: 1\n", &content[..]].concat(), "{size}");
    }
}

#[tokio::test]
async fn a_client_is_told_k_only_after_the_next_server_has_said_k() {
    for (manner, expected) in [
        (Manner::Says("Dnot here (#5.1.1)"), "Dnot here (#5.1.1)"),
        (Manner::Says("Zfull (#4.3.1)"), "Zfull (#4.3.1)"),
        (Manner::Says("what?"), "Zthe mail server behind"),
        (Manner::Closes, "Zthe mail server behind"),
        (Manner::ClosesAtOnce, "Zthe mail server behind"),
    ] {
        let node = ScriptedNode::start(Script::default()).await;
        let downstream = Downstream::start(manner).await;
        let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
        let told = hand_in(&gateway, MAIL, &envelope(1)).await;
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn servers_are_tried_in_turn_until_one_takes_the_connection() {
    let node = ScriptedNode::start(Script::default()).await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let there = Downstream::start(Manner::Says("Kok")).await;
    let gateway = TestGateway::before(&node, qmqp(&[gone, there.address])).await;
    assert_eq!(hand_in(&gateway, MAIL, &envelope(1)).await, "Kok");
    let gateway = TestGateway::before(&node, qmqp(&[gone])).await;
    let told = hand_in(&gateway, MAIL, &envelope(1)).await;
    assert!(told.contains("is not reachable; try again later"), "{told}");
    // Who has the message whole may have taken it: nobody else gets it.
    let silent = Downstream::start(Manner::Closes).await;
    let gateway = TestGateway::before(&node, qmqp(&[silent.address, there.address])).await;
    let told = hand_in(&gateway, MAIL, &envelope(1)).await;
    assert!(told.starts_with('Z'), "{told}");
    assert_eq!((silent.got().len(), there.got().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_fails_in_mid_message_has_nothing_and_its_k_counts_for_nothing() {
    // More than sockets hold: it cannot be sent whole.
    let large = vec![b'x'; 16 << 20];
    for said in ["", "Kok", "3:Kok,"] {
        let node = ScriptedNode::start(Script::default()).await;
        let failing = Downstream::start(Manner::ClosesMidway(said)).await;
        let gateway = TestGateway::before(&node, qmqp(&[failing.address])).await;
        let told = hand_in(&gateway, &large, &envelope(1)).await;
        assert!(told.starts_with('Z'), "{said}: {told}");
        // Another one may have it, for the first has only a part.
        let there = Downstream::start(Manner::Says("Kok")).await;
        let gateway = TestGateway::before(&node, qmqp(&[failing.address, there.address])).await;
        assert_eq!(hand_in(&gateway, &large, &envelope(1)).await, "Kok");
        let got = there.got();
        assert!(got.len() == 1 && got[0].0 == large);
    }
}

#[tokio::test]
async fn mail_that_passes_without_a_verdict_is_taken_only_where_the_next_server_takes_it() {
    for (manner, expected) in [
        (Manner::Says("Kok"), "Kok"),
        (Manner::Says("Zfull (#4.3.1)"), "Zfull (#4.3.1)"),
        (Manner::Says("Dno (#5.1.1)"), "Dno (#5.1.1)"),
        (Manner::Closes, "Zthe mail server behind"),
        (Manner::ClosesAtOnce, "Zthe mail server behind"),
        (Manner::ClosesMidway(""), "Zthe mail server behind"),
    ] {
        let node = ScriptedNode::start(Script::failing(CallError::Unavailable("x".into()))).await;
        let downstream = Downstream::start(manner).await;
        let mut config = qmqp(&[downstream.address]);
        config.failures = rows(&[], FailureAction::AcceptAndStamp);
        let gateway = TestGateway::before(&node, config).await;
        let told = hand_in(&gateway, MAIL, &envelope(1)).await;
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn without_a_verdict_the_failure_table_answers() {
    for (action, expected, passed) in [
        (None, "ZTry again later", 0),
        (Some(FailureAction::Reject), "DMessage refused", 0),
        (Some(FailureAction::AcceptAndStamp), "Kok", 1),
    ] {
        let node = ScriptedNode::start(Script::failing(CallError::Unavailable("x".into()))).await;
        let downstream = Downstream::start(Manner::Says("Kok")).await;
        let mut config = qmqp(&[downstream.address]);
        if let Some(action) = action {
            config.failures = rows(&[], action);
        }
        let gateway = TestGateway::before(&node, config).await;
        let told = hand_in(&gateway, MAIL, &envelope(1)).await;
        assert!(told.starts_with(expected), "{told}");
        let got = downstream.got();
        assert_eq!(got.len(), passed);
        if let Some((content, _)) = got.first() {
            assert!(content.starts_with(b"X-Millrace-Unscanned: no-node; transaction "));
        }
    }
}

fn rows(kinds: &[FailureKind], action: FailureAction) -> FailureTable {
    FailureTable::new(vec![FailureRow {
        client: Some("qmail".parse().unwrap()),
        direction: None,
        kinds: kinds.to_vec(),
        action,
    }])
}

#[tokio::test]
async fn what_is_above_the_limit_is_refused_or_passed_on_as_the_table_says() {
    let content = vec![b'x'; 1_000_000];
    for (table, expected, passed) in [
        (
            FailureTable::default(),
            "DMessage refused: the message is too large",
            0,
        ),
        (
            rows(&[FailureKind::Oversize], FailureAction::AcceptAndStamp),
            "Kok",
            1,
        ),
    ] {
        let node = ScriptedNode::start(Script::default()).await;
        let downstream = Downstream::start(Manner::Says("Kok")).await;
        let mut config = qmqp(&[downstream.address]);
        config.failures = table;
        config.clients[0].message_size = Some(200_000);
        let gateway = TestGateway::before(&node, config).await;
        let told = hand_in(&gateway, &content, &envelope(1)).await;
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(downstream.got().len(), passed);
        assert_eq!(node.seen(|seen| seen.judged.len()), 0);
    }
}

#[tokio::test]
async fn what_is_no_qmqp_is_said_and_closed() {
    let (_node, downstream, gateway) = giving(accept()).await;
    for (bytes, expected) in [
        (&b"EHLO x\r\n"[..], "Zthis is no QMQP"),
        (b"9:3:abcx0:,,", "Zthis is no QMQP"),
    ] {
        let mut stream = connect(&gateway).await;
        stream.write_all(bytes).await.unwrap();
        let told = answer(&mut stream).await;
        assert!(told.starts_with(expected), "{told}");
    }
    let mut long = envelope(1);
    long.recipients.push(vec![b'x'; 1003].into());
    let told = hand_in(&gateway, MAIL, &long).await;
    assert!(
        told.starts_with("Dsorry, I can't accept addresses"),
        "{told}"
    );
    assert!(downstream.got().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_before_its_message_is_passed_on_has_it_back() {
    let node = ScriptedNode::start(Script::default().slowly(Duration::from_secs(3600))).await;
    let downstream = Downstream::start(Manner::Says("Kok")).await;
    let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
    // In the middle of its message, and while it is judged.
    let whole = request(MAIL, &envelope(1));
    for (sent, working) in [(whole.len() - 1, 0), (whole.len(), 1)] {
        let mut stream = connect(&gateway).await;
        stream.write_all(&whole[..sent]).await.unwrap();
        until("the node works", async || node.working() == working).await;
        drop(stream);
        until("the node's work is given up", async || node.working() == 0).await;
    }
    let aborted = "millrace_gateway_aborted_total{client=\"qmail\"}";
    until("both are counted", async || {
        gateway.metric(aborted).await > 1.5
    })
    .await;
    assert!(downstream.got().is_empty());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let node = ScriptedNode::start(Script::default()).await;
    let mut config = qmqp(&["127.0.0.1:1".parse().unwrap()]);
    config.times.idle = Duration::from_millis(50);
    let gateway = TestGateway::before(&node, config).await;
    let mut stream = connect(&gateway).await;
    stream.write_all(b"100:").await.unwrap();
    assert_eq!(answer(&mut stream).await, "");
    let idle = "millrace_gateway_connections_broken_total{client=\"qmail\",reason=\"idle\"}";
    until("it is counted", async || gateway.metric(idle).await > 0.5).await;
}

#[tokio::test]
async fn who_is_not_in_the_allow_list_is_not_served() {
    let (node, _, _) = giving(accept()).await;
    let mut config = qmqp(&["127.0.0.1:1".parse().unwrap()]);
    config.clients[0].allow = vec!["192.0.2.0/24".parse().unwrap()];
    let gateway = TestGateway::before(&node, config).await;
    let mut stream = connect(&gateway).await;
    let _ = stream.write_all(&request(MAIL, &envelope(1))).await;
    assert_eq!(answer(&mut stream).await, "");
    assert_eq!(node.seen(|seen| seen.judged.len()), 0);
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_puts_the_rest_off() {
    for (delay, expected) in [
        (Duration::from_millis(300), "Kok"),
        (
            Duration::from_secs(3600),
            "Zthe mail filter is shutting down",
        ),
    ] {
        let node = ScriptedNode::start(Script::default().slowly(delay)).await;
        let downstream = Downstream::start(Manner::Says("Kok")).await;
        let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
        let bound = match expected {
            "Kok" => PATIENCE,
            _ => Duration::from_millis(100),
        };
        let message = envelope(1);
        let (told, ()) = tokio::join!(hand_in(&gateway, MAIL, &message), async {
            until("the node works", async || node.working() == 1).await;
            let end = gateway.end(Duration::ZERO, bound);
            soon("the drain", end).await.unwrap();
            soon("the end", gateway.running.drained()).await;
        });
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn a_next_server_that_hangs_costs_its_own_message_alone() {
    let node = ScriptedNode::start(Script::default()).await;
    let downstream = Downstream::start(Manner::Hangs).await;
    let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
    let mut waiting = connect(&gateway).await;
    waiting
        .write_all(&request(MAIL, &envelope(1)))
        .await
        .unwrap();
    until("it is passed on", async || downstream.got().len() == 1).await;
    let end = gateway.end(Duration::ZERO, Duration::from_millis(50));
    soon("the drain", end).await.unwrap();
    let told = answer(&mut waiting).await;
    assert!(
        told.starts_with("Zthe mail filter is shutting down"),
        "{told}"
    );
}
