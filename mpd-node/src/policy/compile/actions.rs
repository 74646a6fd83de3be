//! `[thresholds]`, `[[action]]`, `[[override]]`, and the headers that are our own.

use std::ops::Range;

use bytes::Bytes;
use millrace_proto::{Disposition, Reply};
use millrace_runtime::config::nearest;
use toml::Spanned;

use super::{Compiler, Source};
use crate::policy::document::{self, Document, Final, Words, words};
use crate::policy::parts::{
    Action, EditTemplate, HeaderName, Level, Override, ReplyTemplate, Thresholds,
};
use crate::policy::template::Template;

impl Compiler {
    pub(super) fn thresholds(&mut self, source: &Source, document: &Document) -> Thresholds {
        let mut thresholds = Thresholds::default();
        for (name, value) in &document.thresholds {
            let value = self.number(source, value, &format!("thresholds.{}", name.get_ref()));
            thresholds.names.push(name.get_ref().as_str().into());
            thresholds.values.push(value);
        }
        thresholds
    }

    pub(super) fn actions(
        &mut self,
        source: &Source,
        document: &Document,
        thresholds: &Thresholds,
    ) -> Vec<Action> {
        let mut actions: Vec<Action> = Vec::new();
        for (at, written) in document.action.iter().enumerate() {
            let key = format!("action[{at}]");
            if actions
                .iter()
                .any(|action| *action.name == **written.name.get_ref())
            {
                let problem = format!("there is an action '{}' already", written.name.get_ref());
                self.error(
                    source,
                    written.name.span(),
                    format!("{key}.name"),
                    problem,
                    "give it another name",
                );
            }
            actions.extend(self.action(source, &key, written, thresholds));
        }
        actions
    }

    fn action(
        &mut self,
        source: &Source,
        key: &str,
        written: &document::Action,
        thresholds: &Thresholds,
    ) -> Option<Action> {
        let scope = self.scope(
            source,
            key,
            written.client.as_ref(),
            written.direction.as_ref(),
            written.recipient_domain.as_ref(),
        );
        let level = match &written.score_at_least {
            None => None,
            Some(level) => Some(self.level(source, key, level, thresholds)?),
        };
        let when = match &written.when {
            None => None,
            Some(text) => Some(self.expression(source, &format!("{key}.when"), text)?),
        };
        let then = written.then.as_ref().map(|then| match then.get_ref() {
            Final::Accept => Disposition::Accept,
            Final::Reject => Disposition::Reject,
            Final::Tempfail => Disposition::Tempfail,
            Final::Discard => Disposition::Discard,
            Final::Hold => Disposition::Hold,
        });
        let reply = self.reply(source, key, written.reply.as_ref(), then);
        if let Some(reason) = written
            .reason
            .as_ref()
            .filter(|_| then != Some(Disposition::Hold))
        {
            let remedy = "take it away, or write do = \"hold\"";
            self.error(
                source,
                reason.span(),
                format!("{key}.reason"),
                "a `reason` is for a hold",
                remedy,
            );
        }
        let reason = match &written.reason {
            Some(reason) => self.template(
                source,
                &format!("{key}.reason"),
                &reason.span(),
                reason.get_ref(),
                false,
            )?,
            None => Template::parse("score {score}: {symbols}", false).ok()?,
        };
        let edits = self.edits(source, key, written);
        if then.is_none() && edits.is_empty() && !written.keep {
            let remedy = "add `do`, `keep`, or something that it changes, such as add_header";
            self.error(source, written.name.span(), key, "does nothing", remedy);
        }
        if let Some(Disposition::Reject | Disposition::Tempfail | Disposition::Discard) = then
            && !edits.is_empty()
        {
            let remedy = "take the changes away, or make them an action of their own";
            let problem = "changes a message that nobody will see";
            self.error(source, written.name.span(), key, problem, remedy);
        }
        Some(Action {
            name: written.name.get_ref().as_str().into(),
            line: source.policy_line(&written.name.span()),
            scope,
            level,
            when,
            then,
            reply,
            reason,
            edits: edits.into(),
            keep: written.keep,
            hold: self.hold_of_action(source, key, written),
        })
    }

