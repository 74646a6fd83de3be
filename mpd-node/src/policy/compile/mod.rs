//! From the document to the policy: everything is looked up, compiled and put in order here, and every mistake is
//! told with file, line, key and remedy.

mod actions;
mod attachments;
mod checks;
mod expressions;
mod keep;
mod lists;
mod rules;
mod scopes;
mod symbols;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use millrace_cluster::policy::PolicyFiles;
use millrace_proto::PolicyLine;
use millrace_runtime::config::{self, ConfigError, ConfigErrors};
use toml::Spanned;

use super::Policy;
use super::document::{self, Document, RuleFile};
use super::files::{Files, MAIN};
use super::list::NetworkSet;
use super::scope::RecipientScopes;
use super::symbol::Symbols;
use crate::request::Limits;

/// More mistakes than this are not told at once.
const MAX_ERRORS: usize = 50;

/// One file of the policy while it is compiled.
struct Source {
    /// As the policy names it.
    name: Arc<str>,
    /// As errors name it.
    shown: PathBuf,
    text: Arc<str>,
    /// Where its lines begin.
    lines: Vec<usize>,
}

/// One file's share of the policy.
struct Unit<D> {
    source: Source,
    document: D,
}

/// What compiling needs at hand.
struct Compiler {
    files: Files,
    errors: ConfigErrors,
    symbols: Symbols,
    recipients: RecipientScopes,
}

/// A policy that compiles.
pub(super) struct Compiled {
    pub(super) policy: Policy,
    /// The paths of all of its files.
    pub(super) paths: Vec<PathBuf>,
    /// What they hold.
    pub(super) files: PolicyFiles,
}

/// Compiles a policy.
///
/// # Errors
/// Every mistake in it, at most 50, and the paths of the files that were read.
pub(super) fn compile(files: Files) -> Result<Compiled, (ConfigErrors, Vec<PathBuf>)> {
    let mut compiler = Compiler {
        files,
        errors: ConfigErrors::default(),
        symbols: Symbols::builtin(&crate::checks::names()),
        recipients: RecipientScopes::default(),
    };
    let policy = compiler.policy();
    let Compiler {
        files, mut errors, ..
    } = compiler;
    let paths = files.paths();
    errors.0.truncate(MAX_ERRORS);
    match policy {
        Some(policy) if errors.0.is_empty() => {
            let mut policy = policy;
            policy.revision = files.revision();
            let files = files.into_read();
            policy.texts = files
                .iter()
                .filter(|(name, _)| name.ends_with(".toml"))
                .map(|(name, text)| (name.clone(), text.clone()))
                .collect();
            Ok(Compiled {
                policy,
                paths,
                files,
            })
        }
        _ => Err((errors, paths)),
    }
}

impl Compiler {
    /// `None` where a file does not even parse; errors are in `self.errors`.
    fn policy(&mut self) -> Option<Policy> {
        let main: Unit<Document> = self.unit(MAIN)?;
        let mut parts = Vec::new();
        for include in &main.document.include {
            match self.files.read(include.get_ref()) {
                Err(error) => {
                    let problem = format!("'{}' {}", include.get_ref(), error.problem);
                    self.error(
                        &main.source,
                        include.span(),
                        "include",
                        problem,
                        error.remedy,
                    );
                }
                Ok(_) => {
                    if let Some(part) = self.unit::<RuleFile>(include.get_ref()) {
                        parts.push(part);
                    }
                }
            }
        }
        let Unit {
            source,
            mut document,
        } = main;
        let first = RuleFile {
            scores: std::mem::take(&mut document.scores),
            list: std::mem::take(&mut document.list),
            rule: std::mem::take(&mut document.rule),
            expression: std::mem::take(&mut document.expression),
            attachment: std::mem::take(&mut document.attachment),
        };
        let first = Unit {
            source: source.again(),
            document: first,
        };
        let units: Vec<Unit<RuleFile>> = std::iter::once(first).chain(parts).collect();

        self.define_symbols(&units);
        let lists = self.lists(&units);
        let patterns = self.patterns(&units);
        let attachments = self.attachments(&units);
        let expressions = self.expressions(&units);
        let thresholds = self.thresholds(&source, &document);
        let actions = self.actions(&source, &document, &thresholds);
        let overrides = self.overrides(&source, &document, &thresholds, &actions);
        let own_headers = self.own_headers(&source, &document, &actions);
        let keep = self.kept(&source, "keep", document.keep.as_ref());
        Some(Policy {
            revision: self.files.revision(),
            keep,
            hold: (&document.hold).into(),
            trusted: self.trusted(&source, &document),
            trust_own_headers: document.trust_own_headers,
            union_of_edits: document.union_of_edits,
            size_limit: document.size_limit.as_ref().map(|size| size.get_ref().0),
            limits: self.limits(&source, &document),
            recipients: std::mem::take(&mut self.recipients),
            lists,
            patterns,
            attachments,
            expressions,
            thresholds,
            actions,
            overrides,
            own_headers,
            optional_checks: self.optional_checks(&source, &document),
            symbols: std::mem::replace(&mut self.symbols, Symbols::builtin(&[])),
            texts: std::collections::BTreeMap::new(),
        })
    }

