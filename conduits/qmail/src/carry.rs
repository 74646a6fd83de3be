//! From a verdict to what is done: exhaustive, so that a new disposition breaks the build here.

use millrace_proto::{Disposition, Edit, Reply, Verdict};

use crate::caller::CallerKind;

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// The real qmail-queue gets it, with these edits.
    Queue(Vec<Edit>),
    /// Nothing is queued, and the caller is told that all is well.
    Drop,
    /// The caller is told that it is refused for good.
    Refuse(Option<Reply>),
    /// The caller is told to come again.
    Defer(Option<Reply>),
}

impl Carried {
    /// What a verdict comes to, for a caller. A bounce of qmail-send is never refused and never put off, whatever the
    /// verdict says: it would come again every two minutes, without end.
    #[must_use]
    pub fn from_verdict(verdict: Verdict, caller: CallerKind) -> Self {
        let carried = match verdict.disposition {
            Disposition::Accept => Self::Queue(verdict.edits),
            Disposition::Discard => Self::Drop,
            Disposition::Reject => Self::Refuse(verdict.reply),
            // There is no hold in qmail's queue, and whoever judged was told so: the sender comes again.
            Disposition::Tempfail | Disposition::Hold => Self::Defer(verdict.reply),
        };
        match (carried, caller) {
            (Self::Refuse(_) | Self::Defer(_), CallerKind::Bounce) => Self::Queue(Vec::new()),
            (carried, _) => carried,
        }
    }
}
