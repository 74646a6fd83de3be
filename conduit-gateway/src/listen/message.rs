//! A message, from MAIL to the verdict that is carried out.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use millrace_milter::Answer;
use millrace_proto::{
    CallError, OutcomeKind, Revision, Stage, Transaction, TransactionId, Verdict,
};
use millrace_runtime::lifecycle::Activity;
use millrace_runtime::trace_span;
use tracing::{Instrument as _, Span};

use super::connection::{Connection, End};
use crate::failure::{Failure, FailureKind};
use crate::judge::judge;
use crate::record::{Answered, settlement, verdict_of_failure, withdrawn};
use crate::spool::{Spool, SpoolError};
use crate::transaction;

/// The message in progress.
pub(super) struct Message {
    pub(super) id: TransactionId,
    /// The policy's revision when it began.
    pub(super) revision: Option<Revision>,
    pub(super) span: Span,
    /// Whether a node was asked about it.
    pub(super) asked: bool,
    /// Why it will not be judged; its content is dropped as it comes.
    pub(super) failed: Option<Failure>,
    spool: Spool,
    /// Memory of the envelope, about.
    envelope_bytes: usize,
    _in_flight: Activity,
}

/// Why there is no verdict.
enum Unjudged {
    /// The failure table answers.
    Failed(Failure),
    /// The mail server withdrew the message, or is gone.
    Withdrawn,
    /// The process ends now.
    Cut,
}

/// What a recipient takes besides its address, about.
const RECIPIENT_OVERHEAD: usize = 128;

impl Connection {
    /// A message begins.
    pub(super) fn begin(&mut self) {
        let id = TransactionId::new();
        let span = trace_span!(
            "transaction",
            transaction_id = tracing::field::Empty,
            client = self.client.config.name.as_str(),
            direction = self.client.config.direction.name(),
            queue_id = tracing::field::Empty,
            disposition = tracing::field::Empty,
            size = tracing::field::Empty,
        );
        if !span.is_disabled() {
            span.record("transaction_id", tracing::field::display(id));
        }
        if self.doom.is_some() {
            self.session.skip_body();
        }
        self.message = Some(Box::new(Message {
            id,
            revision: self.revision(),
            span,
            asked: false,
            failed: self.doom.clone(),
            spool: Spool::new(self.shared.spool.clone(), self.client.memory.clone()),
            envelope_bytes: 0,
            _in_flight: self.shared.drain.activity(),
        }));
    }

    /// The revision in force.
    pub(super) fn revision(&self) -> Option<Revision> {
        self.client
            .plans
            .current()
            .map(|current| current.plan.revision.clone())
    }

    /// The largest message that is taken, in bytes: the smaller of the policy's limit and the client's.
    pub(super) fn size_limit(&self) -> Option<u64> {
        let policy = self
            .plan
            .as_ref()
            .and_then(|current| current.plan.size_limit);
        match (policy, self.client.config.message_size) {
            (Some(policy), Some(client)) => Some(policy.min(client)),
            (policy, client) => policy.or(client),
        }
    }

    pub(super) fn count_recipient(&mut self) {
        let Some(message) = &mut self.message else {
            return;
        };
        if let Some(path) = self.session.envelope().recipients.last() {
            let words: usize = path.parameters.iter().map(bytes::Bytes::len).sum();
            message.envelope_bytes += path.address.len() + words + RECIPIENT_OVERHEAD;
        }
    }

    /// Puts what has come of the content where it can stay, within the limits.
    pub(super) async fn store(&mut self) {
        let limit = self.size_limit();
        let Some(message) = &mut self.message else {
            return;
        };
        let content = self.session.content();
        let (held, total) = (content.held(), content.total());
        if message.failed.is_some() {
            drop(content.take());
            return;
        }
        let problem = if let Some(limit) = limit.filter(|&limit| total > limit) {
            Failure::new(
                FailureKind::Oversize,
                format!("above the limit of {limit} bytes"),
            )
        } else {
            if !message.spool.hold(held + message.envelope_bytes) {
                return;
            }
            if !message.spool.is_spooled() {
                self.client.metrics.all().spooled();
            }
            let pieces = self.session.content().take();
            match message.spool.write(pieces).await {
                Ok(()) => return,
                Err(error) => error.into(),
            }
        };
        self.fail(problem);
    }

