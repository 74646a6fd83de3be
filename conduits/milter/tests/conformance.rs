//! The milter's rows of the conformance table, from the verdict wanted to what
//! the mail server is told.

use std::fs;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use millrace_milter::{
    Actions, Answer, Command, Event, FrameDecoder, Offer, RawPath, Response, Session, Steps, Wanted,
};
use millrace_proto::{
    ConduitKind, Direction, Disposition, Edit, HoldIn, Keeping, LineEnding, RecipientOutcome,
    Reply, Revision, Transaction, TransactionId, Verdict, lower,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    row: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    conduit: String,
    #[serde(default)]
    cannot: Vec<String>,
    #[serde(default)]
    store: bool,
    #[serde(default)]
    unkept: Vec<u32>,
    wanted: Side,
    told: Side,
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
    #[serde(default)]
    keep_for: Vec<u32>,
    #[serde(default)]
    hold_in: String,
}

#[test]
fn a_mail_server_sees_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/conformance/lowering.toml");
    let text = fs::read_to_string(file).expect("the table");
    let table: Table = toml::from_str(&text).expect("a sound table");
    let rows: Vec<_> = table
        .row
        .iter()
        .filter(|row| row.conduit == "milter")
        .collect();
    assert!(rows.len() >= 20, "{} rows for the milter", rows.len());
    for row in rows {
        let responses = carried_out(row);
        let (last, edits) = responses.split_last().expect("an answer");
        assert_eq!(seen(last, edits), row.seen, "{}", row.name);
        let mut told: Vec<_> = row.told.edits.iter().map(String::as_str).collect();
        let mut wire: Vec<_> = edits.iter().filter_map(edit_name).collect();
        told.sort_unstable();
        wire.sort_unstable();
        assert_eq!(wire, told, "{}", row.name);
    }
}

/// Plays a message up to its end, lowers the verdict, and carries it out.
fn carried_out(row: &Row) -> Vec<Response> {
    let offer = Offer {
        version: 6,
        actions: Actions(Actions::ALL.0 & !denied(&row.cannot).0),
        steps: Steps::ALL,
    };
    let mut session = Session::new(Wanted::EVERYTHING);
    let mut out = BytesMut::new();
    let recipients = row.wanted.recipients.len().max(1);
    let mut commands = vec![
        Command::Offer(offer),
        Command::Helo("client.example".into()),
        Command::Mail(RawPath::new("<a@example.org>")),
    ];
    commands.extend((0..recipients).map(|n| Command::Rcpt(RawPath::new(format!("<r{n}@x>")))));
    commands.push(Command::Header {
        name: "X-Test".into(),
        value: "no".into(),
    });
    commands.push(Command::EndOfBody("body\r\n".into()));
    for command in &commands {
        command.encode(session.space());
        let step = session.next_step(&mut out).expect("sound").expect("whole");
        if step.reply_due && step.event != Event::EndOfMessage {
            session.answer(&Answer::Continue, &mut out).expect("due");
        }
    }
    let transaction = Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: "mx".parse().expect("a name"),
        direction: Direction::Inbound,
        capabilities: session.agreement().capabilities(),
        connection: session.connection().clone(),
        envelope: session.envelope().clone(),
        queue_id: session.queue_id(),
        macros: session.macros(),
        line_ending: LineEnding::Crlf,
        revision: None,
    };
    let keeping = if row.store {
        Keeping::Available
    } else {
        Keeping::Unavailable
    };
    let mut verdict = wanted(&row.wanted);
    verdict.unkept.clone_from(&row.unkept);
    let verdict = lower(verdict, &transaction, keeping);
    assert_eq!(
        verdict.disposition,
        disposition(&row.told.disposition),
        "{}",
        row.name
    );
    out.clear();
    session
        .finish(&verdict, &mut out)
        .unwrap_or_else(|error| panic!("{}: {error}", row.name));
    parsed(&out)
}

fn parsed(wire: &BytesMut) -> Vec<Response> {
    let mut decoder = FrameDecoder::new(1 << 16);
    decoder.space().put_slice(wire);
    let mut responses = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("frames") {
        responses.push(Response::parse(frame).expect("a response"));
    }
    responses
}

