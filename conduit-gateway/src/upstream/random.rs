//! Random numbers to choose nodes by: no lock, and the same ones again from the same seed.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 over an atomic counter (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(super) struct Random(AtomicU64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// From a seed, or from the system's randomness.
    pub(super) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Self(AtomicU64::new(seed))
    }

    pub(super) fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&self, bound: usize) -> usize {
        // The high half of the product: even enough for any number of nodes.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Two different numbers below `bound`, which is at least 2.
    pub(super) fn two_below(&self, bound: usize) -> (usize, usize) {
        let one = self.below(bound);
        let other = self.below(bound - 1);
        (one, if other >= one { other + 1 } else { other })
    }

    /// A share of something, from 0 up to and without 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits fit
    pub(super) fn share(&self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again() {
        let (one, other) = (Random::new(Some(7)), Random::new(Some(7)));
        for _ in 0..100 {
            assert_eq!(one.next(), other.next());
        }
        assert_ne!(Random::new(Some(8)).next(), Random::new(Some(7)).next());
    }

    #[test]
    fn two_are_different_and_all_come_up() {
        let random = Random::new(Some(1));
        let mut seen = [[0; 5]; 5];
        for _ in 0..2000 {
            let (one, other) = random.two_below(5);
            assert_ne!(one, other);
            seen[one][other] += 1;
            assert!((0.0..1.0).contains(&random.share()));
        }
        for (one, row) in seen.iter().enumerate() {
            for (other, &count) in row.iter().enumerate() {
                assert_eq!(count > 40, one != other, "{one} {other}: {count}");
            }
        }
    }
}
