//! Runs the checks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use super::{ALL, Check, Facts, Findings};

/// The names of the checks as verdicts carry them, made once.
static NAMES: LazyLock<Vec<Arc<str>>> =
    LazyLock::new(|| ALL.iter().map(|check| check.name().into()).collect());

/// Why an optional check was left out.
const OVERLOAD: &str = "overload";

/// Runs every check that has something to say, but under load those that the policy calls optional. A check that panics costs itself: it is unscanned.
pub(crate) fn run<'p>(facts: &Facts<'p>) -> Findings<'p> {
    let mut findings = Findings::new(facts.policy);
    for (place, (check, name)) in ALL.iter().zip(NAMES.iter()).enumerate() {
        if !check.speaks_at(facts.stage, facts.policy) {
            continue;
        }
        if facts.overloaded && facts.policy.is_optional(place) {
            findings.unscanned(name, OVERLOAD);
            continue;
        }
        run_one(*check, name, facts, &mut findings);
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

    fn transaction() -> Transaction {
        Transaction {
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
        }
    }

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
    fn under_load_optional_checks_are_left_out_and_said_to_be() {
        let text = "[check.mime]\noptional = true\n[check.lists]\noptional = false\n";
        let files = [("policy.toml".to_owned(), text.to_owned())].into();
        let policy = Policy::from_files(files).unwrap();
        let transaction = transaction();
        let message = Message::parse(Bytes::from_static(b"Subject: x\n\ny\n"), policy.limits());
        for (overloaded, expected) in [(false, &[][..]), (true, &[("mime", "overload")])] {
            let mut facts = Facts::of_message(&policy, &transaction, &message);
            facts.overloaded = overloaded;
            let findings = run(&facts);
            let raised = policy.symbols().find("UNSCANNED_MIME").unwrap();
            assert_eq!(findings.has(raised), overloaded);
            let (unscanned, _) = findings.into_report();
            let told: Vec<_> = unscanned
                .iter()
                .map(|one| (one.check.as_str(), one.reason.as_str()))
                .collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_check_that_falls_costs_itself_and_not_the_message() {
        let policy = Policy::builtin().unwrap();
        let transaction = transaction();
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
