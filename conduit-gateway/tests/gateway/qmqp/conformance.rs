//! What a QMQP client sees of each verdict, as the conformance table of the contract says.

use millrace_proto::{Disposition, Edit, Keeping, RecipientOutcome, Verdict};
use serde::Deserialize;

use super::{Downstream, MAIL, Manner, envelope, hand_in, qmqp};
use crate::support::{Script, ScriptedNode, TestGateway, accept, refuse};

#[derive(Deserialize)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    conduit: String,
    #[serde(default)]
    store: bool,
    wanted: Side,
    seen: String,
}

#[derive(Deserialize)]
struct Side {
    disposition: String,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    edits: Vec<String>,
    #[serde(default)]
    keep: bool,
}

#[tokio::test]
async fn a_qmqp_client_sees_what_the_conformance_table_says() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../proto/conformance/lowering.toml"
    );
    let table: Table = toml::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let rows: Vec<_> = table
        .row
        .iter()
        .filter(|row| row.conduit == "qmqp")
        .collect();
    assert!(rows.len() >= 10, "{} rows for QMQP", rows.len());
    for row in rows {
        let keeping = match row.store {
            true => Keeping::Available,
            false => Keeping::Unavailable,
        };
        let script = Script {
            keeping,
            ..Script::giving(wanted(&row.wanted))
        };
        let node = ScriptedNode::start(script).await;
        let downstream = Downstream::start(Manner::Says("Kok")).await;
        let gateway = TestGateway::before(&node, qmqp(&[downstream.address])).await;
        let recipients = row.wanted.recipients.len().max(2);
        let told = hand_in(&gateway, MAIL, &envelope(recipients)).await;
        let seen = match (told.chars().next(), downstream.got().len()) {
            (Some('K'), 1) => "deliver",
            (Some('K'), 0) => "drop",
            (Some('D'), 0) => "D",
            (Some('Z'), 0) => "Z",
            other => panic!("{}: {other:?}", row.name),
        };
        assert_eq!(seen, row.seen, "{}: {told}", row.name);
    }
}

fn wanted(side: &Side) -> Verdict {
    let of = |name: &str| match name {
        "accept" => accept(),
        "reject" => refuse(550, "our own words"),
        "tempfail" => refuse(451, "our own words"),
        "discard" => Verdict {
            disposition: Disposition::Discard,
            ..accept()
        },
        "hold" => Verdict {
            disposition: Disposition::Hold,
            ..accept()
        },
        other => panic!("no disposition {other}"),
    };
    Verdict {
        keep: side.keep,
        recipients: (0..)
            .zip(&side.recipients)
            .map(|(index, name)| RecipientOutcome {
                index,
                disposition: of(name).disposition,
                reply: of(name).reply,
                keep: false,
            })
            .collect(),
        edits: side.edits.iter().map(|name| edit(name)).collect(),
        ..of(&side.disposition)
    }
}

fn edit(name: &str) -> Edit {
    match name {
        "insert-header" => Edit::InsertHeader {
            name: "X-New".into(),
            value: "1".into(),
        },
        "replace-body" => Edit::ReplaceBody {
            body: "new\n".into(),
        },
        "change-sender" => Edit::ChangeSender {
            address: "new@example.org".into(),
        },
        "add-recipient" => Edit::AddRecipient {
            address: "new@example.org".into(),
        },
        "delete-recipient" => Edit::DeleteRecipient { index: 0 },
        other => panic!("no edit {other}"),
    }
}
