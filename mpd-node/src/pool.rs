//! Where long work is done, so that the runtime's threads stay free.

use tokio::sync::Semaphore;
use tokio::task;

/// Runs work on the blocking threads, so much at a time and no more.
#[derive(Debug)]
pub(crate) struct CpuPool {
    permits: Semaphore,
}

/// The work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

impl CpuPool {
    /// A pool for `width` jobs at once, at least one.
    pub(crate) fn new(width: usize) -> Self {
        Self {
            permits: Semaphore::new(width.max(1)),
        }
    }

    /// Waits for room, then for the job. A caller that gives up while it waits
    /// for room has cost nothing; a job that has begun runs to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let _permit = self.permits.acquire().await.map_err(|_| Panicked)?;
        task::spawn_blocking(job).await.map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_more_jobs_run_at_once_than_there_are_places() {
        let pool = Arc::new(CpuPool::new(2));
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let jobs = (0..16).map(|_| {
            let (pool, running, most) = (pool.clone(), running.clone(), most.clone());
            tokio::spawn(async move {
                pool.run(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    // A blocking thread, the pool's own.
                    #[allow(clippy::disallowed_methods)]
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    running.fetch_sub(1, Ordering::SeqCst);
                })
                .await
            })
        });
        for job in jobs.collect::<Vec<_>>() {
            assert_eq!(job.await.unwrap(), Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let pool = CpuPool::new(1);
        assert_eq!(
            pool.run(|| panic!("on purpose")).await,
            Err::<(), _>(Panicked)
        );
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}
