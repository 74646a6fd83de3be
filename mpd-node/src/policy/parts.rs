//! The compiled parts of a policy, as checks and verdicts read them.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::{Disposition, HoldIn, PolicyLine, Stage};

use super::document::{ListAction, Target};
use super::expression::Expression;
use super::list::Entries;
use super::pattern::PatternSet;
use super::scope::Scope;
use super::symbol::SymbolId;
use super::template::Template;

/// A `[[list]]`.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) symbol: SymbolId,
    pub(crate) kinds: Box<[Subject]>,
    pub(crate) entries: Entries,
    pub(crate) action: ListAction,
    /// The stage at which it refuses; `None` where it does not.
    pub(crate) stage: Option<Stage>,
    pub(crate) reply: Option<ReplyTemplate>,
    pub(crate) reason: Template,
    pub(crate) scope: Scope,
    /// The file of its entries' lines.
    pub(crate) file: Arc<str>,
}

/// What a list looks up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    EnvelopeSender,
    FromHeader,
    SenderHeader,
    Recipient,
    Peer,
    Helo,
    Ptr,
}

/// A `[[rule]]`, without its patterns.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) symbol: SymbolId,
    pub(crate) count_at_least: u32,
    pub(crate) max_hits: u32,
    pub(crate) scope: Scope,
}

/// All rules, by what they look at. Numbers are indexes into `rules`.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    pub(crate) rules: Vec<Rule>,
    /// By header name in lower case.
    pub(crate) headers: HashMap<Box<[u8]>, HeaderPatterns>,
    /// Of any header.
    pub(crate) any_header: HeaderPatterns,
    pub(crate) targets: Vec<(Target, PatternSet)>,
}

/// The patterns of one header.
#[derive(Debug, Default)]
pub(crate) struct HeaderPatterns {
    pub(crate) decoded: Option<PatternSet>,
    pub(crate) raw: Option<PatternSet>,
    /// Rules that only ask whether it is there.
    pub(crate) present: Vec<u32>,
}

/// An `[[expression]]`; in a policy they stand so that each comes after those that it asks for.
#[derive(Debug)]
pub(crate) struct NamedExpression {
    pub(crate) symbol: SymbolId,
    pub(crate) expression: Expression,
    /// Whether it, or one that it asks for, asks for the score.
    pub(crate) late: bool,
}

/// An `[[action]]`.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) name: Box<str>,
    pub(crate) line: PolicyLine,
    pub(crate) scope: Scope,
    pub(crate) level: Option<Level>,
    pub(crate) when: Option<Expression>,
    pub(crate) then: Option<Disposition>,
    pub(crate) reply: Option<ReplyTemplate>,
    pub(crate) reason: Template,
    pub(crate) edits: Box<[EditTemplate]>,
    pub(crate) keep: bool,
    /// Where this hold waits; `None` for where the policy's holds do.
    pub(crate) hold: Option<HoldIn>,
}

/// `keep` of the policy or of an override: what is kept apart from actions that say so themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// What ends so.
    Dispositions(Box<[Disposition]>),
    /// Nothing, whatever actions say.
    Nothing,
}

/// The score from which an action is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Level {
    /// A threshold, by its index.
    Threshold(usize),
    /// A score.
    Score(f64),
}

/// A reply with fields in its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReplyTemplate {
    pub(crate) code: u16,
    pub(crate) enhanced: Option<Box<str>>,
    pub(crate) text: Template,
}

/// What an action changes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EditTemplate {
    AddHeader { name: Bytes, value: Template },
    InsertHeader { name: Bytes, value: Template },
    SetHeader { name: Bytes, value: Template },
    DeleteHeader { name: HeaderName },
    SubjectTag(Bytes),
    SetSender(Bytes),
    Redirect(Box<[Bytes]>),
    AddRecipient(Bytes),
}

/// A header's name, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderName {
    pub(crate) name: Bytes,
    /// The name goes on: `X-Spam-*`.
    pub(crate) open: bool,
}

/// `[thresholds]`, by their index.
#[derive(Debug, Default)]
pub(crate) struct Thresholds {
    pub(crate) names: Vec<Box<str>>,
    pub(crate) values: Vec<f64>,
}

/// An `[[override]]`.
#[derive(Debug)]
pub(crate) struct Override {
    pub(crate) scope: Scope,
    pub(crate) thresholds: Vec<(usize, f64)>,
    /// Actions that are not done, by their index.
    pub(crate) without: Vec<usize>,
    pub(crate) keep: Option<Kept>,
    pub(crate) hold: Option<HoldIn>,
}

impl List {
    /// Whether something on it is refused, dropped or held back.
    pub(crate) fn refuses(&self) -> bool {
        !matches!(self.action, ListAction::Score | ListAction::Allow)
    }

    /// What becomes of what is on it, where that is not a score.
    pub(crate) fn disposition(&self) -> Option<Disposition> {
        match self.action {
            ListAction::Score | ListAction::Allow => None,
            ListAction::Reject => Some(Disposition::Reject),
            ListAction::Tempfail => Some(Disposition::Tempfail),
            ListAction::Discard => Some(Disposition::Discard),
            ListAction::Hold => Some(Disposition::Hold),
        }
    }
}

impl Subject {
    /// Every one with its name in policies.
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("envelope_sender", Self::EnvelopeSender),
        ("from_header", Self::FromHeader),
        ("sender_header", Self::SenderHeader),
        ("recipient", Self::Recipient),
        ("peer", Self::Peer),
        ("helo", Self::Helo),
        ("ptr", Self::Ptr),
    ];

    /// The first stage at which it is known.
    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Peer | Self::Ptr => Stage::Connect,
            Self::Helo => Stage::Helo,
            Self::EnvelopeSender => Stage::Mail,
            Self::Recipient => Stage::Rcpt,
            Self::FromHeader | Self::SenderHeader => Stage::EndOfMessage,
        }
    }
}

impl Target {
    /// Whether it is below the header.
    pub(crate) fn is_body(self) -> bool {
        match self {
            Self::Body
            | Self::Html
            | Self::RawBody
            | Self::Uri
            | Self::UriHost
            | Self::AttachmentName => true,
            Self::Headers
            | Self::EnvelopeSender
            | Self::Recipient
            | Self::Helo
            | Self::Ptr
            | Self::Peer => false,
        }
    }
}

impl HeaderName {
    /// Whether a header has this name.
    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        if self.open {
            name.len() >= self.name.len()
                && name[..self.name.len()].eq_ignore_ascii_case(&self.name)
        } else {
            name.eq_ignore_ascii_case(&self.name)
        }
    }
}
