//! What becomes of a message for one class of recipients.

use std::sync::Arc;

use millrace_proto::{Disposition, Edit, HoldIn, Reply, Stage};

use super::classes::Class;
use super::weigh::Weighed;
use crate::actions::{self, Edits, Values};
use crate::checks::Facts;
use crate::policy::{Action, Kept, Level, Policy};

/// What becomes of a message, and how it is changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) disposition: Disposition,
    pub(super) keep: bool,
    /// The policy keeps no copies of this.
    pub(super) unkept: bool,
    pub(super) hold_in: HoldIn,
    pub(super) reply: Option<Reply>,
    pub(super) hold_reason: String,
    pub(super) edits: Edits,
    pub(super) score: f64,
    pub(super) threshold: f64,
}

/// What a list makes of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) disposition: Disposition,
    pub(super) reply: Option<Reply>,
    /// The stage from which it is given.
    pub(super) stage: Stage,
    reason: String,
}

/// The policy as it is for one client, direction and class.
struct Terms<'a> {
    thresholds: Vec<f64>,
    actions: Vec<(usize, &'a Action)>,
    keep: Option<&'a Kept>,
    hold: HoldIn,
}

/// Decides. `removed` are the edits that are made anyhow.
pub(super) fn decide(
    facts: &Facts<'_>,
    node: &Arc<str>,
    class: &Class,
    weighed: &Weighed<'_>,
    removed: &[Edit],
) -> Decision {
    let policy = facts.policy;
    let terms = Terms::of(policy, facts, class);
    let threshold = terms.threshold(policy);
    let symbols: Vec<(&str, f64)> = weighed
        .found
        .iter()
        .map(|found| (&*policy.symbols().symbol(found.symbol).name, found.score))
        .collect();
    let values = Values {
        transaction: facts.transaction,
        revision: policy.revision(),
        node,
        score: weighed.score,
        threshold,
        spam: terms.is_spam(weighed.score),
        symbols: &symbols,
        value: "",
        recipient: class.first(facts.transaction),
    };
    let mut decision = Decision {
        disposition: Disposition::Accept,
        keep: false,
        unkept: false,
        hold_in: terms.hold,
        reply: None,
        hold_reason: String::new(),
        edits: Edits::default(),
        score: weighed.score,
        threshold,
    };
    let mut decided = false;
    if let Some(refusal) = refusal(facts, node, class, weighed) {
        decided = true;
        decision.disposition = refusal.disposition;
        decision.reply = refusal.reply;
        decision.hold_reason = refusal.reason;
    }
    for (_, action) in &terms.actions {
        let reached = action
            .level
            .is_none_or(|level| weighed.score >= terms.score(level));
        let applies = reached
            && !(decided && action.then.is_some())
            && action
                .when
                .as_ref()
                .is_none_or(|when| when.holds(weighed.score, |symbol| weighed.has(symbol)));
        if !applies {
            continue;
        }
        decision.keep |= action.keep;
        if let Some(disposition) = action.then {
            decided = true;
            decision.disposition = disposition;
            decision.reply = action
                .reply
                .as_ref()
                .and_then(|reply| actions::reply(reply, &values));
            if disposition == Disposition::Hold {
                decision.hold_reason = values.render(&action.reason);
                decision.hold_in = action.hold.unwrap_or(terms.hold);
            }
        }
        if let Some(message) = facts.message {
            decision
                .edits
                .apply(&action.edits, &values, message, removed);
        }
    }
    match terms.keep {
        None => {}
        Some(Kept::Nothing) => {
            decision.keep = false;
            decision.unkept = true;
        }
        Some(Kept::Dispositions(kept)) => decision.keep |= kept.contains(&decision.disposition),
    }
    decision
}

/// What the first list that refuses says, if there is one.
pub(super) fn refusal(
    facts: &Facts<'_>,
    node: &Arc<str>,
    class: &Class,
    weighed: &Weighed<'_>,
) -> Option<Refusal> {
    let policy = facts.policy;
    let (at, detail) = weighed.refusal?;
    let list = policy.lists().get(at as usize)?;
    let disposition = list.disposition()?;
    let symbol = &policy.symbols().symbol(list.symbol).name;
    // The place in the file is for logs, not for strangers.
    let value = detail.rsplit_once(" (").map_or(detail, |(value, _)| value);
    let values = Values {
        transaction: facts.transaction,
        revision: policy.revision(),
        node,
        score: weighed.score,
        threshold: 0.0,
        spam: false,
        symbols: &[(symbol, weighed.score)],
        value,
        recipient: class.first(facts.transaction),
    };
    Some(Refusal {
        disposition,
        reply: list
            .reply
            .as_ref()
            .and_then(|reply| actions::reply(reply, &values)),
        stage: list.stage.unwrap_or(Stage::EndOfMessage),
        reason: if disposition == Disposition::Hold {
            values.render(&list.reason)
        } else {
            String::new()
        },
    })
}

impl<'a> Terms<'a> {
    fn of(policy: &'a Policy, facts: &Facts<'_>, class: &Class) -> Self {
        let transaction = facts.transaction;
        let mut thresholds = policy.thresholds().values.clone();
        let mut without = Vec::new();
        let (mut keep, mut hold) = (policy.keep(), policy.hold());
        for change in policy.overrides() {
            if !change.scope.covers(transaction) || !change.scope.covers_recipients(&class.scopes) {
                continue;
            }
            for (at, value) in &change.thresholds {
                thresholds[*at] = *value;
            }
            without.extend_from_slice(&change.without);
            keep = change.keep.as_ref().or(keep);
            hold = change.hold.unwrap_or(hold);
        }
        let actions = policy
            .actions()
            .iter()
            .enumerate()
            .filter(|(at, action)| {
                !without.contains(at)
                    && action.scope.covers(transaction)
                    && action.scope.covers_recipients(&class.scopes)
            })
            .collect();
        Self {
            thresholds,
            actions,
            keep,
            hold,
        }
    }

    fn score(&self, level: Level) -> f64 {
        match level {
            Level::Threshold(at) => self.thresholds[at],
            Level::Score(score) => score,
        }
    }

    /// The lowest score at which a message is not accepted.
    fn threshold(&self, policy: &Policy) -> f64 {
        let refusing = self.actions.iter().filter(|(_, action)| {
            action.when.is_none() && action.then.is_some_and(|then| then != Disposition::Accept)
        });
        let lowest = refusing
            .filter_map(|(_, action)| action.level)
            .map(|level| self.score(level))
            .reduce(f64::min);
        let named = || {
            policy
                .thresholds()
                .names
                .iter()
                .zip(&self.thresholds)
                .map(|(_, value)| *value)
                .reduce(f64::max)
        };
        lowest.or_else(named).unwrap_or(0.0)
    }

    fn is_spam(&self, score: f64) -> bool {
        self.thresholds
            .iter()
            .copied()
            .reduce(f64::min)
            .is_some_and(|lowest| score >= lowest)
    }
}
