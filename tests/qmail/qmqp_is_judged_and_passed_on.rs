use std::fs;
use std::process::Command;

use millrace_proto::ConduitKind;
use millrace_tests::packages;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::qmail::QmailHome;
use millrace_tests::scripted_node::{Script, ScriptedNode, edit, refuse};
use millrace_tests::servers::Gateway;

use super::nodes;

/// A gateway that takes QMQP at this port.
fn gateway(node: &ScriptedNode, port: &Port, downstream: u16) -> Gateway {
    let configuration = format!(
        "[[qmqp]]\nclient = \"qmail\"\nlisten = [\"tcp://127.0.0.1:{}\"]\nallow = [\"127.0.0.1\"]\n\
         downstream = [\"127.0.0.1:{downstream}\"]\n",
        port.number()
    );
    Gateway::start_with(&nodes(node), &[], &configuration)
}

fn source(port: &Port, arguments: &[&str]) -> std::process::Output {
    Command::new(packages::program("qmqp-source"))
        .args(["-f", "a@example.org", "-t", "b@example.net"])
        .args(arguments)
        .arg(format!("inet:127.0.0.1:{}", port.number()))
        .output()
        .expect("qmqp-source starts")
}

#[test]
fn postfixs_qmqp_source_reaches_postfixs_qmqp_sink() {
    let node = ScriptedNode::start(Script::default());
    let (port, sink_port) = (Port::reserve(), Port::reserve());
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let sink = format!("inet:127.0.0.1:{}", sink_port.number());
    let mut sink = Process::start(
        "qmqp-sink",
        folder.path(),
        &packages::program("qmqp-sink"),
        [sink.as_str(), "100"],
    );
    sink.wait_for_port(sink_port.number());
    let _gateway = gateway(&node, &port, sink_port.number());
    // Sizes up to 1 MB, and two recipients each.
    for (count, length) in [("200", "4096"), ("10", "1000000")] {
        let output = source(&port, &["-m", count, "-s", "10", "-l", length, "-r", "2"]);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let judged = node.judged();
    assert_eq!(judged.len(), 210);
    for message in &judged {
        assert_eq!(message.transaction.conduit, ConduitKind::Qmqp);
        assert_eq!(message.transaction.envelope.recipients.len(), 2);
    }
}

#[test]
fn mailfronts_qmqpfront_queues_what_was_passed_on_as_it_was_judged() {
    let node = ScriptedNode::start(Script::editing(vec![edit::insert("X-Added", "1")]));
    let home = QmailHome::bare();
    let front = home.serve("qmqpfront-qmail");
    let port = Port::reserve();
    let gateway = gateway(&node, &port, front.port());
    let output = source(&port, &["-m", "20", "-s", "5"]);
    assert!(output.status.success(), "{output:?}");
    until("all are queued", || home.count() == 20);
    for (message, envelope) in home.queued() {
        assert!(
            message
                .windows(12)
                .any(|window| window == b"\nX-Added: 1\n"),
            "{}",
            message.escape_ascii()
        );
        assert!(envelope.ends_with(b"Fa@example.org\0Tb@example.net\0"));
    }
    drop(gateway);
}

#[test]
fn what_a_policy_refuses_is_not_passed_on() {
    for (code, enhanced, said) in [(550, "5.7.1", "554"), (451, "4.7.1", "451")] {
        let node = ScriptedNode::start(Script::giving(refuse(code, enhanced, "our own words")));
        let home = QmailHome::bare();
        let front = home.serve("qmqpfront-qmail");
        let port = Port::reserve();
        let _gateway = gateway(&node, &port, front.port());
        let output = source(&port, &["-m", "1"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("our own words"), "{said}: {output:?}");
        assert_eq!(home.count(), 0);
    }
}

#[test]
fn a_conduit_behind_qmqpfront_is_asked_as_well() {
    let node = ScriptedNode::start(Script::default());
    let conduits = super::Conduits::before(&node);
    let home = QmailHome::before(&[conduits.endpoint()]);
    let front = home.serve("qmqpfront-qmail");
    let port = Port::reserve();
    let _gateway = gateway(&node, &port, front.port());
    let output = source(&port, &["-m", "5"]);
    assert!(output.status.success(), "{output:?}");
    let judged = node.judged();
    let by = |kind| {
        judged
            .iter()
            .filter(|message| message.transaction.conduit == kind)
            .count()
    };
    assert_eq!((by(ConduitKind::Qmqp), by(ConduitKind::QmailQueue)), (5, 5));
    assert_eq!(
        home.count(),
        5,
        "{}",
        fs::read_to_string(home.path("log")).unwrap_or_default()
    );
}
