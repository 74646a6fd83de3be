//! One message of a conduit: from its frames to a verdict, the failure table's where there is no other.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt};
use millrace_proto::{CallError, ConduitKind, OutcomeKind, Stage, Transaction, Verdict, pb};
use tonic::Status;

use crate::failure::{Failure, FailureKind};
use crate::gateway::{Client, Shared};
use crate::judge::judge;
use crate::record::{Answered, settlement, verdict_of_failure};
use crate::spool::Spool;

/// A question of a conduit, whose answer is on record once it is given.
pub(super) struct Question<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: &'a Client,
    pub(super) transaction: Arc<Transaction>,
    pub(super) stage: Stage,
    pub(super) begun: Instant,
    pub(super) deadline: Duration,
}

/// What is collected in memory before it goes on to the spool.
const BATCH: usize = 256 << 10;

impl Question<'_> {
    /// Answers a message: its content is `first`, then what comes in the frames.
    ///
    /// # Errors
    /// The conduit broke the contract, or is gone.
    pub(super) async fn message(
        &self,
        doom: Option<Failure>,
        first: Bytes,
        frames: impl Stream<Item = Result<pb::ProcessRequest, Status>> + Unpin,
    ) -> Result<Verdict, CallError> {
        let mut spool = Spool::new(self.shared.spool.clone(), self.client.memory.clone());
        let mut size = first.len() as u64;
        let judged = match self
            .collect(&mut spool, doom, first, frames, &mut size)
            .await?
        {
            Err(failure) => Err(failure),
            Ok(rest) => self.judge(&mut spool, rest).await,
        };
        // Far below 2^53, where f64 stops counting bytes.
        #[allow(clippy::cast_precision_loss)]
        self.client.metrics.message_bytes.observe(size as f64);
        Ok(self.conclude(judged, size))
    }

    /// Answers what is known before there is a message.
    pub(super) async fn screen(&self, doom: Option<Failure>) -> Verdict {
        let judged = match doom {
            Some(failure) => Err(failure),
            None => {
                let request = Arc::new(millrace_proto::ScreenRequest {
                    transaction: (*self.transaction).clone(),
                    stage: self.stage,
                });
                let call = self.shared.upstream.screen(request, self.deadline);
                call.await.map_err(Failure::from)
            }
        };
        self.conclude(judged, 0)
    }

    /// Takes all frames in. A message that will not be judged is read to its end as well: the conduit sends all of
    /// it before it listens.
    async fn collect(
        &self,
        spool: &mut Spool,
        doom: Option<Failure>,
        first: Bytes,
        mut frames: impl Stream<Item = Result<pb::ProcessRequest, Status>> + Unpin,
        size: &mut u64,
    ) -> Result<Result<Bytes, Failure>, CallError> {
        let limit = self.size_limit();
        let mut failed = doom.or_else(|| oversize(limit, *size));
        let (mut whole, mut joined) = (first, BytesMut::new());
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            if frame.transaction.is_some() {
                return Err(CallError::Malformed(
                    "a second transaction in one call".to_owned(),
                ));
            }
            *size += frame.content.len() as u64;
            failed = failed.or_else(|| oversize(limit, *size));
            if failed.is_some() {
                spool.clear();
                (whole, joined) = (Bytes::new(), BytesMut::new());
                continue;
            }
            joined.extend_from_slice(&std::mem::take(&mut whole));
            joined.extend_from_slice(&frame.content);
            if joined.len() >= BATCH && spool.hold(joined.len()) {
                failed = self.write(spool, joined.split().freeze()).await.err();
            }
        }
        if let Some(failure) = failed {
            return Ok(Err(failure));
        }
        if !joined.is_empty() {
            whole = joined.freeze();
        }
        if spool.is_spooled() || spool.hold(whole.len()) {
            let written = self.write(spool, std::mem::take(&mut whole)).await;
            return Ok(written.map(|()| whole));
        }
        Ok(Ok(whole))
    }

    async fn write(&self, spool: &mut Spool, piece: Bytes) -> Result<(), Failure> {
        if !spool.is_spooled() {
            self.client.metrics.all().spooled();
        }
        Ok(spool.write(vec![piece]).await?)
    }

    async fn judge(&self, spool: &mut Spool, rest: Bytes) -> Result<Verdict, Failure> {
        let content = spool.finish(rest, self.shared.upstream.is_embedded())?;
        let left = self.deadline.saturating_sub(self.begun.elapsed());
        let transaction = self.transaction.clone();
        let call = judge(self.shared, self.client, transaction, content, left);
        let result = AssertUnwindSafe(Box::pin(call)).catch_unwind().await;
        let panicked = |_| Err(CallError::Internal("the call panicked".to_owned()).into());
        result.unwrap_or_else(panicked)
    }

    fn conclude(&self, judged: Result<Verdict, Failure>, size: u64) -> Verdict {
        let Self {
            shared,
            client,
            transaction,
            ..
        } = self;
        let metrics = &client.metrics;
        let took = self.begun.elapsed();
        metrics.answered(self.stage, took);
        let (verdict, outcome, kind) = match judged {
            Ok(verdict) => {
                metrics.verdict(self.stage, verdict.disposition);
                (verdict, "answered".to_owned(), OutcomeKind::Done)
            }
            Err(failure) => {
                let kind = failure.kind;
                let action =
                    shared
                        .failures
                        .action(&transaction.client, transaction.direction, kind);
                metrics.failure(kind, action);
                let outcome = format!("failed: {kind}: {}", failure.detail);
                let verdict = verdict_of_failure(&failure, action, transaction);
                let failure = kind.name().to_owned();
                (verdict, outcome, OutcomeKind::Failed { failure })
            }
        };
        let line = Answered {
            transaction,
            stage: self.stage,
            verdict: &verdict,
            size,
            took,
            outcome: &outcome,
        };
        line.log();
        if self.stage == Stage::EndOfMessage && ends_with_its_verdict(transaction.conduit) {
            let settlement = settlement(transaction, &verdict, kind);
            shared.upstream.settle(settlement, Some(&verdict.node));
        }
        verdict
    }

    /// The smaller of the policy's limit and the client's.
    fn size_limit(&self) -> Option<u64> {
        let plan = self.client.plans.current();
        let policy = plan.and_then(|current| current.plan.size_limit);
        [policy, self.client.config.message_size]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Programs that live for one message become the real qmail-queue with the verdict in hand: nothing is left to settle
/// afterwards, so it is done here, when the verdict is given.
fn ends_with_its_verdict(conduit: ConduitKind) -> bool {
    match conduit {
        ConduitKind::QmailQueue | ConduitKind::DotQmail => true,
        ConduitKind::Milter | ConduitKind::Qmqp | ConduitKind::Exchange | ConduitKind::Scan => {
            false
        }
    }
}

fn oversize(limit: Option<u64>, size: u64) -> Option<Failure> {
    let limit = limit.filter(|&limit| size > limit)?;
    Some(Failure::new(
        FailureKind::Oversize,
        format!("above the limit of {limit} bytes"),
    ))
}