    fn level(
        &mut self,
        source: &Source,
        key: &str,
        level: &Spanned<document::Level>,
        thresholds: &Thresholds,
    ) -> Option<Level> {
        let key = format!("{key}.score_at_least");
        match level.get_ref() {
            document::Level::Score(score) if score.is_finite() => Some(Level::Score(*score)),
            document::Level::Score(score) => {
                self.error(
                    source,
                    level.span(),
                    key,
                    format!("{score} is no score"),
                    "write a number",
                );
                None
            }
            document::Level::Name(name) => {
                let at = self.threshold(source, &key, level.span(), name, thresholds)?;
                Some(Level::Threshold(at))
            }
        }
    }

    fn threshold(
        &mut self,
        source: &Source,
        key: &str,
        span: Range<usize>,
        name: &str,
        thresholds: &Thresholds,
    ) -> Option<usize> {
        let found = thresholds.names.iter().position(|known| **known == *name);
        if found.is_none() {
            let known = || thresholds.names.iter().map(|name| &**name);
            let remedy = match (nearest(name, known()), thresholds.names.is_empty()) {
                (Some(near), _) => format!("did you mean {near}?"),
                (None, true) => format!("add it: [thresholds] {name} = 6.0"),
                (None, false) => {
                    format!("thresholds are {}", known().collect::<Vec<_>>().join(", "))
                }
            };
            self.error(
                source,
                span,
                key,
                format!("there is no threshold '{name}'"),
                remedy,
            );
        }
        found
    }

    pub(super) fn overrides(
        &mut self,
        source: &Source,
        document: &Document,
        thresholds: &Thresholds,
        actions: &[Action],
    ) -> Vec<Override> {
        let mut overrides = Vec::new();
        for (at, written) in document.overrides.iter().enumerate() {
            let key = format!("override[{at}]");
            let scope = self.scope(
                source,
                &key,
                written.client.as_ref(),
                written.direction.as_ref(),
                written.recipient_domain.as_ref(),
            );
            let mut values = Vec::new();
            for (name, value) in &written.thresholds {
                let key = format!("{key}.thresholds.{}", name.get_ref());
                let number = self.number(source, value, &key);
                let index = self.threshold(source, &key, name.span(), name.get_ref(), thresholds);
                values.extend(index.map(|index| (index, number)));
            }
            let mut without = Vec::new();
            for (span, name) in written.without.as_ref().map(words).unwrap_or_default() {
                match actions.iter().position(|action| *action.name == *name) {
                    Some(index) => without.push(index),
                    None => {
                        let names: Vec<&str> = actions.iter().map(|action| &*action.name).collect();
                        let remedy = format!("actions are {}", names.join(", "));
                        let problem = format!("there is no action '{name}'");
                        self.error(source, span, format!("{key}.without"), problem, remedy);
                    }
                }
            }
            overrides.push(Override {
                scope,
                thresholds: values,
                without,
                keep: self.kept(source, &format!("{key}.keep"), written.keep.as_ref()),
                hold: written.hold.as_ref().map(Into::into),
            });
        }
        overrides
    }

    /// The names of the headers that only we may have written.
    pub(super) fn own_headers(
        &mut self,
        source: &Source,
        document: &Document,
        actions: &[Action],
    ) -> Vec<HeaderName> {
        let mut names: Vec<HeaderName> = Vec::new();
        for written in &document.own_headers {
            names.extend(self.header_pattern(
                source,
                "own_headers",
                &written.span(),
                written.get_ref(),
            ));
        }
        for edit in actions.iter().flat_map(|action| &action.edits) {
            if let EditTemplate::AddHeader { name, .. } | EditTemplate::InsertHeader { name, .. } =
                edit
                && !names.iter().any(|known| known.matches(name))
            {
                names.push(HeaderName {
                    name: name.clone(),
                    open: false,
                });
            }
        }
        names
    }

