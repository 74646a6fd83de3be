//! What was found, for one class of recipients: symbols, expressions over them, and the score.

use crate::checks::{Findings, Hit};
use crate::policy::{ALLOWED, ListAction, Policy, SymbolId};

use super::classes::Class;

/// What was found, and what it weighs.
#[derive(Debug)]
pub(super) struct Weighed<'f> {
    raised: Vec<u64>,
    /// What is told, each symbol once, in the order in which it was found.
    pub(super) found: Vec<Found<'f>>,
    /// 0 where an allow list has the message.
    pub(super) score: f64,
    /// The first list that refuses, drops or holds: its index, and what it has.
    pub(super) refusal: Option<(u32, &'f str)>,
}

/// One symbol that was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'f> {
    pub(super) symbol: SymbolId,
    pub(super) score: f64,
    pub(super) detail: &'f str,
}

/// Weighs what was found for the recipients of one class.
pub(super) fn weigh<'f>(policy: &Policy, findings: &'f Findings<'_>, class: &Class) -> Weighed<'f> {
    let symbols = policy.symbols();
    let mut weighed = Weighed {
        raised: vec![0; symbols.len().div_ceil(64)],
        found: Vec::with_capacity(findings.hits().len()),
        score: 0.0,
        refusal: None,
    };
    let list = |hit: &Hit| hit.list.and_then(|at| policy.lists().get(at as usize));
    let mut allowed = false;
    for hit in findings.hits().iter().filter(|hit| class.is_hit(hit)) {
        weighed.add(policy, hit.symbol, hit.times, &hit.detail);
        if let Some(list) = list(hit) {
            allowed |= list.action == ListAction::Allow;
            let first = hit.list.filter(|at| {
                list.refuses() && weighed.refusal.is_none_or(|(known, _)| *at < known)
            });
            if let Some(at) = first {
                weighed.refusal = Some((at, &hit.detail));
            }
        }
    }
    if let Some(symbol) = symbols.find(ALLOWED).filter(|_| allowed) {
        weighed.raise(symbol);
        weighed.refusal = None;
    }
    let mut base = None;
    for expression in policy.expressions() {
        // What asks for the score sees the score of all that does not.
        let score = if expression.late {
            *base.get_or_insert(weighed.score)
        } else {
            0.0
        };
        if expression
            .expression
            .holds(score, |symbol| weighed.has(symbol))
        {
            weighed.add(policy, expression.symbol, 1, "");
        }
    }
    if allowed {
        weighed.score = 0.0;
        weighed.found.iter_mut().for_each(|found| found.score = 0.0);
    }
    weighed
}

impl<'f> Weighed<'f> {
    /// Whether a symbol was raised.
    pub(super) fn has(&self, symbol: SymbolId) -> bool {
        self.raised[symbol.index() / 64] & (1 << (symbol.index() % 64)) != 0
    }

    fn raise(&mut self, symbol: SymbolId) {
        self.raised[symbol.index() / 64] |= 1 << (symbol.index() % 64);
    }

    fn add(&mut self, policy: &Policy, id: SymbolId, times: u32, detail: &'f str) {
        if self.has(id) {
            return;
        }
        self.raise(id);
        let symbol = policy.symbols().symbol(id);
        // What the policy never asked for is no news.
        if symbol.is_hidden() || !(symbol.used || symbol.always_told) {
            return;
        }
        let score = symbol.score * f64::from(times);
        self.score += score;
        self.found.push(Found {
            symbol: id,
            score,
            detail,
        });
    }
}