    /// Reads and parses one file.
    fn unit<D: serde::de::DeserializeOwned>(&mut self, name: &str) -> Option<Unit<D>> {
        let text = self
            .files
            .read(name)
            .map_err(|error| self.errors.push(error))
            .ok()?;
        let source = Source::new(name, self.files.shown(name), text);
        let kept = keep::misplaced(&source.text);
        let refused = !kept.is_empty();
        for (span, key) in kept {
            self.error(
                &source,
                span,
                key,
                "keeps no copy",
                "move it to an [[action]]; its `when` can be the symbol of a list or a rule",
            );
        }
        match config::parse(&source.shown, &source.text) {
            Ok(document) => Some(Unit { source, document }),
            Err(error) => {
                if !refused {
                    self.errors.push(error);
                }
                None
            }
        }
    }

    fn error(
        &mut self,
        source: &Source,
        span: Range<usize>,
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.errors.0.len() > MAX_ERRORS {
            return;
        }
        self.errors.push(ConfigError::at(
            &source.shown,
            &source.text,
            span,
            key,
            problem,
            remedy,
        ));
    }

    /// A number that can be a score.
    fn number(&mut self, source: &Source, number: &Spanned<f64>, key: &str) -> f64 {
        let value = *number.get_ref();
        if value.is_finite() && value.abs() <= 1e6 {
            return value;
        }
        self.error(
            source,
            number.span(),
            key,
            format!("{value} is no score"),
            "write a number from -1000000 to 1000000",
        );
        0.0
    }

    fn trusted(&mut self, source: &Source, document: &Document) -> NetworkSet {
        let mut set = NetworkSet::default();
        for entry in &document.trusted_networks {
            if let Err(bad) = set.insert(entry.get_ref(), source.line(&entry.span())) {
                self.error(
                    source,
                    entry.span(),
                    "trusted_networks",
                    bad.problem,
                    bad.remedy,
                );
            }
        }
        set.finish();
        set
    }

    fn limits(&mut self, source: &Source, document: &Document) -> Limits {
        let table = &document.limits;
        let mut limits = Limits::default();
        let count = |value: &Option<Spanned<usize>>, into: &mut usize| {
            if let Some(value) = value {
                *into = *value.get_ref();
            }
        };
        let size = |value: &Option<Spanned<document::Size>>, into: &mut usize| {
            if let Some(value) = value {
                *into = usize::try_from(value.get_ref().0).unwrap_or(usize::MAX);
            }
        };
        count(&table.headers, &mut limits.headers);
        size(&table.header_bytes, &mut limits.header_bytes);
        size(&table.header_line, &mut limits.header_line);
        count(&table.mime_depth, &mut limits.mime_depth);
        count(&table.mime_parts, &mut limits.mime_parts);
        size(&table.text_bytes, &mut limits.text_bytes);
        count(&table.uris, &mut limits.uris);
        count(&table.archive_depth, &mut limits.archive_depth);
        count(&table.archive_entries, &mut limits.archive_entries);
        if let Some(value) = &table.decoded_bytes {
            limits.decoded_bytes = value.get_ref().0;
        }
        if let Some(value) = &table.archive_ratio {
            limits.archive_ratio = *value.get_ref() as u64;
        }
        if let Some(value) = &table.archive_bytes {
            limits.archive_bytes = value.get_ref().0;
        }
        // Beyond these a single message could take a node's memory, or its stack.
        let most = [
            (&table.headers, "headers", 100_000),
            (&table.mime_depth, "mime_depth", 100),
            (&table.mime_parts, "mime_parts", 100_000),
            (&table.uris, "uris", 100_000),
            (&table.archive_depth, "archive_depth", 20),
            (&table.archive_entries, "archive_entries", 1_000_000),
        ];
        for (value, name, most) in most {
            if let Some(value) = value
                .as_ref()
                .filter(|value| *value.get_ref() > most || *value.get_ref() == 0)
            {
                let problem = format!("{} is not from 1 to {most}", value.get_ref());
                self.error(
                    source,
                    value.span(),
                    format!("limits.{name}"),
                    problem,
                    "choose a number in that range",
                );
            }
        }
        limits
    }
}

impl Source {
    fn new(name: &str, shown: PathBuf, text: Arc<str>) -> Self {
        let lines = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        Self {
            name: name.into(),
            shown,
            text,
            lines,
        }
    }

    fn again(&self) -> Self {
        Self {
            name: self.name.clone(),
            shown: self.shown.clone(),
            text: self.text.clone(),
            lines: self.lines.clone(),
        }
    }

    /// The line of a place, from 1.
    fn line(&self, span: &Range<usize>) -> u32 {
        u32::try_from(self.lines.partition_point(|start| *start <= span.start)).unwrap_or(u32::MAX)
    }

    fn policy_line(&self, span: &Range<usize>) -> PolicyLine {
        PolicyLine {
            file: self.name.clone(),
            line: self.line(span),
        }
    }
}