    /// The message will not be judged: what comes of it is dropped, and the failure table answers at its end.
    fn fail(&mut self, failure: Failure) {
        drop(self.session.content().take());
        self.session.skip_body();
        if let Some(message) = &mut self.message {
            message.spool.clear();
            message.failed = Some(failure);
        }
    }

    /// The message is complete: has it judged, and carries the verdict out.
    pub(super) async fn end_of_message(&mut self) -> Result<(), End> {
        let begun = Instant::now();
        let size = self.session.content().total();
        self.store().await;
        let Some(mut message) = self.message.take() else {
            return Ok(());
        };
        let transaction = transaction::assemble(
            message.id,
            message.revision.clone(),
            &self.client.config,
            &self.session,
        );
        let transaction = Arc::new(transaction);
        // Far below 2^53, where f64 stops counting bytes.
        #[allow(clippy::cast_precision_loss)]
        self.client.metrics.message_bytes.observe(size as f64);

        let judged = match message.failed.take() {
            Some(failure) => Err(Unjudged::Failed(failure)),
            None => self.judge(&mut message, &transaction).await,
        };
        let (verdict, failure) = match judged {
            Ok(verdict) => (verdict, None),
            Err(Unjudged::Failed(failure)) => self.without_verdict(failure, &transaction),
            Err(Unjudged::Withdrawn) => {
                self.message = Some(message);
                self.withdraw();
                return Ok(());
            }
            Err(Unjudged::Cut) => {
                // Understood as 421: the sender tries again, elsewhere or later.
                let _ = self.session.answer(&Answer::Shutdown, &mut self.out);
                self.flush().await?;
                self.message = Some(message);
                return Err(End::Draining);
            }
        };
        let (verdict, failure) = match self.session.finish(&verdict, &mut self.out) {
            Ok(()) => (verdict, failure),
            Err(error) => {
                // The verdict asks for what this mail server was never asked to allow: nothing of it was written.
                let failure = Failure::new(
                    FailureKind::Internal,
                    format!("the verdict cannot be carried out: {error}"),
                );
                let (verdict, failure) = self.without_verdict(failure, &transaction);
                if self.session.finish(&verdict, &mut self.out).is_err() {
                    let _ = self.session.answer(&Answer::Tempfail, &mut self.out);
                }
                (verdict, failure)
            }
        };
        let written = self.flush().await;
        self.conclude(
            &message,
            &transaction,
            &verdict,
            failure.as_ref(),
            size,
            begun,
            written.is_ok(),
        );
        written
    }

    fn without_verdict(
        &self,
        failure: Failure,
        transaction: &Transaction,
    ) -> (Verdict, Option<Failure>) {
        let action =
            self.shared
                .failures
                .action(&transaction.client, transaction.direction, failure.kind);
        self.client.metrics.failure(failure.kind, action);
        (
            verdict_of_failure(&failure, action, transaction),
            Some(failure),
        )
    }

    async fn judge(
        &mut self,
        message: &mut Message,
        transaction: &Arc<Transaction>,
    ) -> Result<Verdict, Unjudged> {
        if message.spool.is_spooled() {
            let rest = self.session.content().take();
            message.spool.write(rest).await?;
        }
        let rest = self.session.content().take_whole();
        let content = message
            .spool
            .finish(rest, self.shared.upstream.is_embedded())?;
        message.asked = true;
        let span = trace_span!(parent: &message.span, "process", size = content.len());
        let (shared, client) = (self.shared.clone(), self.client.clone());
        let mta = client.config.mta;
        let deadline = client.config.deadline.min(mta.verdict_deadline());
        let call = judge(&shared, &client, transaction.clone(), content, deadline).instrument(span);
        let call = AssertUnwindSafe(call).catch_unwind();
        self.wait_for(Box::pin(call)).await
    }

