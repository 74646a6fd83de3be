//! Another node, when one has failed: the policy of `tower::retry`.
//!
//! | what failed | another node | counts as one of the tries | from the budget |
//! |---|---|---|---|
//! | not reached, or going away | yes | no | no |
//! | lost in mid-call | yes, once; then it is suspect | yes | no |
//! | another revision, no policy, no store, no leave | yes | yes | no |
//! | overloaded, no answer in its share of the time | yes | yes | yes |
//! | the message is malformed or too large, a fault of the node | no | | |
//!
//! The budget keeps a cluster that is short of room from being asked three times as much. A lost connection is no
//! sign of that, and when a node dies, all that it had in hand is to be asked elsewhere at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use millrace_proto::{CallError, Verdict};
use tokio::time::Instant;
use tower::retry::Policy;
use tower::retry::budget::Budget as _;

use super::call::Call;
use super::deadline::TOO_LATE;
use super::pool::Pool;

/// Decides for one question; each has its own.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    pool: Arc<Pool>,
    /// Tries that reached a node and failed there.
    tries: usize,
    /// Whether nodes were asked a second time.
    again: bool,
    failed: Option<CallError>,
}

/// So many nodes are asked at most.
const TRIES: usize = 3;
/// Before nodes that were lost or not reached are asked once more: a node comes back on its old port.
const BREATH: Duration = Duration::from_millis(50);

impl Elsewhere {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            tries: 0,
            again: false,
            failed: None,
        }
    }

    /// Whether to ask again, and after which pause; otherwise `error` is what the caller is told.
    fn decide(&mut self, call: &Call, error: &mut CallError) -> Option<Duration> {
        if call.journey.is_suspect() {
            *error = CallError::Suspect(error.to_string());
            return None;
        }
        if call.journey.has_ended() {
            // Nobody was left to ask: what the last one said is the reason.
            let failed = self.failed.take()?;
            let gone = matches!(
                failed,
                CallError::Unavailable(_) | CallError::Lost(_) | CallError::Cancelled
            );
            *error = failed;
            if self.again || !gone {
                return None;
            }
            self.again = true;
            call.journey.begins_anew();
            return Some(BREATH);
        }
        match kind(error) {
            Kind::Final => return None,
            Kind::Unreached => {}
            Kind::Free => self.tries += 1,
            Kind::Drawn => {
                self.tries += 1;
                if self.tries < TRIES && !self.pool.retries.withdraw() {
                    self.pool.counts.retry_denied();
                    return None;
                }
            }
        }
        if self.tries >= TRIES {
            return None;
        }
        self.failed = Some(error.clone());
        Some(Duration::ZERO)
    }
}

impl Policy<Call, Verdict, CallError> for Elsewhere {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(
        &mut self,
        call: &mut Call,
        result: &mut Result<Verdict, CallError>,
    ) -> Option<Self::Future> {
        let error = match result {
            Ok(_) => {
                self.pool.retries.deposit();
                return None;
            }
            Err(error) => error,
        };
        let pause = self.decide(call, error)?;
        if call.end < Instant::now() + pause + TOO_LATE {
            return None;
        }
        tracing::debug!(%error, "asking another node");
        self.pool.counts.retried();
        if pause.is_zero() {
            return Some(Box::pin(std::future::ready(())));
        }
        Some(Box::pin(tokio::time::sleep(pause)))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// How a failure is dealt with.
enum Kind {
    /// Any other node would say the same, or it is not safe to ask one.
    Final,
    /// Nothing was done there.
    Unreached,
    Free,
    Drawn,
}

fn kind(error: &CallError) -> Kind {
    match error {
        CallError::Unavailable(_) | CallError::Cancelled => Kind::Unreached,
        CallError::Lost(_)
        | CallError::UnknownRevision(_)
        | CallError::NoPolicy(_)
        | CallError::Denied(_)
        | CallError::Store(_) => Kind::Free,
        CallError::Overloaded(_) | CallError::Deadline => Kind::Drawn,
        CallError::Malformed(_)
        | CallError::TooLarge { .. }
        | CallError::Internal(_)
        | CallError::Suspect(_) => Kind::Final,
    }
}
