//! Symbols: who defines them, and what they score.

use std::collections::HashMap;

use millrace_runtime::config::nearest;
use toml::Spanned;

use super::{Compiler, Source, Unit};
use crate::policy::document::{ListAction, RuleFile};
use crate::policy::symbol::SymbolId;

/// One definition of a symbol.
struct Definition<'d> {
    key: String,
    symbol: &'d Spanned<String>,
    score: Option<&'d Spanned<f64>>,
    description: Option<&'d str>,
    /// It need not have a score: it decides by itself.
    decides: bool,
}

impl Compiler {
    /// Makes every symbol that the files define, and gives it its score.
    pub(super) fn define_symbols(&mut self, units: &[Unit<RuleFile>]) {
        let mut scored: HashMap<SymbolId, f64> = HashMap::new();
        let mut unscored = Vec::new();
        for (at, unit) in units.iter().enumerate() {
            for definition in definitions(&unit.document) {
                let Some(id) = self.define(&unit.source, &definition) else {
                    continue;
                };
                let Some(score) = definition.score else {
                    unscored.push((id, at, definition));
                    continue;
                };
                let key = format!("{}.score", definition.key);
                let value = self.number(&unit.source, score, &key);
                if self.symbols.symbol(id).is_hidden() && value != 0.0 {
                    let problem = format!(
                        "'{}' cannot have a score: its name begins with __",
                        definition.symbol.get_ref()
                    );
                    self.error(
                        &unit.source,
                        score.span(),
                        key,
                        problem,
                        "take the score away, or the two underscores",
                    );
                } else if scored.insert(id, value).is_some_and(|known| known != value) {
                    let problem = format!(
                        "'{}' already has another score",
                        definition.symbol.get_ref()
                    );
                    self.error(
                        &unit.source,
                        score.span(),
                        key,
                        problem,
                        "give one symbol one score",
                    );
                }
            }
        }
        let table = self.score_tables(units);
        scored.extend(table);
        for (id, at, definition) in unscored {
            let needs = !definition.decides
                && !self.symbols.symbol(id).is_hidden()
                && !scored.contains_key(&id);
            if needs {
                let name = definition.symbol.get_ref();
                self.error(
                    &units[at].source,
                    definition.symbol.span(),
                    format!("{}.score", definition.key),
                    format!("'{name}' has no score"),
                    format!("add `score = …`, or name it `__{name}` if it only serves expressions"),
                );
            }
        }
        for (id, score) in scored {
            let symbol = self.symbols.symbol_mut(id);
            symbol.score = score;
            symbol.used = true;
        }
    }

    fn define(&mut self, source: &Source, definition: &Definition<'_>) -> Option<SymbolId> {
        let name = definition.symbol.get_ref().as_str();
        let key = format!("{}.symbol", definition.key);
        if !is_symbol(name) {
            let remedy = match name.to_ascii_uppercase().replace(['-', ' ', '.'], "_") {
                better if is_symbol(&better) => format!("write '{better}'"),
                _ => {
                    "write upper-case letters, digits and _, a letter first, at most 64".to_owned()
                }
            };
            self.error(
                source,
                definition.symbol.span(),
                key,
                format!("'{name}' is no symbol"),
                remedy,
            );
            return None;
        }
        let known = self
            .symbols
            .find(name)
            .map(|id| self.symbols.symbol(id).builtin);
        if known == Some(true) {
            let problem = format!("'{name}' is built in");
            self.error(
                source,
                definition.symbol.span(),
                key,
                problem,
                "choose another name; its score goes into [scores]",
            );
            return None;
        }
        let line = source.policy_line(&definition.symbol.span());
        let id = self.symbols.define(name);
        let symbol = self.symbols.symbol_mut(id);
        symbol.line.get_or_insert(line);
        symbol.used = true;
        if let Some(description) = definition
            .description
            .filter(|_| symbol.description.is_empty())
        {
            symbol.description = description.into();
        }
        Some(id)
    }

    /// What the `[scores]` say.
    fn score_tables(&mut self, units: &[Unit<RuleFile>]) -> HashMap<SymbolId, f64> {
        let mut scores = HashMap::new();
        for unit in units {
            for (name, score) in &unit.document.scores {
                let key = format!("scores.{}", name.get_ref());
                let value = self.number(&unit.source, score, &key);
                let Some(id) = self.symbols.find(name.get_ref()) else {
                    let (problem, remedy) = self.unknown_symbol(name.get_ref());
                    self.error(&unit.source, name.span(), key, problem, remedy);
                    continue;
                };
                if self.symbols.symbol(id).is_hidden() {
                    let problem = format!(
                        "'{}' cannot have a score: its name begins with __",
                        name.get_ref()
                    );
                    self.error(
                        &unit.source,
                        name.span(),
                        key,
                        problem,
                        "take it out of [scores]",
                    );
                }
                if self.symbols.symbol(id).builtin {
                    self.symbols.symbol_mut(id).line = Some(unit.source.policy_line(&name.span()));
                }
                scores.insert(id, value);
            }
        }
        scores
    }

    /// What to say of a symbol that nobody defines.
    pub(super) fn unknown_symbol(&self, name: &str) -> (String, String) {
        let names: Vec<&str> = self
            .symbols
            .iter()
            .map(|(_, symbol)| &*symbol.name)
            .collect();
        // Any two names of a letter or two are near each other, and no name is very long.
        let near = (4..=64)
            .contains(&name.len())
            .then(|| nearest(name, names.iter().copied()))
            .flatten();
        let remedy = match near {
            Some(near) => format!("did you mean {near}?"),
            None => {
                "define it with a [[rule]], [[list]], [[attachment]] or [[expression]]".to_owned()
            }
        };
        (format!("there is no symbol '{name}'"), remedy)
    }
}

fn definitions(document: &RuleFile) -> Vec<Definition<'_>> {
    let lists = document
        .list
        .iter()
        .enumerate()
        .map(|(at, list)| Definition {
            key: format!("list[{at}]"),
            symbol: &list.symbol,
            score: list.score.as_ref(),
            description: list.description.as_deref(),
            decides: list.action != ListAction::Score,
        });
    let rules = document
        .rule
        .iter()
        .enumerate()
        .map(|(at, rule)| Definition {
            key: format!("rule[{at}]"),
            symbol: &rule.symbol,
            score: rule.score.as_ref(),
            description: rule.description.as_deref(),
            decides: false,
        });
    let attachments = document
        .attachment
        .iter()
        .enumerate()
        .map(|(at, attachment)| Definition {
            key: format!("attachment[{at}]"),
            symbol: &attachment.symbol,
            score: attachment.score.as_ref(),
            description: attachment.description.as_deref(),
            decides: false,
        });
    let expressions = document
        .expression
        .iter()
        .enumerate()
        .map(|(at, expression)| Definition {
            key: format!("expression[{at}]"),
            symbol: &expression.symbol,
            score: expression.score.as_ref(),
            description: expression.description.as_deref(),
            decides: false,
        });
    lists
        .chain(rules)
        .chain(attachments)
        .chain(expressions)
        .collect()
}

fn is_symbol(name: &str) -> bool {
    let bare = name.strip_prefix("__").unwrap_or(name);
    name.len() <= 64
        && bare.starts_with(|c: char| c.is_ascii_uppercase())
        && bare
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
