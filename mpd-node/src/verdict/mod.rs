//! From findings to a verdict: score, lists, actions, recipients that differ; then lowered to what the conduit can do.

mod classes;
mod decide;
mod join;
#[cfg(test)]
mod tests;
mod weigh;

use std::sync::Arc;

use millrace_proto::{
    Disposition, Finding, Keeping, ScreenRequest, Stage, Transaction, Verdict, lower,
};

use millrace_quarantine::Stamped;

use crate::actions;
use crate::checks::{self, Facts, Findings};
use crate::policy::{Policy, RELEASED, STAMP_REFUSED};
use crate::request::Message;
use classes::classes;
use decide::{Decision, decide};
use weigh::{Weighed, weigh};

/// Judges a message; `overloaded` without the policy's optional checks. Pure: the same message under the same policy
/// has the same verdict.
pub(crate) fn judge(
    policy: &Policy,
    node: &Arc<str>,
    transaction: &Transaction,
    message: &Message,
    keeping: Keeping,
    stamped: &Stamped,
    overloaded: bool,
) -> Verdict {
    let mut facts = Facts::of_message(policy, transaction, message);
    facts.overloaded = overloaded;
    if let Stamped::Released { key } = stamped {
        return lower(released(&facts, node, key), transaction, keeping);
    }
    let mut findings = checks::run(&facts);
    if let (Stamped::Refused(problem), Some(symbol)) =
        (stamped, policy.symbols().find(STAMP_REFUSED))
    {
        findings.raise(symbol, problem.to_string().as_bytes());
    }
    let classes = classes(policy, transaction, &findings);
    let removed = actions::remove_copies(&facts, stamped);
    let weighed: Vec<Weighed<'_>> = classes
        .iter()
        .map(|class| weigh(policy, &findings, class))
        .collect();
    let decisions: Vec<Decision> = classes
        .iter()
        .zip(&weighed)
        .map(|(class, weighed)| decide(&facts, node, class, weighed, &removed))
        .collect();

    let mut verdict = Verdict::accept(policy.revision().clone(), node.clone());
    verdict.findings = told(policy, &weighed);
    verdict.edits = removed;
    let count = transaction.envelope.recipients.len();
    verdict.unkept = classes
        .iter()
        .zip(&decisions)
        .filter(|(_, decision)| decision.unkept)
        .flat_map(|(class, _)| class.indexes(count))
        .collect();
    let keeping = match decisions.iter().all(|decision| decision.unkept) {
        true => Keeping::Unavailable,
        false => keeping,
    };
    join::join(&mut verdict, policy, count, &classes, decisions);
    lower(finish(verdict, findings), transaction, keeping)
}

/// People have decided: nothing is looked at again, and nothing but false copies of our headers changed.
fn released(facts: &Facts<'_>, node: &Arc<str>, key: &str) -> Verdict {
    let policy = facts.policy;
    let mut verdict = Verdict::accept(policy.revision().clone(), node.clone());
    let stamped = Stamped::Released {
        key: key.to_owned(),
    };
    verdict.edits = actions::remove_copies(facts, &stamped);
    if let Some(symbol) = policy.symbols().find(RELEASED) {
        let symbol = policy.symbols().symbol(symbol);
        verdict.findings.push(Finding {
            symbol: symbol.name.clone(),
            score: 0.0,
            detail: format!("stamped with key {key}"),
            policy_line: symbol.line.clone(),
        });
    }
    verdict
}

/// Judges what is known before there is a message: only lists that refuse have a say.
pub(crate) fn screen(policy: &Policy, node: &Arc<str>, request: &ScreenRequest) -> Verdict {
    let transaction = &request.transaction;
    let facts = Facts::screening(policy, transaction, request.stage);
    let findings = checks::run(&facts);
    let mut classes = classes(policy, transaction, &findings);
    if request.stage == Stage::Rcpt {
        // The recipient in question is the last.
        let last = transaction.envelope.recipients.len().saturating_sub(1) as u32;
        classes.retain(|class| class.has(last));
    }
    let weighed: Vec<Weighed<'_>> = classes
        .iter()
        .map(|class| weigh(policy, &findings, class))
        .collect();
    let mut verdict = Verdict::accept(policy.revision().clone(), node.clone());
    verdict.findings = told(policy, &weighed);
    verdict.score = weighed
        .iter()
        .map(|weighed| weighed.score)
        .fold(0.0, f64::max);

    // Where recipients differ, nothing is refused before it must be.
    let refusals: Option<Vec<(Disposition, _)>> = classes
        .iter()
        .zip(&weighed)
        .map(|(class, weighed)| decide::refusal(&facts, node, class, weighed))
        .map(|refusal| {
            refusal
                .filter(|refusal| refusal.stage <= request.stage)
                .map(|r| (r.disposition, r.reply))
        })
        .collect();
    if let Some((disposition, reply)) = refusals.unwrap_or_default().into_iter().next() {
        verdict.disposition = disposition;
        verdict.reply = reply;
    }
    lower(finish(verdict, findings), transaction, Keeping::Unavailable)
}

fn finish(mut verdict: Verdict, findings: Findings<'_>) -> Verdict {
    (verdict.unscanned, verdict.times) = findings.into_report();
    verdict
}

/// The findings as the verdict tells them: each symbol once, with the most that it adds for any recipient.
fn told(policy: &Policy, weighed: &[Weighed<'_>]) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    for found in weighed.iter().flat_map(|weighed| &weighed.found) {
        let symbol = policy.symbols().symbol(found.symbol);
        if let Some(known) = told
            .iter_mut()
            .find(|finding| finding.symbol == symbol.name)
        {
            known.score = known.score.max(found.score);
            continue;
        }
        told.push(Finding {
            symbol: symbol.name.clone(),
            score: found.score,
            detail: found.detail.to_owned(),
            policy_line: symbol.line.clone(),
        });
    }
    told
}
