//! The complaint: nobody can say which configuration a filter has judged a message with, least of
//! all when there are several filters and one was not updated.
//!
//! Here: each verdict tells its policy's revision and its node, in the message and in the log.

use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};
use millrace_tests::verdicts;

use crate::support::{JSON, ordinary};

fn policy(name: &str) -> String {
    format!(
        "[[action]]\nname = \"tell\"\nwhen = \"1\"\nadd_header = \"X-Policy: {name} {{revision}} {{node}}\"\n"
    )
}

/// Name, revision and node as the message tells them.
fn told(server: &mut Sender) -> [String; 3] {
    let header = server.send(ordinary()).added("X-Policy").remove(0);
    let words: Vec<String> = header.split(' ').map(str::to_owned).collect();
    words.try_into().expect("three words")
}

#[test]
fn in_the_message_and_in_the_log_and_it_changes_with_the_policy() {
    let folder = PolicyFolder::of(&policy("old"));
    let upstream = Upstream::Embedded(Some(folder.path().to_owned()));
    let gateway = Gateway::start_with(&upstream, JSON, "");
    let mut server = Sender::connect(gateway.port());
    let [_, old, node] = told(&mut server);
    let line = verdicts::nth(&gateway, 0);
    let revision = line["revision"].as_str().expect("a revision");
    assert!(
        revision.starts_with(&old) && old.len() == 12,
        "{old} {line}"
    );
    assert_eq!(line["node"], node.as_str());

    folder.replace(&policy("new"));
    let mut new = String::new();
    until("the new policy is in force", || {
        let [name, revision, _] = told(&mut server);
        new = revision;
        name == "new"
    });
    assert_ne!(new, old);
    folder.replace(&policy("old"));
    until("the old policy is back, and so is its revision", || {
        told(&mut server)[1] == old
    });
}

#[test]
fn in_a_mixed_fleet_each_message_tells_whose_policy_judged_it() {
    let folders = ["one", "two"].map(|name| PolicyFolder::of(&policy(name)));
    let nodes = folders.each_ref().map(|folder| Node::start(folder.path()));
    let ports = nodes.iter().map(Node::port).collect();
    let gateway = Gateway::start_with(&Upstream::Nodes(ports), JSON, "");
    let mut server = Sender::connect(gateway.port());
    for n in 0..8 {
        let [name, revision, _] = told(&mut server);
        let line = verdicts::nth(&gateway, n);
        let logged = line["revision"].as_str().expect("a revision");
        assert!(logged.starts_with(&revision), "{name} {revision}: {line}");
        // A transaction is judged by the policy under which it began, wherever that is.
        assert_eq!(told_first(&gateway), logged, "{line}");
    }
}

fn told_first(gateway: &Gateway) -> String {
    verdicts::nth(gateway, 0)["revision"]
        .as_str()
        .expect("a revision")
        .to_owned()
}
