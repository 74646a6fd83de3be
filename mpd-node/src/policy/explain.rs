//! A policy in words, for people who ask why.

use std::fmt::Write as _;

use super::{ListAction, Policy, SymbolId};

impl Policy {
    /// What a symbol means (`SPAM_WORDS`), or what stands at a line (`rules/content.toml:12`). `None` when the policy
    /// has no such symbol, file or line.
    #[must_use]
    pub fn explain(&self, what: &str) -> Option<String> {
        if let Some(symbol) = self.symbols.find(what) {
            return Some(self.explain_symbol(symbol));
        }
        let (file, line) = what.rsplit_once(':')?;
        self.explain_line(file, line.parse().ok()?)
    }

    /// The policy in a few lines.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("revision {}\n", self.revision);
        let defined = self
            .symbols
            .iter()
            .filter(|(_, symbol)| !symbol.builtin)
            .count();
        let _ = writeln!(
            text,
            "{} lists, {} rules, {} attachment rules, {} expressions, {} symbols of its own",
            self.lists.len(),
            self.patterns.rules.len(),
            self.attachments.len(),
            self.expressions.len(),
            defined
        );
        for (name, value) in self.thresholds.names.iter().zip(&self.thresholds.values) {
            let _ = writeln!(text, "threshold {name} = {value}");
        }
        for action in &self.actions {
            let _ = writeln!(text, "action {} ({})", action.name, action.line);
        }
        text
    }

    fn explain_symbol(&self, id: SymbolId) -> String {
        let symbol = self.symbols.symbol(id);
        let mut text = format!("{}: score {}\n", symbol.name, symbol.score);
        if !symbol.description.is_empty() {
            let _ = writeln!(text, "  {}", symbol.description);
        }
        match &symbol.line {
            Some(line) => {
                let _ = writeln!(
                    text,
                    "  {line}: {}",
                    self.line(&line.file, line.line).unwrap_or_default().trim()
                );
            }
            None => text.push_str("  built in; this policy does not score it\n"),
        }
        for list in self
            .lists
            .iter()
            .filter(|list| list.symbol == id && list.action != ListAction::Score)
        {
            let does = match list.disposition() {
                Some(disposition) => disposition.name(),
                None => "allow",
            };
            let stage = list
                .stage
                .map(|stage| format!(" at {stage}"))
                .unwrap_or_default();
            let _ = writeln!(text, "  what is on its list ({}): {does}{stage}", list.file);
        }
        for expression in self
            .expressions
            .iter()
            .filter(|e| e.expression.symbols().contains(&id))
        {
            let asking = self.symbols.symbol(expression.symbol);
            let place = asking
                .line
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, "  asked for by {} ({place})", asking.name);
        }
        for action in &self.actions {
            if action
                .when
                .as_ref()
                .is_some_and(|when| when.symbols().contains(&id))
            {
                let does = action
                    .then
                    .map_or("changes", millrace_proto::Disposition::name);
                let _ = writeln!(
                    text,
                    "  asked for by action {} ({}): {does}",
                    action.name, action.line
                );
            }
        }
        text
    }

    fn explain_line(&self, file: &str, line: u32) -> Option<String> {
        let shown = self.line(file, line)?;
        let mut text = format!("{file}:{line}: {}\n", shown.trim());
        // The symbol or action whose definition begins nearest above.
        let symbol = self
            .symbols
            .iter()
            .filter_map(|(id, symbol)| Some((symbol.line.as_ref()?, id)))
            .filter(|(at, _)| *at.file == *file && at.line <= line)
            .max_by_key(|(at, _)| at.line);
        let action = self
            .actions
            .iter()
            .filter(|action| *action.line.file == *file && action.line.line <= line)
            .max_by_key(|action| action.line.line);
        match (symbol, action) {
            (Some((at, id)), action) if action.is_none_or(|action| action.line.line < at.line) => {
                text.push_str(&self.explain_symbol(id));
            }
            (_, Some(action)) => {
                let does = action
                    .then
                    .map_or("changes the message", millrace_proto::Disposition::name);
                let _ = writeln!(text, "action {}: {does}", action.name);
            }
            _ => {}
        }
        Some(text)
    }

    fn line(&self, file: &str, line: u32) -> Option<&str> {
        self.texts
            .get(file)?
            .lines()
            .nth(usize::try_from(line).ok()?.checked_sub(1)?)
    }
}
