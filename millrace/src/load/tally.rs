//! What was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_milter::Response;
use millrace_milter::mta::Outcome;

use super::histogram::Histogram;
use super::wire::WireError;

/// Answers, errors and times of some sessions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) bytes: u64,
    pub(super) latency: Histogram,
    pub(super) dispositions: BTreeMap<&'static str, u64>,
    pub(super) edits: BTreeMap<&'static str, u64>,
    pub(super) refused_recipients: u64,
    pub(super) errors: BTreeMap<String, u64>,
}

/// Kinds of errors that are told apart; beyond that they are counted together.
const MAX_KINDS: usize = 20;

impl Tally {
    /// A message was answered.
    pub(super) fn answered(&mut self, outcome: &Outcome, latency: Duration, bytes: u64) {
        self.answered += 1;
        self.bytes += bytes;
        self.latency.record(latency);
        *self.dispositions.entry(disposition(outcome)).or_default() += 1;
        self.refused_recipients += outcome.refused.len() as u64;
        for edit in &outcome.edits {
            *self.edits.entry(edit_name(edit)).or_default() += 1;
        }
    }

    /// A message was not answered.
    pub(super) fn error(&mut self, error: &WireError) {
        self.count_error(error.to_string(), 1);
    }

    /// Adds another's counts.
    pub(super) fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
        self.refused_recipients += other.refused_recipients;
        for (name, count) in other.dispositions {
            *self.dispositions.entry(name).or_default() += count;
        }
        for (name, count) in other.edits {
            *self.edits.entry(name).or_default() += count;
        }
        for (what, count) in other.errors {
            self.count_error(what, count);
        }
    }

    fn count_error(&mut self, what: String, count: u64) {
        let known = self.errors.contains_key(&what) || self.errors.len() < MAX_KINDS;
        let what = if known {
            what
        } else {
            "other errors".to_owned()
        };
        *self.errors.entry(what).or_default() += count;
    }
}

fn disposition(outcome: &Outcome) -> &'static str {
    match &outcome.answer {
        _ if outcome.is_accepted() && outcome.held().is_some() => "hold",
        None | Some(Response::Accept | Response::Continue) => "accept",
        Some(Response::Reject) => "reject",
        Some(Response::Discard) => "discard",
        Some(Response::ReplyCode(reply)) if reply.starts_with(b"5") => "reject",
        Some(_) => "tempfail",
    }
}

fn edit_name(edit: &Response) -> &'static str {
    match edit {
        Response::AddHeader { .. } => "add-header",
        Response::InsertHeader { .. } => "insert-header",
        Response::ChangeHeader { value, .. } if value.is_empty() => "delete-header",
        Response::ChangeHeader { .. } => "change-header",
        Response::ReplaceBody(_) => "replace-body",
        Response::ChangeSender { .. } => "change-sender",
        Response::AddRecipient(_) | Response::AddRecipientWithParameters { .. } => "add-recipient",
        Response::DeleteRecipient(_) => "delete-recipient",
        Response::Quarantine(_) => "hold",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_outcome_is_one_disposition() {
        let held = vec![Response::Quarantine(Bytes::from("why"))];
        for (answer, edits, expected) in [
            (None, vec![], "accept"),
            (Some(Response::Accept), vec![], "accept"),
            (Some(Response::Accept), held.clone(), "hold"),
            (Some(Response::Reject), held, "reject"),
            (
                Some(Response::ReplyCode(Bytes::from("550 5.7.1 no"))),
                vec![],
                "reject",
            ),
            (
                Some(Response::ReplyCode(Bytes::from("451 4.7.1 later"))),
                vec![],
                "tempfail",
            ),
            (Some(Response::Tempfail), vec![], "tempfail"),
            (Some(Response::Shutdown), vec![], "tempfail"),
            (Some(Response::Discard), vec![], "discard"),
        ] {
            let outcome = Outcome {
                at: b'E',
                answer,
                edits,
                refused: vec![],
            };
            assert_eq!(disposition(&outcome), expected, "{outcome:?}");
        }
    }

    #[test]
    fn errors_without_end_are_counted_together() {
        let mut tally = Tally::default();
        for n in 0..100 {
            tally.count_error(format!("error {n}"), 1);
        }
        assert_eq!(tally.errors.len(), MAX_KINDS + 1);
        assert_eq!(tally.errors.values().sum::<u64>(), 100);
    }
}
