//! The lowering against the conformance table, and what must hold for any
//! verdict whatever.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Disposition, Edit, Envelope, HoldIn, Keeping,
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
    #[serde(default)]
    unkept: Vec<u32>,
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
    keep_for: Vec<u32>,
    #[serde(default)]
    hold_in: Option<String>,
    kept_for: Option<Vec<u32>>,
    kept_as: Option<String>,
    #[serde(default)]
    degradations: Vec<String>,
}

fn disposition(name: &str) -> Disposition {
    Disposition::ALL
        .into_iter()
        .find(|one| one.name() == name)
        .unwrap()
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
        wanted.unkept.clone_from(&row.unkept);
        wanted.hold_in = match row.wanted.hold_in.as_deref() {
            Some("store") => HoldIn::Store,
            Some("mta") | None => HoldIn::MailServer,
            Some(other) => panic!("{}: {other}", row.name),
        };
        wanted.recipients = (0..)
            .zip(&row.wanted.recipients)
            .map(|(index, name)| RecipientOutcome {
                index,
                disposition: disposition(name),
                reply: reply_for(disposition(name)),
                keep: row.wanted.keep_for.contains(&index),
            })
            .collect();
        let transaction = transaction(conduit, can, row.wanted.recipients.len().max(1));

        let told = lower(wanted, &transaction, keeping);

        let name = &row.name;
        assert_eq!(told.disposition.name(), row.told.disposition, "{name}");
        assert_eq!(told.keep, row.told.keep, "{name}: keep");
        if let Some(kept_for) = &row.told.kept_for {
            assert_eq!(&told.kept_for, kept_for, "{name}: kept_for");
        }
        if let Some(kept_as) = &row.told.kept_as {
            let found = told.kept_as.map(Disposition::name);
            assert_eq!(found, Some(kept_as.as_str()), "{name}: kept_as");
        }
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
            Disposition::Tempfail if conduit == ConduitKind::Qmqp => "Z".into(),
            Disposition::Reject if conduit == ConduitKind::Qmqp => "D".into(),
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
    proptest::sample::select(Disposition::ALL.to_vec())
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
        in_store in any::<bool>(),
        outcomes in proptest::collection::vec((any_disposition(), any::<bool>()), 0..5),
        unkept in proptest::sample::subsequence(vec![0, 1, 2, 3], 0..=4),
        chosen in proptest::sample::subsequence(edits().to_vec(), 0..=8),
    ) -> Case {
        let mut wanted = verdict();
        wanted.disposition = whole;
        wanted.reply = reply_for(whole);
        wanted.keep = keep;
        wanted.hold_in = if in_store { HoldIn::Store } else { HoldIn::MailServer };
        wanted.edits = chosen;
        // A policy that keeps nothing for a recipient does not ask for a copy either.
        wanted.unkept = if outcomes.is_empty() { Vec::new() } else { unkept };
        wanted.recipients = (0..).zip(&outcomes).map(|(index, &(disposition, keep))| RecipientOutcome {
            index, disposition, reply: reply_for(disposition), keep: keep && !wanted.unkept.contains(&index),
        }).collect();
        let transaction = transaction(ConduitKind::Milter, can, outcomes.len().max(1));
        let outcomes = outcomes.into_iter().map(|(disposition, _)| disposition).collect();
        Case { wanted, transaction, store, outcomes }
    }
}

#[derive(Debug)]
struct Case {
    wanted: Verdict,
    transaction: Transaction,
    store: bool,
    outcomes: Vec<Disposition>,
}

impl Case {
    fn keeping(&self) -> Keeping {
        if self.store {
            Keeping::Available
        } else {
            Keeping::Unavailable
        }
    }

    fn told(&self) -> Verdict {
        lower(self.wanted.clone(), &self.transaction, self.keeping())
    }
}

/// Whether the copy is for this recipient.
fn is_kept_for(verdict: &Verdict, index: u32) -> bool {
    verdict.keep && (verdict.kept_for.is_empty() || verdict.kept_for.contains(&index))
}

proptest! {
    #[test]
    fn a_lowered_verdict_can_be_carried_out_and_is_lowered_no_further(case in any_case()) {
        let told = case.told();
        let can = case.transaction.capabilities;
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
        prop_assert!(!told.keep || case.store);
        prop_assert!(told.keep || (told.kept_for.is_empty() && told.kept_as.is_none()));
        prop_assert_eq!(lower(told.clone(), &case.transaction, case.keeping()), told);
    }

    #[test]
    fn no_recipient_vanishes_without_a_copy_a_refusal_or_the_policys_discard(case in any_case()) {
        let asked = &case.wanted;
        let told = case.told();
        let removal = |index| Edit::DeleteRecipient { index };
        for index in 0..u32::try_from(case.transaction.envelope.recipients.len()).unwrap() {
            let wish = case.outcomes.get(index as usize).copied().unwrap_or(asked.disposition);
            let keep = asked.recipients.get(index as usize).map_or(asked.keep, |one| one.keep);
            let removed = told.edits.contains(&removal(index));
            let gone = told.disposition == Disposition::Discard || removed;
            let by_edit = removed && asked.edits.contains(&removal(index));
            // Where nothing can be delayed, what was to be dropped with a copy is not dropped.
            let dropped = wish == Disposition::Discard && !keep;
            prop_assert!(
                !gone || is_kept_for(&told, index) || by_edit || dropped,
                "recipient {} vanished: wanted {:?}, told {:?}", index, wish, told
            );
        }
    }

    #[test]
    fn nothing_is_kept_for_those_for_whom_the_policy_keeps_nothing(case in any_case()) {
        let told = case.told();
        for &index in case.wanted.unkept.iter().filter(|&&index| (index as usize) < case.outcomes.len()) {
            prop_assert!(!is_kept_for(&told, index), "{index}: {told:?}");
        }
    }
}
