//! What a listing shows of a copy, and what the audit log has.

use mail_parser::MessageParser;
use millrace_proto::{Outcome, OutcomeKind, Transaction, Verdict};
use serde::{Deserialize, Serialize};

use crate::when;

/// What a listing shows of a copy. Text that comes from the message is not
/// made printable, and bytes that are no UTF-8 are replaced: the copy itself
/// has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Identifier: that of the first transaction.
    pub id: String,
    /// The copy's name in the store.
    pub hash: String,
    /// When the transaction began: milliseconds since 1970, UTC.
    pub time: u64,
    /// The client that it came in by.
    pub client: String,
    /// The mail server's identifier, or empty.
    pub queue_id: String,
    /// The envelope's sender; empty for a bounce.
    pub sender: String,
    /// The envelope's recipients.
    pub recipients: Vec<String>,
    /// Those of them that the copy is kept for, where it is not for all.
    pub kept_for: Vec<String>,
    /// The subject, unfolded and with its encoded words decoded.
    pub subject: String,
    /// Bytes of the message.
    pub size: u64,
    /// What was found.
    pub symbols: Vec<String>,
    /// The message's score.
    pub score: f64,
    /// The policy's revision.
    pub revision: String,
    /// What the policy decided for those that the copy is kept for; what the mail server was told may be
    /// something else, as where it has no hold.
    pub disposition: String,
    /// Why it is held; empty where it is not.
    #[serde(default)]
    pub reason: String,
    /// What is known of what was done.
    pub state: State,
    /// When it was last sent on: milliseconds since 1970, UTC.
    #[serde(default)]
    pub released: Option<u64>,
}

/// What is known of what was done with the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// Nobody has told: the sender may have had the verdict or not.
    Unconfirmed,
    /// It was told.
    Settled {
        /// `done`, `aborted` or `failed`.
        outcome: String,
        /// The disposition that was carried out.
        disposition: String,
    },
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Milliseconds since 1970, UTC.
    pub time: u64,
    /// Who did it.
    pub who: String,
    /// What was done, such as `delete`.
    pub action: String,
    /// The copy's identifier.
    pub id: String,
    /// More of it, such as what the next hop answered.
    #[serde(default)]
    pub detail: String,
}

/// A listing is not to be filled by one message.
const SUBJECT: usize = 300;
/// Bytes of the field that are read.
const READ: usize = 4096;

impl Record {
    pub(crate) fn new(
        transaction: &Transaction,
        verdict: &Verdict,
        hash: &str,
        content: &[u8],
    ) -> Self {
        let envelope = &transaction.envelope;
        let kept_for = verdict
            .kept_for
            .iter()
            .filter_map(|&index| envelope.recipients.get(index as usize));
        Self {
            id: transaction.id.to_string(),
            hash: hash.to_owned(),
            time: when::milliseconds(transaction.id),
            client: transaction.client.to_string(),
            queue_id: text(transaction.queue_id.as_deref().unwrap_or_default()),
            sender: text(envelope.sender.as_ref().map_or(b"", |path| &path.address)),
            recipients: envelope
                .recipients
                .iter()
                .map(|path| text(&path.address))
                .collect(),
            kept_for: kept_for.map(|path| text(&path.address)).collect(),
            subject: subject(content),
            size: content.len() as u64,
            symbols: verdict
                .findings
                .iter()
                .map(|finding| finding.symbol.to_string())
                .collect(),
            score: verdict.score,
            revision: verdict.revision.to_string(),
            disposition: verdict
                .kept_as
                .unwrap_or(verdict.disposition)
                .name()
                .to_owned(),
            reason: verdict.hold_reason.clone(),
            state: State::Unconfirmed,
            released: None,
        }
    }
}

impl From<&Outcome> for State {
    fn from(outcome: &Outcome) -> Self {
        Self::Settled {
            outcome: match &outcome.kind {
                OutcomeKind::Done => "done",
                OutcomeKind::Aborted => "aborted",
                OutcomeKind::Failed { .. } => "failed",
            }
            .to_owned(),
            disposition: outcome.disposition.name().to_owned(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The first Subject field, unfolded and decoded.
fn subject(content: &[u8]) -> String {
    let mut field: Option<Vec<u8>> = None;
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
        let folded = matches!(line[0], b' ' | b'\t');
        match &mut field {
            Some(field) if folded && field.len() < READ => field.extend_from_slice(line),
            Some(_) => break,
            None if line.len() >= 8 && line[..8].eq_ignore_ascii_case(b"subject:") => {
                field = Some(line[..line.len().min(READ)].to_vec());
            }
            None => {}
        }
    }
    let Some(mut field) = field else {
        return String::new();
    };
    // Alone, so that the parser has nothing else to read.
    field.extend_from_slice(b"\r\n\r\n");
    let parsed = MessageParser::new().parse_headers(&field);
    let decoded = parsed.as_ref().and_then(|message| message.subject());
    let whole = decoded.map_or_else(
        || text(field[8..].trim_ascii()),
        std::borrow::ToOwned::to_owned,
    );
    whole.trim().chars().take(SUBJECT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_decoded() {
        let long = format!("Subject: {}\r\n\r\n", "x".repeat(10_000));
        for (content, wanted) in [
            ("Subject: plain\r\n\r\nbody", "plain"),
            ("From: a\nSUBJECT:folded\n\tline\nTo: b\n\n", "folded line"),
            (
                "Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\r\n",
                "Gr\u{fc}\u{df}e",
            ),
            (
                "Subject: =?iso-8859-1?Q?a=E4?=\r\n =?iso-8859-1?Q?b?=\r\n\r\n",
                "a\u{e4}b",
            ),
            ("To: b\r\n\r\nSubject: in the body\r\n", ""),
            ("Subject:\r\n\r\n", ""),
            ("", ""),
            (&long, &"x".repeat(SUBJECT)),
        ] {
            assert_eq!(subject(content.as_bytes()), wanted, "{content:.60}");
        }
    }
}
