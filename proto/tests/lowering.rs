//! The lowering against the conformance table, and what must hold for any
//! verdict whatever.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Disposition, Edit, Envelope, Keeping,
    LineEnding, Path, RecipientOutcome, Reply, Revision, Transaction, TransactionId, Verdict,
    lower,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    conduit: String,
    #[serde(default)]
    cannot: Vec<String>,
    /// How a program is called; its own tests call it so.
    #[serde(default, rename = "options")]
    _options: Vec<String>,
    #[serde(default)]
    store: bool,
    wanted: Side,
    told: Side,
    seen: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    disposition: String,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    edits: Vec<String>,
    #[serde(default)]
    keep: bool,
    #[serde(default)]
    degradations: Vec<String>,
}

const DISPOSITIONS: [Disposition; 5] = [
    Disposition::Accept,
    Disposition::Reject,
    Disposition::Tempfail,
    Disposition::Discard,
    Disposition::Hold,
];

fn disposition(name: &str) -> Disposition {
    *DISPOSITIONS.iter().find(|one| one.name() == name).unwrap()
}

fn reply_for(disposition: Disposition) -> Option<Reply> {
    match disposition {
        Disposition::Reject => Some(Reply::new(550, Some("5.7.1"), "Our own words").unwrap()),
        Disposition::Tempfail => Some(Reply::new(451, Some("4.7.1"), "Our own words").unwrap()),
        Disposition::Accept | Disposition::Discard | Disposition::Hold => None,
    }
}

fn edits() -> [Edit; 8] {
    let (name, value) = (Bytes::from_static(b"X-Test"), Bytes::from_static(b"yes"));
    let address = Bytes::from_static(b"other@example.org");
    [
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
            occurrence: 1,
            value,
        },
        Edit::DeleteHeader {
            name,
            occurrence: 1,
        },
        Edit::ReplaceBody {
            body: Bytes::from_static(b"new\r\n"),
        },
        Edit::ChangeSender {
            address: address.clone(),
        },
        Edit::AddRecipient { address },
        Edit::DeleteRecipient { index: 0 },
    ]
}

fn edit(name: &str) -> Edit {
    edits()
        .into_iter()
        .find(|edit| edit.name() == name)
        .unwrap()
}

fn transaction(conduit: ConduitKind, capabilities: Capabilities, recipients: usize) -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit,
        client: "test".parse().unwrap(),
        direction: Direction::Inbound,
        capabilities,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(Path::new("a@example.org")),
            recipients: (0..recipients)
                .map(|n| Path::new(format!("r{n}@example.org")))
                .collect(),
        },
        queue_id: None,
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}

fn verdict() -> Verdict {
    Verdict::accept(Revision::new("abc123").unwrap(), "node".into())
}

/// Switches a capability off by its field's name.
fn without(mut can: Capabilities, name: &str) -> Capabilities {
    *(match name {
        "add_header" => &mut can.add_header,
        "change_header" => &mut can.change_header,
        "replace_body" => &mut can.replace_body,
        "change_sender" => &mut can.change_sender,
        "add_recipient" => &mut can.add_recipient,
        "delete_recipient" => &mut can.delete_recipient,
        "hold" => &mut can.hold,
        "reject" => &mut can.reject,
        "reply_text" => &mut can.reply_text,
        "tempfail" => &mut can.tempfail,
        "discard" => &mut can.discard,
        _ => panic!("no capability {name}"),
    }) = false;
    can
}

#[test]
fn every_row_of_the_conformance_table_holds() {
    let table: Table = toml::from_str(include_str!("../conformance/lowering.toml")).unwrap();
    for row in table.row {
        let conduit: ConduitKind = row.conduit.parse().unwrap();
        let can = row
            .cannot
            .iter()
            .fold(conduit.capabilities(), |can, name| without(can, name));
        let keeping = if row.store {
            Keeping::Available
        } else {
            Keeping::Unavailable
        };
        let whole = disposition(&row.wanted.disposition);
        let mut wanted = verdict();
        wanted.disposition = whole;
        wanted.reply = reply_for(whole);
        wanted.keep = row.wanted.keep;
        wanted.edits = row.wanted.edits.iter().map(|name| edit(name)).collect();
        wanted.recipients = (0..)
            .zip(&row.wanted.recipients)
            .map(|(index, name)| RecipientOutcome {
                index,
                disposition: disposition(name),
                reply: reply_for(disposition(name)),
            })
            .collect();
        let transaction = transaction(conduit, can, row.wanted.recipients.len().max(1));

        let told = lower(wanted, &transaction, keeping);

        let name = &row.name;
        assert_eq!(told.disposition.name(), row.told.disposition, "{name}");
        assert_eq!(told.keep, row.told.keep, "{name}: keep");
        let names: Vec<_> = told.edits.iter().map(Edit::name).collect();
        assert_eq!(names, row.told.edits, "{name}: edits");
        let degradations: Vec<_> = told
            .degradations
            .iter()
            .map(|d| format!("{} -> {}", d.wanted, d.done))
            .collect();
        assert_eq!(degradations, row.told.degradations, "{name}: degradations");
        // Exit codes are seen where the programs are run, in their own tests.
        if matches!(conduit, ConduitKind::QmailQueue | ConduitKind::DotQmail) {
            continue;
        }
        let seen = match told.disposition {
            Disposition::Tempfail if conduit == ConduitKind::Exchange => "requeue".into(),
            Disposition::Reject | Disposition::Tempfail => {
                told.reply.as_ref().unwrap().code().to_string()
            }
            Disposition::Discard => "drop".into(),
            Disposition::Hold => "hold".into(),
            Disposition::Accept => "deliver".to_owned(),
        };
        assert_eq!(seen, row.seen, "{name}: seen");
    }
}

