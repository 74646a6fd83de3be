//! How many calls a node is given at once. The number follows what the node shows: while answers take as long as
//! they did, it grows; when they take more than twice as long, or the node sheds, it shrinks. This is the gradient
//! of Netflix' concurrency-limits ("Gradient2"): short-term against long-term latency, so that it needs no figure
//! for what is fast. tower's own limit is a number that never changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The calls of one node, and how many they may be.
#[derive(Debug)]
pub(super) struct Limit {
    in_flight: AtomicUsize,
    limit: AtomicUsize,
    most: AtomicUsize,
    gradient: Mutex<Gradient>,
}

#[derive(Debug)]
struct Gradient {
    limit: f64,
    /// Nanoseconds; 0 while nothing was measured.
    short: f64,
    long: f64,
}

/// A new node's limit.
pub(super) const FIRST: usize = 64;
/// It never goes below.
const LEAST: usize = 4;
/// Answers may take so many times as long as they did before the limit shrinks.
const TOLERANCE: f64 = 2.0;
/// The least that is left of the limit in one step, and how much of a step is taken.
const STEEPEST: f64 = 0.5;
const SMOOTHING: f64 = 0.2;
/// What shed load or a late answer leaves of it.
const BACKOFF: f64 = 0.8;
/// Answers over which the short and the long average reach.
const SHORT: f64 = 10.0;
const LONG: f64 = 500.0;
/// When all has become faster, the long average follows so.
const FORGET: f64 = 0.95;

impl Limit {
    /// A limit that never grows beyond `most`.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let first = FIRST.min(most);
        Self {
            in_flight: AtomicUsize::new(0),
            limit: AtomicUsize::new(first),
            most: AtomicUsize::new(most),
            gradient: Mutex::new(Gradient::new(first)),
        }
    }

    /// Whether another call may begin.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight() < self.limit()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What the node itself says it can take.
    pub(super) fn cap(&self, most: usize) {
        self.most.store(most.max(1), Ordering::Relaxed);
        self.limit.fetch_min(most.max(1), Ordering::Relaxed);
    }

    /// A call begins, with room or without: whoever calls has looked, or knows better.
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A call is over.
    pub(super) fn leave(&self) {
        // Whoever waits for room looks at this after it was woken.
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// One call at a time, until one was answered.
    pub(super) fn on_probation(&self) {
        self.limit.store(1, Ordering::Relaxed);
    }

    /// Probation is over: it begins anew.
    pub(super) fn restore(&self) {
        let most = self.most.load(Ordering::Relaxed);
        let first = FIRST.min(most);
        *self.gradient() = Gradient::new(first);
        self.limit.store(first, Ordering::Relaxed);
    }

    /// An answer came after this time. Whether the limit has grown.
    pub(super) fn answered(&self, latency: Duration) -> bool {
        // Two answers at once: one of them is enough.
        let Ok(mut gradient) = self.gradient.try_lock() else {
            return false;
        };
        let before = self.limit();
        let most = self.most.load(Ordering::Relaxed);
        // The call that was just answered was one of them.
        let used = self.in_flight() + 1;
        gradient.sample(latency, used, most);
        self.take(&gradient, most) > before
    }

    /// The node has shed a call, or did not answer in time.
    pub(super) fn overrun(&self) {
        let most = self.most.load(Ordering::Relaxed);
        let mut gradient = self.gradient();
        gradient.limit = (gradient.limit * BACKOFF).max(floor(most));
        self.take(&gradient, most);
    }

    fn gradient(&self) -> std::sync::MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // from 1 to `most`
    fn take(&self, gradient: &Gradient, most: usize) -> usize {
        let limit = (gradient.limit as usize).clamp(LEAST.min(most), most);
        self.limit.store(limit, Ordering::Relaxed);
        limit
    }
}

impl Gradient {
    #[allow(clippy::cast_precision_loss)]
    fn new(limit: usize) -> Self {
        Self {
            limit: limit as f64,
            short: 0.0,
            long: 0.0,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn sample(&mut self, latency: Duration, used: usize, most: usize) {
        let sample = latency.as_nanos() as f64;
        if self.long == 0.0 {
            (self.short, self.long) = (sample, sample);
        }
        self.short += (sample - self.short) / SHORT;
        self.long += (sample - self.long) / LONG;
        if self.long > self.short * TOLERANCE {
            self.long *= FORGET;
        }
        let steepness = (TOLERANCE * self.long / self.short.max(1.0)).clamp(STEEPEST, 1.0);
        // A limit that nobody uses tells nothing about how high it may be.
        if steepness == 1.0 && (used as f64) < self.limit / 2.0 {
            return;
        }
        let target = self.limit * steepness + self.limit.sqrt();
        self.limit += (target - self.limit) * SMOOTHING;
        self.limit = self.limit.clamp(floor(most), most as f64);
    }
}

#[allow(clippy::cast_precision_loss)]
fn floor(most: usize) -> f64 {
    LEAST.min(most) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// So many answers of this latency while so many calls are under way.
    fn play(limit: &Limit, answers: usize, latency: Duration, used: impl Fn(&Limit) -> usize) {
        for _ in 0..answers {
            let used = used(limit);
            for _ in 0..used {
                limit.enter();
            }
            for n in 0..used {
                limit.leave();
                if n == 0 {
                    limit.answered(latency);
                }
            }
        }
    }

    #[test]
    fn it_grows_while_it_is_used_and_answers_take_as_long_as_they_did() {
        let limit = Limit::new(200);
        play(&limit, 400, 5 * MS, Limit::limit);
        assert_eq!(limit.limit(), 200, "and never beyond what was configured");
    }

    #[test]
    fn it_stays_while_it_is_not_used() {
        let limit = Limit::new(200);
        play(&limit, 400, 5 * MS, |_| 3);
        assert_eq!(limit.limit(), FIRST);
    }

    #[test]
    fn it_shrinks_when_answers_take_much_longer_and_grows_again() {
        let limit = Limit::new(200);
        play(&limit, 400, 5 * MS, Limit::limit);
        play(&limit, 60, 100 * MS, Limit::limit);
        let shrunk = limit.limit();
        assert!(shrunk < 60, "{shrunk}");
        play(&limit, 400, 5 * MS, Limit::limit);
        assert!(limit.limit() > 150, "{}", limit.limit());
    }

    #[test]
    fn shed_load_shrinks_it_to_its_floor_and_no_further() {
        let limit = Limit::new(200);
        limit.overrun();
        assert_eq!(limit.limit(), 51);
        for _ in 0..50 {
            limit.overrun();
        }
        assert_eq!(limit.limit(), LEAST);
    }

    #[test]
    fn on_probation_there_is_one_call_at_a_time() {
        let limit = Limit::new(2);
        assert_eq!(limit.limit(), 2);
        limit.on_probation();
        limit.enter();
        assert!(!limit.has_room());
        limit.leave();
        assert!(limit.has_room());
        limit.restore();
        assert_eq!(limit.limit(), 2);
        limit.cap(1);
        assert_eq!(limit.limit(), 1);
    }
}
