//! A message that has come whole: judged, its verdict carried out, its client answered.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use millrace_proto::{
    CallError, Capabilities, ConduitKind, Connection, Envelope as Addresses, LineEnding,
    OutcomeKind, Path, Peer, Stage, Transaction, TransactionId, Verdict,
};
use millrace_qmail::qmqp::{Answer, Reply};
use millrace_qmail::{Envelope, Received};
use tokio::time::Instant;

use super::carry::Carried;
use super::downstream::{Outgoing, Passed};
use super::incoming::Incoming;
use super::{End, Session, deferred, edited};
use crate::failure::Failure;
use crate::judge::judge;
use crate::listen::stream::PeerName;
use crate::record::{Answered, settlement, verdict_of_failure, withdrawn};

/// What became of a message: what is written to the client, and for the record.
struct Done {
    verdict: Verdict,
    reply: Reply,
    outcome: String,
    kind: OutcomeKind,
}

/// From the request's end to our answer: `qmail-qmqpc.c` gives up after 60 s, and hands the message in again.
const PATIENCE: Duration = Duration::from_secs(55);
/// After the process's end was called: for the downstream's answer to a message that it has whole.
const LAST_MOMENT: Duration = Duration::from_secs(1);

impl Session {
    /// Judges a message that has come whole, carries the verdict out, and answers.
    pub(super) async fn message(&mut self, mut incoming: Incoming) -> Result<(), End> {
        let begun = Instant::now();
        let transaction = Arc::new(self.transaction(&incoming));
        // Far below 2^53, where f64 stops counting bytes.
        #[allow(clippy::cast_precision_loss)]
        self.client
            .metrics
            .message_bytes
            .observe(incoming.size() as f64);
        if incoming.address_refused() {
            let reply = Reply::new(
                Answer::Refused,
                b"sorry, I can't accept addresses like that (#5.1.3)",
            );
            tracing::info!(
                client = %self.client.config.name, peer = %self.stream.peer(), size = incoming.size(),
                "a QMQP message with an address of 1000 bytes and more, or with a NUL, is refused"
            );
            return self.write(&reply).await;
        }
        let end = begun + PATIENCE;
        let done = {
            let work = self.work(&mut incoming, &transaction, end);
            let mut work = std::pin::pin!(work);
            let cut = self.shared.drain.cut().clone();
            tokio::select! {
                biased;
                done = &mut work => done,
                // What the downstream was given whole is answered by it in a moment.
                () = async { cut.cancelled().await; tokio::time::sleep(LAST_MOMENT).await } => {
                    return Err(End::Draining);
                }
            }
        };
        let Some(done) = done else {
            let config = &self.client.config;
            let revision = transaction.revision.clone();
            let settlement = withdrawn(transaction.id, &config.name, revision);
            self.shared.upstream.settle(settlement, None);
            return Err(End::Left);
        };
        let written = self.write(&done.reply).await;
        self.conclude(&transaction, &done, incoming.size(), begun, written.is_ok());
        written
    }

    /// From the message to its reply; `None` when the client was gone before anything was handed on.
    async fn work(
        &self,
        incoming: &mut Incoming,
        transaction: &Arc<Transaction>,
        end: Instant,
    ) -> Option<Done> {
        let (verdict, failure) = match incoming.failed() {
            // The message is passed on unjudged, or refused, as the table says.
            Some(failure) => self.without_verdict(failure, transaction),
            None => {
                let judged = tokio::select! {
                    biased;
                    judged = self.judge(incoming, transaction, end) => judged,
                    () = self.gone() => return None,
                };
                match judged {
                    Ok(verdict) => (verdict, None),
                    Err(failure) => self.without_verdict(failure, transaction),
                }
            }
        };
        let carried = Carried::of(&verdict);
        let (reply, mut outcome, mut kind) = match carried {
            Carried::Answer(reply) => (reply, "carried-out".to_owned(), OutcomeKind::Done),
            Carried::PassOn => self.pass_on(incoming, transaction, &verdict, end).await?,
        };
        if let Some(failure) = failure {
            outcome = format!("failed: {}: {}", failure.kind, failure.detail);
            kind = OutcomeKind::Failed {
                failure: failure.kind.name().to_owned(),
            };
        }
        Some(Done {
            verdict,
            reply,
            outcome,
            kind,
        })
    }

