//! What a policy wants of a client.

use std::fmt;

use crate::transaction::{Revision, Transaction};

/// A stage of an SMTP transaction at which something can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A peer connected.
    Connect,
    /// HELO, EHLO or LHLO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// One RCPT TO.
    Rcpt,
    /// DATA, before the content.
    Data,
    /// The message is there.
    EndOfMessage,
}

/// A set of stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageSet(u8);

/// The macros that checks read, and the stage at which they are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageMacros {
    /// When the mail server is to send them.
    pub stage: Stage,
    /// Names, with braces where they have more than one letter.
    pub names: Vec<String>,
}

/// What a client's policy wants; a conduit negotiates with its mail server
/// from it. A change touches new connections only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The revision in force.
    pub revision: Revision,
    /// The stages at which there is something to decide before the end of the
    /// message.
    pub stages: StageSet,
    /// The macros that checks read.
    pub macros: Vec<StageMacros>,
    /// Largest message, in bytes; `None` for no limit.
    pub size_limit: Option<u64>,
    /// Whether anything looks at the content below the headers.
    pub needs_body: bool,
}

/// A question about what is known before there is a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenRequest {
    /// What is known so far. At [`Stage::Rcpt`] the recipient in question is
    /// the envelope's last.
    pub transaction: Transaction,
    /// What has just happened.
    pub stage: Stage,
}

impl Stage {
    /// All stages, in the order in which they happen.
    pub const ALL: [Self; 6] = [
        Self::Connect,
        Self::Helo,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::EndOfMessage,
    ];

    /// The name used in policies, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Helo => "helo",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::EndOfMessage => "end-of-message",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl StageSet {
    /// No stage.
    pub const EMPTY: Self = Self(0);

    /// Whether the stage is in the set.
    #[must_use]
    pub fn contains(self, stage: Stage) -> bool {
        self.0 & Self::bit(stage) != 0
    }

    /// Adds a stage.
    pub fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    /// Whether no stage is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The stages, in the order in which they happen.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Stage::ALL
            .into_iter()
            .filter(move |&stage| self.contains(stage))
    }

    fn bit(stage: Stage) -> u8 {
        1 << stage as u8
    }
}

impl FromIterator<Stage> for StageSet {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        let mut set = Self::EMPTY;
        for stage in stages {
            set.insert(stage);
        }
        set
    }
}
