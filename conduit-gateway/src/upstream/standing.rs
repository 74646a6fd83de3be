//! Whether a node is sound: its health serves, and it is not ejected.
//!
//! Ejected is what fails several times in a row, what others have to answer for again and again, and what has
//! calls in hand and answers none of them: a process that was stopped refuses nothing and completes nothing. It is
//! the node's own task (`health.rs`) that lets it back in, at first with one call at a time.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// What is known of one node's soundness.
#[derive(Debug)]
pub(super) struct Standing {
    began: Instant,
    serves: AtomicBool,
    trust: AtomicU8,
    /// Failures without an answer in between.
    failures: AtomicU32,
    /// Calls in hand whose answers are expected soon: large messages may take their time.
    open: AtomicUsize,
    /// Nanoseconds since `began`, from when on calls were in hand and none was answered; 0 while there is none.
    unanswered: AtomicU64,
    sound: watch::Sender<bool>,
    ejected: Notify,
}

/// How much a node is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trust {
    /// As any.
    Full = 0,
    /// It was let back in, and has not answered yet.
    Probation = 1,
    /// It is asked only when no other is left.
    Ejected = 2,
}

/// So many failures in a row eject a node.
const FAILURES: u32 = 5;

impl Standing {
    /// Of a node that was not heard of yet.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            serves: AtomicBool::new(false),
            trust: AtomicU8::new(Trust::Full as u8),
            failures: AtomicU32::new(0),
            open: AtomicUsize::new(0),
            unanswered: AtomicU64::new(0),
            sound: watch::Sender::new(false),
            ejected: Notify::new(),
        }
    }

    pub(super) fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    pub(super) fn trust(&self) -> Trust {
        match self.trust.load(Ordering::Relaxed) {
            0 => Trust::Full,
            1 => Trust::Probation,
            _ => Trust::Ejected,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.serves() && self.trust() != Trust::Ejected
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether it is sound, followed from now on.
    pub(super) fn followed(&self) -> watch::Receiver<bool> {
        self.sound.subscribe()
    }

    /// Until it is ejected.
    pub(super) async fn ejected(&self) {
        self.ejected.notified().await;
    }

    /// Its health speaks. Whether that is news.
    pub(super) fn health(&self, serves: bool) -> bool {
        let news = self.serves.swap(serves, Ordering::Relaxed) != serves;
        self.publish();
        news
    }

    /// Trusts it so from now on. Whether that is news.
    pub(super) fn set_trust(&self, trust: Trust) -> bool {
        let before = self.trust.swap(trust as u8, Ordering::Relaxed);
        if trust == Trust::Ejected {
            self.ejected.notify_one();
        } else {
            self.failures.store(0, Ordering::Relaxed);
            self.unanswered.store(0, Ordering::Relaxed);
        }
        self.publish();
        before != trust as u8
    }

    /// A call begins that is to be answered soon.
    pub(super) fn begins(&self, now: Instant) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let _ = self.unanswered.compare_exchange(
            0,
            self.since(now),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Such a call is over, whatever came of it.
    pub(super) fn ends(&self, outcome: Outcome, now: Instant) {
        let open = self.open.fetch_sub(1, Ordering::Relaxed) - 1;
        match outcome {
            Outcome::Answered | Outcome::Failed => {
                let since = if open == 0 { 0 } else { self.since(now) };
                self.unanswered.store(since, Ordering::Relaxed);
            }
            // Nobody waits: what the node would have done is not known.
            Outcome::GivenUp if open == 0 => self.unanswered.store(0, Ordering::Relaxed),
            Outcome::GivenUp | Outcome::Outrun => {}
        }
    }

    /// Takes note of an answer. Gives back how far it was trusted before, if that was not fully.
    pub(super) fn answered(&self) -> Option<Trust> {
        self.failures.store(0, Ordering::Relaxed);
        let trust = self.trust();
        (trust != Trust::Full).then_some(trust)
    }

    /// Takes note of a failure. Whether that is one too many.
    pub(super) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        match self.trust() {
            Trust::Full => failures >= FAILURES,
            Trust::Probation => true,
            Trust::Ejected => false,
        }
    }

    /// Whether calls are in hand, and none was answered for so long.
    pub(super) fn is_stalled(&self, patience: Duration, now: Instant) -> bool {
        let since = self.unanswered.load(Ordering::Relaxed);
        since != 0 && Duration::from_nanos(self.since(now).saturating_sub(since)) > patience
    }

    fn publish(&self) {
        let sound = self.is_sound();
        self.sound
            .send_if_modified(|known| std::mem::replace(known, sound) != sound);
    }

    fn since(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_nanos();
        // 0 has a meaning of its own.
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The node said something about the message, or about itself.
    Answered,
    /// It failed, or was lost.
    Failed,
    /// Another node was faster.
    Outrun,
    /// Nobody waited any more.
    GivenUp,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_in_a_row_are_too_many_and_an_answer_forgives_them() {
        let standing = Standing::new();
        standing.health(true);
        for _ in 0..3 {
            for _ in 0..FAILURES - 1 {
                assert!(!standing.failed());
            }
            assert_eq!(standing.answered(), None);
        }
        for _ in 0..FAILURES - 1 {
            standing.failed();
        }
        assert!(standing.failed());
        assert!(standing.set_trust(Trust::Ejected) && !standing.is_sound());
        standing.set_trust(Trust::Probation);
        assert!(
            standing.is_sound() && standing.failed(),
            "one is enough there"
        );
    }

    #[test]
    fn calls_of_which_none_is_answered_are_a_stall() {
        let (standing, mut now) = (Standing::new(), Instant::now());
        let stalled = |now| standing.is_stalled(SECOND, now);
        standing.begins(now);
        now += SECOND / 2;
        standing.begins(now);
        assert!(!stalled(now));
        now += SECOND;
        assert!(stalled(now));
        // It answers one: the other has been in hand for longer, but the node is alive.
        standing.ends(Outcome::Answered, now);
        assert!(!stalled(now));
        now += SECOND * 2;
        assert!(stalled(now));
        standing.ends(Outcome::Answered, now);
        assert!(!stalled(now + SECOND * 10), "there is nothing in hand");
    }

    #[test]
    fn calls_that_others_answered_are_owed_and_calls_that_were_given_up_are_not() {
        for (outcome, owed) in [(Outcome::Outrun, true), (Outcome::GivenUp, false)] {
            let (standing, now) = (Standing::new(), Instant::now());
            standing.begins(now);
            standing.ends(outcome, now);
            assert_eq!(
                standing.is_stalled(SECOND, now + SECOND * 2),
                owed,
                "{outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn whoever_follows_it_hears_of_every_change() {
        let standing = Standing::new();
        let mut followed = standing.followed();
        assert!(!*followed.borrow_and_update());
        assert!(standing.health(true) && !standing.health(true));
        assert!(*followed.borrow_and_update());
        standing.set_trust(Trust::Ejected);
        standing.ejected().await;
        assert!(!*followed.borrow_and_update());
    }
}
