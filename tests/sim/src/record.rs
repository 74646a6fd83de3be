//! What was seen of a run from outside: answers that mail servers got, and outcomes that nodes were told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// What was seen. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Record(Arc<Mutex<Seen>>);

/// Everything that a run showed.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Revisions that were published, as headers show them, with the number that each policy writes beside.
    pub published: BTreeMap<String, usize>,
    /// What became of each message that a mail server sent.
    pub answers: Vec<Answered>,
    /// What nodes were told of transactions.
    pub settled: Vec<Settled>,
    /// Gateways that have died at least once.
    pub died: Vec<usize>,
    /// Gauges that should be 0 at the end, and are not.
    pub left: Vec<String>,
}

/// One message of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Which: server and number.
    pub message: String,
    /// The gateway that was asked.
    pub gateway: usize,
    /// Whether it was sent after all faults were over.
    pub at_the_end: bool,
    /// What became of it.
    pub answer: Answer,
}

/// What a mail server was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Passed on, with the header that the policy writes: revision, transaction, the policy's number.
    Judged {
        /// The revision that decided.
        revision: String,
        /// The transaction.
        transaction: String,
        /// The number that the policy writes beside.
        number: usize,
    },
    /// Passed on without that header, or with more than one.
    Unjudged(String),
    /// A temporary failure, in words.
    PutOff(String),
    /// Refused for good, or anything else that no policy asked for.
    Other(String),
    /// The connection ended instead.
    Lost(String),
    /// No answer came.
    Nothing,
    /// What came breaks the protocol.
    Broken(String),
}

/// What a node was told of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Which.
    pub transaction: String,
    /// Kind of the outcome and disposition.
    pub outcome: String,
}

impl Record {
    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listener for what nodes are told: they say it in their log.
    pub fn listener<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        Settlements(self.clone())
    }
}

struct Settlements(Record);

impl<S: Subscriber> Layer<S> for Settlements {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && metadata.target() == "mpd_node::node" {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        if words.message == "settled" {
            self.0.seen().settled.push(words.settled);
        }
    }
}

#[derive(Default)]
struct Words {
    message: String,
    settled: Settled,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "message" => self.message = value,
            "transaction" => self.settled.transaction = value,
            "outcome" | "disposition" => {
                self.settled.outcome.push_str(&value);
                self.settled.outcome.push(' ');
            }
            _ => {}
        }
    }
}
