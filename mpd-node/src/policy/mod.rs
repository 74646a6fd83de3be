//! The policy: what a mail administrator wrote, compiled once to an immutable value that every message is judged by.
//!
//! [`Policy::load`] reads a folder, `policy.toml` and the files that it names; [`PolicyStore`] holds the one in force
//! and the ones before it; [`FolderSource`] follows the folder, [`EtcdSource`] what is published in etcd.

mod attachment;
mod builtin;
mod compile;
mod document;
mod explain;
mod expression;
mod files;
mod folder;
mod list;
mod parts;
mod pattern;
mod published;
mod scope;
mod sender_list;
mod store;
mod symbol;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use millrace_cluster::policy::PolicyFiles;
use millrace_proto::{
    ClientName, Direction, HoldIn, Peer, Plan, Revision, Stage, StageMacros, StageSet,
};

pub use builtin::WriteDefaultError;
pub use folder::{FolderSource, FolderStatus};
pub use published::{CannotOpen, EtcdSource};
pub use sender_list::{SenderListEdit, SenderListError};
pub use store::PolicyStore;

pub(crate) use attachment::AttachmentRule;
pub(crate) use document::{ListAction, Target};
pub(crate) use list::NetworkSet;
pub(crate) use parts::{
    Action, EditTemplate, HeaderName, Kept, Level, List, NamedExpression, Override, Patterns,
    ReplyTemplate, Rule, Subject, Thresholds,
};
pub(crate) use pattern::PatternSet;
pub(crate) use scope::RecipientScopes;
pub(crate) use symbol::{
    ALLOWED, LIMIT_RAW_BODY, RELEASED, STAMP_REFUSED, SymbolId, Symbols, UNSCANNED,
};
pub(crate) use template::{Field, Template, fold};

use crate::request::Limits;
use files::Files;

/// Why a policy is refused: every mistake with file, line, key and remedy.
pub type PolicyErrors = millrace_runtime::config::ConfigErrors;

/// A compiled policy. Immutable: every message sees one whole policy from its beginning to its end.
#[derive(Debug)]
pub struct Policy {
    revision: Revision,
    symbols: Symbols,
    trusted: NetworkSet,
    trust_own_headers: bool,
    union_of_edits: bool,
    size_limit: Option<u64>,
    limits: Limits,
    recipients: RecipientScopes,
    lists: Vec<List>,
    patterns: Patterns,
    attachments: Vec<AttachmentRule>,
    expressions: Vec<NamedExpression>,
    thresholds: Thresholds,
    actions: Vec<Action>,
    overrides: Vec<Override>,
    own_headers: Vec<HeaderName>,
    /// By the checks' places.
    optional_checks: Vec<bool>,
    keep: Option<Kept>,
    hold: HoldIn,
    /// The TOML files, for people who ask.
    texts: BTreeMap<String, Arc<str>>,
}

impl Policy {
    /// The policy that is built in, compiled once in a process.
    ///
    /// # Errors
    /// None, in a build that passes its tests.
    pub fn builtin() -> Result<Arc<Self>, PolicyErrors> {
        static COMPILED: OnceLock<Arc<Policy>> = OnceLock::new();
        if let Some(policy) = COMPILED.get() {
            return Ok(policy.clone());
        }
        let policy = Self::from_files(builtin::files())?;
        Ok(COMPILED.get_or_init(|| policy).clone())
    }

    /// Compiles the policy in a folder.
    ///
    /// # Errors
    /// A file cannot be read, or the policy has mistakes.
    pub fn load(folder: &Path) -> Result<Arc<Self>, PolicyErrors> {
        Self::load_with_files(folder).map(|(policy, _)| policy)
    }

    /// Compiles the policy in a folder, and gives the files that it consists of.
    ///
    /// # Errors
    /// A file cannot be read, or the policy has mistakes.
    pub fn load_with_files(folder: &Path) -> Result<(Arc<Self>, PolicyFiles), PolicyErrors> {
        compile::compile(Files::in_folder(folder))
            .map(|compiled| (Arc::new(compiled.policy), compiled.files))
            .map_err(|(errors, _)| errors)
    }

    /// Compiles the policy in a folder as it would be with another text in one file.
    fn load_with(folder: &Path, name: &str, text: &str) -> Result<Arc<Self>, PolicyErrors> {
        compile::compile(Files::in_folder_with(folder, name, text))
            .map(|compiled| Arc::new(compiled.policy))
            .map_err(|(errors, _)| errors)
    }

    /// Compiles a policy whose files, `policy.toml` among them, are in memory.
    ///
    /// # Errors
    /// The policy has mistakes.
    pub fn from_files(files: BTreeMap<String, String>) -> Result<Arc<Self>, PolicyErrors> {
        let files = files.into_iter().map(|(name, text)| (name, text.into()));
        Self::compiled(files.collect()).map(Arc::new)
    }

