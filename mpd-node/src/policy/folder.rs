//! Follows a policy's folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::compile::compile;
use super::files::{Files, MAIN};
use super::{Policy, PolicyErrors, PolicyStore};

/// How long a folder must be quiet before it is read: an editor, or a copy of several files, is then done.
const QUIET: Duration = Duration::from_millis(150);
/// A folder that never is quiet is read after so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the files are looked at, whatever the system tells: not every file system tells.
const LOOK: Duration = Duration::from_secs(2);

/// Keeps a [`PolicyStore`] up to date with a folder: what compiles comes into force, what does not is refused with an
/// error in the log, and the last good policy stays. Ends when it is dropped.
#[derive(Debug)]
pub struct FolderSource {
    events: Sender<Event>,
    status: Arc<Status>,
}

/// How things stand with a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderStatus {
    /// Why what the folder holds is not in force; `None` when it is.
    pub refused: Option<Arc<PolicyErrors>>,
}

#[derive(Debug, Default)]
struct Status {
    refused: ArcSwapOption<PolicyErrors>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Changed,
    Reload,
    Stop,
}

/// What a file was like when it was looked at. Follows symbolic links, so that a swap of what they lead to shows.
type Look = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl FolderSource {
    /// Follows `folder` from now on.
    #[must_use]
    pub fn watch(folder: &Path, store: Arc<PolicyStore>) -> Self {
        let (events, received) = channel();
        let status = Arc::new(Status::default());
        let follower = Follower {
            folder: folder.to_owned(),
            store,
            status: status.clone(),
            events: received,
            seen: Vec::new(),
        };
        let notices = events.clone();
        let spawned = thread::Builder::new()
            .name("policy-folder".to_owned())
            .spawn(move || follower.run(&notices));
        if let Err(error) = spawned {
            tracing::error!(%error, "the policy's folder is not followed: no thread for it");
        }
        Self { events, status }
    }

    /// Looks at the folder again, soon: what SIGHUP does.
    pub fn reload(&self) {
        let _ = self.events.send(Event::Reload);
    }

    /// Whether what the folder holds is in force.
    #[must_use]
    pub fn status(&self) -> FolderStatus {
        FolderStatus {
            refused: self.status.refused.load_full(),
        }
    }
}

impl Drop for FolderSource {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
    }
}

struct Follower {
    folder: PathBuf,
    store: Arc<PolicyStore>,
    status: Arc<Status>,
    events: Receiver<Event>,
    seen: Look,
}

impl Follower {
    fn run(mut self, notices: &Sender<Event>) {
        let mut watcher = self.watcher(notices);
        self.load();
        loop {
            let event = match self.events.recv_timeout(LOOK) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => {
                    if watcher.is_none() {
                        watcher = self.watcher(notices);
                    }
                    if look(self.seen.iter().map(|(path, _)| path.clone())) == self.seen {
                        continue;
                    }
                    // The folder itself may be another one now.
                    watcher = self.watcher(notices);
                    Event::Changed
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match event {
                Event::Stop => return,
                Event::Reload => self.load(),
                Event::Changed => {
                    if self.wait_for_quiet() == Event::Stop {
                        return;
                    }
                    self.load();
                }
            }
        }
    }

    fn watcher(&self, notices: &Sender<Event>) -> Option<RecommendedWatcher> {
        let notices = notices.clone();
        let told = move |event: notify::Result<notify::Event>| {
            let matters = match event {
                // Our own reading is no news.
                Ok(event) => match event.kind {
                    EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
                    _ => true,
                },
                Err(_) => true,
            };
            if matters {
                let _ = notices.send(Event::Changed);
            }
        };
        let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watcher
            .inspect_err(|error| {
                tracing::debug!(folder = %self.folder.display(), %error, "no notices of changes; looking every {LOOK:?}");
            })
            .ok()
    }

    fn wait_for_quiet(&self) -> Event {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.events.recv_timeout(QUIET) {
                Ok(Event::Changed) => {}
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Event::Stop,
            }
        }
        Event::Changed
    }

    /// Reads, compiles, and puts in force what is good. Files that change meanwhile are read again.
    #[allow(
        clippy::disallowed_methods,
        reason = "the thread is this follower's own"
    )]
    fn load(&mut self) {
        const TRIES: usize = 5;
        for _ in 0..TRIES {
            let before = look(self.seen.iter().map(|(path, _)| path.clone()));
            let (result, mut paths) = match compile(Files::in_folder(&self.folder)) {
                Ok(compiled) => (Ok(compiled.policy), compiled.paths),
                Err((errors, paths)) => (Err(errors), paths),
            };
            let main = self.folder.join(MAIN);
            if !paths.contains(&main) {
                paths.push(main);
            }
            self.seen = look(paths.into_iter());
            let changed = before.iter().any(|known| {
                self.seen
                    .iter()
                    .any(|now| now.0 == known.0 && now.1 != known.1)
            });
            if changed {
                thread::sleep(QUIET);
                continue;
            }
            match result {
                Ok(policy) => self.accept(policy),
                Err(errors) => self.refuse(errors),
            }
            return;
        }
    }

    fn accept(&self, policy: Policy) {
        self.status.refused.store(None);
        let revision = policy.revision().clone();
        if self.store.publish(Arc::new(policy)) {
            tracing::info!(revision = revision.short(), folder = %self.folder.display(), "a new policy is in force");
        }
    }

    fn refuse(&self, errors: PolicyErrors) {
        let known = self.status.refused.load();
        if known.as_deref() == Some(&errors) {
            return;
        }
        let stays = self.store.current();
        for error in &errors.0 {
            tracing::error!(
                revision = stays.revision().short(),
                "policy refused, the last good one stays: {error}"
            );
        }
        self.status.refused.store(Some(Arc::new(errors)));
    }
}

fn look(paths: impl Iterator<Item = PathBuf>) -> Look {
    paths
        .map(|path| {
            let seen = std::fs::metadata(&path).ok().map(|file| {
                (
                    file.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    file.len(),
                )
            });
            (path, seen)
        })
        .collect()
}