fn seen(last: &Response, edits: &[Response]) -> String {
    let held = edits
        .iter()
        .any(|edit| matches!(edit, Response::Quarantine(_)));
    match last {
        Response::Continue | Response::Accept if held => "hold".into(),
        Response::Continue | Response::Accept => "deliver".into(),
        Response::Discard => "drop".into(),
        Response::Reject => "550".into(),
        Response::Tempfail => "451".into(),
        Response::ReplyCode(text) => String::from_utf8_lossy(&text[..3]).into_owned(),
        other => panic!("{other:?}"),
    }
}

fn edit_name(edit: &Response) -> Option<&'static str> {
    Some(match edit {
        Response::InsertHeader { .. } => "insert-header",
        Response::AddHeader { .. } => "add-header",
        Response::ChangeHeader { value, .. } if value.is_empty() => "delete-header",
        Response::ChangeHeader { .. } => "change-header",
        Response::ReplaceBody(_) => "replace-body",
        Response::ChangeSender { .. } => "change-sender",
        Response::AddRecipient(_) => "add-recipient",
        Response::DeleteRecipient(_) => "delete-recipient",
        _ => return None,
    })
}

fn denied(cannot: &[String]) -> Actions {
    cannot.iter().fold(Actions::NONE, |denied, name| {
        denied
            | match name.as_str() {
                "add_header" => Actions::ADD_HEADERS,
                "change_header" => Actions::CHANGE_HEADERS,
                "replace_body" => Actions::CHANGE_BODY,
                "change_sender" => Actions::CHANGE_SENDER,
                "add_recipient" => Actions::ADD_RECIPIENT,
                "delete_recipient" => Actions::DELETE_RECIPIENT,
                "hold" => Actions::QUARANTINE,
                other => panic!("a milter always can: {other}"),
            }
    })
}

fn disposition(name: &str) -> Disposition {
    Disposition::ALL
        .into_iter()
        .find(|known| known.name() == name)
        .expect("a disposition")
}

fn reply_for(disposition: Disposition) -> Option<Reply> {
    let (code, enhanced) = match disposition {
        Disposition::Reject => (550, "5.7.1"),
        Disposition::Tempfail => (451, "4.7.1"),
        Disposition::Accept | Disposition::Discard | Disposition::Hold => return None,
    };
    Some(Reply::new(code, Some(enhanced), "Our own words").expect("a reply"))
}

fn wanted(side: &Side) -> Verdict {
    let revision = Revision::new("abc123").expect("a revision");
    let disposition_wanted = disposition(&side.disposition);
    Verdict {
        disposition: disposition_wanted,
        keep: side.keep,
        reply: reply_for(disposition_wanted),
        edits: side.edits.iter().map(|name| edit(name)).collect(),
        recipients: side
            .recipients
            .iter()
            .zip(0..)
            .map(|(name, index)| RecipientOutcome {
                index,
                disposition: disposition(name),
                reply: reply_for(disposition(name)),
                keep: side.keep_for.contains(&index),
            })
            .collect(),
        hold_in: match side.hold_in.as_str() {
            "store" => HoldIn::Store,
            _ => HoldIn::MailServer,
        },
        ..Verdict::accept(revision, "node".into())
    }
}

fn edit(wanted: &str) -> Edit {
    let (name, value) = (Bytes::from_static(b"X-Test"), Bytes::from_static(b"yes"));
    let address = Bytes::from_static(b"other@example.org");
    match wanted {
        "add-header" => Edit::AddHeader { name, value },
        "insert-header" => Edit::InsertHeader { name, value },
        "change-header" => Edit::ChangeHeader {
            name,
            occurrence: 1,
            value,
        },
        "delete-header" => Edit::DeleteHeader {
            name,
            occurrence: 2,
        },
        "replace-body" => Edit::ReplaceBody {
            body: Bytes::from_static(b"new\r\n"),
        },
        "change-sender" => Edit::ChangeSender { address },
        "add-recipient" => Edit::AddRecipient { address },
        "delete-recipient" => Edit::DeleteRecipient { index: 0 },
        other => panic!("no edit {other}"),
    }
}
