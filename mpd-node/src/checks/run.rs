//! Runs the checks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::{ALL, Check, Facts, Findings};

/// The names of the checks as verdicts carry them, made once.
static NAMES: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| ALL.iter().map(|check| check.name().into()).collect());

/// Runs every check that has something to say. A check that panics costs itself: it is unscanned.
pub(crate) fn run<'p>(facts: &Facts<'p>) -> Findings<'p> {
    let mut findings = Findings::new(facts.policy);
    for (check, name) in ALL.iter().zip(NAMES.iter()) {
        if check.speaks_at(facts.stage, facts.policy) {
            run_one(*check, name, facts, &mut findings);
        }
    }
    findings
}

fn run_one(check: &dyn Check, name: &Arc<str>, facts: &Facts<'_>, findings: &mut Findings<'_>) {
    let _span = millrace_runtime::trace_span!("check", check = check.name()).entered();
    let begun = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| check.run(facts, findings)));
    if done.is_err() {
        tracing::error!(
            check = &**name,
            transaction = %facts.transaction.id,
            "a check failed over this message; it is unscanned by it"
        );
        findings.unscanned(name, "internal error");
    }
    let microseconds = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    findings.timed(name.clone(), microseconds);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_proto::{
        Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Stage, Transaction,
        TransactionId,
    };

    use super::*;
    use crate::policy::Policy;
    use crate::request::Message;

    struct Falls;

    impl Check for Falls {
        fn name(&self) -> &'static str {
            "rules"
        }

        fn speaks_at(&self, _stage: Stage, _policy: &Policy) -> bool {
            true
        }

        fn run(&self, _facts: &Facts<'_>, _findings: &mut Findings<'_>) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_check_that_falls_costs_itself_and_not_the_message() {
        let policy = Policy::builtin().unwrap();
        let transaction = Transaction {
            id: TransactionId::new(),
            conduit: ConduitKind::Scan,
            client: "test".parse().unwrap(),
            direction: Direction::Inbound,
            capabilities: Capabilities::ALL,
            connection: Connection::default(),
            envelope: Envelope::default(),
            queue_id: None,
            macros: Vec::new(),
            line_ending: LineEnding::Lf,
            revision: None,
        };
        let message = Message::parse(Bytes::from_static(b"Subject: x\n\ny\n"), policy.limits());
        let facts = Facts::of_message(&policy, &transaction, &message);
        let mut findings = Findings::new(&policy);
        run_one(&Falls, &"rules".into(), &facts, &mut findings);
        for symbol in ["UNSCANNED", "UNSCANNED_RULES"] {
            assert!(
                findings.has(policy.symbols().find(symbol).unwrap()),
                "{symbol}"
            );
        }
        let (unscanned, times) = findings.into_report();
        assert_eq!(
            (unscanned[0].check.as_str(), unscanned[0].reason.as_str()),
            ("rules", "internal error")
        );
        assert_eq!(times.len(), 1);
    }
}
