//! The milter protocol's corners, played by `miltertest`, which knows nothing of our codec. The
//! scripts say what the mail server sends and what must come back; the tests say how the node
//! judges, and what it must have been told.

use std::fs;
use std::path::Path;
use std::process::Command;

use millrace_proto::{Disposition, Edit, Peer, Stage, Verdict};
use millrace_tests::packages;
use millrace_tests::patience::until;
use millrace_tests::process::run;
use millrace_tests::scripted_node::{Script, ScriptedNode, accept, edit, refuse};
use millrace_tests::servers::{Gateway, Upstream};

/// Plays a script against a gateway whose node judges so; gives both.
#[track_caller]
fn play_on(name: &str, script: Script) -> (Gateway, ScriptedNode) {
    let node = ScriptedNode::start(script);
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("miltertest/scripts");
    let folder = tempfile::tempdir().expect("a temp folder");
    let whole = ["steps", name]
        .map(|part| {
            fs::read_to_string(scripts.join(format!("{part}.lua"))).expect("the script is there")
        })
        .join("\n");
    let file = folder.path().join("script.lua");
    fs::write(&file, whole).expect("the folder is ours");
    run(Command::new(packages::program("miltertest"))
        .arg("-D")
        .arg(format!("port={}", gateway.port()))
        .arg("-s")
        .arg(file));
    (gateway, node)
}

/// As [`play_on`], for who has no more to ask of the gateway.
#[track_caller]
fn play(name: &str, script: Script) -> ScriptedNode {
    play_on(name, script).1
}

fn subjects(node: &ScriptedNode) -> Vec<String> {
    node.judged()
        .iter()
        .map(|message| {
            let text = String::from_utf8_lossy(&message.content).into_owned();
            let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            line.unwrap_or_default().to_owned()
        })
        .collect()
}

fn everything() -> Vec<Edit> {
    vec![
        edit::insert("X-Top", "t"),
        edit::change("Subject", 1, "changed"),
        edit::add("X-Bottom", "b"),
        edit::body("Another body.\r\n"),
        edit::remove_recipient(0),
        edit::add_recipient("new@dest.example"),
    ]
}

#[test]
fn every_step_is_answered_in_version_2() {
    let node = play("every_step_is_answered_in_version_2", Script::default());
    assert_eq!(node.judged().len(), 1);
}

#[test]
fn no_edit_is_made_that_was_not_offered() {
    play(
        "no_edit_is_made_that_was_not_offered",
        Script::editing(everything()),
    );
}

#[test]
fn every_edit_is_asked_for_by_name() {
    play(
        "every_edit_is_asked_for_by_name",
        Script::editing(everything()),
    );
}

#[test]
fn a_refusal_has_its_reply() {
    play(
        "a_refusal_has_its_reply",
        Script::giving(refuse(554, "5.7.9", "We do not take this")),
    );
}

#[test]
fn a_hold_is_a_quarantine_with_its_reason() {
    let verdict = Verdict {
        disposition: Disposition::Hold,
        hold_reason: "looks odd".to_owned(),
        ..accept()
    };
    play(
        "a_hold_is_a_quarantine_with_its_reason",
        Script::giving(verdict),
    );
}

#[test]
fn a_message_may_be_aborted_anywhere() {
    let (_gateway, node) = play_on("a_message_may_be_aborted_anywhere", Script::default());
    assert_eq!(subjects(&node), ["the only one"]);
    assert!(
        !node.judged()[0]
            .content
            .windows(6)
            .any(|bytes| bytes == b"X-Lost")
    );
    assert_eq!(node.judged()[0].transaction.envelope.recipients.len(), 1);
    until("the outcome is settled", || !node.settled().is_empty());
    assert_eq!(
        node.settled().len(),
        1,
        "what was never judged has no outcome"
    );
}

#[test]
fn several_messages_pass_on_one_connection() {
    let node = play("several_messages_pass_on_one_connection", Script::default());
    assert_eq!(
        subjects(&node),
        ["number 1", "number 2", "number 3", "number 4"]
    );
}

#[test]
fn an_unknown_command_is_let_pass() {
    let node = play("an_unknown_command_is_let_pass", Script::default());
    assert_eq!(node.judged().len(), 1);
}

#[test]
fn a_client_that_hangs_up_harms_nobody() {
    let node = play("a_client_that_hangs_up_harms_nobody", Script::default());
    assert_eq!(subjects(&node), ["still here"]);
}

#[test]
fn a_body_may_be_cut_anywhere() {
    let node = play("a_body_may_be_cut_anywhere", Script::default());
    let content = node.judged().remove(0).content;
    assert!(
        content.ends_with(b"\r\n\r\nOne\r\nTwo\r\n\r\n.\r\nThree\r\n"),
        "{}",
        content.escape_ascii()
    );
}

#[test]
fn a_client_of_no_known_family_is_served() {
    let node = play("a_client_of_no_known_family_is_served", Script::default());
    let peer = node.judged().remove(0).transaction.connection.peer;
    assert!(!matches!(peer, Peer::Ip(_)), "{peer:?}");
}

#[test]
fn macros_are_taken_when_they_come() {
    let node = play("macros_are_taken_when_they_come", Script::default());
    let transaction = node.judged().remove(0).transaction;
    assert_eq!(transaction.queue_id.as_deref(), Some(&b"4ABCDEF"[..]));
    let user = transaction
        .connection
        .authentication
        .expect("a user was told of");
    assert_eq!(
        (&user.mechanism[..], &user.user[..]),
        (&b"PLAIN"[..], &b"joe"[..])
    );
}

#[test]
fn a_recipient_is_refused_alone() {
    let script = Script::screening(&[Stage::Rcpt], |_, transaction| {
        let asked = transaction
            .envelope
            .recipients
            .last()
            .expect("one is asked about");
        if &asked.address[..] == b"bad@dest.example" {
            refuse(550, "5.1.1", "no longer here")
        } else {
            accept()
        }
    });
    let node = play("a_recipient_is_refused_alone", script);
    let recipients = node.judged().remove(0).transaction.envelope.recipients;
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0].address, "good@dest.example");
}
