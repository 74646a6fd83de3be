//! `millrace-dot-qmail` as qmail-local runs it, with a gateway that answers as the test says.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::process::Stdio;

use bytes::Bytes;
use millrace_proto::{CallError, Direction, Disposition, Edit, Finding, Keeping, Reply, Verdict};
use support::{Home, accept, refuse};

const MAIL: &[u8] = b"Received: (qmail 12 invoked from network); now\n\
    Received: from mx.example (HELO me) (192.0.2.1)\n  by us\nSubject: x\n\nbody \xff\0\n";

fn held() -> Verdict {
    Verdict {
        disposition: Disposition::Hold,
        ..accept()
    }
}

#[test]
fn clean_mail_goes_on_to_the_next_line_in_silence() {
    let home = Home::giving(accept());
    let delivered = home.deliver(&[], MAIL);
    assert_eq!((delivered.code, delivered.said.as_str()), (0, ""));
    assert_eq!(home.asked()[0].1, MAIL);
    assert_eq!(home.log(), "");
}

#[test]
fn a_refusal_is_99_only_with_a_kept_copy() {
    for (keeping, verdict, code) in [
        (Keeping::Available, refuse(550, "spam"), 99),
        (Keeping::Unavailable, refuse(550, "spam"), 111),
        (Keeping::Available, held(), 99),
        (Keeping::Unavailable, held(), 111),
    ] {
        let home = Home::keeping(keeping, verdict);
        let delivered = home.deliver(&[], MAIL);
        assert_eq!(delivered.code, code, "{keeping:?}: {}", delivered.said);
        assert_eq!(
            delivered.said.contains("no copy was kept"),
            code == 111,
            "{}",
            delivered.said
        );
    }
}

#[test]
fn a_refusal_is_a_bounce_or_delivered_where_the_line_says_so() {
    let home = Home::giving(refuse(550, "no\nspam"));
    let bounced = home.deliver(&["--refused", "100"], MAIL);
    assert_eq!(
        (bounced.code, bounced.said.as_str()),
        (100, "no spam (#5.7.1)\n")
    );
    let delivered = home.deliver(&["--refused", "0"], MAIL);
    assert_eq!((delivered.code, delivered.said.as_str()), (0, ""));
    assert!(
        home.log().contains("refused, and delivered"),
        "{}",
        home.log()
    );
}

#[test]
fn a_delay_is_tried_again() {
    let delivered = Home::giving(refuse(451, "later")).deliver(&["--refused", "100"], MAIL);
    assert_eq!(delivered.code, 111);
    assert!(delivered.said.contains("later"), "{}", delivered.said);
}

#[test]
fn what_the_policy_discards_is_done_with() {
    let home = Home::giving(Verdict {
        disposition: Disposition::Discard,
        ..accept()
    });
    for options in [&[][..], &["--refused", "100"], &["--maildir", "Junk"]] {
        let delivered = home.deliver(options, MAIL);
        assert_eq!(delivered.code, 99, "{options:?}");
        assert!(delivered.filed.is_empty(), "{options:?}");
    }
}

#[test]
fn refused_and_held_mail_is_filed_in_the_lines_own_maildir() {
    for verdict in [refuse(550, "spam"), held()] {
        let home = Home::giving(Verdict {
            score: 7.5,
            threshold: 5.0,
            findings: vec![Finding {
                symbol: "GTUBE".into(),
                score: 7.5,
                detail: "\n".into(),
                policy_line: None,
            }],
            ..verdict
        });
        let delivered = home.deliver(&["--maildir", "./Junk/"], MAIL);
        assert_eq!((delivered.code, delivered.said.as_str()), (99, ""));
        let [copy] = &delivered.filed[..] else {
            panic!("{} copies", delivered.filed.len())
        };
        let head = &copy[..copy.len() - MAIL.len()];
        let head = std::str::from_utf8(head).unwrap();
        let lines: Vec<&str> = head.lines().collect();
        assert_eq!(lines[0], "Return-Path: <a@example.org>");
        assert_eq!(lines[1], "Delivered-To: user-ext@example.com");
        assert!(
            lines[2].starts_with("X-Millrace-Verdict: ")
                && lines[2].contains("; score 7.5 of 5.0; transaction "),
            "{head}"
        );
        assert_eq!(lines[3], "X-Millrace-Symbols: GTUBE");
        assert_eq!(lines.len(), 4);
        assert_eq!(&copy[head.len()..], MAIL);
    }
}

#[test]
fn a_maildir_that_is_not_there_puts_the_delivery_off() {
    let home = Home::giving(refuse(550, "spam"));
    let delivered = home.deliver(&["--maildir", "./Nowhere/"], MAIL);
    assert_eq!(delivered.code, 111);
    assert!(delivered.said.contains("maildirmake"), "{}", delivered.said);
}

#[test]
fn modifications_are_dropped_counted_and_logged() {
    let home = Home::giving(Verdict {
        edits: vec![
            Edit::InsertHeader {
                name: "X-Spam".into(),
                value: "yes".into(),
            },
            Edit::ReplaceBody {
                body: Bytes::from_static(b"other"),
            },
        ],
        ..accept()
    });
    assert_eq!(home.deliver(&[], MAIL).code, 0);
    let log = home.log();
    assert!(
        log.contains(": 2 modifications dropped: insert-header, replace-body\n"),
        "{log}"
    );
}

