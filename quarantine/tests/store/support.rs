//! Messages, verdicts and stores, for all of these tests.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ClientName, ConduitKind, Connection, Direction, Disposition, Edit, Envelope,
    Finding, LineEnding, Outcome, OutcomeKind, Path as MailPath, Revision, Settlement, Transaction,
    TransactionId, Verdict,
};
use millrace_quarantine::{Filter, Quarantine, Record};

pub(crate) const NOW: u64 = 1_795_386_060_000;
pub(crate) const DAY: u64 = 86_400_000;

/// An identifier of a certain time.
pub(crate) fn id(milliseconds: u64) -> TransactionId {
    let mut bytes = *TransactionId::new().as_bytes();
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    TransactionId::from_bytes(bytes)
}

pub(crate) fn milliseconds(id: TransactionId) -> u64 {
    id.as_bytes()[..6]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(crate) fn transaction(id: TransactionId) -> Transaction {
    Transaction {
        id,
        conduit: ConduitKind::Milter,
        client: "mx".parse::<ClientName>().unwrap(),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(MailPath::new("alice@sender.example")),
            recipients: vec![
                MailPath::new("bob@here.example"),
                MailPath::new(&b"\xff\0b@here.example"[..]),
            ],
        },
        queue_id: Some(Bytes::from_static(b"4Q")),
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: Revision::new("abc"),
    }
}

pub(crate) fn verdict(disposition: Disposition) -> Verdict {
    Verdict {
        disposition,
        keep: true,
        score: 12.5,
        findings: vec![Finding {
            symbol: "GTUBE".into(),
            score: 12.5,
            detail: "body".to_owned(),
            policy_line: None,
        }],
        edits: vec![Edit::DeleteRecipient { index: 0 }],
        kept_for: vec![0],
        ..Verdict::accept(Revision::new("abc").unwrap(), "node-1".into())
    }
}

pub(crate) fn message(subject: &str) -> Bytes {
    format!("From: a@b\r\nSubject: {subject}\r\n\r\ntext\r\n").into()
}

pub(crate) fn settlement(transaction: TransactionId) -> Settlement {
    Settlement {
        transaction,
        client: "mx".parse().unwrap(),
        queue_id: Some(Bytes::from_static(b"4Z")),
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    }
}

pub(crate) fn open(folder: &Path) -> Quarantine {
    Quarantine::open(&format!("file://{}", folder.display())).unwrap()
}

pub(crate) async fn all(store: &Quarantine) -> Vec<Record> {
    let page = store.list(&Filter::default(), None, usize::MAX).await;
    page.unwrap().records
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
