//! What a policy makes of a transaction.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use millrace_proto::{
    Authentication, Capabilities, ConduitKind, Connection, Direction, Edit, Envelope, LineEnding,
    Path, Peer, TransactionId,
};

use super::*;

mod keeping;
mod lists;
mod recipients;
mod stamps;

fn policy(text: &str) -> Arc<Policy> {
    Policy::from_files(BTreeMap::from([(
        "policy.toml".to_owned(),
        text.to_owned(),
    )]))
    .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn transaction(sender: &str, recipients: &[&str]) -> Transaction {
    Transaction {
        id: TransactionId::from_bytes([7; 16]),
        conduit: ConduitKind::Milter,
        client: "mx".parse().unwrap(),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection {
            peer: peer("192.0.2.1"),
            ptr: Some(Bytes::from_static(b"mail.sender.example")),
            helo: Some(Bytes::from_static(b"helo.sender.example")),
            ..Connection::default()
        },
        envelope: Envelope {
            sender: Some(Path::new(sender.to_owned())),
            recipients: recipients
                .iter()
                .map(|recipient| Path::new((*recipient).to_owned()))
                .collect(),
        },
        queue_id: Some(Bytes::from_static(b"4XQ1")),
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}

fn peer(ip: &str) -> Peer {
    Peer::Ip(SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 0))
}

const PLAIN: &str = "From: Alice <alice@sender.example>\r\nTo: bob@here.example\r\nSubject: hello\r\n\
    Date: Mon, 1 Jan 2024 10:00:00 +0000\r\nMessage-ID: <1@sender.example>\r\n\r\nHow are you?\r\n";

fn judged(policy: &Policy, transaction: &Transaction, content: &str) -> Verdict {
    judged_with(policy, transaction, content, Keeping::Unavailable)
}

fn judged_with(
    policy: &Policy,
    transaction: &Transaction,
    content: &str,
    keeping: Keeping,
) -> Verdict {
    let message = Message::parse(Bytes::copy_from_slice(content.as_bytes()), policy.limits());
    judge(
        policy,
        &Arc::from("node-1"),
        transaction,
        &message,
        keeping,
        &Stamped::No,
        false,
    )
}

fn verdict(text: &str, content: &str) -> Verdict {
    judged(
        &policy(text),
        &transaction("a@sender.example", &["bob@here.example"]),
        content,
    )
}

fn screened(text: &str, transaction: &Transaction, stage: Stage) -> Verdict {
    screen(
        &policy(text),
        &Arc::from("node-1"),
        &ScreenRequest {
            transaction: transaction.clone(),
            stage,
        },
    )
}

fn symbols(verdict: &Verdict) -> Vec<&str> {
    verdict
        .findings
        .iter()
        .map(|finding| &*finding.symbol)
        .collect()
}

fn reply(verdict: &Verdict) -> String {
    verdict
        .reply
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn header(name: &'static str, value: &'static str) -> Edit {
    Edit::AddHeader {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(value.as_bytes()),
    }
}

#[test]
fn an_ordinary_message_passes_the_default_policy() {
    let policy = Policy::builtin().unwrap();
    let verdict = judged(
        &policy,
        &transaction("a@sender.example", &["bob@here.example"]),
        PLAIN,
    );
    assert_eq!(
        (verdict.disposition, verdict.score, verdict.threshold),
        (Disposition::Accept, 0.0, 15.0)
    );
    assert_eq!(symbols(&verdict), [] as [&str; 0], "{:?}", verdict.findings);
    let [Edit::AddHeader { name, value }] = &verdict.edits[..] else {
        panic!("{:?}", verdict.edits);
    };
    assert_eq!(name, "X-Millrace-Status");
    let value = String::from_utf8_lossy(value).replace("\n\t", " ");
    let revision = policy.revision().short();
    assert_eq!(
        value,
        format!(
            "No, score=0.0/15.0, symbols=none, policy={revision}, node=node-1, id=07070707-0707-0707-0707-070707070707"
        )
    );
    assert!(verdict.times.iter().any(|time| &*time.check == "rules"));
}

#[test]
fn gtube_is_refused_as_spam() {
    let content =
        format!("{PLAIN}XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n");
    let policy = Policy::builtin().unwrap();
    let verdict = judged(
        &policy,
        &transaction("a@sender.example", &["bob@here.example"]),
        &content,
    );
    assert_eq!(verdict.disposition, Disposition::Reject);
    assert!(
        reply(&verdict).starts_with("550 5.7.1 This message looks like spam (1000.0 points)"),
        "{}",
        reply(&verdict)
    );
    assert_eq!(symbols(&verdict), ["GTUBE"]);
    let line = verdict.findings[0].policy_line.as_ref().unwrap();
    assert_eq!(&*line.file, "rules/content.toml");
}

#[test]
fn rules_find_what_they_look_at() {
    let content = "From: =?utf-8?Q?J=C3=BCrgen?= <j@x.example>\r\nSubject: =?utf-8?B?RnJlZSBNb25leQ==?=\r\nX-Odd: Raw=20Value\r\n\
        Content-Type: multipart/mixed; boundary=b\r\nMIME-Version: 1.0\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
        <p>click\r\n <b>here</b> now <a href=\"http://evil.example/x?y\">x</a></p>\r\n--b\r\n\
        Content-Type: application/octet-stream; name=\"report.xyz\"\r\n\r\nzzz\r\n--b--\r\n";
    for (rule, found) in [
        ("header = 'Subject'\npattern = 'Free Money'", true),
        ("header = 'subject'\npattern = 'free money'", false),
        (
            "header = 'subject'\npattern = 'free money'\nignore_case = true",
            true,
        ),
        (
            "header = 'Subject'\npattern = 'Free Money'\nraw = true",
            false,
        ),
        ("header = 'Subject'\npattern = 'RnJlZSB'\nraw = true", true),
        ("header = ['To', 'From']\npattern = 'J\u{fc}rgen'", true),
        ("header = '*'\npattern = 'Raw=20'", true),
        ("header = 'X-Odd'", true),
        ("header = 'X-Even'", false),
        (
            "target = 'headers'\npattern = '^Subject: '\nmulti_line = true",
            true,
        ),
        ("target = 'headers'\npattern = '^Subject: '", false),
        ("target = 'body'\npattern = 'click here now'", true),
        ("target = 'body'\npattern = '<b>'", false),
        ("target = 'html'\npattern = '<b>'", true),
        ("target = 'raw_body'\npattern = '--b--'", true),
        ("target = 'uri'\npattern = 'x\\?y$'", true),
        ("target = 'uri_host'\npattern = '^evil\\.example$'", true),
        ("target = 'attachment_name'\npattern = '\\.xyz$'", true),
        ("target = 'envelope_sender'\npattern = '^a@'", true),
        ("target = 'recipient'\npattern = '@here\\.example$'", true),
        ("target = 'helo'\npattern = '^helo\\.'", true),
        ("target = 'ptr'\npattern = '^mail\\.'", true),
        ("target = 'peer'\npattern = '^192\\.'", true),
        (
            "target = 'body'\npattern = 'click here'\nclient = 'other'",
            false,
        ),
        (
            "target = 'body'\npattern = 'click here'\ndirection = ['inbound', 'local']",
            true,
        ),
        (
            "target = 'body'\npatterns = ['nothing', 'cl.ck', 'other']",
            true,
        ),
        ("header = 'X-Odd'\nclient = 'other'", false),
    ] {
        let verdict = verdict(
            &format!("[[rule]]\nsymbol = 'A'\nscore = 1.5\n{rule}\n"),
            content,
        );
        assert_eq!(symbols(&verdict) == ["A"], found, "{rule}");
        assert_eq!(verdict.score, if found { 1.5 } else { 0.0 }, "{rule}");
    }
}

#[test]
fn a_rule_may_count() {
    let content = "Subject: x\r\n\r\nspam spam spam, eggs and spam\r\n";
    for (rule, score) in [
        ("count_at_least = 4", 1.0),
        ("count_at_least = 5", 0.0),
        ("max_hits = 3", 3.0),
        ("max_hits = 10", 4.0),
        ("count_at_least = 2\nmax_hits = 2", 2.0),
    ] {
        let text = format!(
            "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = 'spam'\n{rule}\n"
        );
        assert_eq!(verdict(&text, content).score, score, "{rule}");
    }
}

#[test]
fn expressions_stand_on_symbols_and_on_one_another() {
    let text = "
        [[expression]]\nsymbol = 'C'\nwhen = 'B && score > 2.5'\nscore = 10\n
        [[expression]]\nsymbol = 'B'\nwhen = 'A + __SUB >= 2'\nscore = 2\n
        [[rule]]\nsymbol = 'A'\nheader = 'Subject'\npattern = 'hello'\nscore = 1\n
        [[rule]]\nsymbol = '__SUB'\ntarget = 'body'\npattern = 'How'\n
        [[expression]]\nsymbol = 'D'\nwhen = 'score > 3'\nscore = 100\n";
    let verdict = verdict(text, PLAIN);
    assert_eq!(
        symbols(&verdict),
        ["A", "B", "C"],
        "what asks for the score sees what does not ask for it"
    );
    assert_eq!(verdict.score, 13.0);
}

const ACTIONS: &str = "
    [thresholds]\nmark = 1\nreject = 10\n
    [[rule]]\nsymbol = 'HELLO'\nheader = 'Subject'\npattern = 'hello'\nscore = 5\n";

#[test]
fn actions() {
    let cases: &[(&str, Disposition, &str, &[Edit])] = &[
        (
            "do = 'reject'\nscore_at_least = 'mark'\nreply = '554 5.7.9 No: {symbols} {score}'",
            Disposition::Reject,
            "554 5.7.9 No: HELLO 5.0",
            &[],
        ),
        (
            "do = 'reject'\nscore_at_least = 'reject'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'reject'\nscore_at_least = 5",
            Disposition::Reject,
            "550 5.7.1 Message refused by policy",
            &[],
        ),
        (
            "do = 'reject'\nscore_at_least = 5.1",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'tempfail'\nwhen = 'HELLO'\nreply = '451 4.7.1 Later'",
            Disposition::Tempfail,
            "451 4.7.1 Later",
            &[],
        ),
        (
            "do = 'tempfail'\nwhen = '!HELLO'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'reject'\nscore_at_least = 1\nwhen = '!HELLO'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'discard'\nwhen = 'score > 4'",
            Disposition::Discard,
            "",
            &[],
        ),
        ("do = 'hold'", Disposition::Hold, "", &[]),
        (
            "do = 'accept'\nadd_header = 'X-A: b'",
            Disposition::Accept,
            "",
            &[header("X-A", "b")],
        ),
        (
            "add_header = ['X-A: {spam} {score} {threshold}', 'X-B: {sender} {recipient} {queue_id} {client} {direction} {peer}']",
            Disposition::Accept,
            "",
            &[
                header("X-A", "Yes 5.0 10.0"),
                header(
                    "X-B",
                    "a@sender.example bob@here.example 4XQ1 mx inbound 192.0.2.1",
                ),
            ],
        ),
        (
            "insert_header = 'X-A: {scores} {stars}'",
            Disposition::Accept,
            "",
            &[Edit::InsertHeader {
                name: Bytes::from_static(b"X-A"),
                value: Bytes::from_static(b"HELLO=5.0 *****"),
            }],
        ),
        (
            "subject_tag = '[SPAM]'",
            Disposition::Accept,
            "",
            &[Edit::ChangeHeader {
                name: Bytes::from_static(b"Subject"),
                occurrence: 1,
                value: Bytes::from_static(b"[SPAM] hello"),
            }],
        ),
        (
            "set_header = ['To: x@y', 'X-New: 1']\ndelete_header = ['Message-*', 'X-None']",
            Disposition::Accept,
            "",
            &[
                Edit::ChangeHeader {
                    name: Bytes::from_static(b"To"),
                    occurrence: 1,
                    value: Bytes::from_static(b"x@y"),
                },
                header("X-New", "1"),
                Edit::DeleteHeader {
                    name: Bytes::from_static(b"Message-ID"),
                    occurrence: 1,
                },
            ],
        ),
        (
            "set_sender = '<>'\nadd_recipient = ['archive@here.example']",
            Disposition::Accept,
            "",
            &[
                Edit::ChangeSender {
                    address: Bytes::new(),
                },
                Edit::AddRecipient {
                    address: Bytes::from_static(b"archive@here.example"),
                },
            ],
        ),
        (
            "redirect = 'spam@here.example'",
            Disposition::Accept,
            "",
            &[
                Edit::DeleteRecipient { index: 0 },
                Edit::AddRecipient {
                    address: Bytes::from_static(b"spam@here.example"),
                },
            ],
        ),
        (
            "do = 'reject'\nclient = 'other'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'reject'\ndirection = 'outbound'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'reject'\nrecipient_domain = '.here.example'",
            Disposition::Accept,
            "",
            &[],
        ),
        (
            "do = 'reject'\nrecipient_domain = ['x.example', 'HERE.example']",
            Disposition::Reject,
            "550 5.7.1 Message refused by policy",
            &[],
        ),
    ];
    for (action, disposition, said, edits) in cases {
        let verdict = verdict(
            &format!("{ACTIONS}\n[[action]]\nname = 'a'\n{action}\n"),
            PLAIN,
        );
        assert_eq!(verdict.disposition, *disposition, "{action}");
        assert_eq!(reply(&verdict), *said, "{action}");
        assert_eq!(verdict.edits, *edits, "{action}");
        assert!(
            verdict.degradations.is_empty(),
            "{action}: {:?}",
            verdict.degradations
        );
    }
}

#[test]
fn the_first_decision_stands_and_the_rest_adds_up() {
    let text = format!(
        "{ACTIONS}
        [[action]]\nname = 'a'\nadd_header = 'X-A: 1'\n
        [[action]]\nname = 'b'\nwhen = 'score > 100'\ndo = 'discard'\n
        [[action]]\nname = 'c'\ndo = 'hold'\nadd_header = 'X-C: 1'\nreason = 'held for {{symbols}}'\n
        [[action]]\nname = 'd'\ndo = 'reject'\n
        [[action]]\nname = 'e'\nadd_header = ['X-E: 1', 'X-A: 1']\n"
    );
    let verdict = verdict(&text, PLAIN);
    assert_eq!(
        (verdict.disposition, verdict.hold_reason.as_str()),
        (Disposition::Hold, "held for HELLO")
    );
    assert_eq!(
        verdict.edits,
        [header("X-A", "1"), header("X-C", "1"), header("X-E", "1")]
    );
}

#[test]
fn a_long_value_is_folded_and_a_hostile_one_is_harmless() {
    let text = "[[action]]\nname = 'a'\nadd_header = 'X-A: {sender} {sender}'\n";
    let mut transaction = transaction("", &[]);
    transaction.envelope.sender = Some(Path::new(Bytes::from_static(
        b"evil\r\nBcc:\xff\0x@y.example and-it-goes-on-and-on",
    )));
    let verdict = judged(&policy(text), &transaction, PLAIN);
    let [Edit::AddHeader { value, .. }] = &verdict.edits[..] else {
        panic!("{:?}", verdict.edits);
    };
    assert!(
        value
            .iter()
            .all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\t')),
        "{value:?}"
    );
    assert!(
        value
            .windows(2)
            .all(|pair| pair[0] != b'\n' || pair[1] == b'\t'),
        "{value:?}"
    );
}

#[test]
fn copies_of_our_own_headers_are_removed_unless_they_are_ours() {
    let text = "trusted_networks = ['10.0.0.0/8']\nown_headers = ['X-Millrace-*']\n
        [[action]]\nname = 'a'\nwhen = '0'\nadd_header = 'X-Spam-Flag: YES'\n";
    let content = format!(
        "X-Spam-Flag: NO\r\nX-Other: 1\r\nx-millrace-status: No\r\nX-SPAM-FLAG: NO\r\n{PLAIN}"
    );
    let removal = |name: &'static str, occurrence| Edit::DeleteHeader {
        name: Bytes::from_static(name.as_bytes()),
        occurrence,
    };
    let all = [
        removal("X-Spam-Flag", 1),
        removal("x-millrace-status", 1),
        removal("X-SPAM-FLAG", 2),
    ];
    let outside = transaction("a@x.example", &["b@y.example"]);
    let mut inside = outside.clone();
    inside.connection.peer = peer("10.1.2.3");
    let mut known = outside.clone();
    known.connection.authentication = Some(Authentication::default());
    for (trust, transaction, removed) in [
        (false, &outside, &all[..]),
        (false, &inside, &all),
        (false, &known, &all),
        (true, &outside, &all),
        (true, &inside, &[]),
        (true, &known, &[]),
    ] {
        let policy = policy(&format!("trust_own_headers = {trust}\n{text}"));
        assert_eq!(
            judged(&policy, transaction, &content).edits,
            removed,
            "{trust}"
        );
    }
}

#[test]
fn what_a_conduit_cannot_do_is_told() {
    let text = format!("{ACTIONS}\n[[action]]\nname = 'a'\ndo = 'reject'\n");
    let mut transaction = transaction("a@sender.example", &["bob@here.example"]);
    transaction.capabilities.reject = false;
    let verdict = judged(&policy(&text), &transaction, PLAIN);
    assert_eq!(verdict.disposition, Disposition::Tempfail);
    assert_eq!(verdict.degradations[0].wanted, "reject");
}

#[test]
fn a_subject_is_tagged_once_and_made_where_there_is_none() {
    let text = "[[action]]\nname = 'a'\nsubject_tag = '[SPAM]'\n";
    for (subject, value) in [
        ("Subject: [SPAM] again\r\n", None),
        ("Subject: =?utf-8?Q?[SPAM]_x?=\r\n", None),
        (
            "Subject: =?utf-8?Q?caf=C3=A9?=\r\n two\r\n",
            Some("[SPAM] =?utf-8?Q?caf=C3=A9?=\n two"),
        ),
        ("SUBJECT:tight\r\n", Some("[SPAM] tight")),
        ("Subject: \r\n", Some("[SPAM]")),
    ] {
        let verdict = verdict(text, &format!("{subject}X: y\r\n\r\nbody"));
        let changed = verdict.edits.iter().find_map(|edit| match edit {
            Edit::ChangeHeader { value, .. } => Some(String::from_utf8_lossy(value).into_owned()),
            _ => None,
        });
        assert_eq!(changed.as_deref(), value, "{subject}");
    }
    assert_eq!(
        verdict(text, "X: y\r\n\r\nbody").edits,
        [header("Subject", "[SPAM]")]
    );
}

#[test]
fn the_same_message_has_the_same_verdict() {
    let policy = Policy::builtin().unwrap();
    let transaction = transaction("a@sender.example", &["bob@here.example"]);
    let once = || Verdict {
        times: Vec::new(),
        ..judged(&policy, &transaction, PLAIN)
    };
    assert_eq!(once(), once());
}
