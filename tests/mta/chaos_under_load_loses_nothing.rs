use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;
use millrace_tests::with_both;

use millrace_tests::mta::{Mta, Wanted};

with_both!(
    a_gateway_killed_again_and_again_loses_nothing_and_lets_nothing_by,
    nodes_killed_in_turn_lose_nothing_and_let_nothing_by,
);

const POLICY: &str = r#"
[[action]]
name = "mark"
when = "1"
add_header = "X-Judged: yes"
"#;
const SENDERS: usize = 3;
const KILLS: usize = 3;

/// Senders that go on until they are told to stop. Each counts a message as taken only when its
/// client was told so; all else may be tried again.
struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Load {
    fn begin(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let senders = (0..SENDERS)
            .map(|sender| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || send_until(&stop, port, sender))
            })
            .collect();
        Self { stop, senders }
    }

    /// The subjects of the messages that were taken.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let taken = self
            .senders
            .into_iter()
            .map(|sender| sender.join().expect("it only sends"));
        taken.flatten().collect()
    }
}

fn send_until(stop: &AtomicBool, port: u16, sender: usize) -> Vec<String> {
    let mut taken = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let (mut client, greeting) = Client::connect_raw(port);
        if greeting.code != 220 || client.try_command("EHLO client.example").is_err() {
            continue;
        }
        for _ in 0..5 {
            number += 1;
            let subject = format!("message {number} of {sender}");
            let reply = client.attempt(
                "sender@origin.example",
                &["rcpt@dest.example"],
                &message::simple(&subject),
            );
            match reply {
                Ok(reply) if reply.code == 250 => taken.push(subject),
                // Put off; the connection may be of no more use.
                Ok(reply) => {
                    assert_eq!(reply.code / 100, 4, "nothing is refused for good: {reply}");
                    break;
                }
                Err(_) => break,
            }
        }
    }
    taken
}

#[track_caller]
fn each_taken_message_arrived_once_and_judged(taken: &[String], sink: &Sink) {
    until("all that was taken has arrived", || {
        sink.count() >= taken.len()
    });
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for message in sink.delivered() {
        assert_eq!(
            message.fields_named("X-Judged"),
            ["X-Judged: yes"],
            "nothing passes unjudged"
        );
        let subject = message.fields_named("Subject").remove(0);
        *arrived
            .entry(subject.trim_start_matches("Subject: ").to_owned())
            .or_default() += 1;
    }
    for subject in taken {
        assert_eq!(arrived.get(subject), Some(&1), "{subject} arrives, once");
    }
    assert!(!taken.is_empty());
}

fn a_gateway_killed_again_and_again_loses_nothing_and_lets_nothing_by(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let node = Node::start(policy.path());
    let upstream = Upstream::Nodes(vec![node.port()]);
    let mut gateway = Gateway::start(&upstream);
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_by(gateway.port()));
    let load = Load::begin(mta.port());
    for kill in 1..=KILLS {
        until("mail flows", || sink.count() >= kill * 5);
        gateway.process.kill();
        gateway.start_again(&upstream);
    }
    let before = sink.count();
    until("mail flows again", || sink.count() > before + 5);
    each_taken_message_arrived_once_and_judged(&load.end(), &sink);
}

fn nodes_killed_in_turn_lose_nothing_and_let_nothing_by(kind: Kind) {
    let policy = PolicyFolder::of(POLICY);
    let mut nodes = [Node::start(policy.path()), Node::start(policy.path())];
    let gateway = Gateway::start(&Upstream::Nodes(nodes.iter().map(Node::port).collect()));
    let sink = Sink::start();
    let mta = Mta::start(kind, &sink, &Wanted::filtered_by(gateway.port()));
    let load = Load::begin(mta.port());
    for kill in 1..=KILLS {
        until("mail flows", || sink.count() >= kill * 5);
        let node = &mut nodes[kill % 2];
        node.process.kill();
        let before = sink.count();
        until("mail flows without it", || sink.count() > before + 5);
        node.start_again();
    }
    each_taken_message_arrived_once_and_judged(&load.end(), &sink);
}
