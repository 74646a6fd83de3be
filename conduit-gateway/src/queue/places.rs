//! Who may be judged at once: so many messages together, the last few of which are for clients that have less than
//! their share.
//!
//! Turns that are fair do not help one who comes while every place is taken by messages that take long: he waits until
//! one of them ends. So one that floods does not get the last places while others send too. Knows no queue.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A client counts for so long after its last message.
const SENDS_FOR: Duration = Duration::from_secs(10);
/// One place of so many is among the last.
const LAST_OF: usize = 8;
/// With fewer places none is held free.
const TOO_FEW: usize = 4;

/// The places, and who has how many.
#[derive(Debug)]
pub(super) struct Places {
    limit: AtomicUsize,
    taken: AtomicUsize,
    clients: Vec<Client>,
    /// What the clients' times count from.
    since: Instant,
}

#[derive(Debug)]
struct Client {
    weight: u64,
    taken: AtomicUsize,
    /// When it last wanted a place, in milliseconds since there are places; 0 before its first.
    wanted: AtomicU64,
}

impl Places {
    /// So many places, at least one, for clients of these weights.
    pub(super) fn new(weights: &[u32], limit: usize) -> Self {
        let client = |&weight: &u32| Client {
            weight: u64::from(weight.max(1)),
            taken: AtomicUsize::new(0),
            wanted: AtomicU64::new(0),
        };
        Self {
            limit: AtomicUsize::new(limit.max(1)),
            taken: AtomicUsize::new(0),
            clients: weights.iter().map(client).collect(),
            since: Instant::now(),
        }
    }

    /// So many places from now on, at least one; whether these are more.
    pub(super) fn admit(&self, limit: usize) -> bool {
        let limit = limit.max(1);
        self.limit.swap(limit, Ordering::SeqCst) < limit
    }

    /// Notes that a client sends.
    pub(super) fn wanted(&self, client: usize) {
        self.clients[client]
            .wanted
            .store(self.now(), Ordering::Relaxed);
    }

    /// Takes a place for a client; whether there was one that it may have.
    pub(super) fn take(&self, client: usize) -> bool {
        let limit = self.limit.load(Ordering::SeqCst);
        let free_for_all = limit - last(limit);
        let took = self
            .taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |taken| {
                let may = taken < free_for_all
                    || (taken < limit && self.is_below_its_share(client, limit));
                may.then_some(taken + 1)
            })
            .is_ok();
        if took {
            self.clients[client].taken.fetch_add(1, Ordering::SeqCst);
        }
        took
    }

    /// Gives a client's place back.
    pub(super) fn give(&self, client: usize) {
        self.clients[client].taken.fetch_sub(1, Ordering::SeqCst);
        self.taken.fetch_sub(1, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Whether a client has fewer places than its weight gives it among those that send. Alone it has them all.
    fn is_below_its_share(&self, client: usize, limit: usize) -> bool {
        let now = self.now();
        let own = &self.clients[client];
        let sends = |other: &&Client| {
            let wanted = other.wanted.load(Ordering::Relaxed);
            wanted > 0 && now.saturating_sub(wanted) <= SENDS_FOR.as_millis() as u64
        };
        let weights: u64 = self
            .clients
            .iter()
            .filter(sends)
            .map(|one| one.weight)
            .sum();
        let taken = own.taken.load(Ordering::SeqCst) as u64;
        taken * weights.max(own.weight) < limit as u64 * own.weight
    }

    /// Milliseconds since there are places, from 1.
    fn now(&self) -> u64 {
        let passed = self.since.elapsed().as_millis();
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// How many of so many places are the last ones.
fn last(limit: usize) -> usize {
    if limit < TOO_FEW {
        0
    } else {
        (limit / LAST_OF).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many more places a client gets.
    fn fill(places: &Places, client: usize) -> usize {
        places.wanted(client);
        (0..).take_while(|_| places.take(client)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_alone_has_every_place() {
        for limit in [1, 3, 4, 100] {
            assert_eq!(fill(&Places::new(&[1, 1], limit), 0), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_places_are_for_those_below_their_share() {
        // (places, what the flood gets while another sends, what the other gets then)
        let table = [(1, 1, 0), (3, 3, 0), (4, 3, 1), (8, 7, 1), (80, 70, 10)];
        for (limit, flood, quiet) in table {
            let places = Places::new(&[1, 1, 1], limit);
            places.wanted(1);
            assert_eq!(fill(&places, 0), flood, "{limit} places");
            assert_eq!(fill(&places, 1), quiet, "{limit} places");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_share_equally_use_every_place() {
        let places = Places::new(&[1, 1, 1], 80);
        (0..2).for_each(|client| places.wanted(client));
        let turns = (0..80).filter(|turn| places.take(turn % 2)).count();
        assert_eq!(turns, 80);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_is_by_weight() {
        let places = Places::new(&[3, 1], 80);
        (0..2).for_each(|client| places.wanted(client));
        // 60 of 80 are the share of the first, and 70 are free for all: it is not below it.
        assert_eq!(fill(&places, 0), 70);
        let places = Places::new(&[9, 1], 80);
        (0..2).for_each(|client| places.wanted(client));
        assert_eq!(fill(&places, 0), 72);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_gone_silent_does_not_count() {
        let places = Places::new(&[1, 1], 8);
        places.wanted(1);
        assert_eq!(fill(&places, 0), 7);
        tokio::time::advance(SENDS_FOR + Duration::from_millis(1)).await;
        assert_eq!(fill(&places, 0), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_given_back_is_there_again() {
        let places = Places::new(&[1], 2);
        assert_eq!(fill(&places, 0), 2);
        places.give(0);
        assert_eq!(fill(&places, 0), 1);
        assert!(places.admit(3));
        assert!(!places.admit(3));
        assert_eq!(fill(&places, 0), 1);
    }
}
