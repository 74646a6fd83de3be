//! How many messages are sent, until when, and how fast.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all sessions take their next message's number from.
#[derive(Debug)]
pub(super) struct Pace {
    next: AtomicU64,
    limit: u64,
    begun: Instant,
    end: Option<Instant>,
    rate: Option<f64>,
    stopped: AtomicBool,
}

impl Pace {
    /// At most `limit` messages, for at most `length`, at most `rate` a second.
    pub(super) fn new(limit: u64, length: Option<Duration>, rate: Option<f64>) -> Self {
        let begun = Instant::now();
        Self {
            next: AtomicU64::new(0),
            limit,
            begun,
            end: length.map(|length| begun + length),
            rate: rate.filter(|&rate| rate > 0.0),
            stopped: AtomicBool::new(false),
        }
    }

    /// The next message's number, when it is due; `None` when there is no more.
    pub(super) async fn next(&self) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.limit {
            return None;
        }
        if let Some(rate) = self.rate {
            #[expect(
                clippy::cast_precision_loss,
                reason = "message numbers are far below 2^52"
            )]
            let due = self.begun + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
            if self.is_over() {
                return None;
            }
        }
        Some(number)
    }

    /// No more messages from now on.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.end.is_some_and(|end| Instant::now() >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_an_end_by_number_by_time_and_by_interrupt() {
        let pace = Pace::new(2, None, None);
        assert_eq!(
            [pace.next().await, pace.next().await, pace.next().await],
            [Some(0), Some(1), None]
        );

        let pace = Pace::new(u64::MAX, Some(Duration::ZERO), None);
        assert_eq!(pace.next().await, None);

        let pace = Pace::new(u64::MAX, None, Some(1e6));
        assert_eq!(pace.next().await, Some(0));
        pace.stop();
        assert_eq!(pace.next().await, None);
    }
}
