//! Verdicts and settlements.

use bytes::Bytes;

use super::transaction::{enumeration, revision, revision_text, transaction_id};
use super::{non_empty, required};
use crate::error::InvalidMessage;
use crate::pb;
use crate::reply::Reply;
use crate::verdict::{
    CheckTime, Degradation, Disposition, Edit, Finding, HoldIn, Outcome, OutcomeKind, PolicyLine,
    RecipientOutcome, Settlement, Unscanned, Verdict,
};

enumeration!(
    Disposition,
    "disposition",
    Accept,
    Reject,
    Tempfail,
    Discard,
    Hold
);

impl TryFrom<pb::Verdict> for Verdict {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Verdict) -> Result<Self, InvalidMessage> {
        let kept_as = match raw.kept_as() {
            pb::Disposition::Unspecified => None,
            other => Some(other.try_into()?),
        };
        let hold_in = match raw.hold_in() {
            pb::HoldIn::Unspecified | pb::HoldIn::MailServer => HoldIn::MailServer,
            pb::HoldIn::Store => HoldIn::Store,
        };
        Ok(Self {
            disposition: raw.disposition().try_into()?,
            keep: raw.keep,
            reply: raw.reply.map(Reply::try_from).transpose()?,
            edits: collect(raw.edits)?,
            recipients: collect(raw.recipients)?,
            score: raw.score,
            threshold: raw.threshold,
            findings: raw.findings.into_iter().map(Finding::from).collect(),
            unscanned: raw.unscanned.into_iter().map(Unscanned::from).collect(),
            degradations: raw
                .degradations
                .into_iter()
                .map(Degradation::from)
                .collect(),
            revision: required(
                "verdict.revision",
                revision("verdict.revision", &raw.revision)?,
            )?,
            node: raw.node.into(),
            times: raw.times.into_iter().map(CheckTime::from).collect(),
            hold_reason: raw.hold_reason,
            hold_in,
            kept_for: raw.kept_for,
            unkept: Vec::new(),
            kept_as,
        })
    }
}

fn collect<R, T: TryFrom<R, Error = InvalidMessage>>(
    raw: Vec<R>,
) -> Result<Vec<T>, InvalidMessage> {
    raw.into_iter().map(T::try_from).collect()
}

impl From<Verdict> for pb::Verdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            disposition: pb::Disposition::from(verdict.disposition).into(),
            keep: verdict.keep,
            reply: verdict.reply.as_ref().map(pb::Reply::from),
            edits: verdict.edits.into_iter().map(pb::Edit::from).collect(),
            recipients: verdict
                .recipients
                .iter()
                .map(pb::RecipientOutcome::from)
                .collect(),
            score: verdict.score,
            threshold: verdict.threshold,
            findings: verdict
                .findings
                .into_iter()
                .map(pb::Finding::from)
                .collect(),
            unscanned: verdict
                .unscanned
                .into_iter()
                .map(pb::Unscanned::from)
                .collect(),
            degradations: verdict
                .degradations
                .into_iter()
                .map(pb::Degradation::from)
                .collect(),
            revision: verdict.revision.as_str().to_owned(),
            node: verdict.node.as_ref().to_owned(),
            times: verdict.times.into_iter().map(pb::CheckTime::from).collect(),
            hold_reason: verdict.hold_reason,
            kept_for: verdict.kept_for,
            kept_as: verdict
                .kept_as
                .map_or(pb::Disposition::Unspecified, pb::Disposition::from)
                .into(),
            hold_in: match verdict.hold_in {
                HoldIn::MailServer => pb::HoldIn::MailServer,
                HoldIn::Store => pb::HoldIn::Store,
            }
            .into(),
        }
    }
}

impl TryFrom<pb::Reply> for Reply {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Reply) -> Result<Self, InvalidMessage> {
        Ok(Self::from_lines(raw.code, Some(&raw.enhanced), raw.lines)?)
    }
}

impl From<&Reply> for pb::Reply {
    fn from(reply: &Reply) -> Self {
        Self {
            code: reply.code().into(),
            enhanced: reply
                .enhanced()
                .map(|code| code.to_string())
                .unwrap_or_default(),
            lines: reply.lines().to_vec(),
        }
    }
}

