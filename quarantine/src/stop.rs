//! Where a test can end this process, as `kill -9` would. Debug builds alone can be told to.

/// Names the step at which the process ends: `STEP`, or `STEP:N` for the N-th time that it comes there.
#[cfg(debug_assertions)]
pub(crate) const STOP_AT: &str = "MILLRACE_STOP_AT";

/// Ends the process here, if that was asked for.
#[cfg(debug_assertions)]
pub(crate) fn at(step: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static COME: AtomicU64 = AtomicU64::new(0);
    let asked = ASKED.get_or_init(|| {
        let asked = std::env::var(STOP_AT).ok()?;
        Some(match asked.split_once(':') {
            Some((step, number)) => (step.to_owned(), number.parse().unwrap_or(1)),
            None => (asked, 1),
        })
    });
    if let Some((wanted, number)) = asked
        && wanted == step
        && COME.fetch_add(1, Ordering::SeqCst) + 1 == *number
    {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Nothing: this build cannot be stopped so.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn at(_step: &str) {}