#[test]
fn without_a_verdict_the_delivery_is_tried_again() {
    let failing = Home::answering(|_| Err(CallError::Overloaded("x".into())));
    for home in [failing, Home::without_gateway("")] {
        let delivered = home.deliver(&["--refused", "100"], MAIL);
        assert_eq!(delivered.code, 111);
        assert!(delivered.said.contains("no verdict"), "{}", delivered.said);
        assert!(home.log().contains("no verdict from"), "{}", home.log());
    }
}

#[test]
fn a_gateway_that_hangs_costs_the_lines_own_deadline_and_no_more() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = format!("http://{}", listener.local_addr().unwrap());
    let home = Home::without_gateway("");
    let delivered = home.deliver_to(&["--deadline", "1"], MAIL, |shell| {
        shell.arg("--gateway").arg(gateway);
    });
    assert_eq!(delivered.code, 111);
    assert!(delivered.said.contains("(deadline)"), "{}", delivered.said);
}

#[test]
fn a_message_that_does_not_end_is_given_up() {
    use std::os::unix::process::ExitStatusExt;
    let home = Home::giving(accept());
    let (_writer_that_never_writes, mut child) = {
        let (from, to) = std::io::pipe().unwrap();
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_millrace-dot-qmail"))
            .args(["--deadline", "1"])
            .env("SENDER", "")
            .env("RECIPIENT", "u@h")
            .stdin(Stdio::from(from))
            .spawn()
            .unwrap();
        (to, child)
    };
    // qmail-local takes a signal for a temporary failure.
    assert_eq!(
        child.wait().unwrap().signal(),
        Some(nix::libc::SIGALRM),
        "after {:?}",
        home.log()
    );
}

#[test]
fn the_gateway_hears_of_one_recipient_and_of_the_client_in_received() {
    let home = Home::giving(accept());
    let claims = |shell: &mut std::process::Command| {
        shell
            .env("SENDER", "list-@[]")
            .env("TCPREMOTEIP", "198.51.100.7")
            .env("RELAYCLIENT", "");
    };
    home.deliver_to(&[], MAIL, claims);
    let by_user = b"Received: (qmail 12 invoked by uid 1000); now\n\
        Received: from bank.example (203.0.113.1)\n  by us\n\nx\n";
    home.deliver_to(&[], by_user, claims);
    let asked = home.asked();
    let network = &asked[0].0;
    assert_eq!(network.connection.peer.to_string(), "192.0.2.1");
    assert_eq!(network.connection.helo.as_deref(), Some(&b"me"[..]));
    assert_eq!(network.direction, Direction::Inbound);
    assert_eq!(network.client.as_str(), "qmail");
    assert_eq!(
        network.envelope.sender.as_ref().unwrap().address,
        "list-@[]"
    );
    let recipients: Vec<_> = network.envelope.recipients.iter().collect();
    assert_eq!(recipients.len(), 1);
    assert_eq!(recipients[0].address, "user-ext@example.com");
    let local = &asked[1].0;
    assert_eq!(local.direction, Direction::Local);
    assert_eq!(local.connection.peer.to_string(), "local");
}

#[test]
fn a_message_of_any_size_passes_under_a_small_limit_of_memory() {
    let home = Home::giving(accept());
    let large = [MAIL, &b"0123456789abcde\n".repeat(30 << 16)].concat();
    // The debug build maps more of itself than the one of `make qmail`, which needs less than 8 MB.
    let limited = |shell: &mut std::process::Command| {
        shell.env("LIMIT", "40000");
    };
    let delivered = home.deliver_to(&[], &large, limited);
    assert_eq!(delivered.code, 0, "{}", delivered.said);
    assert!(home.asked()[0].1 == large);
}

#[test]
fn a_line_outside_qmail_and_a_mistaken_line_say_what_is_wrong() {
    let home = Home::giving(accept());
    let outside = home.deliver_to(&[], MAIL, |shell| {
        shell.env_remove("RECIPIENT");
    });
    assert_eq!(outside.code, 111);
    assert!(outside.said.contains("$RECIPIENT"), "{}", outside.said);
    let mistaken = home.deliver(&["--refused", "12\r\nX: y"], MAIL);
    assert_eq!(mistaken.code, 111);
    assert_eq!(mistaken.said.lines().count(), 1, "{}", mistaken.said);
    assert!(
        mistaken.said.contains("--refused") && !mistaken.said.contains('\r'),
        "{}",
        mistaken.said
    );
    assert!(home.asked().is_empty());
}

#[test]
fn the_gateways_are_those_of_qmails_file_where_the_line_names_none() {
    let home = Home::giving(refuse(550, "no"));
    let delivered = home.deliver_as_configured(&["--refused", "100"], MAIL);
    assert_eq!(delivered.code, 100, "{}", delivered.said);
    assert_eq!(home.asked().len(), 1);
}

#[test]
fn words_for_the_bounce_are_one_safe_line() {
    let reply = Reply::new(550, Some("5.7.1"), &"long ".repeat(150)).unwrap();
    let home = Home::giving(Verdict {
        reply: Some(reply),
        ..refuse(550, "x")
    });
    let bounced = home.deliver(&["--refused", "100"], MAIL);
    assert_eq!(bounced.said.lines().count(), 1);
    assert!(bounced.said.len() < 512);
}
