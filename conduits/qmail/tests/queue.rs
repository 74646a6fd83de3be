//! `millrace-qmail-queue` between callers that follow qmail's own to the letter and a qmail-queue that records what it
//! gets, with a gateway that answers as the test says.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use millrace_proto::{CallError, Direction, Disposition, Edit, Reply, Verdict};
use support::{Caller, Home, accept, refuse};

const MAIL: &[u8] =
    b"Received: from mx.example (HELO me) (192.0.2.1)\n  by us\nSubject: x\n\nbody\n";
const ENVELOPE: &[u8] = b"Fa@example.org\0Tb@example.org\0Tc@example.org\0\0";

#[test]
fn fact_1_clean_mail_is_queued_once_with_added_headers_on_top() {
    let verdict = Verdict {
        edits: vec![Edit::InsertHeader {
            name: "X-Added".into(),
            value: "1".into(),
        }],
        ..accept()
    };
    let home = Home::giving(verdict);
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 0);
    let mut expected = b"X-Added: 1\n".to_vec();
    expected.extend(MAIL);
    assert_eq!(home.queued(), [(expected, ENVELOPE.to_vec())]);
}

#[test]
fn any_bytes_pass_unchanged() {
    let home = Home::giving(accept());
    let large: Vec<u8> = (0..30 << 20).map(|n: u32| (n % 251) as u8).collect();
    let many: Vec<u8> = [b"F\0".to_vec()]
        .into_iter()
        .chain((0..10_000).map(|n| format!("Tuser{n}@example.org\0").into_bytes()))
        .chain([vec![0]])
        .flatten()
        .collect();
    for (message, envelope) in [
        (&b""[..], &b"F\0\0"[..]),
        (b"no final newline", b"F#@[]\0Tx\0\0"),
        (b"8-bit \xff\xfe and \0 NUL\n", b"Flist-@[]\0T\xe9\0\0"),
        (&large, ENVELOPE),
        (MAIL, &many),
    ] {
        assert_eq!(home.call(Caller::Network, message, envelope), 0);
        let queued = home.queued();
        assert!(
            queued == [(message.to_vec(), envelope.to_vec())],
            "{} bytes",
            message.len()
        );
        home.empty();
    }
}

#[test]
fn senders_recipients_and_bodies_change_as_told() {
    let verdict = Verdict {
        edits: vec![
            Edit::ChangeSender {
                address: "new@example.org".into(),
            },
            Edit::DeleteRecipient { index: 0 },
            Edit::AddRecipient {
                address: "d@example.org".into(),
            },
            Edit::ReplaceBody {
                body: "other\n".into(),
            },
        ],
        ..accept()
    };
    let home = Home::giving(verdict);
    assert_eq!(
        home.call(Caller::Network, b"Subject: x\n\nbody\n", ENVELOPE),
        0
    );
    let envelope = b"Fnew@example.org\0Tc@example.org\0Td@example.org\0\0".to_vec();
    assert_eq!(
        home.queued(),
        [(b"Subject: x\n\nother\n".to_vec(), envelope)]
    );
}

#[test]
fn fact_2_refusals_delays_and_discards_queue_nothing() {
    for (verdict, code, custom) in [
        (refuse(550, "no\nspam"), 31, "Dno spam (#5.7.1)"),
        (refuse(451, "later"), 71, "Zlater (#4.7.1)"),
    ] {
        let home = Home::giving(verdict);
        assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), code);
        assert_eq!(
            home.call_with_error_descriptor(6, MAIL, ENVELOPE),
            (82, custom.to_owned())
        );
        assert_eq!(
            home.call_with_error_descriptor(4, MAIL, ENVELOPE),
            (82, custom.to_owned())
        );
        assert!(home.queued().is_empty());
    }
    let home = Home::giving(Verdict {
        disposition: Disposition::Discard,
        ..accept()
    });
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 0);
    assert!(home.queued().is_empty());
}

#[test]
fn fact_3_an_aborted_envelope_queues_nothing_and_asks_nobody() {
    let home = Home::giving(accept());
    for (envelope, code) in [
        (&b""[..], 54),
        (b"Fa@example.org\0Tb@example.org\0", 54),
        (b"Fa@example.org", 54),
        (b"Xa\0\0", 91),
        (b"Fa\0Xb\0\0", 91),
    ] {
        assert_eq!(home.call(Caller::Network, MAIL, envelope), code);
    }
    let long = [&b"F"[..], &[b'x'; 1003], b"\0\0"].concat();
    assert_eq!(home.call(Caller::Network, MAIL, &long), 11);
    assert!(home.queued().is_empty());
    assert_eq!(home.asked().len(), 0);
}

