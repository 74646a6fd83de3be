//! Making a folder's names durable for several at once.
//!
//! A sync covers every name that was there when it began. So whoever comes while one is under way waits for the next
//! one, together with all others who came meanwhile.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The syncs of one folder.
#[derive(Debug, Default)]
pub(crate) struct Together {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Syncs that have begun.
    begun: u64,
    /// The last one that ended; one at a time is under way.
    ended: u64,
    /// How many wait for one to end.
    waiting: usize,
    /// The last one that failed, and with what: the system tells it once, and all who waited must know.
    failed: Option<(u64, Option<i32>)>,
}

impl Together {
    /// Returns when every name that was in the folder before the call is durable, by this `sync` of it or another's.
    pub(crate) fn run(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.lock();
        // One that has begun may have begun too early.
        let mine = state.begun + 1;
        while state.ended < mine && state.begun > state.ended {
            state.waiting += 1;
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        if state.ended >= mine {
            return match state.failed {
                Some((which, error)) if which >= mine => {
                    Err(error
                        .map_or_else(|| io::ErrorKind::Other.into(), io::Error::from_raw_os_error))
                }
                _ => Ok(()),
            };
        }
        state.begun += 1;
        let which = state.begun;
        drop(state);
        let synced = sync();
        let mut state = self.lock();
        state.ended = which;
        if let Err(error) = &synced {
            state.failed = Some((which, error.raw_os_error()));
        }
        if state.waiting > 0 {
            self.ended.notify_all();
        }
        synced
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// One sync that is held up, and others that come meanwhile; how many syncs there were beside it, and what the
    /// others were told.
    fn others(number: u32, next: fn() -> io::Result<()>) -> (u32, Vec<bool>) {
        let together = Together::default();
        let (begun, wait) = mpsc::channel();
        let (go, held) = mpsc::channel::<()>();
        let syncs = AtomicU32::new(0);
        let told = thread::scope(|scope| {
            let first = scope.spawn(|| {
                together.run(move || {
                    begun.send(()).unwrap();
                    held.recv().unwrap();
                    Ok(())
                })
            });
            wait.recv().unwrap();
            let one = || {
                together.run(|| {
                    syncs.fetch_add(1, Ordering::SeqCst);
                    next()
                })
            };
            let waiting: Vec<_> = (0..number).map(|_| scope.spawn(one)).collect();
            // They are all there when none of them can take the lock any more for a while; those who come later
            // are no less right, and only sync once more.
            #[allow(clippy::disallowed_methods)] // No runtime is here.
            thread::sleep(std::time::Duration::from_millis(200));
            go.send(()).unwrap();
            assert!(first.join().unwrap().is_ok());
            let told = waiting.into_iter().map(|one| one.join().unwrap().is_ok());
            told.collect()
        });
        (syncs.into_inner(), told)
    }

    #[test]
    fn a_sync_under_way_is_not_enough_and_the_next_is_for_all_who_wait() {
        let (syncs, told) = others(8, || Ok(()));
        assert!((1..8).contains(&syncs), "{syncs} syncs for 8");
        assert_eq!(told, [true; 8]);
    }

    #[test]
    fn a_failure_is_told_to_all_who_waited_for_it() {
        let (syncs, told) = others(8, || Err(io::Error::from_raw_os_error(5)));
        assert!(syncs >= 1);
        assert_eq!(told, [false; 8]);
    }

    #[test]
    fn what_failed_before_is_not_told_to_those_who_come_later() {
        let together = Together::default();
        assert!(together.run(|| Err(io::Error::other("full"))).is_err());
        assert!(together.run(|| Ok(())).is_ok());
    }
}
