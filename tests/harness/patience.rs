//! Waiting for something that another process does.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it calls it hung. It is no statement about speed:
/// the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

const STEP: Duration = Duration::from_millis(15);

/// Asks `look` again and again until it gives something, and gives up after [`PATIENCE`].
pub fn poll<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        #[allow(clippy::disallowed_methods, reason = "tests have threads of their own")]
        thread::sleep(STEP);
    }
}

/// Waits until `true_now` holds.
///
/// # Panics
/// When it does not within [`PATIENCE`]; `what` says what was waited for.
pub fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    assert!(
        poll(|| true_now().then_some(())).is_some(),
        "waited {PATIENCE:?} in vain: {what}"
    );
}