    pub(super) fn template(
        &mut self,
        source: &Source,
        key: &str,
        span: &Range<usize>,
        text: &str,
        lines: bool,
    ) -> Option<Template> {
        match Template::parse(text, lines) {
            Ok(template) => Some(template),
            Err(bad) => {
                self.error(source, span.clone(), key, bad.problem, bad.remedy);
                None
            }
        }
    }

    /// `550 5.7.1 text`, of the class that the disposition needs.
    pub(super) fn reply(
        &mut self,
        source: &Source,
        key: &str,
        reply: Option<&Spanned<String>>,
        disposition: Option<Disposition>,
    ) -> Option<ReplyTemplate> {
        let written = reply?;
        let key = format!("{key}.reply");
        let class = match disposition {
            Some(Disposition::Reject) => 5,
            Some(Disposition::Tempfail) => 4,
            _ => {
                let remedy = "take it away, or refuse: reject or tempfail";
                self.error(
                    source,
                    written.span(),
                    key,
                    "nobody will hear this reply",
                    remedy,
                );
                return None;
            }
        };
        let text = written.get_ref().trim();
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let code = code
            .parse::<u16>()
            .ok()
            .filter(|code| code / 100 == class && text.as_bytes()[3..].first() == Some(&b' '));
        let Some(code) = code else {
            let remedy = format!(
                "begin it with a code from {class}00 to {class}99, as \"{class}50 {class}.7.1 text\""
            );
            self.error(
                source,
                written.span(),
                key,
                format!("this is no {class}xx reply with a text"),
                remedy,
            );
            return None;
        };
        let (first, after) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
        let is_enhanced =
            first.split('.').count() == 3 && first.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let (enhanced, text) = if is_enhanced {
            (Some(first), after)
        } else {
            (None, rest)
        };
        // Its fixed parts are checked here; what fields bring is made to fit.
        if let Err(problem) = Reply::new(code.into(), enhanced, "text") {
            let remedy = format!("an enhanced status code is {class}.x.y (RFC 3463)");
            self.error(source, written.span(), key, problem.to_string(), remedy);
            return None;
        }
        if text.trim().is_empty() {
            let remedy = "add what the sender should know";
            self.error(
                source,
                written.span(),
                key,
                "there is no text after the code",
                remedy,
            );
            return None;
        }
        let text = self.template(source, &key, &written.span(), text.trim(), true)?;
        Some(ReplyTemplate {
            code,
            enhanced: enhanced.map(Into::into),
            text,
        })
    }

