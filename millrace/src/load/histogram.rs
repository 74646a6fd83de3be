//! Times, counted in buckets: any number of them in constant memory.

use std::time::Duration;

/// Microseconds in buckets that are at most 1/128 of their value wide.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// Buckets of each power of two.
const STEPS: u64 = 128;
const STEPS_LOG: u32 = STEPS.ilog2();

impl Histogram {
    pub(super) fn record(&mut self, time: Duration) {
        let value = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket(value);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += others;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// The time in microseconds that this share (0 to 1) of the values is not over; 0 when there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares"
    )]
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket as u64).min(self.max);
            }
        }
        self.max
    }

    /// In microseconds.
    pub(super) fn mean(&self) -> u64 {
        self.sum.checked_div(self.count).unwrap_or(0)
    }

    /// In microseconds.
    pub(super) fn max(&self) -> u64 {
        self.max
    }
}

/// Below 128 each value has its own; above, each power of two has 128.
fn bucket(value: u64) -> usize {
    let power = value.checked_ilog2().unwrap_or(0).saturating_sub(STEPS_LOG);
    let index = u64::from(power) * STEPS + (value >> power);
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn middle(bucket: u64) -> u64 {
    let power = (bucket / STEPS).saturating_sub(1);
    let low = (bucket - power * STEPS) << power;
    low + ((1 << power) >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_known_values() {
        let mut histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.record(Duration::from_micros(value));
        }
        assert_eq!(histogram.quantile(0.1), 100);
        assert!(
            (495..=505).contains(&histogram.quantile(0.5)),
            "{}",
            histogram.quantile(0.5)
        );
        assert!((980..=1000).contains(&histogram.quantile(0.99)));
        assert_eq!(
            (histogram.quantile(1.0), histogram.max(), histogram.mean()),
            (1000, 1000, 500)
        );
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    proptest! {
        #[test]
        fn a_value_comes_back_within_a_percent(value in 0u64..1 << 50) {
            let back = middle(bucket(value) as u64);
            prop_assert!(back.abs_diff(value) <= value / 128, "{value} → {back}");
        }

        #[test]
        fn merging_is_recording_both(a in proptest::collection::vec(0u64..1 << 30, 0..50), b in proptest::collection::vec(0u64..1 << 30, 0..50)) {
            let of = |values: &[u64]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|&v| histogram.record(Duration::from_micros(v)));
                histogram
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let both = of(&[a, b].concat());
            for share in [0.0, 0.5, 0.99, 1.0] {
                prop_assert_eq!(merged.quantile(share), both.quantile(share));
            }
            prop_assert_eq!((merged.mean(), merged.max()), (both.mean(), both.max()));
        }
    }
}