impl TryFrom<pb::Edit> for Edit {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Edit) -> Result<Self, InvalidMessage> {
        use pb::edit::Edit as Raw;
        Ok(match required("edit", raw.edit)? {
            Raw::AddHeader(pb::AddHeader { name, value }) => Self::AddHeader {
                name: field_name(name)?,
                value: field_value(value)?,
            },
            Raw::InsertHeader(pb::InsertHeader { name, value }) => Self::InsertHeader {
                name: field_name(name)?,
                value: field_value(value)?,
            },
            Raw::ChangeHeader(pb::ChangeHeader {
                name,
                occurrence,
                value,
            }) => Self::ChangeHeader {
                name: field_name(name)?,
                occurrence: nth(occurrence)?,
                value: field_value(value)?,
            },
            Raw::DeleteHeader(pb::DeleteHeader { name, occurrence }) => Self::DeleteHeader {
                name: field_name(name)?,
                occurrence: nth(occurrence)?,
            },
            Raw::ReplaceBody(pb::ReplaceBody { body }) => Self::ReplaceBody { body },
            Raw::ChangeSender(pb::ChangeSender { address }) => Self::ChangeSender {
                address: envelope_address(address)?,
            },
            Raw::AddRecipient(pb::AddRecipient { address }) => Self::AddRecipient {
                address: envelope_address(address)?,
            },
            Raw::DeleteRecipient(pb::DeleteRecipient { index }) => Self::DeleteRecipient { index },
        })
    }
}

/// RFC 5322 §2.2: printable ASCII but the colon.
fn field_name(name: Bytes) -> Result<Bytes, InvalidMessage> {
    let valid = !name.is_empty()
        && name
            .iter()
            .all(|&byte| matches!(byte, b'!'..=b'~') && byte != b':');
    valid.then_some(name).ok_or(InvalidMessage::Malformed {
        field: "edit.name",
        problem: "a header's name is printable ASCII without colon or blank",
    })
}

/// No CR and no NUL, and each LF begins a fold: what is not so could end the
/// header block on somebody's wire.
fn field_value(value: Bytes) -> Result<Bytes, InvalidMessage> {
    let mut bytes = value.iter().peekable();
    while let Some(&byte) = bytes.next() {
        let folds = byte != b'\n' || matches!(bytes.peek(), Some(b' ' | b'\t'));
        if matches!(byte, b'\r' | 0) || !folds {
            return Err(InvalidMessage::Malformed {
                field: "edit.value",
                problem: "a header's value has no CR, no NUL, and LF only before white space",
            });
        }
    }
    Ok(value)
}

fn envelope_address(address: Bytes) -> Result<Bytes, InvalidMessage> {
    let valid = !address
        .iter()
        .any(|&byte| matches!(byte, 0..=b' ' | b'<' | b'>' | 0x7f));
    valid.then_some(address).ok_or(InvalidMessage::Malformed {
        field: "edit.address",
        problem: "an address has no blanks, control characters or angle brackets",
    })
}

fn nth(occurrence: u32) -> Result<u32, InvalidMessage> {
    if occurrence == 0 {
        return Err(InvalidMessage::Malformed {
            field: "edit.occurrence",
            problem: "occurrences count from 1",
        });
    }
    Ok(occurrence)
}

impl From<Edit> for pb::Edit {
    fn from(edit: Edit) -> Self {
        use pb::edit::Edit as Raw;
        let raw = match edit {
            Edit::AddHeader { name, value } => Raw::AddHeader(pb::AddHeader { name, value }),
            Edit::InsertHeader { name, value } => {
                Raw::InsertHeader(pb::InsertHeader { name, value })
            }
            Edit::ChangeHeader {
                name,
                occurrence,
                value,
            } => Raw::ChangeHeader(pb::ChangeHeader {
                name,
                occurrence,
                value,
            }),
            Edit::DeleteHeader { name, occurrence } => {
                Raw::DeleteHeader(pb::DeleteHeader { name, occurrence })
            }
            Edit::ReplaceBody { body } => Raw::ReplaceBody(pb::ReplaceBody { body }),
            Edit::ChangeSender { address } => Raw::ChangeSender(pb::ChangeSender { address }),
            Edit::AddRecipient { address } => Raw::AddRecipient(pb::AddRecipient { address }),
            Edit::DeleteRecipient { index } => Raw::DeleteRecipient(pb::DeleteRecipient { index }),
        };
        Self { edit: Some(raw) }
    }
}

impl TryFrom<pb::RecipientOutcome> for RecipientOutcome {
    type Error = InvalidMessage;

    fn try_from(raw: pb::RecipientOutcome) -> Result<Self, InvalidMessage> {
        Ok(Self {
            index: raw.index,
            disposition: raw.disposition().try_into()?,
            reply: raw.reply.map(Reply::try_from).transpose()?,
            keep: raw.keep,
        })
    }
}