    fn edits(
        &mut self,
        source: &Source,
        key: &str,
        written: &document::Action,
    ) -> Vec<EditTemplate> {
        let mut edits = Vec::new();
        let all = |value: &Option<Spanned<Words>>| -> Vec<(Range<usize>, String)> {
            value
                .as_ref()
                .map(words)
                .unwrap_or_default()
                .into_iter()
                .map(|(span, word)| (span, word.to_owned()))
                .collect()
        };
        for (span, field) in all(&written.insert_header) {
            let field = self.field(source, &format!("{key}.insert_header"), &span, &field);
            edits.extend(field.map(|(name, value)| EditTemplate::InsertHeader { name, value }));
        }
        for (span, field) in all(&written.set_header) {
            let field = self.field(source, &format!("{key}.set_header"), &span, &field);
            edits.extend(field.map(|(name, value)| EditTemplate::SetHeader { name, value }));
        }
        for (span, field) in all(&written.add_header) {
            let field = self.field(source, &format!("{key}.add_header"), &span, &field);
            edits.extend(field.map(|(name, value)| EditTemplate::AddHeader { name, value }));
        }
        for (span, name) in all(&written.delete_header) {
            let name = self.header_pattern(source, &format!("{key}.delete_header"), &span, &name);
            edits.extend(name.map(|name| EditTemplate::DeleteHeader { name }));
        }
        if let Some(tag) = &written.subject_tag {
            let text = tag.get_ref();
            if text.trim().is_empty()
                || text.len() > 200
                || !text.bytes().all(|b| matches!(b, b' '..=b'~'))
            {
                let problem = "is not a short text of printable ASCII";
                let remedy =
                    "write it as \"[SPAM]\"; encode other text as an RFC 2047 encoded word";
                self.error(
                    source,
                    tag.span(),
                    format!("{key}.subject_tag"),
                    problem,
                    remedy,
                );
            } else {
                edits.push(EditTemplate::SubjectTag(Bytes::copy_from_slice(
                    text.trim().as_bytes(),
                )));
            }
        }
        if let Some(sender) = &written.set_sender {
            let address = self.address(
                source,
                &format!("{key}.set_sender"),
                &sender.span(),
                sender.get_ref(),
                true,
            );
            edits.extend(address.map(EditTemplate::SetSender));
        }
        let redirect: Vec<Bytes> = all(&written.redirect)
            .into_iter()
            .filter_map(|(span, word)| {
                self.address(source, &format!("{key}.redirect"), &span, &word, false)
            })
            .collect();
        if !redirect.is_empty() {
            edits.push(EditTemplate::Redirect(redirect.into()));
        }
        for (span, word) in all(&written.add_recipient) {
            let address =
                self.address(source, &format!("{key}.add_recipient"), &span, &word, false);
            edits.extend(address.map(EditTemplate::AddRecipient));
        }
        edits
    }

    /// `Name: value`.
    fn field(
        &mut self,
        source: &Source,
        key: &str,
        span: &Range<usize>,
        text: &str,
    ) -> Option<(Bytes, Template)> {
        let Some((name, value)) = text
            .split_once(':')
            .filter(|(name, _)| is_header_name(name))
        else {
            let remedy = "write it as \"X-Spam-Status: {spam}, score={score}\"";
            self.error(
                source,
                span.clone(),
                key,
                format!("'{text}' is no header"),
                remedy,
            );
            return None;
        };
        if value.trim().is_empty() {
            self.error(
                source,
                span.clone(),
                key,
                format!("'{name}' has no value"),
                "add one behind the colon",
            );
            return None;
        }
        let value = self.template(source, key, span, value.trim(), false)?;
        Some((Bytes::copy_from_slice(name.as_bytes()), value))
    }

    fn header_pattern(
        &mut self,
        source: &Source,
        key: &str,
        span: &Range<usize>,
        text: &str,
    ) -> Option<HeaderName> {
        let (name, open) = text
            .strip_suffix('*')
            .map_or((text, false), |name| (name, true));
        if !is_header_name(name) {
            let problem = format!("'{text}' is no header name");
            let remedy =
                "write a name without its colon, or the beginning of names with * at its end";
            self.error(source, span.clone(), key, problem, remedy);
            return None;
        }
        Some(HeaderName {
            name: Bytes::copy_from_slice(name.as_bytes()),
            open,
        })
    }

    fn address(
        &mut self,
        source: &Source,
        key: &str,
        span: &Range<usize>,
        text: &str,
        null: bool,
    ) -> Option<Bytes> {
        let bare = text
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix('>'))
            .unwrap_or(text);
        let is_null = null && bare.is_empty();
        let fits = bare
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>') || b >= 0x80)
            && bare
                .rsplit_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if !is_null && !fits {
            let remedy = if null {
                "write user@domain, or <> for the null sender"
            } else {
                "write user@domain"
            };
            self.error(
                source,
                span.clone(),
                key,
                format!("'{text}' is no address"),
                remedy,
            );
            return None;
        }
        Some(Bytes::copy_from_slice(bare.as_bytes()))
    }
}

/// Whether this can be a header's name (RFC 5322 §2.2).
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name
            .bytes()
            .all(|b| matches!(b, b'!'..=b'~') && b != b':' && b != b'*')
}