    async fn judge(
        &self,
        incoming: &mut Incoming,
        transaction: &Arc<Transaction>,
        end: Instant,
    ) -> Result<Verdict, Failure> {
        let content = incoming.content(self.shared.upstream.is_embedded())?;
        let left = end.saturating_duration_since(Instant::now());
        let deadline = self.client.config.deadline.min(left);
        let transaction = transaction.clone();
        let call = judge(&self.shared, &self.client, transaction, content, deadline);
        let result = AssertUnwindSafe(Box::pin(call)).catch_unwind().await;
        let panicked = |_| Err(CallError::Internal("the call panicked".to_owned()).into());
        result.unwrap_or_else(panicked)
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

    /// Hands an accepted message, with its edits, to a downstream server.
    async fn pass_on(
        &self,
        incoming: &mut Incoming,
        transaction: &Transaction,
        verdict: &Verdict,
        end: Instant,
    ) -> Option<(Reply, String, OutcomeKind)> {
        let id = transaction.id;
        let failed = |what: &str| {
            (
                deferred(&format!("{what}; try again later (transaction {id})")),
                format!("failed: downstream: {what}"),
                OutcomeKind::Failed {
                    failure: "downstream".to_owned(),
                },
            )
        };
        if !incoming.is_kept() {
            return Some(failed("the message was not kept"));
        }
        let content = match incoming.content(false) {
            Ok(content) => edited::edited(content, &verdict.edits, &self.shared.spool).await,
            Err(failure) => Err(failure.detail),
        };
        let (content, _room) = match content {
            Ok(content) => content,
            Err(problem) => {
                tracing::error!(transaction_id = %id, problem, "a message cannot be edited");
                return Some(failed("there is no room for the message"));
            }
        };
        let envelope = millrace_qmail::edited_envelope(&incoming.envelope(), &verdict.edits);
        let outgoing = Outgoing {
            transaction: id,
            content: &content,
            envelope: &envelope,
            end,
        };
        let passed = outgoing
            .pass_on(&self.config.downstream, || self.is_gone())
            .await;
        self.client.metrics.passed_on(passed.name());
        Some(match passed {
            Passed::Answered(reply) => {
                let outcome = match reply.answer {
                    Answer::Taken => "carried-out".to_owned(),
                    Answer::Deferred | Answer::Refused => {
                        format!("failed: downstream: it says {reply}")
                    }
                };
                let kind = match reply.answer {
                    Answer::Taken => OutcomeKind::Done,
                    Answer::Deferred | Answer::Refused => OutcomeKind::Failed {
                        failure: "downstream".to_owned(),
                    },
                };
                (reply, outcome, kind)
            }
            Passed::Unreachable => failed("the mail server behind the filter is not reachable"),
            Passed::Lost => failed("the mail server behind the filter gave no answer"),
            Passed::Withdrawn => return None,
        })
    }

    fn transaction(&self, incoming: &Incoming) -> Transaction {
        let config = &self.client.config;
        let mut connection = Connection {
            peer: match self.stream.peer() {
                PeerName::Tcp(address) => Peer::Ip(address),
                PeerName::Unix => Peer::Unix(bytes::Bytes::new()),
            },
            ..Connection::default()
        };
        if self.config.believe_received {
            smtp_client(incoming.beginning(), &mut connection);
        }
        let Envelope { sender, recipients } = incoming.envelope();
        let path = |address| Path {
            address,
            parameters: Vec::new(),
        };
        let plan = self.client.plans.current();
        Transaction {
            id: TransactionId::new(),
            conduit: ConduitKind::Qmqp,
            client: config.name.clone(),
            direction: config.direction,
            capabilities: capabilities(),
            connection,
            envelope: Addresses {
                sender: Some(path(sender)),
                recipients: recipients.into_iter().map(path).collect(),
            },
            queue_id: None,
            macros: Vec::new(),
            line_ending: LineEnding::Lf,
            revision: plan.map(|current| current.plan.revision.clone()),
        }
    }

    fn conclude(
        &self,
        transaction: &Transaction,
        done: &Done,
        size: u64,
        begun: Instant,
        told: bool,
    ) {
        let metrics = &self.client.metrics;
        let took = begun.elapsed();
        metrics.answered(Stage::EndOfMessage, took);
        if matches!(done.kind, OutcomeKind::Done) {
            metrics.verdict(Stage::EndOfMessage, done.verdict.disposition);
        }
        let mut outcome = done.outcome.clone();
        if !told {
            outcome.push_str("; the client was gone before it was told");
        }
        Answered {
            transaction,
            stage: Stage::EndOfMessage,
            verdict: &done.verdict,
            size,
            took,
            outcome: &outcome,
        }
        .log();
        let settlement = settlement(transaction, &done.verdict, done.kind.clone());
        let judge = Some(&*done.verdict.node);
        self.shared.upstream.settle(settlement, judge);
    }
}

/// What a QMQP client can be told, and what is done before a message is passed on.
fn capabilities() -> Capabilities {
    ConduitKind::Qmqp.capabilities()
}

/// The SMTP client, from the line that qmail-smtpd has put on top.
fn smtp_client(beginning: &[u8], connection: &mut Connection) {
    let Some(received) = Received::read(beginning) else {
        return;
    };
    let text = received
        .ip
        .as_deref()
        .and_then(|ip| std::str::from_utf8(ip).ok());
    let Some(ip) = text.and_then(|ip| ip.trim_matches(['[', ']']).parse().ok()) else {
        return;
    };
    connection.peer = Peer::Ip(std::net::SocketAddr::new(ip, 0));
    connection.ptr = received.host;
    connection.helo = received.helo;
}
