//! The orderly end of a server: first unready, then closed, then done, with a bound on all of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Shutdown, notify};
use crate::admin::Readiness;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Running,
    /// Serving, and asking not to be sent more: whoever balances over us needs time to notice.
    Unready,
    /// No longer accepting; what is in flight is finished.
    Closing,
    /// Nothing is in flight, or what is left was cut off.
    Done,
}

/// How long the phases may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainLimits {
    /// How long new work is still accepted after the end was asked for.
    pub grace: Duration,
    /// How long work in flight may then still take.
    pub bound: Duration,
}

/// `[drain]` of a configuration file, in seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainLimitsInSeconds {
    #[serde(default = "default_grace")]
    grace_seconds: u32,
    #[serde(default = "default_bound")]
    bound_seconds: u32,
}

fn default_grace() -> u32 {
    5
}

fn default_bound() -> u32 {
    60
}

impl Default for DrainLimits {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(default_grace().into()),
            bound: Duration::from_secs(default_bound().into()),
        }
    }
}

impl<'de> Deserialize<'de> for DrainLimits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = DrainLimitsInSeconds::deserialize(deserializer)?;
        Ok(Self {
            grace: Duration::from_secs(seconds.grace_seconds.into()),
            bound: Duration::from_secs(seconds.bound_seconds.into()),
        })
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All that was in flight was finished.
    Clean,
    /// This many activities were cut off, at the bound or because of a second signal.
    Cut {
        /// Activities that had not ended.
        in_flight: usize,
    },
}

/// The process's drain. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Drain {
    phase: Arc<watch::Sender<Phase>>,
    activities: TaskTracker,
    closing: CancellationToken,
    cut: CancellationToken,
}

/// Work that the end of the process waits for, as long as this is alive.
#[derive(Debug, Clone)]
#[must_use = "the work is only waited for while its guard lives"]
pub struct Activity(#[expect(dead_code, reason = "held, not read")] TaskTrackerToken);

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            activities: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Marks work in flight: a transaction, a call. Not an idle connection: close that in [`Phase::Closing`].
    pub fn activity(&self) -> Activity {
        Activity(self.activities.token())
    }

    /// How much is in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.activities.len()
    }

    /// How far the end has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the end has come as far as `phase`. Cancel safe.
    pub async fn reached(&self, phase: Phase) {
        // The sender is ours, so that the channel cannot be closed here.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Cancelled in [`Phase::Closing`]: listeners stop accepting, idle connections are closed.
    #[must_use]
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Cancelled when waiting is over: what is still in flight gives the answer that needs no time, and ends.
    #[must_use]
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Waits until `shutdown` is requested, then goes through the phases.
    pub async fn run(
        &self,
        shutdown: &Shutdown,
        readiness: &Readiness,
        limits: DrainLimits,
    ) -> Drained {
        shutdown.requested().cancelled().await;
        readiness.condition("running").unmet("draining");
        notify::stopping();
        self.phase.send_replace(Phase::Unready);
        wait(limits.grace, shutdown.immediate()).await;

        self.phase.send_replace(Phase::Closing);
        self.closing.cancel();
        self.activities.close();
        let drained = tokio::select! {
            biased;
            () = self.activities.wait() => Drained::Clean,
            () = wait(limits.bound, shutdown.immediate()) => Drained::Cut { in_flight: self.in_flight() },
        };
        self.cut.cancel();
        self.phase.send_replace(Phase::Done);
        match drained {
            Drained::Clean => tracing::info!("all that was in flight is finished"),
            Drained::Cut { in_flight } => {
                tracing::warn!(in_flight, "what was still in flight is cut off");
            }
        }
        drained
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

async fn wait(time: Duration, cut_short: &CancellationToken) {
    tokio::select! {
        () = cut_short.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