#[test]
fn fact_6_a_bounce_is_never_refused_and_not_delayed_by_a_gateway_that_is_gone() {
    for answer in [
        Ok(refuse(550, "no")),
        Ok(refuse(451, "no")),
        Err(CallError::Internal("x".into())),
    ] {
        let home = Home::answering(move |_| answer.clone());
        assert_eq!(home.call(Caller::Bounce, MAIL, b"F\0Tb\0\0"), 0);
        assert_eq!(home.queued().len(), 1);
    }
    let home = Home::without_gateway("");
    assert_eq!(home.call(Caller::Bounce, MAIL, b"F\0Tb\0\0"), 0);
    let [(message, _)] = &home.queued()[..] else {
        panic!("one message")
    };
    assert!(message.starts_with(b"X-Millrace-Unscanned: unavailable; transaction "));
}

#[test]
fn mail_from_the_network_with_an_empty_sender_is_ordinary_mail() {
    let home = Home::giving(refuse(550, "no"));
    assert_eq!(home.call(Caller::Network, MAIL, b"F\0Tb\0\0"), 31);
}

#[test]
fn without_a_gateway_each_caller_gets_its_own_failure_policy() {
    for (rules, caller, code, queued) in [
        ("", Caller::Network, 71, 0),
        ("[network]\non-failure = 'reject'", Caller::Network, 31, 0),
        (
            "[network]\non-failure = 'accept-and-stamp'",
            Caller::Network,
            0,
            1,
        ),
        ("", Caller::Local, 0, 1),
        ("[local]\non-failure = 'tempfail'", Caller::Local, 71, 0),
    ] {
        let home = Home::without_gateway(rules);
        assert_eq!(
            home.call(caller, MAIL, ENVELOPE),
            code,
            "{rules} {caller:?}"
        );
        assert_eq!(home.queued().len(), queued, "{rules} {caller:?}");
        assert!(home.log().contains("no verdict from"), "{}", home.log());
    }
}

#[test]
fn a_gateway_that_is_gone_is_passed_over() {
    let home = Home::giving(refuse(550, "no"));
    home.configure_second();
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 31);
    assert!(
        home.log().contains("no verdict from http://127.0.0.1:1"),
        "{}",
        home.log()
    );
}

#[test]
fn the_gateway_hears_who_called_and_from_where() {
    let home = Home::giving(accept());
    home.call(Caller::Network, MAIL, ENVELOPE);
    home.call(Caller::Local, MAIL, ENVELOPE);
    let asked = home.asked();
    let network = &asked[0].0;
    assert_eq!(network.connection.peer.to_string(), "198.51.100.7");
    assert_eq!(network.connection.helo.as_deref(), Some(&b"me"[..]));
    assert_eq!(network.direction, Direction::Inbound);
    assert_eq!(network.envelope.recipients.len(), 2);
    assert!(!network.capabilities.reply_text && network.capabilities.reject);
    assert_eq!(asked[0].1, MAIL);
    let local = &asked[1].0;
    assert_eq!(
        local.connection.peer.to_string(),
        "local",
        "a user's variables are not believed"
    );
    assert_eq!(local.direction, Direction::Local);
}

#[test]
fn every_exit_code_of_the_real_qmail_queue_is_passed_on() {
    let home = Home::giving(accept());
    for code in [11, 31, 51, 52, 53, 54, 61, 62, 66, 71, 81, 91, 115] {
        home.real_exits_with(code);
        assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), i32::from(code));
    }
}

#[test]
fn a_mistake_in_the_configuration_is_a_temporary_failure() {
    let home = Home::giving(accept());
    home.configure("gateways = 7");
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 55);
    assert!(home.queued().is_empty());
}

#[test]
fn fact_8_installed_over_itself_it_stops() {
    let home = Home::giving(accept());
    home.install_over_itself(false);
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 81);
    home.install_over_itself(true);
    assert_eq!(home.call(Caller::Network, MAIL, ENVELOPE), 81);
}

#[test]
fn a_reply_fits_the_callers_buffer() {
    let reply = Reply::new(550, Some("5.7.1"), &"long ".repeat(150)).unwrap();
    let home = Home::giving(Verdict {
        reply: Some(reply),
        ..refuse(550, "x")
    });
    let (code, text) = home.call_with_error_descriptor(6, MAIL, ENVELOPE);
    assert_eq!(code, 82);
    assert!(text.len() < 256 && text.starts_with("Dlong long"), "{text}");
}
