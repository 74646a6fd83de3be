//! `[[list]]`.

use std::sync::Arc;

use millrace_proto::{Disposition, Stage};
use millrace_runtime::config::{ConfigError, nearest};

use super::{Compiler, Source, Unit};
use crate::policy::document::{self, ListAction, RuleFile, StageName, words};
use crate::policy::list::{Entries, Kind};
use crate::policy::parts::{List, Subject};
use crate::policy::scope::Scope;
use crate::policy::template::Template;

impl Compiler {
    pub(super) fn lists(&mut self, units: &[Unit<RuleFile>]) -> Vec<List> {
        let mut lists = Vec::new();
        for unit in units {
            for (at, list) in unit.document.list.iter().enumerate() {
                let key = format!("list[{at}]");
                lists.extend(self.list(&unit.source, &key, list));
            }
        }
        lists
    }

    fn list(&mut self, source: &Source, key: &str, list: &document::List) -> Option<List> {
        let symbol = self.symbols.find(list.symbol.get_ref());
        let (kinds, kind) = self.subjects(source, key, list)?;
        let mut entries = Entries::new(kind);
        for entry in &list.entries {
            if let Err(bad) = entries.insert(entry.get_ref().trim(), source.line(&entry.span())) {
                self.error(
                    source,
                    entry.span(),
                    format!("{key}.entries"),
                    bad.problem,
                    bad.remedy,
                );
            }
        }
        let mut file = source.name.clone();
        if let Some(name) = &list.file {
            if !list.entries.is_empty() {
                let remedy =
                    "move the entries into the file, or make two lists with the same symbol";
                self.error(
                    source,
                    name.span(),
                    format!("{key}.file"),
                    "a list has `entries` or a `file`, not both",
                    remedy,
                );
            }
            file = name.get_ref().as_str().into();
            self.list_file(source, key, name, &mut entries);
        }
        entries.finish();
        let scope = self.scope(
            source,
            key,
            list.client.as_ref(),
            list.direction.as_ref(),
            list.recipient_domain.as_ref(),
        );
        let stage = self.list_stage(source, key, list, &kinds, &scope);
        let disposition = match list.action {
            ListAction::Reject => Some(Disposition::Reject),
            ListAction::Tempfail => Some(Disposition::Tempfail),
            ListAction::Score | ListAction::Discard | ListAction::Hold | ListAction::Allow => None,
        };
        let reply = self.reply(source, key, list.reply.as_ref(), disposition);
        let reason = match &list.reason {
            Some(reason) => self.template(
                source,
                &format!("{key}.reason"),
                &reason.span(),
                reason.get_ref(),
                false,
            ),
            None => Template::parse("Held by policy: {symbols}", false).ok(),
        };
        Some(List {
            symbol: symbol?,
            kinds,
            entries,
            action: list.action,
            stage,
            reply,
            reason: reason?,
            scope,
            file,
        })
    }

    fn subjects(
        &mut self,
        source: &Source,
        key: &str,
        list: &document::List,
    ) -> Option<(Box<[Subject]>, Kind)> {
        let mut subjects = Vec::new();
        let mut kind = None;
        for (span, word) in words(&list.kinds) {
            let Some((_, subject)) = Subject::ALL.iter().find(|(name, _)| *name == word) else {
                let names = Subject::ALL.map(|(name, _)| name);
                let near = nearest(word, names)
                    .map(|near| format!("did you mean {near}? "))
                    .unwrap_or_default();
                let remedy = format!("{near}(one or more of {})", names.join(", "));
                self.error(
                    source,
                    span,
                    format!("{key}.match"),
                    format!("'{word}' cannot be matched"),
                    remedy,
                );
                return None;
            };
            let own = match subject {
                Subject::EnvelopeSender
                | Subject::FromHeader
                | Subject::SenderHeader
                | Subject::Recipient => Kind::Addresses,
                Subject::Peer => Kind::Networks,
                Subject::Helo | Subject::Ptr => Kind::Hosts,
            };
            if *kind.get_or_insert(own) != own {
                let remedy = "make two lists: addresses, networks and host names do not mix";
                let problem =
                    format!("'{word}' has entries of another kind than the one before it");
                self.error(source, span, format!("{key}.match"), problem, remedy);
                return None;
            }
            subjects.push(*subject);
        }
        let Some(kind) = kind else {
            let remedy = "say what is looked up, as match = \"envelope_sender\"";
            self.error(
                source,
                list.kinds.span(),
                format!("{key}.match"),
                "is empty",
                remedy,
            );
            return None;
        };
        Some((subjects.into(), kind))
    }

    fn list_file(
        &mut self,
        source: &Source,
        key: &str,
        name: &toml::Spanned<String>,
        entries: &mut Entries,
    ) {
        let text: Arc<str> = match self.files.read(name.get_ref()) {
            Ok(text) => text,
            Err(error) => {
                let problem = format!("'{}' {}", name.get_ref(), error.problem);
                self.error(
                    source,
                    name.span(),
                    format!("{key}.file"),
                    problem,
                    error.remedy,
                );
                return;
            }
        };
        let shown = self.files.shown(name.get_ref());
        for (at, line) in text.lines().enumerate() {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
            if entry.is_empty() {
                continue;
            }
            let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
            if let Err(bad) = entries.insert(entry, number) {
                if self.errors.0.len() > super::MAX_ERRORS {
                    return;
                }
                self.errors.push(ConfigError::at_line(
                    &shown,
                    at + 1,
                    None,
                    bad.problem,
                    bad.remedy,
                ));
            }
        }
    }

    /// The stage at which a list refuses: the first at which all that it needs is known, or a later one.
    fn list_stage(
        &mut self,
        source: &Source,
        key: &str,
        list: &document::List,
        kinds: &[Subject],
        scope: &Scope,
    ) -> Option<Stage> {
        let refuses = !matches!(list.action, ListAction::Score | ListAction::Allow);
        if !refuses {
            if let Some(stage) = &list.stage {
                let remedy = "take `stage` away, or add an `action` that refuses";
                self.error(
                    source,
                    stage.span(),
                    format!("{key}.stage"),
                    "this list refuses nothing",
                    remedy,
                );
            }
            return None;
        }
        let mut first = kinds
            .iter()
            .map(|kind| kind.stage())
            .min()
            .unwrap_or(Stage::EndOfMessage);
        if scope.recipients().is_some() {
            first = first.max(Stage::Rcpt);
        }
        // What takes the message, and then drops or holds it, needs a message.
        if matches!(list.action, ListAction::Discard | ListAction::Hold) {
            first = Stage::EndOfMessage;
        }
        let Some(wanted) = &list.stage else {
            return Some(first);
        };
        let stage = match wanted.get_ref() {
            StageName::Connect => Stage::Connect,
            StageName::Helo => Stage::Helo,
            StageName::Mail => Stage::Mail,
            StageName::Rcpt => Stage::Rcpt,
            StageName::Data => Stage::Data,
            StageName::EndOfMessage => Stage::EndOfMessage,
        };
        if stage < first {
            let problem = format!("this is not known at {stage} yet");
            let remedy = format!("write {} or a later stage", first.name().replace('-', "_"));
            self.error(
                source,
                wanted.span(),
                format!("{key}.stage"),
                problem,
                remedy,
            );
        }
        Some(stage)
    }
}
