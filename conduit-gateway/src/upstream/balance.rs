//! The better of two nodes, chosen at random: power of two choices, by what a call would cost there.
//!
//! Not `tower::balance::p2c`: behind it a node is a name that nobody learns, so that a retry may go to the node that
//! has just failed; it has one `&mut self` for all callers, so that every call would pass a queue and a task; and
//! it waits for ever when no node is ready, where asking the least bad one may well succeed.

use std::sync::Arc;
use std::task::{Context, Poll};

use millrace_proto::{CallError, Verdict};
use tower::Service;

use super::call::{Answer, Call};
use super::pool::Pool;

/// Asks one node.
#[derive(Debug, Clone)]
pub(super) struct Balance {
    pub(super) pool: Arc<Pool>,
}

impl Service<Call> for Balance {
    type Response = Verdict;
    type Error = CallError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Answer {
        let pool = self.pool.clone();
        Box::pin(async move { pool.place(&call).await?.ask().await })
    }
}
