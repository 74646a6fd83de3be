//! A try's share of the time that is left: half of it while there is another node to ask, all of it for the last.
//! So a node that says nothing costs no message, and a message that takes long is not cut off by its number of tries.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use millrace_proto::{CallError, Verdict};
use tokio::time::Instant;
use tower::Service;

use super::call::{Answer, Call};
use super::pool::Pool;

/// Bounds each try by its share.
#[derive(Debug, Clone)]
pub(super) struct Share<S> {
    pub(super) inner: S,
    pub(super) pool: Arc<Pool>,
}

/// What is left of a deadline that is too little for a try.
pub(super) const TOO_LATE: Duration = Duration::from_millis(10);

impl<S> Service<Call> for Share<S>
where
    S: Service<Call, Response = Verdict, Error = CallError, Future = Answer>,
{
    type Response = Verdict;
    type Error = CallError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut call: Call) -> Answer {
        let now = Instant::now();
        let left = call.end.saturating_duration_since(now);
        if left < TOO_LATE {
            return Box::pin(std::future::ready(Err(CallError::Deadline)));
        }
        if self.pool.has_another(&call.journey) {
            call.end = now + left / 2;
        }
        // Whatever waits below, for room or for an answer, waits until then.
        self.inner.call(call)
    }
}
