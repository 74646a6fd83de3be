//! One question on its way to a node, and where it has been.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millrace_client::Content;
use millrace_proto::{CallError, Revision, ScreenRequest, Transaction, Verdict};
use tokio::time::Instant;

use super::node::NodeId;

/// What every layer answers.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Verdict, CallError>> + Send>>;

/// What is asked. Cheap to clone: a second try and a hedge ask the same.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Screen(Arc<ScreenRequest>),
    /// Whether this side is under load.
    Process(Arc<Transaction>, Content, bool),
}

/// A question, until when an answer is of use, and the journey that all its tries share.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) question: Question,
    pub(super) end: Instant,
    /// A second call beside one that is under way: only for a node that is sound and has room now.
    pub(super) hedge: bool,
    pub(super) journey: Arc<Journey>,
}

/// Where a question has been, and what it did there.
#[derive(Debug, Default)]
pub(super) struct Journey {
    visited: Mutex<Vec<NodeId>>,
    lost: AtomicU8,
    answered: AtomicBool,
    stranded: AtomicBool,
}

/// A message over which so many nodes were lost in mid-call goes nowhere else.
pub(super) const SUSPECT_AFTER: u8 = 2;
/// Up to this size the time that a message takes says something of the node, and not of the message.
const SMALL: u64 = 64 << 10;

impl Call {
    pub(super) fn new(question: Question, deadline: Duration) -> Self {
        Self {
            question,
            end: Instant::now() + deadline,
            hedge: false,
            journey: Arc::default(),
        }
    }

    /// Whether it may be asked twice at once: what is in memory may, what has to be read from a file is asked once
    /// and then again.
    pub(super) fn may_be_hedged(&self) -> bool {
        match &self.question {
            Question::Screen(_) | Question::Process(_, Content::Memory(_), _) => true,
            Question::Process(_, Content::Spooled { .. }, _) => false,
        }
    }

    /// The policy that it is to be judged by; `None` for the one that the node has.
    pub(super) fn revision(&self) -> Option<&Revision> {
        let transaction = match &self.question {
            Question::Screen(request) => &request.transaction,
            Question::Process(transaction, ..) => transaction,
        };
        transaction.revision.as_ref()
    }

    /// Whether the time of its answer is one to compare nodes by.
    pub(super) fn is_typical(&self) -> bool {
        match &self.question {
            Question::Screen(_) => false,
            Question::Process(_, content, _) => content.len() <= SMALL,
        }
    }
}

impl Journey {
    /// Takes note that a node is asked.
    pub(super) fn visits(&self, node: NodeId) {
        self.places().push(node);
    }

    pub(super) fn has_visited(&self, node: NodeId) -> bool {
        self.places().contains(&node)
    }

    /// Nodes that were asked before may be asked again.
    pub(super) fn begins_anew(&self) {
        self.places().clear();
        self.stranded.store(false, Ordering::Relaxed);
    }

    /// There is no node left that was not asked.
    pub(super) fn is_at_its_end(&self) {
        self.stranded.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stranded.load(Ordering::Relaxed)
    }

    /// A node was lost with this question in hand.
    pub(super) fn lost_a_node(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u8 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.lost() >= SUSPECT_AFTER
    }

    /// Another node has answered: what is dropped now was too slow, and not given up by the mail server.
    pub(super) fn is_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Vec<NodeId>> {
        // One message's own: nobody else ever waits for it.
        self.visited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