    /// Compiles a published policy. Its revision is the one that it was published under, even if this version of
    /// Millrace reads another choice of its files.
    ///
    /// # Errors
    /// The policy has mistakes, or wants a later version of Millrace.
    pub fn published(revision: &Revision, files: PolicyFiles) -> Result<Arc<Self>, PolicyErrors> {
        let mut policy = Self::compiled(files)?;
        policy.revision = revision.clone();
        Ok(Arc::new(policy))
    }

    fn compiled(files: PolicyFiles) -> Result<Self, PolicyErrors> {
        compile::compile(Files::in_memory(files))
            .map(|compiled| compiled.policy)
            .map_err(|(errors, _)| errors)
    }

    /// Writes the policy that is built in into a folder, which is made if need be. Nothing is overwritten.
    ///
    /// # Errors
    /// One of the files exists, or cannot be written.
    pub fn write_default(folder: &Path) -> Result<(), WriteDefaultError> {
        builtin::write(folder)
    }

    /// Whether the check at this place among all is left out under load.
    pub(crate) fn is_optional(&self, check: usize) -> bool {
        self.optional_checks.get(check).copied().unwrap_or_default()
    }

    /// The hash of its manifest: 64 hexadecimal digits.
    #[must_use]
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What it wants of a client.
    #[must_use]
    pub fn plan(&self, client: &ClientName, direction: Direction) -> Plan {
        let stages: StageSet = self
            .lists
            .iter()
            .filter(|list| !list.entries.is_empty() && list.scope.covers_client(client, direction))
            .filter_map(|list| list.stage)
            .filter(|stage| *stage != Stage::EndOfMessage)
            .collect();
        let macros = |stage, name: &str| StageMacros {
            stage,
            names: vec![name.to_owned()],
        };
        Plan {
            revision: self.revision.clone(),
            stages,
            macros: vec![
                macros(Stage::Mail, "{auth_authen}"),
                macros(Stage::EndOfMessage, "i"),
            ],
            size_limit: self.size_limit(client, direction),
            needs_body: self.needs_body(),
        }
    }

    /// The limits on parsing a message.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The largest message that is taken from a client, in bytes; `None` for no limit.
    #[must_use]
    pub fn size_limit(&self, _client: &ClientName, _direction: Direction) -> Option<u64> {
        self.size_limit
    }

    /// Whether anything looks below the header.
    fn needs_body(&self) -> bool {
        !self.attachments.is_empty()
            || self
                .patterns
                .targets
                .iter()
                .any(|(target, _)| target.is_body())
            || self
                .symbols
                .iter()
                .any(|(_, symbol)| symbol.builtin && symbol.used)
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    pub(crate) fn lists(&self) -> &[List] {
        &self.lists
    }

    pub(crate) fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    pub(crate) fn attachments(&self) -> &[AttachmentRule] {
        &self.attachments
    }

    pub(crate) fn expressions(&self) -> &[NamedExpression] {
        &self.expressions
    }

    pub(crate) fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    pub(crate) fn actions(&self) -> &[Action] {
        &self.actions
    }

    pub(crate) fn overrides(&self) -> &[Override] {
        &self.overrides
    }

    pub(crate) fn recipients(&self) -> &RecipientScopes {
        &self.recipients
    }

    pub(crate) fn own_headers(&self) -> &[HeaderName] {
        &self.own_headers
    }

    /// What is kept apart from actions that say so; overrides may say otherwise.
    pub(crate) fn keep(&self) -> Option<&Kept> {
        self.keep.as_ref()
    }

    /// Where holds wait; actions and overrides may say otherwise.
    pub(crate) fn hold(&self) -> HoldIn {
        self.hold
    }

    /// Whether it wants a store for kept copies.
    pub(crate) fn wants_store(&self) -> bool {
        let keeps = |kept: &Option<Kept>| matches!(kept, Some(Kept::Dispositions(_)));
        let holds = |hold: Option<HoldIn>| hold == Some(HoldIn::Store);
        keeps(&self.keep)
            || holds(Some(self.hold))
            || self
                .actions
                .iter()
                .any(|action| action.keep || holds(action.hold))
            || self
                .overrides
                .iter()
                .any(|change| keeps(&change.keep) || holds(change.hold))
    }

    pub(crate) fn trusts_own_headers(&self) -> bool {
        self.trust_own_headers
    }

    pub(crate) fn joins_edits(&self) -> bool {
        self.union_of_edits
    }

    pub(crate) fn trusted(&self) -> &NetworkSet {
        &self.trusted
    }

    /// Whether a peer is one of ours.
    pub(crate) fn trusts(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Ip(_) => peer.ip().is_some_and(|ip| self.trusted.contains(ip)),
            Peer::Unix(_) => true,
            Peer::Unknown => false,
        }
    }
}
