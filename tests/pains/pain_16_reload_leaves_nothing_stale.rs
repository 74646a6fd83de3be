//! The complaint: a reload leaves old workers or old rules behind, and for hours some messages are
//! judged by what was replaced.
//!
//! Here: a policy is one immutable value, swapped between messages: connections that last see the
//! new one at their next message, a message that has begun ends under the old one, and nothing of
//! the process grows however often it is done.

use std::fs;

use bytes::Bytes;
use millrace_milter::{Actions, Command, RawPath, Response, Steps};
use millrace_tests::milter::{Sender, Wire};
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Upstream};

use crate::support::ordinary;

fn policy(name: &str) -> String {
    format!("[[action]]\nname = \"tell\"\nwhen = \"1\"\nadd_header = \"X-Policy: {name}\"\n")
}

fn gateway(folder: &PolicyFolder) -> Gateway {
    Gateway::start(&Upstream::Embedded(Some(folder.path().to_owned())))
}

/// Sends until the new policy is in force.
fn until_judged_by(server: &mut Sender, name: &str) {
    until(&format!("the policy {name} is in force"), || {
        server.send(ordinary()).added("X-Policy") == [name]
    });
}

#[test]
fn once_the_new_one_is_seen_the_old_one_is_not_seen_again() {
    let folder = PolicyFolder::of(&policy("old"));
    let gateway = gateway(&folder);
    let mut servers = [(); 3].map(|()| Sender::connect(gateway.port()));
    for server in &mut servers {
        assert_eq!(server.send(ordinary()).added("X-Policy"), ["old"]);
    }
    folder.replace(&policy("new"));
    until_judged_by(&mut servers[0], "new");
    for server in &mut servers {
        for _ in 0..5 {
            assert_eq!(server.send(ordinary()).added("X-Policy"), ["new"]);
        }
    }
}

#[test]
fn a_message_ends_under_the_policy_that_it_began_with() {
    let folder = PolicyFolder::of(&policy("old"));
    let gateway = gateway(&folder);
    let (mut wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::NONE);
    let path = || RawPath::new(&b"<a@b.example>"[..]);
    for command in [Command::Mail(path()), Command::Rcpt(path())] {
        assert_eq!(wire.ask(command), Response::Continue);
    }
    folder.replace(&policy("new"));
    until_judged_by(&mut Sender::connect(gateway.port()), "new");
    let edit = wire.ask(Command::EndOfBody(Bytes::new()));
    assert!(
        matches!(&edit, Response::AddHeader { value, .. } | Response::InsertHeader { value, .. } if value.trim_ascii() == b"old"),
        "{edit:?}"
    );
}

#[test]
fn what_does_not_compile_leaves_the_last_good_one() {
    let folder = PolicyFolder::of(&policy("good"));
    let gateway = gateway(&folder);
    let mut server = Sender::connect(gateway.port());
    assert_eq!(server.send(ordinary()).added("X-Policy"), ["good"]);
    folder.replace("[[action]]\nname = \"tell\"\nwhen = \"1\"\nadd_heder = \"X-Policy: bad\"\n");
    until("the mistake is told with its place", || {
        let log = gateway.log();
        log.contains("policy.toml:4") && log.contains("add_heder")
    });
    assert_eq!(server.send(ordinary()).added("X-Policy"), ["good"]);
}

#[test]
fn nothing_grows() {
    let folder = PolicyFolder::of(&policy("0"));
    let gateway = gateway(&folder);
    let mut server = Sender::connect(gateway.port());
    let count = |what: &str| {
        let path = format!("/proc/{}/{what}", gateway.process.id());
        fs::read_dir(path).expect("the process lives").count()
    };
    until_judged_by(&mut server, "0");
    let before = (count("task"), count("fd"));
    for n in 1..=8 {
        folder.replace(&policy(&n.to_string()));
        until_judged_by(&mut server, &n.to_string());
    }
    // The runtime's threads for files come and go.
    until("no thread and no descriptor is left over", || {
        let after = (count("task"), count("fd"));
        after.0 <= before.0 + 1 && after.1 <= before.1
    });
}
