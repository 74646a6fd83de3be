//! What another policy would make of a message: the difference between two verdicts, and what it comes from.

use std::collections::BTreeMap;
use std::fmt;

use millrace_proto::{Disposition, Finding, PolicyLine, Verdict};

/// What two policies make differently of one message. Scores of no consequence are compared to a thousandth.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Under the first.
    pub before: Outcome,
    /// Under the second.
    pub after: Outcome,
    /// Recipients are treated differently, whether or not the disposition of all is the same.
    pub recipients: bool,
    /// Symbols that only one of them raises, or with another score; those that weigh most first.
    pub symbols: Vec<SymbolChange>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Of the message.
    pub disposition: Disposition,
    /// A copy is kept.
    pub keep: bool,
    /// The sum of its scores.
    pub score: f64,
    /// The score at which it is refused.
    pub threshold: f64,
}

/// A symbol that makes a difference.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolChange {
    /// Its name.
    pub symbol: millrace_proto::Symbol,
    /// Its score under the first; `None` where it is not raised.
    pub before: Option<f64>,
    /// Under the second.
    pub after: Option<f64>,
    /// What raised it.
    pub line: Option<PolicyLine>,
}

impl Difference {
    /// `None` when both policies come to the same by the same way.
    #[must_use]
    pub fn between(before: &Verdict, after: &Verdict) -> Option<Self> {
        let difference = Self {
            before: Outcome::of(before),
            after: Outcome::of(after),
            recipients: before.recipients != after.recipients,
            symbols: symbols(&before.findings, &after.findings),
        };
        let same = difference.symbols.is_empty()
            && !difference.acts()
            && !difference.before.score_differs(&difference.after);
        (!same).then_some(difference)
    }

    /// Whether something else becomes of the message.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.before.disposition != self.after.disposition
            || self.before.keep != self.after.keep
            || self.recipients
    }

    /// Whether only one of the two finds the score high enough to refuse the message.
    #[must_use]
    pub fn crosses(&self) -> bool {
        self.before.is_over() != self.after.is_over()
    }
}

impl Outcome {
    fn of(verdict: &Verdict) -> Self {
        Self {
            disposition: verdict.disposition,
            keep: verdict.keep,
            score: verdict.score,
            threshold: verdict.threshold,
        }
    }

    /// Whether the score is high enough to refuse the message.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threshold > 0.0 && self.score >= self.threshold
    }

    fn score_differs(&self, other: &Self) -> bool {
        (self.score - other.score).abs() >= 0.001
    }
}

impl SymbolChange {
    /// How much more the second policy gives for it.
    #[must_use]
    pub fn weight(&self) -> f64 {
        self.after.unwrap_or(0.0) - self.before.unwrap_or(0.0)
    }
}

impl fmt::Display for SymbolChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.before, self.after) {
            (None, Some(score)) => write!(f, "+{} {score}", self.symbol),
            (Some(score), None) => write!(f, "-{} {score}", self.symbol),
            (before, after) => write!(
                f,
                "{} {}>{}",
                self.symbol,
                before.unwrap_or(0.0),
                after.unwrap_or(0.0)
            ),
        }
    }
}

fn symbols(before: &[Finding], after: &[Finding]) -> Vec<SymbolChange> {
    let mut all: BTreeMap<&str, (Option<&Finding>, Option<&Finding>)> = BTreeMap::new();
    for finding in before {
        all.entry(&finding.symbol).or_default().0 = Some(finding);
    }
    for finding in after {
        all.entry(&finding.symbol).or_default().1 = Some(finding);
    }
    let mut changed: Vec<SymbolChange> = all
        .into_values()
        .filter_map(|(before, after)| {
            let either = after.or(before)?;
            let same = before
                .zip(after)
                .is_some_and(|(before, after)| (before.score - after.score).abs() < 0.001);
            (!same).then(|| SymbolChange {
                symbol: either.symbol.clone(),
                before: before.map(|finding| finding.score),
                after: after.map(|finding| finding.score),
                line: either.policy_line.clone(),
            })
        })
        .collect();
    changed.sort_by(|a, b| b.weight().abs().total_cmp(&a.weight().abs()));
    changed
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millrace_proto::Revision;

    use super::*;

    fn verdict(disposition: Disposition, findings: &[(&str, f64)]) -> Verdict {
        let mut verdict = Verdict::accept(Revision::new("ab").unwrap(), "node".into());
        verdict.disposition = disposition;
        verdict.threshold = 6.0;
        verdict.score = findings.iter().map(|(_, score)| score).sum();
        verdict.findings = findings
            .iter()
            .map(|(symbol, score)| Finding {
                symbol: Arc::from(*symbol),
                score: *score,
                detail: String::new(),
                policy_line: None,
            })
            .collect();
        verdict
    }

    #[test]
    fn the_same_verdict_is_no_difference() {
        let one = verdict(Disposition::Accept, &[("A", 1.0)]);
        assert_eq!(Difference::between(&one, &one.clone()), None);
    }

    #[test]
    fn symbols_that_come_go_and_weigh_otherwise_are_told_by_their_weight() {
        let before = verdict(Disposition::Accept, &[("A", 1.0), ("B", 0.5), ("C", 2.0)]);
        let after = verdict(Disposition::Reject, &[("A", 1.0), ("C", 2.5), ("D", 4.0)]);
        let difference = Difference::between(&before, &after).unwrap();
        let told: Vec<_> = difference.symbols.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["+D 4", "-B 0.5", "C 2>2.5"]);
        assert!(difference.acts() && difference.crosses());
    }

    #[test]
    fn another_way_to_the_same_end_does_not_act() {
        let before = verdict(Disposition::Accept, &[("A", 1.0)]);
        let after = verdict(Disposition::Accept, &[("B", 1.0)]);
        let difference = Difference::between(&before, &after).unwrap();
        assert!(!difference.acts() && !difference.crosses());
    }
}
