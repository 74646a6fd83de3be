//! How long a node takes: peak-EWMA, as in Finagle and `tower::load`.
//!
//! A sample above the estimate raises it at once, one below lets it sink with time, over about ten seconds. What is
//! different here, and why it is not `tower::load::PeakEwma`: a failure counts as slow (by tower's measure a node
//! that refuses at once is the fastest of all, and gets everything); one sample raises the estimate by a bounded
//! factor (one message with a slow DNS lookup is no slow node); a call that was given up says nothing; and it is
//! read and written without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The moving estimate of one node's latency.
#[derive(Debug)]
pub(super) struct Ewma {
    began: Instant,
    /// Nanoseconds, as the bits of an `f64`; 0 while nothing was measured.
    estimate: AtomicU64,
    /// Nanoseconds since `began`.
    updated: AtomicU64,
}

/// The time in which an estimate sinks by a factor of e.
const DECAY_NS: f64 = 10e9;
/// What a node is thought to take before anything was measured.
const UNKNOWN_NS: f64 = 10e6;
/// One sample raises the estimate to so many times itself at most.
const STEEPEST: f64 = 8.0;
/// Below this no sample is held to be steep.
const TRIFLE_NS: f64 = 1e6;
/// What a failure does to the estimate: so many times, but at least and at most these.
const PENALTY: f64 = 4.0;
const LEAST_PENALTY_NS: f64 = 20e6;
const MOST_PENALTY_NS: f64 = 10e9;

impl Ewma {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            estimate: AtomicU64::new(0),
            updated: AtomicU64::new(0),
        }
    }

    /// The estimate now, in nanoseconds.
    pub(super) fn estimate(&self, now: Instant) -> f64 {
        let estimate = f64::from_bits(self.estimate.load(Ordering::Relaxed));
        let base = if estimate == 0.0 {
            UNKNOWN_NS
        } else {
            estimate
        };
        base * self.faded(now)
    }

    /// Takes a latency in. Two that come at once may lose one of them: it is an estimate.
    pub(super) fn observe(&self, latency: Duration, now: Instant) {
        let sample = nanos(latency);
        let known = f64::from_bits(self.estimate.load(Ordering::Relaxed));
        let next = if known == 0.0 {
            sample
        } else if sample > known {
            sample.min(known.max(TRIFLE_NS) * STEEPEST).max(known)
        } else {
            let keep = self.faded(now);
            known * keep + sample * (1.0 - keep)
        };
        self.set(next, now);
    }

    /// A call failed there.
    pub(super) fn penalise(&self, now: Instant) {
        let next = (self.estimate(now) * PENALTY).clamp(LEAST_PENALTY_NS, MOST_PENALTY_NS);
        self.set(next, now);
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self, now: Instant) {
        self.set(0.0, now);
    }

    fn set(&self, estimate: f64, now: Instant) {
        self.estimate.store(estimate.to_bits(), Ordering::Relaxed);
        self.updated.store(self.since(now), Ordering::Relaxed);
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    /// What is left of an estimate by now, as a factor.
    #[allow(clippy::cast_precision_loss)]
    fn faded(&self, now: Instant) -> f64 {
        let age = self
            .since(now)
            .saturating_sub(self.updated.load(Ordering::Relaxed));
        (-(age as f64) / DECAY_NS).exp()
    }
}

#[allow(clippy::cast_precision_loss)]
fn nanos(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn measured(ewma: &Ewma, latency: Duration, now: Instant) {
        ewma.observe(latency, now);
    }

    #[test]
    fn a_peak_counts_at_once_and_sinks_over_ten_seconds() {
        let (ewma, now) = (Ewma::new(), Instant::now());
        measured(&ewma, 10 * MS, now);
        measured(&ewma, 40 * MS, now);
        assert!((ewma.estimate(now) / 40e6 - 1.0).abs() < 1e-6);
        let later = ewma.estimate(now + Duration::from_secs(10));
        assert!((later / 40e6 - (-1_f64).exp()).abs() < 1e-6);
    }

    #[test]
    fn fast_answers_bring_it_down_as_time_goes() {
        let (ewma, mut now) = (Ewma::new(), Instant::now());
        measured(&ewma, 80 * MS, now);
        for _ in 0..40 {
            now += Duration::from_secs(1);
            measured(&ewma, 2 * MS, now);
        }
        let estimate = ewma.estimate(now);
        assert!((2e6..5e6).contains(&estimate), "{estimate}");
    }

    #[test]
    fn one_slow_message_is_no_slow_node_but_several_are() {
        let (ewma, now) = (Ewma::new(), Instant::now());
        measured(&ewma, 2 * MS, now);
        measured(&ewma, 5000 * MS, now);
        assert!((ewma.estimate(now) / 16e6 - 1.0).abs() < 1e-6);
        for _ in 0..3 {
            measured(&ewma, 5000 * MS, now);
        }
        assert!((ewma.estimate(now) / 5000e6 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_node_that_fails_fast_is_a_slow_one() {
        let (ewma, now) = (Ewma::new(), Instant::now());
        measured(&ewma, MS, now);
        ewma.penalise(now);
        assert!((ewma.estimate(now) / 20e6 - 1.0).abs() < 1e-6);
        for _ in 0..20 {
            ewma.penalise(now);
        }
        assert!((ewma.estimate(now) / 10e9 - 1.0).abs() < 1e-6);
        ewma.forget(now);
        let estimate = ewma.estimate(now);
        assert!(
            (estimate / 10e6 - 1.0).abs() < 1e-6,
            "as one of which nothing is known"
        );
    }
}
