//! What a mail server is told when there is no verdict: a table of client, direction and kind of failure.
//!
//! Every failure has one kind, every kind one row, every row one action; the reply says what failed and names
//! the transaction, so that a line in the mail server's log leads to ours.

use std::fmt;
use std::str::FromStr;

use millrace_proto::{CallError, ClientName, Direction, Reply, TransactionId};

/// Why there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// No node was reached, or all that were went away.
    NoNode,
    /// No verdict came in time.
    Deadline,
    /// The nodes shed load, or the gateway's own memory or connections are used up.
    Overload,
    /// The message is larger than the limit.
    Oversize,
    /// The node says that the request breaks the contract, or the mail server broke the milter protocol.
    Malformed,
    /// Two nodes were lost with the message in hand: it may be what they died of, and is shown to no other.
    Suspect,
    /// The node has no policy to judge by.
    PolicyMissing,
    /// No node has the policy revision under which the transaction began.
    UnknownRevision,
    /// No node lets this gateway speak for the client: its certificate has no right to.
    Denied,
    /// The copy that the verdict would promise cannot be kept: the store is full, slow or away.
    Store,
    /// The message could not be written to, or read back from, the spool folder.
    Spool,
    /// A fault of ours.
    Internal,
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureAction {
    /// A temporary failure: the sender tries again.
    Tempfail,
    /// The message passes unjudged, and a header says so.
    AcceptAndStamp,
    /// Refused for good.
    Reject,
    /// Taken, and put into the mail server's own hold.
    Hold,
}

/// A row of the table: what it is for, and what is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureRow {
    /// Only for this client; any when `None`.
    pub client: Option<ClientName>,
    /// Only for this direction; any when `None`.
    pub direction: Option<Direction>,
    /// Only for these kinds; any when empty.
    pub kinds: Vec<FailureKind>,
    /// What is done.
    pub action: FailureAction,
}

/// The table. The first row that fits is taken; without one, [`FailureKind::default_action`] is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureTable {
    rows: Vec<FailureRow>,
}

/// One failure: its kind, and what happened, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) detail: String,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::NoNode,
        Self::Deadline,
        Self::Overload,
        Self::Oversize,
        Self::Malformed,
        Self::Suspect,
        Self::PolicyMissing,
        Self::UnknownRevision,
        Self::Denied,
        Self::Store,
        Self::Spool,
        Self::Internal,
    ];

    /// The name used in configuration, logs, metrics and settlements.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoNode => "no-node",
            Self::Deadline => "deadline",
            Self::Overload => "overload",
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Suspect => "suspect",
            Self::PolicyMissing => "policy-missing",
            Self::UnknownRevision => "unknown-revision",
            Self::Denied => "denied",
            Self::Store => "store",
            Self::Spool => "spool",
            Self::Internal => "internal",
        }
    }

    /// What is done without a row: everything is put off, but what is too large, which will be no smaller at
    /// the next try.
    #[must_use]
    pub fn default_action(self) -> FailureAction {
        match self {
            Self::Oversize => FailureAction::Reject,
            Self::NoNode
            | Self::Deadline
            | Self::Overload
            | Self::Malformed
            | Self::Suspect
            | Self::PolicyMissing
            | Self::UnknownRevision
            | Self::Denied
            | Self::Store
            | Self::Spool
            | Self::Internal => FailureAction::Tempfail,
        }
    }

    /// What the sender is told. Says nothing about where things run.
    fn reason(self) -> &'static str {
        match self {
            Self::NoNode => "the mail filter is not reachable",
            Self::Deadline => "the mail filter took too long",
            Self::Overload => "the mail filter is overloaded",
            Self::Oversize => "the message is too large",
            Self::Malformed => "the mail filter could not read the message",
            Self::Suspect => "the mail filter failed over the message more than once",
            Self::PolicyMissing => "the mail filter has no policy yet",
            Self::UnknownRevision => "the mail filter's policy has just changed",
            Self::Denied => "the mail filter is not set up for this server",
            Self::Store | Self::Spool => "the mail filter has no room for the message",
            Self::Internal => "the mail filter failed",
        }
    }

    /// Enhanced status code without its class (RFC 3463 §3.4): 3.4 too big for the system, 3.2 system not
    /// accepting, 3.1 system full, 4.7 delivery time expired, 3.0 other.
    fn status(self) -> &'static str {
        match self {
            Self::Oversize => "3.4",
            Self::Overload => "3.2",
            Self::Store | Self::Spool => "3.1",
            Self::NoNode
            | Self::Deadline
            | Self::Malformed
            | Self::Suspect
            | Self::PolicyMissing
            | Self::UnknownRevision
            | Self::Denied
            | Self::Internal => "3.0",
        }
    }

    /// The temporary refusal that names the failure and the transaction.
    #[must_use]
    pub fn tempfail(self, transaction: TransactionId) -> Reply {
        self.reply(451, 4, "Try again later", transaction)
    }

    /// The permanent refusal that names the failure and the transaction; 552 for what is too large (RFC 1870
    /// §6.1).
    #[must_use]
    pub fn reject(self, transaction: TransactionId) -> Reply {
        let code = if self == Self::Oversize { 552 } else { 554 };
        self.reply(code, 5, "Message refused", transaction)
    }

    fn reply(self, code: u32, class: u8, lead: &str, transaction: TransactionId) -> Reply {
        let enhanced = format!("{class}.{}", self.status());
        let text = format!(
            "{lead}: {} ({}; transaction {transaction})",
            self.reason(),
            self.name()
        );
        Reply::sanitised(code, Some(&enhanced), &text).expect("codes of this table are codes")
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FailureKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
                format!("'{text}' is not a kind of failure: {}", names.join(", "))
            })
    }
}

