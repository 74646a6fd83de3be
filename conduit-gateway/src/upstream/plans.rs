//! What the policy wants of one client, as it is now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use millrace_milter::{Steps, Wanted};
use millrace_proto::{Plan, Stage};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// The current plan of a client, kept up to date by a task that ends with it.
#[derive(Debug)]
pub(crate) struct Plans {
    sink: PlanSink,
    _follower: AbortOnDropHandle<()>,
}

/// A plan, and what it wants of a mail server: worked out once for all connections.
#[derive(Debug)]
pub(crate) struct CurrentPlan {
    pub(crate) plan: Plan,
    pub(crate) wanted: Wanted,
}

/// Where a follower puts plans.
#[derive(Debug, Clone)]
pub(crate) struct PlanSink {
    current: Arc<ArcSwapOption<CurrentPlan>>,
    changed: Arc<Notify>,
    followed: Arc<AtomicBool>,
    sized: bool,
}

impl Plans {
    /// Plans that `follow` puts into its sink, until this is dropped. `sized` says that the client has a size limit
    /// besides the policy's.
    pub(crate) fn new<F>(
        first: Option<&Plan>,
        sized: bool,
        follow: impl FnOnce(PlanSink) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let sink = PlanSink {
            current: Arc::default(),
            changed: Arc::default(),
            followed: Arc::default(),
            sized,
        };
        if let Some(plan) = first {
            sink.put(plan);
        }
        Self {
            sink: sink.clone(),
            _follower: AbortOnDropHandle::new(tokio::spawn(follow(sink))),
        }
    }

    /// The current plan; `None` while no node has told one.
    pub(crate) fn current(&self) -> Option<Arc<CurrentPlan>> {
        self.sink.current.load_full()
    }

    /// Whether a node tells of changes now; otherwise the plan is the last that one told.
    pub(crate) fn followed(&self) -> bool {
        self.sink.followed.load(Ordering::Relaxed)
    }

    /// The first plan that is another than the one that was known.
    pub(crate) async fn after(&self, known: Option<&Arc<CurrentPlan>>) -> Arc<CurrentPlan> {
        loop {
            let changed = self.sink.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.current() {
                Some(plan) if known.is_none_or(|known| !Arc::ptr_eq(known, &plan)) => return plan,
                _ => changed.await,
            }
        }
    }
}

impl PlanSink {
    /// No node tells of changes any more.
    pub(crate) fn lost(&self) {
        self.followed.store(false, Ordering::Relaxed);
    }

    pub(crate) fn put(&self, plan: &Plan) {
        self.followed.store(true, Ordering::Relaxed);
        let mut wanted = Wanted::from_plan(plan);
        if self.sized {
            // A declared size is refused there.
            wanted = wanted.answering(Stage::Mail);
        }
        self.current.store(Some(Arc::new(CurrentPlan {
            plan: plan.clone(),
            wanted,
        })));
        self.changed.notify_waiters();
    }
}

/// What is asked of a mail server while there is no plan: everything is sent, nothing but the end of the message
/// is answered.
pub(crate) fn without_plan() -> Wanted {
    Wanted {
        steps: Steps::SKIP
            | Steps::LEADING_SPACE
            | Steps::NO_UNKNOWN
            | Steps::QUIET_UNKNOWN
            | Steps::QUIET_CONNECT
            | Steps::QUIET_HELO
            | Steps::QUIET_MAIL
            | Steps::QUIET_RCPT
            | Steps::QUIET_DATA
            | Steps::QUIET_HEADER
            | Steps::QUIET_END_OF_HEADERS
            | Steps::QUIET_BODY,
        ..Wanted::EVERYTHING
    }
}
