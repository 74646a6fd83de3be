//! What is said of a transaction afterwards: the log's line, the settlement.

use bytes::Bytes;
use millrace_proto::{
    Disposition, Edit, Keeping, Outcome, OutcomeKind, Path, Revision, Settlement, Stage,
    Transaction, TransactionId, Unscanned, Verdict, lower,
};
use millrace_runtime::verdict_log::{self, SymbolField, UnscannedField, VerdictLine};

use crate::failure::{Failure, FailureAction};

/// The header on a message that passed unjudged.
const UNSCANNED_HEADER: &str = "X-Millrace-Unscanned";

/// The verdict that the failure table gives instead of a node, lowered to what the mail server can do.
pub(crate) fn verdict_of_failure(
    failure: &Failure,
    action: FailureAction,
    transaction: &Transaction,
) -> Verdict {
    let id = transaction.id;
    let revision = transaction.revision.clone().or_else(|| Revision::new("0"));
    let mut verdict = Verdict::accept(revision.expect("a digit is a revision"), "gateway".into());
    verdict.unscanned.push(Unscanned {
        check: "all".to_owned(),
        reason: failure.kind.name().to_owned(),
    });
    match action {
        FailureAction::Tempfail => {
            verdict.disposition = Disposition::Tempfail;
            verdict.reply = Some(failure.kind.tempfail(id));
        }
        FailureAction::Reject => {
            verdict.disposition = Disposition::Reject;
            verdict.reply = Some(failure.kind.reject(id));
        }
        FailureAction::AcceptAndStamp => verdict.edits.push(Edit::InsertHeader {
            name: Bytes::from_static(UNSCANNED_HEADER.as_bytes()),
            value: Bytes::from(format!("{}; transaction {id}", failure.kind)),
        }),
        FailureAction::Hold => {
            verdict.disposition = Disposition::Hold;
            verdict.hold_reason = format!("not scanned: {}; transaction {id}", failure.kind);
        }
    }
    lower(verdict, transaction, Keeping::Unavailable)
}

/// How a question was answered, for the log.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) stage: Stage,
    pub(crate) verdict: &'a Verdict,
    pub(crate) size: u64,
    pub(crate) took: std::time::Duration,
    /// `carried-out`, or why not.
    pub(crate) outcome: &'a str,
}

impl Answered<'_> {
    /// Writes the log's line.
    pub(crate) fn log(&self) {
        if !tracing::enabled!(target: verdict_log::TARGET, tracing::Level::INFO) {
            return;
        }
        let Self {
            transaction,
            verdict,
            ..
        } = self;
        let id = transaction.id.to_string();
        let peer = transaction.connection.peer.to_string();
        let recipients: Vec<&[u8]> = transaction
            .envelope
            .recipients
            .iter()
            .map(|path| &path.address[..])
            .collect();
        let reply = verdict
            .reply
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let sources: Vec<String> = verdict
            .findings
            .iter()
            .map(|finding| {
                finding
                    .policy_line
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            })
            .collect();
        let symbols: Vec<SymbolField<'_>> = verdict
            .findings
            .iter()
            .zip(&sources)
            .map(|(finding, source)| SymbolField {
                name: &finding.symbol,
                score: finding.score,
                detail: finding.detail.as_bytes(),
                source,
            })
            .collect();
        let degradations: Vec<String> = verdict
            .degradations
            .iter()
            .map(|given_up| {
                format!(
                    "{} -> {}: {}",
                    given_up.wanted, given_up.done, given_up.reason
                )
            })
            .collect();
        let degradations: Vec<&str> = degradations.iter().map(String::as_str).collect();
        let unscanned: Vec<UnscannedField<'_>> = verdict
            .unscanned
            .iter()
            .map(|check| UnscannedField {
                check: &check.check,
                reason: &check.reason,
            })
            .collect();
        VerdictLine {
            queue_id: transaction.queue_id.as_deref().unwrap_or_default(),
            transaction_id: &id,
            client: transaction.client.as_str(),
            direction: transaction.direction.name(),
            conduit: transaction.conduit.name(),
            stage: self.stage.name(),
            peer: peer.as_bytes(),
            helo: transaction.connection.helo.as_deref().unwrap_or_default(),
            sender: transaction.envelope.sender.as_ref().map_or(&[], sender),
            recipients: &recipients,
            size: self.size,
            revision: verdict.revision.as_str(),
            disposition: verdict.disposition.name(),
            kept: verdict.keep,
            reply: reply.as_bytes(),
            score: verdict.score,
            threshold: verdict.threshold,
            symbols: &symbols,
            degradations: &degradations,
            unscanned: &unscanned,
            node: &verdict.node,
            duration_us: u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            outcome: self.outcome,
        }
        .emit();
    }
}

fn sender(path: &Path) -> &[u8] {
    &path.address
}

/// A settlement of a transaction that was judged.
pub(crate) fn settlement(
    transaction: &Transaction,
    verdict: &Verdict,
    kind: OutcomeKind,
) -> Settlement {
    Settlement {
        transaction: transaction.id,
        client: transaction.client.clone(),
        queue_id: transaction.queue_id.clone(),
        revision: Some(verdict.revision.clone()),
        outcome: Outcome {
            kind,
            disposition: verdict.disposition,
        },
        kept: verdict.keep,
    }
}

/// A settlement of a transaction that the mail server withdrew before there was a verdict.
pub(crate) fn withdrawn(
    id: TransactionId,
    client: &millrace_proto::ClientName,
    revision: Option<Revision>,
) -> Settlement {
    Settlement {
        transaction: id,
        client: client.clone(),
        queue_id: None,
        revision,
        outcome: Outcome {
            kind: OutcomeKind::Aborted,
            disposition: Disposition::Tempfail,
        },
        // A node may have been further than its answer.
        kept: true,
    }
}