impl FailureAction {
    const ALL: [Self; 4] = [
        Self::Tempfail,
        Self::AcceptAndStamp,
        Self::Reject,
        Self::Hold,
    ];

    /// The name used in configuration and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tempfail => "tempfail",
            Self::AcceptAndStamp => "accept-and-stamp",
            Self::Reject => "reject",
            Self::Hold => "hold",
        }
    }
}

impl FailureAction {
    /// A refusal for good would lose the copy that it was to come with.
    fn unless_lost(self, kind: FailureKind) -> Self {
        match (self, kind) {
            (Self::Reject, FailureKind::Store) => Self::Tempfail,
            (action, _) => action,
        }
    }
}

impl fmt::Display for FailureAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FailureAction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| {
                format!("'{text}' is not an action: tempfail, accept-and-stamp, reject or hold")
            })
    }
}

impl FailureTable {
    /// A table of these rows, in this order.
    #[must_use]
    pub fn new(rows: Vec<FailureRow>) -> Self {
        Self { rows }
    }

    /// What is done about a failure of this kind. Where a copy was to be kept, it is not refused without one.
    #[must_use]
    pub fn action(
        &self,
        client: &ClientName,
        direction: Direction,
        kind: FailureKind,
    ) -> FailureAction {
        self.rows
            .iter()
            .find(|row| {
                row.client.as_ref().is_none_or(|wanted| wanted == client)
                    && row.direction.is_none_or(|wanted| wanted == direction)
                    && (row.kinds.is_empty() || row.kinds.contains(&kind))
            })
            .map_or_else(|| kind.default_action(), |row| row.action.unless_lost(kind))
    }
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let kind = match &error {
            CallError::Malformed(_) => FailureKind::Malformed,
            CallError::UnknownRevision(_) => FailureKind::UnknownRevision,
            CallError::TooLarge { .. } => FailureKind::Oversize,
            CallError::Overloaded(_) => FailureKind::Overload,
            CallError::NoPolicy(_) => FailureKind::PolicyMissing,
            CallError::Denied(_) => FailureKind::Denied,
            CallError::Store(_) => FailureKind::Store,
            // We cancel calls only where nobody waits for the answer; a node whose calls end so has gone away.
            CallError::Unavailable(_) | CallError::Lost(_) | CallError::Cancelled => {
                FailureKind::NoNode
            }
            CallError::Suspect(_) => FailureKind::Suspect,
            CallError::Deadline => FailureKind::Deadline,
            CallError::Internal(_) => FailureKind::Internal,
        };
        Self {
            kind,
            detail: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientName {
        name.parse().expect("a client name")
    }

    #[test]
    fn the_first_row_that_fits_is_taken() {
        let table = FailureTable::new(vec![
            FailureRow {
                client: Some(client("lists")),
                direction: None,
                kinds: vec![FailureKind::NoNode, FailureKind::Deadline],
                action: FailureAction::AcceptAndStamp,
            },
            FailureRow {
                client: None,
                direction: Some(Direction::Outbound),
                kinds: vec![],
                action: FailureAction::Hold,
            },
            FailureRow {
                client: Some(client("lists")),
                direction: None,
                kinds: vec![FailureKind::Oversize],
                action: FailureAction::Tempfail,
            },
            FailureRow {
                client: Some(client("archive")),
                direction: None,
                kinds: vec![],
                action: FailureAction::Reject,
            },
        ]);
        for (name, direction, kind, expected) in [
            (
                "lists",
                Direction::Inbound,
                FailureKind::NoNode,
                FailureAction::AcceptAndStamp,
            ),
            (
                "lists",
                Direction::Outbound,
                FailureKind::Deadline,
                FailureAction::AcceptAndStamp,
            ),
            (
                "lists",
                Direction::Outbound,
                FailureKind::Oversize,
                FailureAction::Hold,
            ),
            (
                "lists",
                Direction::Inbound,
                FailureKind::Oversize,
                FailureAction::Tempfail,
            ),
            (
                "mx",
                Direction::Outbound,
                FailureKind::Oversize,
                FailureAction::Hold,
            ),
            (
                "mx",
                Direction::Inbound,
                FailureKind::NoNode,
                FailureAction::Tempfail,
            ),
            (
                "mx",
                Direction::Inbound,
                FailureKind::Oversize,
                FailureAction::Reject,
            ),
            // Whatever the row says of all kinds.
            (
                "archive",
                Direction::Inbound,
                FailureKind::NoNode,
                FailureAction::Reject,
            ),
            (
                "archive",
                Direction::Inbound,
                FailureKind::Store,
                FailureAction::Tempfail,
            ),
        ] {
            assert_eq!(
                table.action(&client(name), direction, kind),
                expected,
                "{name} {direction} {kind}"
            );
        }
    }

    #[test]
    fn an_empty_table_puts_everything_off_but_what_is_too_large() {
        for kind in FailureKind::ALL {
            let expected = match kind {
                FailureKind::Oversize => FailureAction::Reject,
                _ => FailureAction::Tempfail,
            };
            assert_eq!(
                FailureTable::default().action(&client("mx"), Direction::Inbound, kind),
                expected
            );
        }
    }

    #[test]
    fn a_reply_names_the_reason_and_the_transaction() {
        let id = TransactionId::new();
        for kind in FailureKind::ALL {
            let later = kind.tempfail(id);
            assert!(!later.is_permanent() && later.enhanced().is_some_and(|code| code.class == 4));
            let never = kind.reject(id);
            assert!(never.is_permanent() && never.enhanced().is_some_and(|code| code.class == 5));
            for reply in [later, never] {
                let text = reply.to_string();
                assert!(
                    text.contains(kind.name()) && text.contains(&id.to_string()),
                    "{text}"
                );
            }
        }
        assert!(
            FailureKind::Oversize
                .reject(id)
                .to_string()
                .starts_with("552 5.3.4 ")
        );
    }

    #[test]
    fn names_are_read_back() {
        for kind in FailureKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        for action in FailureAction::ALL {
            assert_eq!(action.name().parse(), Ok(action));
        }
        assert!(
            "later".parse::<FailureKind>().is_err() && "later".parse::<FailureAction>().is_err()
        );
    }
}
