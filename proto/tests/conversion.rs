//! Domain values survive the wire; wire values that break the contract do not
//! become domain values.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use millrace_proto::{
    Authentication, Capabilities, CheckTime, ConduitKind, Connection, Degradation, Direction,
    Disposition, Edit, Envelope, Finding, HoldIn, InvalidMessage, LineEnding, Macro, Outcome,
    OutcomeKind, Path, Peer, Plan, PolicyLine, RecipientOutcome, Reply, Revision, ScreenRequest,
    Settlement, Stage, StageMacros, Tls, Transaction, TransactionId, Unscanned, Verdict, pb,
};
use prost::Message;

fn transaction(peer: Peer) -> Transaction {
    let mut recipient = Path::new("r\u{e9}@example.org".as_bytes().to_vec());
    recipient.parameters = vec![Bytes::from_static(b"NOTIFY=NEVER")];
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: "mx-1.example".parse().unwrap(),
        direction: Direction::Outbound,
        capabilities: Capabilities {
            hold: false,
            ..Capabilities::ALL
        },
        connection: Connection {
            peer,
            ptr: Some(Bytes::from_static(b"host.example")),
            helo: Some(Bytes::from_static(b"\xff\x00odd")),
            tls: Some(Tls {
                version: Bytes::from_static(b"TLSv1.3"),
                cipher_bits: 256,
                ..Tls::default()
            }),
            authentication: Some(Authentication {
                user: Bytes::from_static(b"joe"),
                ..Authentication::default()
            }),
        },
        envelope: Envelope {
            sender: Some(Path::default()),
            recipients: vec![recipient],
        },
        queue_id: Some(Bytes::from_static(b"4ABC")),
        macros: vec![Macro {
            name: Bytes::from_static(b"{empty}"),
            value: Bytes::new(),
        }],
        line_ending: LineEnding::Lf,
        revision: Revision::new("00ff"),
    }
}

fn verdict() -> Verdict {
    let name = Bytes::from_static(b"X-Test");
    let value = Bytes::from_static(b"one\n\ttwo");
    Verdict {
        disposition: Disposition::Hold,
        keep: true,
        reply: Some(Reply::new(550, Some("5.7.1"), "one\ntwo").unwrap()),
        edits: vec![
            Edit::AddHeader {
                name: name.clone(),
                value: value.clone(),
            },
            Edit::InsertHeader {
                name: name.clone(),
                value: value.clone(),
            },
            Edit::ChangeHeader {
                name: name.clone(),
                occurrence: 2,
                value,
            },
            Edit::DeleteHeader {
                name,
                occurrence: 1,
            },
            Edit::ReplaceBody { body: Bytes::new() },
            Edit::ChangeSender {
                address: Bytes::new(),
            },
            Edit::AddRecipient {
                address: Bytes::from_static(b"b@example.org"),
            },
            Edit::DeleteRecipient { index: 7 },
        ],
        recipients: vec![RecipientOutcome {
            index: 1,
            disposition: Disposition::Discard,
            reply: None,
            keep: true,
        }],
        score: 7.25,
        threshold: 15.0,
        findings: vec![Finding {
            symbol: "GTUBE".into(),
            score: 7.25,
            detail: "body".into(),
            policy_line: Some(PolicyLine {
                file: "policy.toml".into(),
                line: 12,
            }),
        }],
        unscanned: vec![Unscanned {
            check: "archive".into(),
            reason: "7z".into(),
        }],
        degradations: vec![Degradation {
            wanted: "hold".into(),
            done: "tempfail".into(),
            reason: "none".into(),
        }],
        revision: Revision::new("00ff").unwrap(),
        node: "node-1".into(),
        times: vec![CheckTime {
            check: "mime".into(),
            microseconds: 12,
        }],
        hold_reason: "looks bad".into(),
        hold_in: HoldIn::Store,
        kept_for: vec![0, 7],
        unkept: vec![],
        kept_as: Some(Disposition::Reject),
    }
}

