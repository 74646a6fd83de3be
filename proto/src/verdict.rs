//! What is to be done with a message, and why.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::reply::Reply;
use crate::transaction::{ClientName, Revision, TransactionId};

/// What is to be done with a message (or, while screening, with a connection,
/// a sender or a recipient), and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What becomes of it.
    pub disposition: Disposition,
    /// A rescuable copy is in our store, whatever the disposition. Before the
    /// lowering: one is to be kept for the recipients without an outcome of
    /// their own.
    pub keep: bool,
    /// The SMTP reply of a reject or tempfail.
    pub reply: Option<Reply>,
    /// Modifications, addressed to the original message.
    pub edits: Vec<Edit>,
    /// Recipients whose outcome is not the disposition.
    pub recipients: Vec<RecipientOutcome>,
    /// The sum of the findings' scores.
    pub score: f64,
    /// The score at which the policy refuses.
    pub threshold: f64,
    /// What the checks found.
    pub findings: Vec<Finding>,
    /// Checks that could not be done, and why.
    pub unscanned: Vec<Unscanned>,
    /// What the policy wanted and the conduit cannot do.
    pub degradations: Vec<Degradation>,
    /// The policy revision that it was judged under.
    pub revision: Revision,
    /// The node that judged.
    pub node: Arc<str>,
    /// Time spent in each check.
    pub times: Vec<CheckTime>,
    /// Why it is held back; one printable line, empty when it is not.
    pub hold_reason: String,
    /// Where it is to wait when it is held.
    pub hold_in: HoldIn,
    /// Indexes in the original envelope of the recipients that the copy is
    /// kept for; all of them when empty.
    pub kept_for: Vec<u32>,
    /// Before the lowering: indexes of the recipients for whom the policy keeps
    /// no copies. It is empty afterwards, and does not travel.
    pub unkept: Vec<u32>,
    /// What the policy decided for those that the copy is kept for, where it is
    /// not the disposition: a refusal that nobody could hear, a hold in our
    /// store, recipients that were taken off.
    pub kept_as: Option<Disposition>,
}

/// Where a held message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HoldIn {
    /// In the mail server's own hold, where it has one.
    #[default]
    MailServer,
    /// In our store, where there is one: the mail server drops it.
    Store,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Disposition {
    /// It goes on, with the edits.
    Accept,
    /// Refused for good.
    Reject,
    /// Refused for now: the sender tries again.
    Tempfail,
    /// Taken, and dropped.
    Discard,
    /// Taken, and held back until somebody looks at it.
    Hold,
}

/// One modification of the original message or its envelope. Headers are named
/// by name (in any case) and 1-based occurrence; only
/// [`InsertHeader`](Edit::InsertHeader)s and [`AddHeader`](Edit::AddHeader)s
/// are ordered. Values have no leading blank (the conduit writes one), and
/// folds are LF and white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Appends a header below the last.
    AddHeader {
        /// Field name.
        name: Bytes,
        /// Field value.
        value: Bytes,
    },
    /// Puts a header above the message's first; several stand in the order of
    /// the list.
    InsertHeader {
        /// Field name.
        name: Bytes,
        /// Field value.
        value: Bytes,
    },
    /// Gives a header another value.
    ChangeHeader {
        /// Field name.
        name: Bytes,
        /// Which one of that name, from 1.
        occurrence: u32,
        /// New field value, not empty.
        value: Bytes,
    },
    /// Removes a header.
    DeleteHeader {
        /// Field name.
        name: Bytes,
        /// Which one of that name, from 1.
        occurrence: u32,
    },
    /// Gives the message another body, in the content's own line ending.
    ReplaceBody {
        /// All that comes after the empty line; may be empty.
        body: Bytes,
    },
    /// Gives the envelope another sender.
    ChangeSender {
        /// Without angle brackets; empty for the null sender.
        address: Bytes,
    },
    /// Adds a recipient to the envelope.
    AddRecipient {
        /// Without angle brackets.
        address: Bytes,
    },
    /// Removes a recipient from the envelope.
    DeleteRecipient {
        /// Index in the original envelope.
        index: u32,
    },
}

