//! Records, filters and answers, as the contract's `QuarantineService` has them.

use millrace_proto::pb;

use crate::filter::Filter;
use crate::record::{Audit, Record, State};
use crate::release::Answer;
use crate::store::Stats;

impl From<Record> for pb::CopyRecord {
    fn from(record: Record) -> Self {
        let (outcome, outcome_disposition) = match record.state {
            State::Unconfirmed => Default::default(),
            State::Settled {
                outcome,
                disposition,
            } => (outcome, disposition),
        };
        Self {
            id: record.id,
            hash: record.hash,
            time: record.time,
            client: record.client,
            queue_id: record.queue_id,
            sender: record.sender,
            recipients: record.recipients,
            kept_for: record.kept_for,
            subject: record.subject,
            size: record.size,
            symbols: record.symbols,
            score: record.score,
            revision: record.revision,
            disposition: record.disposition,
            reason: record.reason,
            outcome,
            outcome_disposition,
            released: record.released.unwrap_or(0),
        }
    }
}

impl From<pb::CopyRecord> for Record {
    fn from(record: pb::CopyRecord) -> Self {
        let state = if record.outcome.is_empty() {
            State::Unconfirmed
        } else {
            State::Settled {
                outcome: record.outcome,
                disposition: record.outcome_disposition,
            }
        };
        Self {
            id: record.id,
            hash: record.hash,
            time: record.time,
            client: record.client,
            queue_id: record.queue_id,
            sender: record.sender,
            recipients: record.recipients,
            kept_for: record.kept_for,
            subject: record.subject,
            size: record.size,
            symbols: record.symbols,
            score: record.score,
            revision: record.revision,
            disposition: record.disposition,
            reason: record.reason,
            state,
            released: (record.released > 0).then_some(record.released),
        }
    }
}

impl From<&pb::ListCopiesRequest> for Filter {
    fn from(request: &pb::ListCopiesRequest) -> Self {
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            client: text(&request.client),
            sender: text(&request.sender),
            recipient: text(&request.recipient),
            symbol: text(&request.symbol),
            disposition: text(&request.disposition),
            subject: text(&request.subject),
            since: (request.since > 0).then_some(request.since),
            until: (request.until > 0).then_some(request.until),
        }
    }
}

impl From<Filter> for pb::ListCopiesRequest {
    fn from(filter: Filter) -> Self {
        Self {
            client: filter.client.unwrap_or_default(),
            sender: filter.sender.unwrap_or_default(),
            recipient: filter.recipient.unwrap_or_default(),
            symbol: filter.symbol.unwrap_or_default(),
            disposition: filter.disposition.unwrap_or_default(),
            subject: filter.subject.unwrap_or_default(),
            since: filter.since.unwrap_or(0),
            until: filter.until.unwrap_or(0),
            after: String::new(),
            limit: 0,
        }
    }
}

impl From<Answer> for pb::ReleaseAnswer {
    fn from(answer: Answer) -> Self {
        Self {
            recipient: answer.recipient,
            accepted: answer.accepted,
            reply: answer.reply,
        }
    }
}

impl From<pb::ReleaseAnswer> for Answer {
    fn from(answer: pb::ReleaseAnswer) -> Self {
        Self {
            recipient: answer.recipient,
            accepted: answer.accepted,
            reply: answer.reply,
        }
    }
}

impl From<Stats> for pb::CountCopiesResponse {
    fn from(stats: Stats) -> Self {
        Self {
            entries: stats.entries,
            bytes: stats.bytes,
            unconfirmed: stats.unconfirmed,
            oldest: stats.oldest.unwrap_or(0),
        }
    }
}

impl From<pb::CountCopiesResponse> for Stats {
    fn from(counted: pb::CountCopiesResponse) -> Self {
        Self {
            entries: counted.entries,
            bytes: counted.bytes,
            unconfirmed: counted.unconfirmed,
            oldest: (counted.oldest > 0).then_some(counted.oldest),
        }
    }
}

impl From<Audit> for pb::AuditEntry {
    fn from(audit: Audit) -> Self {
        Self {
            time: audit.time,
            who: audit.who,
            action: audit.action,
            id: audit.id,
            detail: audit.detail,
        }
    }
}

impl From<pb::AuditEntry> for Audit {
    fn from(entry: pb::AuditEntry) -> Self {
        Self {
            time: entry.time,
            who: entry.who,
            action: entry.action,
            id: entry.id,
            detail: entry.detail,
        }
    }
}
