use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millrace_tests::load::Loading;
use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::Node;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

use crate::activated::Activated;

const SENDERS: usize = 3;
const ROUNDS: usize = 2;
const POLICY: &str = "[[action]]\nname = \"mark\"\nwhen = \"1\"\nadd_header = \"X-Judged: yes\"\n";

/// Sends until it is told to stop, a few messages a session, and gives what was taken. Nothing is to be put off.
fn send_until(stop: &AtomicBool, port: u16, sender: usize) -> Vec<String> {
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(port);
        for _ in 0..5 {
            let subject = format!("message {} of {sender}", taken.len());
            let reply = client
                .attempt(
                    "sender@origin.example",
                    &["rcpt@dest.example"],
                    &message::simple(&subject),
                )
                .expect("the connection holds");
            assert_eq!(reply.code, 250, "{subject}: {reply}");
            taken.push(subject);
        }
    }
    taken
}

#[test]
fn nodes_and_gateway_follow_each_other_and_nothing_is_put_off() {
    let policy = PolicyFolder::of(POLICY);
    let ending = "[drain]\ngrace_seconds = 1\n";
    let mut nodes = [0, 1].map(|_| Node::start_with(policy.path(), ending));
    let mut gateway = Activated::start(&[nodes[0].port(), nodes[1].port()]);
    let sink = Sink::start();
    let mta = Mta::start(Kind::Postfix, &sink, &Wanted::filtered_by(gateway.port()));

    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (stop, port) = (Arc::clone(&stop), mta.port());
            thread::spawn(move || send_until(&stop, port, sender))
        })
        .collect();
    let loading = Loading::begin(gateway.port());
    let flows = || {
        let before = sink.count();
        until("mail flows", || sink.count() >= before + 10);
    };
    for _ in 0..ROUNDS {
        for node in &mut nodes {
            flows();
            assert!(node.process.terminate().success());
            node.start_again();
        }
        flows();
        gateway.restart();
    }
    flows();
    stop.store(true, Ordering::Relaxed);
    loading.end().assert_all_accepted();

    let taken: Vec<String> = senders
        .into_iter()
        .flat_map(|sender| sender.join().expect("nothing was put off"))
        .collect();
    until("all has arrived", || sink.count() >= taken.len());
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for message in sink.delivered() {
        assert_eq!(message.fields_named("X-Judged"), ["X-Judged: yes"]);
        let subject = message.fields_named("Subject").remove(0);
        let subject = subject.trim_start_matches("Subject: ").to_owned();
        *arrived.entry(subject).or_default() += 1;
    }
    assert_eq!(arrived.len(), taken.len());
    for subject in &taken {
        assert_eq!(arrived.get(subject), Some(&1), "{subject} arrives, once");
    }
    assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
}