impl From<&RecipientOutcome> for pb::RecipientOutcome {
    fn from(outcome: &RecipientOutcome) -> Self {
        Self {
            index: outcome.index,
            disposition: pb::Disposition::from(outcome.disposition).into(),
            reply: outcome.reply.as_ref().map(pb::Reply::from),
            keep: outcome.keep,
        }
    }
}

impl From<pb::Finding> for Finding {
    fn from(raw: pb::Finding) -> Self {
        Self {
            symbol: raw.symbol.into(),
            score: raw.score,
            detail: raw.detail,
            policy_line: (raw.policy_line > 0).then(|| PolicyLine {
                file: raw.policy_file.into(),
                line: raw.policy_line,
            }),
        }
    }
}

impl From<Finding> for pb::Finding {
    fn from(finding: Finding) -> Self {
        let (policy_file, policy_line) = match finding.policy_line {
            Some(place) => (place.file.as_ref().to_owned(), place.line),
            None => (String::new(), 0),
        };
        Self {
            symbol: finding.symbol.as_ref().to_owned(),
            score: finding.score,
            detail: finding.detail,
            policy_file,
            policy_line,
        }
    }
}

impl From<pb::Unscanned> for Unscanned {
    fn from(raw: pb::Unscanned) -> Self {
        Self {
            check: raw.check,
            reason: raw.reason,
        }
    }
}

impl From<Unscanned> for pb::Unscanned {
    fn from(unscanned: Unscanned) -> Self {
        Self {
            check: unscanned.check,
            reason: unscanned.reason,
        }
    }
}

impl From<pb::Degradation> for Degradation {
    fn from(raw: pb::Degradation) -> Self {
        Self {
            wanted: raw.wanted,
            done: raw.done,
            reason: raw.reason,
        }
    }
}

impl From<Degradation> for pb::Degradation {
    fn from(degradation: Degradation) -> Self {
        Self {
            wanted: degradation.wanted,
            done: degradation.done,
            reason: degradation.reason,
        }
    }
}

impl From<pb::CheckTime> for CheckTime {
    fn from(raw: pb::CheckTime) -> Self {
        Self {
            check: raw.check.into(),
            microseconds: raw.microseconds,
        }
    }
}

impl From<CheckTime> for pb::CheckTime {
    fn from(time: CheckTime) -> Self {
        Self {
            check: time.check.as_ref().to_owned(),
            microseconds: time.microseconds,
        }
    }
}

impl TryFrom<pb::SettleRequest> for Settlement {
    type Error = InvalidMessage;

    fn try_from(raw: pb::SettleRequest) -> Result<Self, InvalidMessage> {
        Ok(Self {
            transaction: transaction_id(&raw.transaction_id)?,
            client: raw.client.parse()?,
            queue_id: non_empty(raw.queue_id),
            revision: revision("revision", &raw.revision)?,
            outcome: required("outcome", raw.outcome)?.try_into()?,
            kept: raw.kept,
        })
    }
}

impl From<Settlement> for pb::SettleRequest {
    fn from(settlement: Settlement) -> Self {
        Self {
            transaction_id: Bytes::copy_from_slice(settlement.transaction.as_bytes()),
            client: settlement.client.as_str().to_owned(),
            queue_id: settlement.queue_id.unwrap_or_default(),
            revision: revision_text(settlement.revision.as_ref()),
            outcome: Some(settlement.outcome.into()),
            kept: settlement.kept,
        }
    }
}

impl TryFrom<pb::Outcome> for Outcome {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Outcome) -> Result<Self, InvalidMessage> {
        let kind = match raw.kind() {
            pb::OutcomeKind::Unspecified => return Err(InvalidMessage::Missing("outcome.kind")),
            pb::OutcomeKind::Done => OutcomeKind::Done,
            pb::OutcomeKind::Aborted => OutcomeKind::Aborted,
            pb::OutcomeKind::Failed => OutcomeKind::Failed {
                failure: raw.failure.clone(),
            },
        };
        Ok(Self {
            kind,
            disposition: raw.disposition().try_into()?,
        })
    }
}

impl From<Outcome> for pb::Outcome {
    fn from(outcome: Outcome) -> Self {
        let (kind, failure) = match outcome.kind {
            OutcomeKind::Done => (pb::OutcomeKind::Done, String::new()),
            OutcomeKind::Aborted => (pb::OutcomeKind::Aborted, String::new()),
            OutcomeKind::Failed { failure } => (pb::OutcomeKind::Failed, failure),
        };
        Self {
            kind: kind.into(),
            disposition: pb::Disposition::from(outcome.disposition).into(),
            failure,
        }
    }
}
