//! What answers took of late, for the question how long is too long.
//!
//! Counters in buckets of powers of two, eight to each, for the current and the last ten seconds. `hdrhistogram`,
//! which `tower::hedge` uses, is written under a lock that every answer would have to take.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Latencies of the last ten to twenty seconds.
#[derive(Debug)]
pub(super) struct Window {
    began: Instant,
    halves: [Half; 2],
    /// Which half is written to.
    current: AtomicUsize,
    /// Nanoseconds since `began` at which the halves change places.
    turns: AtomicU64,
    /// The quantile in nanoseconds, and until when it is taken for true.
    cached: AtomicU64,
    stale: AtomicU64,
    quantile: f64,
}

#[derive(Debug)]
struct Half {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

/// Eight to each power of two, from 1 µs to about half an hour.
const BUCKETS: usize = 8 * 32;
const FINENESS: u32 = 3;
const HALF_NS: u64 = 10_000_000_000;
const CACHED_NS: u64 = 250_000_000;
/// With fewer answers nothing is said.
const FEWEST: u32 = 50;

impl Window {
    /// A window that tells the quantile, such as 0.99.
    pub(super) fn new(quantile: f64) -> Self {
        Self {
            began: Instant::now(),
            halves: [Half::new(), Half::new()],
            current: AtomicUsize::new(0),
            turns: AtomicU64::new(HALF_NS),
            cached: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            quantile,
        }
    }

    pub(super) fn observe(&self, latency: Duration, now: Instant) {
        self.turn(now);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.halves[self.current.load(Ordering::Relaxed) & 1].count(bucket(micros));
    }

    /// The quantile, as it was a quarter of a second ago at most; `None` while there were too few answers.
    pub(super) fn quantile(&self, now: Instant) -> Option<Duration> {
        let at = self.since(now);
        let stale = self.stale.load(Ordering::Relaxed);
        if at >= stale {
            self.turn(now);
            self.stale.store(at + CACHED_NS, Ordering::Relaxed);
            self.cached.store(self.compute(), Ordering::Relaxed);
        }
        match self.cached.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        }
    }

    /// Microseconds; 0 when there is nothing to tell.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    fn compute(&self) -> u64 {
        let total: u32 = self
            .halves
            .iter()
            .map(|half| half.total.load(Ordering::Relaxed))
            .sum();
        if total < FEWEST {
            return 0;
        }
        let rank = (f64::from(total) * self.quantile).ceil() as u32;
        let mut seen = 0;
        for index in 0..BUCKETS {
            seen += self
                .halves
                .iter()
                .map(|half| half.counts[index].load(Ordering::Relaxed))
                .sum::<u32>();
            if seen >= rank {
                return upper(index);
            }
        }
        upper(BUCKETS - 1)
    }

    /// When a half is full of time, the older one is emptied and written to.
    fn turn(&self, now: Instant) {
        let (at, due) = (self.since(now), self.turns.load(Ordering::Relaxed));
        if at < due {
            return;
        }
        let next = at + HALF_NS;
        let mine = self
            .turns
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_err() {
            return;
        }
        let other = (self.current.load(Ordering::Relaxed) + 1) & 1;
        self.halves[other].clear();
        if at >= due + HALF_NS {
            // Nobody came by for so long that the newer half is old as well.
            self.halves[other ^ 1].clear();
        }
        self.current.store(other, Ordering::Relaxed);
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Half {
    fn new() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
        }
    }

    fn count(&self, index: usize) {
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    fn clear(&self) {
        for count in &self.counts {
            count.store(0, Ordering::Relaxed);
        }
        self.total.store(0, Ordering::Relaxed);
    }
}

/// The bucket of a latency in microseconds: its highest bit, and the three below.
fn bucket(micros: u64) -> usize {
    let value = micros.max(1 << FINENESS);
    let power = 63 - value.leading_zeros();
    let fine = (value >> (power - FINENESS)) & ((1 << FINENESS) - 1);
    let index = (u64::from(power - FINENESS) << FINENESS) + fine;
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The first latency in microseconds that is above a bucket.
fn upper(index: usize) -> u64 {
    let next = index as u64 + 1;
    let (power, fine) = (next >> FINENESS, next & ((1 << FINENESS) - 1));
    ((1 << FINENESS) + fine) << power
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_bucket_is_an_eighth_wide() {
        for micros in [1, 8, 9, 100, 1000, 4097, 50_000, 1_000_000, 270_000_000] {
            let above = upper(bucket(micros));
            assert!(above > micros, "{micros} {above}");
            #[allow(clippy::cast_precision_loss)]
            let ratio = above as f64 / (micros.max(8)) as f64;
            assert!(ratio <= 1.13, "{micros} {above}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_quantile_is_that_of_the_last_seconds() {
        let (window, mut now) = (Window::new(0.99), Instant::now());
        for n in 0..1000 {
            assert!(n >= 50 || window.compute() == 0);
            let latency = if n % 200 == 50 { 400 * MS } else { 2 * MS };
            window.observe(latency, now);
        }
        let told = window.quantile(now).unwrap();
        assert!((2 * MS..3 * MS).contains(&told), "{told:?}");
        for _ in 0..20 {
            window.observe(400 * MS, now);
        }
        now += Duration::from_secs(1);
        let told = window.quantile(now).unwrap();
        assert!((400 * MS..460 * MS).contains(&told), "{told:?}");

        now += Duration::from_secs(10);
        assert!(
            window.quantile(now).is_some(),
            "the older half still counts"
        );
        now += Duration::from_secs(30);
        assert_eq!(window.quantile(now), None, "all is long ago");
    }
}