/// Through the encoded form, as a call does it.
fn over_the_wire<W: Message + Default>(raw: &W) -> W {
    W::decode(raw.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn a_transaction_survives_the_wire() {
    for peer in [
        Peer::Ip("192.0.2.1:2525".parse().unwrap()),
        Peer::Ip("[2001:db8::1]:25".parse().unwrap()),
        Peer::Unix(Bytes::from_static(b"/run/x")),
        Peer::Unknown,
    ] {
        let sent = transaction(peer);
        let received = over_the_wire(&pb::Transaction::from(sent.clone()));
        assert_eq!(Transaction::try_from(received), Ok(sent));
    }
}

#[test]
fn a_verdict_survives_the_wire() {
    let received = over_the_wire(&pb::Verdict::from(verdict()));
    assert_eq!(Verdict::try_from(received), Ok(verdict()));
}

#[test]
fn plans_screenings_and_settlements_survive_the_wire() {
    let plan = Plan {
        revision: Revision::new("ab").unwrap(),
        stages: [Stage::Connect, Stage::Rcpt].into_iter().collect(),
        macros: vec![StageMacros {
            stage: Stage::Connect,
            names: vec!["{client_addr}".into()],
        }],
        size_limit: Some(1000),
        needs_body: true,
    };
    assert_eq!(
        Plan::try_from(over_the_wire(&pb::Plan::from(plan.clone()))),
        Ok(plan)
    );

    let request = ScreenRequest {
        transaction: transaction(Peer::Unknown),
        stage: Stage::Data,
    };
    let received = over_the_wire(&pb::ScreenRequest::from(request.clone()));
    assert_eq!(ScreenRequest::try_from(received), Ok(request));

    for kind in [
        OutcomeKind::Done,
        OutcomeKind::Aborted,
        OutcomeKind::Failed {
            failure: "no-node".into(),
        },
    ] {
        let settlement = Settlement {
            transaction: TransactionId::new(),
            client: "mx".parse().unwrap(),
            queue_id: None,
            revision: None,
            outcome: Outcome {
                kind,
                disposition: Disposition::Tempfail,
            },
            kept: true,
        };
        let received = over_the_wire(&pb::SettleRequest::from(settlement.clone()));
        assert_eq!(Settlement::try_from(received), Ok(settlement));
    }
}

#[test]
fn what_breaks_the_contract_is_refused_with_the_field_named() {
    type Breakage = (fn(&mut pb::Transaction), &'static str);
    let breakages: [Breakage; 8] = [
        (
            |t| t.id = Bytes::from_static(b"short"),
            "transaction.id: a transaction's id has 16 bytes",
        ),
        (
            |t| t.client = "../etc".into(),
            "client: '../etc' is not a client name: 1 to 64 letters, digits, '.', '_' and '-'",
        ),
        (|t| t.conduit = 0, "conduit is missing"),
        (|t| t.direction = 99, "direction is missing"),
        (|t| t.capabilities = None, "capabilities is missing"),
        (|t| t.connection = None, "connection is missing"),
        (
            |t| t.revision = "not hex".into(),
            "revision: a revision is 1 to 64 hexadecimal digits",
        ),
        (
            |t| {
                t.connection.as_mut().unwrap().peer =
                    Some(pb::connection::Peer::Ip(Bytes::from_static(b"12345")));
            },
            "connection.ip: an IP address has 4 or 16 bytes",
        ),
    ];
    for (breakage, problem) in breakages {
        let mut raw = pb::Transaction::from(transaction(Peer::Unknown));
        breakage(&mut raw);
        assert_eq!(Transaction::try_from(raw).unwrap_err().to_string(), problem);
    }
}

#[test]
fn an_edit_that_could_break_a_header_block_is_refused() {
    let edit = |name: &'static [u8], value: &'static [u8]| pb::Edit {
        edit: Some(pb::edit::Edit::AddHeader(pb::AddHeader {
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        })),
    };
    for (name, value, valid) in [
        (&b"X-Ok"[..], &b"fold\n here"[..], true),
        (b"X-Ok", b"8-bit \xff", true),
        (b"", b"v", false),
        (b"X Y", b"v", false),
        (b"X:", b"v", false),
        (b"X-Bad", b"a\r\nBcc: victim", false),
        (b"X-Bad", b"a\nBcc: victim", false),
        (b"X-Bad", b"a\0b", false),
        (b"X-Bad", b"ends\n", false),
    ] {
        let parsed: Result<Edit, InvalidMessage> = edit(name, value).try_into();
        assert_eq!(parsed.is_ok(), valid, "{name:?}: {value:?}");
    }
    let zeroth = pb::Edit {
        edit: Some(pb::edit::Edit::DeleteHeader(pb::DeleteHeader {
            name: Bytes::from_static(b"X"),
            occurrence: 0,
        })),
    };
    assert!(Edit::try_from(zeroth).is_err());
    assert_eq!(
        Edit::try_from(pb::Edit { edit: None }),
        Err(InvalidMessage::Missing("edit"))
    );
}
