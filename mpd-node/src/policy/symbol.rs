//! Symbols: what checks find, under the names that policies score.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_proto::PolicyLine;

use crate::archive::ArchiveDefect;
use crate::request::{DefectKind, LimitHit};

/// Where a symbol stands in its policy's [`Symbols`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SymbolId(u32);

/// One symbol of a policy.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    /// Upper-case letters, digits and `_`.
    pub(crate) name: Arc<str>,
    /// What it adds to a message's score.
    pub(crate) score: f64,
    /// For people; may be empty.
    pub(crate) description: Box<str>,
    /// Where the policy defines or scores it; `None` for a built-in symbol that it does not mention.
    pub(crate) line: Option<PolicyLine>,
    /// Built in: a defect, a limit, a check that could not be done.
    pub(crate) builtin: bool,
    /// The policy scores it, or asks for it in an expression.
    pub(crate) used: bool,
    /// Told whether or not the policy asks for it: what could not be looked at, and what somebody has forged.
    pub(crate) always_told: bool,
}

/// All symbols that a policy can raise.
#[derive(Debug)]
pub(crate) struct Symbols {
    all: Vec<Symbol>,
    by_name: HashMap<Arc<str>, SymbolId>,
}

/// Built-in symbols that are neither a defect nor a limit.
const OWN: &[(&str, &str)] = &[
    (ALLOWED, "An allow list has the message; its score is 0"),
    (
        RELEASED,
        "Our stamp says that it was released from the kept copies: it is accepted",
    ),
    (
        STAMP_REFUSED,
        "It has a stamp of ours that is forged, expired, or was made for another message or other recipients",
    ),
    (UNSCANNED, "A check could not be done"),
    (
        LIMIT_RAW_BODY,
        "The raw body is longer than patterns look at",
    ),
];

/// An allow list has the message.
pub(crate) const ALLOWED: &str = "ALLOWED";
/// Our stamp says that people have decided on it.
pub(crate) const RELEASED: &str = "RELEASED";
/// It has a stamp that says nothing.
pub(crate) const STAMP_REFUSED: &str = "STAMP_REFUSED";
/// A check could not be done.
pub(crate) const UNSCANNED: &str = "UNSCANNED";
/// The raw body is longer than patterns look at.
pub(crate) const LIMIT_RAW_BODY: &str = "LIMIT_RAW_BODY";

impl SymbolId {
    /// Its place, from 0.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Symbol {
    /// Whether it only serves other symbols: it has no score and is not in the verdict.
    pub(crate) fn is_hidden(&self) -> bool {
        self.name.starts_with("__")
    }
}

impl Symbols {
    /// The built-in symbols, `checks` being the names of the checks there are.
    pub(super) fn builtin(checks: &[&str]) -> Self {
        let mut symbols = Self {
            all: Vec::new(),
            by_name: HashMap::new(),
        };
        for (at, hit) in LimitHit::ALL.into_iter().enumerate() {
            symbols.add_builtin(
                hit.symbol(),
                "A limit on what a message may cost was reached",
            );
            debug_assert_eq!(at + 1, symbols.all.len());
        }
        for kind in DefectKind::ALL {
            symbols.add_builtin(kind.symbol(), "A departure from RFC 5322 or MIME");
        }
        for defect in ArchiveDefect::ALL {
            symbols.add_builtin(defect.symbol(), "An archive that is not what it seems");
        }
        for (name, description) in OWN {
            symbols.add_builtin(name, description);
        }
        for check in checks {
            let name = format!("UNSCANNED_{}", check.to_ascii_uppercase());
            symbols.add_builtin(&name, "This check could not be done");
        }
        symbols
    }

    fn add_builtin(&mut self, name: &str, description: &str) -> SymbolId {
        let id = self.define(name);
        let symbol = &mut self.all[id.index()];
        symbol.builtin = true;
        symbol.description = description.into();
        id
    }

    /// The symbol of this name, made if it is new.
    pub(super) fn define(&mut self, name: &str) -> SymbolId {
        if let Some(&id) = self.by_name.get(name) {
            return id;
        }
        let id = SymbolId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let always_told =
            name.starts_with("LIMIT_") || name.starts_with("UNSCANNED") || name == STAMP_REFUSED;
        let name: Arc<str> = name.into();
        self.all.push(Symbol {
            name: name.clone(),
            score: 0.0,
            description: "".into(),
            line: None,
            builtin: false,
            used: false,
            always_told,
        });
        self.by_name.insert(name, id);
        id
    }

    /// The symbol of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<SymbolId> {
        self.by_name.get(name).copied()
    }

    /// What is known of a symbol.
    pub(crate) fn symbol(&self, id: SymbolId) -> &Symbol {
        &self.all[id.index()]
    }

    pub(super) fn symbol_mut(&mut self, id: SymbolId) -> &mut Symbol {
        &mut self.all[id.index()]
    }

    /// The symbol of a defect.
    pub(crate) fn defect(&self, kind: DefectKind) -> SymbolId {
        SymbolId((LimitHit::ALL.len() + kind as usize) as u32)
    }

    /// The symbol of a limit that was reached.
    pub(crate) fn limit(&self, hit: LimitHit) -> SymbolId {
        SymbolId(hit as u32)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// All of them, built-in ones first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SymbolId, &Symbol)> {
        self.all
            .iter()
            .enumerate()
            .map(|(at, symbol)| (SymbolId(at as u32), symbol))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_and_limits_are_found_without_their_names() {
        let symbols = Symbols::builtin(&["lists"]);
        for kind in DefectKind::ALL {
            assert_eq!(symbols.find(kind.symbol()), Some(symbols.defect(*kind)));
        }
        for hit in LimitHit::ALL {
            assert_eq!(symbols.find(hit.symbol()), Some(symbols.limit(hit)));
        }
        assert!(symbols.find("UNSCANNED_LISTS").is_some());
    }
}
