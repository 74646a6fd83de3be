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
