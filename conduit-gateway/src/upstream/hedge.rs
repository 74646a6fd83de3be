//! A second node beside a slow one: when an answer takes longer than almost all others do, another node is asked as
//! well, the first answer counts, and the other call is cancelled. What is asked has no effect but a copy that is
//! put once, so it may be asked twice.
//!
//! Not `tower::hedge`: it cannot be cloned, reads the latencies of a window that is over, would ask the same node
//! again, and knows no bound for the share of calls that are asked twice.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use millrace_proto::{CallError, Verdict};
use tokio::time::Instant;
use tower::Service;

use super::call::{Answer, Call};
use super::pool::Pool;

/// Asks another node beside one that is slow.
#[derive(Debug, Clone)]
pub(super) struct Hedge<S> {
    pub(super) inner: S,
    pub(super) pool: Arc<Pool>,
}

impl<S> Service<Call> for Hedge<S>
where
    S: Service<Call, Response = Verdict, Error = CallError, Future = Answer>
        + Clone
        + Send
        + 'static,
{
    type Response = Verdict;
    type Error = CallError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Answer {
        if !call.may_be_hedged() {
            return self.inner.call(call);
        }
        let (mut inner, pool) = (self.inner.clone(), self.pool.clone());
        Box::pin(async move {
            pool.deposit_hedge();
            let mut first = inner.call(call.clone());
            let mut delay = pool.hedging_delay(Instant::now());
            loop {
                tokio::select! {
                    biased;
                    answer = &mut first => return answer,
                    () = tokio::time::sleep(delay) => {}
                }
                if pool.may_hedge(&call) {
                    break;
                }
                // There may be another node, or something in the budget, a while later.
                delay *= 2;
            }
            pool.counts.hedged();
            let second = inner.call(Call {
                hedge: true,
                ..call.clone()
            });
            let (answer, rest) = match select(first, second).await {
                Either::Left((answer, rest)) => (answer, rest),
                Either::Right((answer, rest)) => {
                    if is_final(&answer) {
                        pool.counts.hedge_won();
                    }
                    (answer, rest)
                }
            };
            if is_final(&answer) {
                call.journey.is_answered();
                return answer;
            }
            // One of the two has failed: the other may still answer.
            let other = rest.await;
            if is_final(&other) { other } else { answer }
        })
    }
}

/// Whether any other node would say the same.
fn is_final(answer: &Result<Verdict, CallError>) -> bool {
    matches!(
        answer,
        Ok(_) | Err(CallError::Malformed(_) | CallError::TooLarge { .. })
    )
}
