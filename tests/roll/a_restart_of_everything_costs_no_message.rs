use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millrace_tests::etcd::Etcd;
use millrace_tests::load::Loading;
use millrace_tests::member::{Member, publish};
use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::sink::Sink;
use millrace_tests::smtp::Client;

use crate::activated::Activated;

const SENDERS: usize = 4;
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
fn nodes_gateways_and_etcd_follow_each_other_and_nothing_is_put_off() {
    let policy = PolicyFolder::of(POLICY);
    let mut etcd = Etcd::start_three();
    publish(policy.path(), &etcd);
    let mut nodes = ["one", "two"].map(|name| Member::start(name, &etcd));
    let mut gateways = [(); 2].map(|()| Activated::start(&etcd));
    let sink = Sink::start();
    let servers: Vec<_> = gateways
        .iter()
        .map(|gateway| Mta::start(Kind::Postfix, &sink, &Wanted::filtered_by(gateway.port())))
        .collect();

    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (stop, port) = (Arc::clone(&stop), servers[sender % servers.len()].port());
            thread::spawn(move || send_until(&stop, port, sender))
        })
        .collect();
    let loading = [0, 1].map(|gateway: usize| Loading::begin(gateways[gateway].port()));
    let flows = || {
        let before = sink.count();
        until("mail flows", || sink.count() >= before + 10);
    };
    for _ in 0..ROUNDS {
        for node in &mut nodes {
            // One that is back is of use when the gateways have seen it.
            gateways.iter().for_each(|gateway| gateway.has(2.0));
            flows();
            assert!(node.process.terminate().success());
            node.launch_again();
            node.wait_until_ready();
        }
        for gateway in &mut gateways {
            flows();
            gateway.restart();
        }
        for member in 0..3 {
            etcd.kill(member);
            flows();
            etcd.start_again();
        }
    }
    flows();
    stop.store(true, Ordering::Relaxed);
    for load in loading {
        load.end().assert_all_accepted();
    }

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
    for mta in servers {
        assert!(mta.complaints().is_empty(), "{:?}", mta.complaints());
    }
}
