//! What must hold in every run, whatever went wrong in it.

use std::collections::BTreeMap;

use crate::record::{Answer, Seen};

/// The promises that a run broke; empty when it kept all.
#[must_use]
pub fn broken(seen: &Seen) -> Vec<String> {
    let mut broken = Vec::new();
    one_answer_each(seen, &mut broken);
    only_published_policies(seen, &mut broken);
    one_outcome_each(seen, &mut broken);
    for gauge in &seen.left {
        broken.push(format!("something was not given back: {gauge}"));
    }
    broken
}

/// Every transaction gets exactly one verdict or one temporary failure; a connection is lost with its gateway alone.
/// When all faults are over, mail flows again.
fn one_answer_each(seen: &Seen, broken: &mut Vec<String>) {
    for answered in &seen.answers {
        let message = &answered.message;
        match &answered.answer {
            Answer::Judged { .. } => {}
            Answer::PutOff(_) if !answered.at_the_end => {}
            Answer::Lost(_) | Answer::Nothing
                if seen.died.contains(&answered.gateway) && !answered.at_the_end => {}
            other => broken.push(format!(
                "{message} over gateway {}{}: {other:?}",
                answered.gateway,
                if answered.at_the_end {
                    " when all was well again"
                } else {
                    ""
                }
            )),
        }
    }
    let mut transactions = BTreeMap::new();
    for answered in &seen.answers {
        if let Answer::Judged { transaction, .. } = &answered.answer
            && let Some(other) = transactions.insert(transaction, &answered.message)
        {
            broken.push(format!(
                "{} and {other} are one transaction: {transaction}",
                answered.message
            ));
        }
    }
}

/// Never a verdict of a policy that was not published.
fn only_published_policies(seen: &Seen, broken: &mut Vec<String>) {
    for answered in &seen.answers {
        if let Answer::Judged {
            revision, number, ..
        } = &answered.answer
            && seen.published.get(revision) != Some(number)
        {
            broken.push(format!(
                "{} was judged by policy {number} as revision {revision}, which was never published so",
                answered.message
            ));
        }
    }
}

/// Never two outcomes for one transaction, and what was settled is what the mail server was told.
fn one_outcome_each(seen: &Seen, broken: &mut Vec<String>) {
    let mut outcomes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for settled in &seen.settled {
        outcomes
            .entry(&settled.transaction)
            .or_default()
            .push(settled.outcome.trim());
    }
    for (transaction, outcomes) in &outcomes {
        if outcomes.len() > 1 {
            broken.push(format!("{transaction} was settled twice: {outcomes:?}"));
        }
    }
    for answered in &seen.answers {
        if let Answer::Judged { transaction, .. } = &answered.answer
            && let Some(outcomes) = outcomes.get(transaction.as_str())
            && !outcomes
                .iter()
                .all(|outcome| outcome.contains("done") && outcome.contains("accept"))
        {
            broken.push(format!(
                "{} was passed on, and settled as {outcomes:?}",
                answered.message
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answered, Settled};

    fn judged(transaction: &str) -> Answered {
        Answered {
            message: format!("message of {transaction}"),
            gateway: 0,
            at_the_end: false,
            answer: Answer::Judged {
                revision: "abc".to_owned(),
                transaction: transaction.to_owned(),
                number: 1,
            },
        }
    }

    fn sound() -> Seen {
        Seen {
            published: BTreeMap::from([("abc".to_owned(), 1)]),
            answers: vec![judged("t1"), judged("t2")],
            settled: vec![settled("t1", "done accept ")],
            ..Seen::default()
        }
    }

    fn settled(transaction: &str, outcome: &str) -> Settled {
        Settled {
            transaction: transaction.to_owned(),
            outcome: outcome.to_owned(),
        }
    }

    #[test]
    fn a_run_that_keeps_all_promises_breaks_none() {
        assert!(broken(&sound()).is_empty());
    }

    #[test]
    fn each_promise_that_is_broken_is_seen() {
        type Doctor = fn(&mut Seen);
        let doctored: [(&str, Doctor); 11] = [
            ("never published", |seen| seen.published.clear()),
            ("never published", |seen| {
                seen.published.insert("abc".to_owned(), 2);
            }),
            ("Unjudged", |seen| {
                seen.answers[0].answer = Answer::Unjudged("no header".to_owned());
            }),
            ("Other", |seen| {
                seen.answers[0].answer = Answer::Other("550".to_owned());
            }),
            ("Nothing", |seen| seen.answers[0].answer = Answer::Nothing),
            ("Lost", |seen| {
                seen.answers[0].answer = Answer::Lost("closed".to_owned());
                seen.died.push(1);
            }),
            ("well again", |seen| {
                seen.answers[0].at_the_end = true;
                seen.answers[0].answer = Answer::PutOff("451".to_owned());
            }),
            ("one transaction", |seen| seen.answers[1] = judged("t1")),
            ("settled twice", |seen| {
                seen.settled.push(settled("t1", "done accept "));
            }),
            ("settled as", |seen| {
                seen.settled.push(settled("t2", "aborted accept "));
            }),
            ("given back", |seen| seen.left.push("memory 7".to_owned())),
        ];
        for (expected, doctor) in doctored {
            let mut seen = sound();
            doctor(&mut seen);
            let found = broken(&seen).join("\n");
            assert!(found.contains(expected), "{expected}: {found:?}");
        }
    }
}