/// A recipient whose outcome is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientOutcome {
    /// Index in the original envelope.
    pub index: u32,
    /// What becomes of the message for this recipient.
    pub disposition: Disposition,
    /// The reply of a reject or tempfail.
    pub reply: Option<Reply>,
    /// A copy is to be kept for this recipient.
    pub keep: bool,
}

/// A symbol's name: upper-case letters, digits and `_`, as `GTUBE`.
pub type Symbol = Arc<str>;

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What was found.
    pub symbol: Symbol,
    /// What it adds to the message's score.
    pub score: f64,
    /// What of the message it was found in; may be empty. Not trusted: it has
    /// text from the message.
    pub detail: String,
    /// The line of the policy that gave the symbol its meaning.
    pub policy_line: Option<PolicyLine>,
}

/// A line of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLine {
    /// File, relative to the policy's folder.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
}

/// A check that could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unscanned {
    /// The check's name.
    pub check: String,
    /// Why not.
    pub reason: String,
}

/// Something that the policy wanted and the conduit cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Degradation {
    /// As `reject` or `edit:replace-body`.
    pub wanted: String,
    /// What is done instead, as `discard` or `nothing`.
    pub done: String,
    /// Why.
    pub reason: String,
}

/// Time that one check took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckTime {
    /// The check's name.
    pub check: Arc<str>,
    /// Wall-clock microseconds.
    pub microseconds: u64,
}

/// What was really done with a transaction, told once by whoever did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The transaction.
    pub transaction: TransactionId,
    /// Its client.
    pub client: ClientName,
    /// The mail server's identifier of the message.
    pub queue_id: Option<Bytes>,
    /// The revision that it was judged under; `None` when it never was.
    pub revision: Option<Revision>,
    /// What was done.
    pub outcome: Outcome,
    /// Whether there may be a kept copy.
    pub kept: bool,
}

/// What was really done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the transaction ended.
    pub kind: OutcomeKind,
    /// The disposition that was carried out.
    pub disposition: Disposition,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The verdict was carried out.
    Done,
    /// The mail server withdrew the message before it took the verdict.
    Aborted,
    /// No verdict came in time, and the failure table answered.
    Failed {
        /// The kind of failure, as in the failure table.
        failure: String,
    },
}

impl Disposition {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Accept,
        Self::Reject,
        Self::Tempfail,
        Self::Discard,
        Self::Hold,
    ];

    /// The name used in policies, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Tempfail => "tempfail",
            Self::Discard => "discard",
            Self::Hold => "hold",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Edit {
    /// The name used in logs and degradations.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddHeader { .. } => "add-header",
            Self::InsertHeader { .. } => "insert-header",
            Self::ChangeHeader { .. } => "change-header",
            Self::DeleteHeader { .. } => "delete-header",
            Self::ReplaceBody { .. } => "replace-body",
            Self::ChangeSender { .. } => "change-sender",
            Self::AddRecipient { .. } => "add-recipient",
            Self::DeleteRecipient { .. } => "delete-recipient",
        }
    }
}

impl fmt::Display for PolicyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl OutcomeKind {
    /// The name used in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Verdict {
    /// A verdict that accepts and says nothing: the start of every other.
    #[must_use]
    pub fn accept(revision: Revision, node: Arc<str>) -> Self {
        Self {
            disposition: Disposition::Accept,
            keep: false,
            reply: None,
            edits: Vec::new(),
            recipients: Vec::new(),
            score: 0.0,
            threshold: 0.0,
            findings: Vec::new(),
            unscanned: Vec::new(),
            degradations: Vec::new(),
            revision,
            node,
            times: Vec::new(),
            hold_reason: String::new(),
            hold_in: HoldIn::default(),
            kept_for: Vec::new(),
            unkept: Vec::new(),
            kept_as: None,
        }
    }
}