    /// Waits for a verdict, and tells the mail server every few seconds that it is being worked on. Gives the call
    /// up when nobody waits for it any more.
    async fn wait_for(
        &mut self,
        mut call: impl Future<Output = std::thread::Result<Result<Verdict, Failure>>> + Unpin,
    ) -> Result<Verdict, Unjudged> {
        let cut = self.shared.drain.cut().clone();
        let every = self.shared.times.progress;
        loop {
            tokio::select! {
                biased;
                result = &mut call => {
                    let failed = |_| Err(CallError::Internal("the call panicked".to_owned()).into());
                    return result.unwrap_or_else(failed).map_err(Unjudged::Failed);
                }
                () = cut.cancelled() => return Err(Unjudged::Cut),
                gone = self.stream.readable() => {
                    if gone.is_err() || self.read_while_waiting() {
                        return Err(Unjudged::Withdrawn);
                    }
                }
                () = tokio::time::sleep(every) => {
                    let _ = self.session.progress(&mut self.out);
                    if self.flush().await.is_err() {
                        return Err(Unjudged::Withdrawn);
                    }
                }
            }
        }
    }

    /// A mail server that waits says nothing, but that it waits no longer. Whether the message is withdrawn.
    fn read_while_waiting(&mut self) -> bool {
        match self.stream.read_now(self.session.space()) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
        loop {
            match self.session.next_step(&mut self.out) {
                Ok(Some(step)) if step.withdrew => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one call, of what one message came to
    fn conclude(
        &self,
        message: &Message,
        transaction: &Transaction,
        verdict: &Verdict,
        failure: Option<&Failure>,
        size: u64,
        begun: Instant,
        written: bool,
    ) {
        let metrics = &self.client.metrics;
        let took = begun.elapsed();
        metrics.answered(Stage::EndOfMessage, took);
        let (kind, outcome) = match failure {
            _ if !written => (
                OutcomeKind::Aborted,
                "the mail server was gone before the answer".to_owned(),
            ),
            Some(failure) => (
                OutcomeKind::Failed {
                    failure: failure.kind.name().to_owned(),
                },
                format!("failed: {}: {}", failure.kind, failure.detail),
            ),
            None => {
                metrics.verdict(Stage::EndOfMessage, verdict.disposition);
                (OutcomeKind::Done, "carried-out".to_owned())
            }
        };
        if !message.span.is_disabled() {
            let queue_id = transaction.queue_id.as_deref().unwrap_or_default();
            message
                .span
                .record("queue_id", tracing::field::display(queue_id.escape_ascii()));
            message
                .span
                .record("disposition", verdict.disposition.name());
            message.span.record("size", size);
        }
        Answered {
            transaction,
            stage: Stage::EndOfMessage,
            verdict,
            size,
            took,
            outcome: &outcome,
        }
        .log();
        if message.asked {
            let settlement = settlement(transaction, verdict, kind);
            let judge = failure.is_none().then_some(&*verdict.node);
            let settle = || self.shared.upstream.settle(settlement, judge);
            message.span.in_scope(settle);
        }
    }

    /// The message in progress is given up, if there is one.
    pub(super) fn withdraw(&mut self) {
        let Some(message) = self.message.take() else {
            return;
        };
        self.client.metrics.aborted.inc();
        if message.asked {
            let client = &self.client.config.name;
            let settlement = withdrawn(message.id, client, message.revision.clone());
            let settle = || self.shared.upstream.settle(settlement, None);
            message.span.in_scope(settle);
        }
    }
}

impl From<SpoolError> for Unjudged {
    fn from(error: SpoolError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<SpoolError> for Failure {
    fn from(error: SpoolError) -> Self {
        let kind = match &error {
            SpoolError::Exhausted(_) => FailureKind::Overload,
            SpoolError::File { .. } => FailureKind::Spool,
        };
        Self::new(kind, error.to_string())
    }
}
