//! Questions before there is a message: connect, HELO, MAIL, each recipient, DATA.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use millrace_milter::Answer;
use millrace_proto::{
    CallError, Disposition, OutcomeKind, ScreenRequest, Stage, TransactionId, Verdict,
};
use millrace_runtime::trace_span;
use tracing::Instrument as _;

use super::connection::Connection;
use crate::failure::{Failure, FailureAction, FailureKind};
use crate::record::{self, Answered, settlement};
use crate::transaction;

impl Connection {
    /// MAIL: what is said of the message's size counts before all else.
    pub(super) async fn mail(&mut self) {
        if self.shared.drain.closing().is_cancelled()
            && self
                .session
                .answer(&Answer::Shutdown, &mut self.out)
                .is_ok()
        {
            // A process that ends begins no message.
            return;
        }
        let declared = self
            .session
            .envelope()
            .sender
            .as_ref()
            .and_then(millrace_proto::Path::declared_size);
        if let (Some(size), Some(limit)) = (declared, self.size_limit())
            && size > limit
        {
            let detail = format!("SIZE={size} is above the limit of {limit} bytes");
            if self.answer_failure(Stage::Mail, &Failure::new(FailureKind::Oversize, detail)) {
                return;
            }
        }
        self.screen(Stage::Mail).await;
    }

    /// Takes note of it when an answer has ended the message.
    pub(super) fn forget_if_ended(&mut self) {
        if !self.session.reply_due() && self.session.envelope().sender.is_none() {
            self.message = None;
        }
    }

    /// Asks about a stage, if the plan has something to decide there, and answers the mail server.
    pub(super) async fn screen(&mut self, stage: Stage) {
        if let Some(doom) = self.doom.clone() {
            // Said once there is a sender: a refusal at MAIL is one that every mail server takes as it is meant.
            if !(stage == Stage::Mail && self.answer_failure(stage, &doom)) {
                self.proceed();
            }
            return;
        }
        let wanted = self
            .plan
            .as_ref()
            .is_some_and(|current| current.plan.stages.contains(stage));
        if !wanted {
            self.proceed();
            return;
        }
        let begun = Instant::now();
        let (id, revision, span) = match &mut self.message {
            Some(message) => {
                message.asked = true;
                (message.id, message.revision.clone(), message.span.clone())
            }
            None => (TransactionId::new(), self.revision(), tracing::Span::none()),
        };
        let request = Arc::new(ScreenRequest {
            transaction: transaction::assemble(id, revision, &self.client.config, &self.session),
            stage,
        });
        let span = trace_span!(parent: &span, "screen", stage = stage.name());
        let deadline = self.client.config.mta.answer_deadline();
        let call = self
            .shared
            .upstream
            .screen(request.clone(), deadline)
            .instrument(span);
        let result = AssertUnwindSafe(call).catch_unwind().await;
        let result =
            result.unwrap_or_else(|_| Err(CallError::Internal("the call panicked".to_owned())));
        match result {
            Ok(verdict) => self.answer_screening(stage, &request, &verdict, begun),
            Err(error) => {
                let failure = Failure::from(error);
                if !self.answer_failure(stage, &failure) {
                    self.proceed();
                }
            }
        }
        self.client.metrics.answered(stage, begun.elapsed());
    }

    fn answer_screening(
        &mut self,
        stage: Stage,
        request: &ScreenRequest,
        verdict: &Verdict,
        begun: Instant,
    ) {
        // What the protocol has no answer for here, the end of the message will have.
        let answer = Answer::screening(stage, verdict.disposition, verdict.reply.as_ref());
        let (answer, outcome) = match answer {
            Some(answer) => (answer, "carried-out"),
            None => (Answer::Continue, "left to the end of the message"),
        };
        if self.session.answer(&answer, &mut self.out).is_err() {
            self.proceed();
            return;
        }
        self.client.metrics.verdict(stage, verdict.disposition);
        if verdict.disposition == Disposition::Accept {
            return;
        }
        let transaction = &request.transaction;
        Answered {
            transaction,
            stage,
            verdict,
            size: 0,
            took: begun.elapsed(),
            outcome,
        }
        .log();
        if self.message.is_some() && self.session.envelope().sender.is_none() {
            let done = settlement(transaction, verdict, OutcomeKind::Done);
            self.shared.upstream.settle(done, Some(&verdict.node));
        }
    }

    /// Answers by the failure table; `false` when the table lets the mail server go on, to be answered at the end
    /// of the message.
    fn answer_failure(&mut self, stage: Stage, failure: &Failure) -> bool {
        let config = &self.client.config;
        let action = self
            .shared
            .failures
            .action(&config.name, config.direction, failure.kind);
        let id = self
            .message
            .as_ref()
            .map_or_else(TransactionId::new, |message| message.id);
        let reply = match action {
            FailureAction::Tempfail => failure.kind.tempfail(id),
            FailureAction::Reject => failure.kind.reject(id),
            FailureAction::AcceptAndStamp | FailureAction::Hold => return false,
        };
        if self
            .session
            .answer(&Answer::Reply(reply), &mut self.out)
            .is_err()
        {
            return false;
        }
        self.client.metrics.failure(failure.kind, action);
        let transaction = transaction::assemble(id, self.revision(), config, &self.session);
        let verdict = record::verdict_of_failure(failure, action, &transaction);
        let outcome = format!("failed: {}: {}", failure.kind, failure.detail);
        Answered {
            transaction: &transaction,
            stage,
            verdict: &verdict,
            size: 0,
            took: std::time::Duration::ZERO,
            outcome: &outcome,
        }
        .log();
        true
    }

    /// Goes on.
    pub(super) fn proceed(&mut self) {
        // Continue is an answer wherever one is due.
        let _ = self.session.answer(&Answer::Continue, &mut self.out);
    }

    /// Goes on with the body, or asks for no more of it where nobody wants it.
    pub(super) fn proceed_with_body(&mut self) {
        let unwanted = self
            .message
            .as_ref()
            .is_some_and(|message| message.failed.is_some());
        let answer = if unwanted {
            Answer::Skip
        } else {
            Answer::Continue
        };
        let _ = self.session.answer(&answer, &mut self.out);
    }
}