fn any_disposition() -> impl Strategy<Value = Disposition> {
    proptest::sample::select(DISPOSITIONS.to_vec())
}

fn any_capabilities() -> impl Strategy<Value = Capabilities> {
    proptest::collection::vec(any::<bool>(), 11).prop_map(|bits| {
        let names = [
            "add_header",
            "change_header",
            "replace_body",
            "change_sender",
            "add_recipient",
            "delete_recipient",
            "hold",
            "reject",
            "reply_text",
            "tempfail",
            "discard",
        ];
        names
            .iter()
            .zip(bits)
            .filter(|(_, able)| !able)
            .fold(Capabilities::ALL, |can, (name, _)| without(can, name))
    })
}

prop_compose! {
    fn any_case()(
        can in any_capabilities(),
        store in any::<bool>(),
        whole in any_disposition(),
        keep in any::<bool>(),
        outcomes in proptest::collection::vec(any_disposition(), 0..5),
        chosen in proptest::sample::subsequence(edits().to_vec(), 0..=8),
    ) -> (Verdict, Transaction, Keeping, Vec<Disposition>) {
        let mut wanted = verdict();
        wanted.disposition = whole;
        wanted.reply = reply_for(whole);
        wanted.keep = keep;
        wanted.edits = chosen;
        wanted.recipients = (0..).zip(&outcomes).map(|(index, &disposition)| RecipientOutcome {
            index, disposition, reply: reply_for(disposition),
        }).collect();
        let transaction = transaction(ConduitKind::Milter, can, outcomes.len().max(1));
        let keeping = if store { Keeping::Available } else { Keeping::Unavailable };
        (wanted, transaction, keeping, outcomes)
    }
}

proptest! {
    #[test]
    fn a_lowered_verdict_can_be_carried_out_and_is_lowered_no_further(
        (wanted, transaction, keeping, _) in any_case()
    ) {
        let told = lower(wanted, &transaction, keeping);
        let can = transaction.capabilities;
        let able = match told.disposition {
            Disposition::Accept => true,
            Disposition::Reject => can.reject,
            Disposition::Tempfail => can.tempfail,
            Disposition::Discard => can.discard,
            Disposition::Hold => can.hold,
        };
        prop_assert!(able, "{:?}", told.disposition);
        prop_assert!(told.recipients.is_empty());
        let refuses = matches!(told.disposition, Disposition::Reject | Disposition::Tempfail);
        prop_assert_eq!(told.reply.is_some(), refuses);
        if let Some(reply) = &told.reply {
            prop_assert_eq!(reply.is_permanent(), told.disposition == Disposition::Reject);
        }
        prop_assert!(!told.keep || keeping == Keeping::Available);
        prop_assert_eq!(lower(told.clone(), &transaction, keeping), told);
    }

    #[test]
    fn no_recipient_vanishes_without_a_copy_a_refusal_or_the_policys_discard(
        (wanted, transaction, keeping, outcomes) in any_case()
    ) {
        let asked = wanted.clone();
        let wish = |index: usize| outcomes.get(index).copied().unwrap_or(asked.disposition);
        let told = lower(wanted, &transaction, keeping);
        let adds = told.edits.iter().any(|edit| matches!(edit, Edit::AddRecipient { .. }));
        for index in 0..transaction.envelope.recipients.len() {
            let removed = told.edits.contains(&Edit::DeleteRecipient {
                index: u32::try_from(index).unwrap(),
            });
            let gone = told.disposition == Disposition::Discard || removed;
            let redirected = removed && adds && asked.edits.contains(&Edit::DeleteRecipient {
                index: u32::try_from(index).unwrap(),
            });
            let by_edit = removed && asked.edits.contains(&Edit::DeleteRecipient {
                index: u32::try_from(index).unwrap(),
            });
            prop_assert!(
                !gone || told.keep || redirected || by_edit || wish(index) == Disposition::Discard,
                "recipient {} vanished: wanted {:?}, told {:?}", index, wish(index), told
            );
        }
    }
}
