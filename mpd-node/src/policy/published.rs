//! Follows the policy that is published in etcd.
//!
//! Whatever happens to etcd, the last good policy stays in force; a copy of it on disk lets a node start while etcd is
//! away. What was published and does not compile here (a later version of Millrace was asked for, say) is refused.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use millrace_cluster::membership::Refused;
use millrace_cluster::policy::{
    DiskCopy, Heads, Manifest, PolicyError, PolicyFiles, Publication, Published, Trial,
};
use millrace_cluster::{Etcd, Following, Sight};
use millrace_proto::Revision;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Policy, PolicyErrors, PolicyStore};
use crate::shadow::Shadow;

/// Keeps a [`PolicyStore`] up to date with etcd. Ends when it is dropped.
#[derive(Debug)]
pub struct EtcdSource {
    inner: Arc<Inner>,
    tasks: OnceLock<Vec<AbortOnDropHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    published: Published,
    heads: Following,
    disk: Option<DiskCopy>,
    refused: watch::Sender<Option<Refused>>,
    /// One policy is fetched and compiled at a time: who waits finds it done.
    fetching: tokio::sync::Mutex<()>,
    /// Revisions that were asked for and are not there, and when that was found.
    unknown: Mutex<HashMap<Revision, Instant>>,
}

/// The folder for the copy cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("key `etcd.cache`: {} cannot be written: {source}", folder.display())]
pub struct CannotOpen {
    folder: PathBuf,
    source: io::Error,
}

/// Why a policy was not fetched.
enum Failed {
    /// It is not there, or etcd is not.
    NotHad(PolicyError),
    /// It does not compile.
    Refused(PolicyErrors),
}

/// A policy and what it was compiled from.
type Fetched = (Arc<Policy>, PolicyFiles);

/// How long etcd has to answer before the copy on disk is used.
const FIRST_LOOK: Duration = Duration::from_secs(4);
/// While there is nothing to begin with, this is said again after so long.
const REMINDER: Duration = Duration::from_secs(30);
/// Between tries to fetch what could not be had.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a transaction waits for a revision that is not at hand.
const OBTAIN: Duration = Duration::from_secs(3);
/// How long a revision that is not there is not asked for again.
const UNKNOWN: Duration = Duration::from_secs(5);
const MOST_UNKNOWN: usize = 1000;
/// Why a policy was refused is told other machines up to here. Bytes.
const TOLD: usize = 500;

impl EtcdSource {
    /// Begins to follow etcd, whose configuration names the folder for the copy. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// The folder for the copy cannot be used.
    pub fn open(etcd: &Etcd) -> Result<Self, CannotOpen> {
        let disk = etcd
            .config()
            .cache
            .as_ref()
            .map(|folder| {
                DiskCopy::open(folder).map_err(|source| CannotOpen {
                    folder: folder.clone(),
                    source,
                })
            })
            .transpose()?;
        if disk.is_none() {
            tracing::warn!(
                "there is no copy of the policy on disk: this node does not start while etcd is away; name a folder \
                 with [etcd] cache"
            );
        }
        let published = Published::new(etcd.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                heads: published.follow(),
                published,
                disk,
                refused: watch::Sender::new(None),
                fetching: tokio::sync::Mutex::default(),
                unknown: Mutex::default(),
            }),
            tasks: OnceLock::new(),
        })
    }

    /// The first policy: the published one, or the copy on disk when that cannot be had. Waits while there is neither.
    pub async fn first(&self) -> Arc<Policy> {
        let inner = &self.inner;
        let mut sight = inner.heads.sight();
        // What etcd says, or that it says nothing.
        let heard = sight.wait_for(|sight| sight.entries.is_some() || sight.lost.is_some());
        let _ = timeout(FIRST_LOOK, heard).await;
        let mut reminded: Option<Instant> = None;
        loop {
            let now = sight.borrow_and_update().clone();
            let problem = match inner.first(&now).await {
                Ok(policy) => return policy,
                Err(problem) => problem,
            };
            if reminded.is_none_or(|told| told.elapsed() > REMINDER) {
                reminded = Some(Instant::now());
                tracing::warn!(
                    problem,
                    "waiting for a first policy; no mail is judged until then"
                );
            }
            let _ = timeout(PAUSE, sight.changed()).await;
        }
    }

    /// Keeps the store up to date from now on, and the candidate, if etcd has a say in that.
    pub(crate) fn follow(&self, store: Arc<PolicyStore>, shadow: Option<Arc<Shadow>>) {
        let inner = &self.inner;
        let follower = tokio::spawn(inner.clone().follow(store));
        let tried = shadow.map(|shadow| tokio::spawn(inner.clone().follow_candidate(shadow)));
        let tasks = std::iter::once(follower).chain(tried);
        let _ = self.tasks.set(tasks.map(AbortOnDropHandle::new).collect());
    }

    /// Has a revision that was in force once in the store, if it is to be had soon.
    pub(crate) async fn obtain(&self, revision: &Revision, store: &PolicyStore) {
        if store.pinned(revision).is_none() && !self.inner.is_unknown(revision) {
            let _ = timeout(OBTAIN, self.inner.obtain(revision, store)).await;
        }
    }

    /// The published policy that is not in force here, and why.
    pub(crate) fn refused(&self) -> watch::Receiver<Option<Refused>> {
        self.inner.refused.subscribe()
    }

    /// Whether nothing is heard of changes now.
    pub(crate) fn is_lost(&self) -> bool {
        self.inner.heads.sight().borrow().lost.is_some()
    }
}

impl Inner {
    async fn first(&self, sight: &Sight) -> Result<Arc<Policy>, String> {
        let problem = match self.current(sight) {
            Ok(Some((publication, revision))) => match self.fetch(&revision).await {
                Ok((policy, files)) => {
                    self.keep(&revision, files, Vec::new()).await;
                    in_force(&publication);
                    return Ok(policy);
                }
                Err(failed) => self.told(&publication, failed),
            },
            Ok(None) => match (&sight.lost, &sight.entries) {
                (Some(lost), _) => lost.to_string(),
                (None, Some(_)) => {
                    "no policy is published: publish one with 'millrace policy publish DIR'"
                        .to_owned()
                }
                (None, None) => "etcd has not answered yet".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let Some(disk) = self.disk.clone() else {
            return Err(problem);
        };
        let copy = spawn_blocking(move || {
            let (revision, files) = disk.current()?;
            Policy::published(&revision, files)
                .inspect_err(|errors| {
                    tracing::warn!("the copy of the policy on disk is refused: {errors}");
                })
                .ok()
        });
        match copy.await.ok().flatten() {
            Some(policy) => {
                tracing::warn!(
                    problem,
                    revision = policy.revision().short(),
                    "the policy is the copy on disk, the last that was good here"
                );
                Ok(policy)
            }
            None => Err(problem),
        }
    }

    /// The publication in force, as far as is known.
    fn current(&self, sight: &Sight) -> Result<Option<(Publication, Revision)>, PolicyError> {
        let Some(entries) = &sight.entries else {
            return Ok(None);
        };
        let current = Heads::of(entries)?.current;
        Ok(current.and_then(|publication| {
            let revision = publication.revision()?;
            Some((publication, revision))
        }))
    }

    async fn follow(self: Arc<Self>, store: Arc<PolicyStore>) {
        let mut sight = self.heads.sight();
        let mut missed = false;
        loop {
            let now = sight.borrow_and_update().clone();
            let done = match self.current(&now) {
                Ok(Some((publication, revision))) => {
                    self.adopt(&publication, &revision, &store).await
                }
                // Whoever takes the key away takes no policy away.
                Ok(None) => true,
                Err(error) => {
                    tracing::error!(%error, "the last good policy stays");
                    true
                }
            };
            if missed && done {
                tracing::info!("what was published could be had after all");
            }
            missed = !done;
            let changed = if done {
                sight.changed().await
            } else {
                timeout(PAUSE, sight.changed()).await.unwrap_or(Ok(()))
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Puts a publication in force. `false` when it could not be had, and is to be tried again.
    async fn adopt(
        &self,
        publication: &Publication,
        revision: &Revision,
        store: &PolicyStore,
    ) -> bool {
        if store.current().revision() == revision {
            self.refused.send_replace(None);
            return true;
        }
        // Another try to have what does not compile comes to the same.
        let refused = |known: &Option<Refused>| {
            known
                .as_ref()
                .is_some_and(|known| known.revision == publication.revision)
        };
        if refused(&self.refused.borrow()) {
            return true;
        }
        let fetching = self.fetching.lock().await;
        let files = match store.pinned(revision) {
            Some(policy) => {
                store.publish(policy);
                None
            }
            None => match self.fetch(revision).await {
                Ok((policy, files)) => {
                    store.publish(policy);
                    Some(files)
                }
                Err(failed) => {
                    let again = matches!(failed, Failed::NotHad(_));
                    let problem = self.told(publication, failed);
                    if again {
                        tracing::warn!(
                            revision = revision.short(),
                            problem,
                            "the published policy cannot be had; the last good one stays"
                        );
                    }
                    return !again;
                }
            },
        };
        drop(fetching);
        self.refused.send_replace(None);
        in_force(publication);
        let files = match files {
            Some(files) => Some(files),
            // It was in memory; on disk it may be no longer.
            None => self.files(revision).await.ok(),
        };
        if let Some(files) = files {
            self.keep(revision, files, store.revisions()).await;
        }
        true
    }

    /// Has the candidate that is tried, as etcd tells it.
    async fn follow_candidate(self: Arc<Self>, shadow: Arc<Shadow>) {
        let mut sight = self.heads.sight();
        let mut known: Option<Trial> = None;
        loop {
            let entries = sight.borrow_and_update().entries.clone();
            let trial = entries.and_then(|entries| Heads::of(&entries).ok()?.shadow);
            let mut done = true;
            if trial != known {
                match &trial {
                    None => {
                        shadow.end();
                        tracing::info!("no candidate is tried any more");
                    }
                    Some(trial) => done = self.try_out(trial, &shadow).await,
                }
            }
            if done {
                known = trial;
            }
            let changed = if done {
                sight.changed().await
            } else {
                timeout(PAUSE, sight.changed()).await.unwrap_or(Ok(()))
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// `false` when the candidate could not be had, and is to be asked for again.
    async fn try_out(&self, trial: &Trial, shadow: &Shadow) -> bool {
        let Some(revision) = trial.revision() else {
            return true;
        };
        let fetched = {
            let _fetching = self.fetching.lock().await;
            self.fetch_candidate(&revision).await
        };
        match fetched {
            Ok(policy) => {
                shadow.try_out(policy, trial.share);
                tracing::info!(
                    candidate = revision.short(),
                    share = trial.share,
                    by = trial.by,
                    "a candidate is tried beside the policy in force"
                );
                true
            }
            Err(failed) => {
                // What was tried before is not what is to be tried now.
                shadow.end();
                let (problem, done) = match failed {
                    Failed::NotHad(PolicyError::Etcd(error)) => (error.to_string(), false),
                    Failed::NotHad(error) => (error.to_string(), true),
                    Failed::Refused(errors) => (errors.to_string(), true),
                };
                tracing::warn!(
                    candidate = revision.short(),
                    problem,
                    "the candidate cannot be tried"
                );
                done
            }
        }
    }

    async fn fetch_candidate(&self, revision: &Revision) -> Result<Arc<Policy>, Failed> {
        let manifest = self
            .published
            .candidate(revision)
            .await
            .map_err(Failed::NotHad)?
            .ok_or_else(|| {
                Failed::NotHad(PolicyError::Missing(format!(
                    "revision {}",
                    revision.short()
                )))
            })?;
        let files = self.contents(&manifest).await.map_err(Failed::NotHad)?;
        self.compile(revision, files)
            .await
            .map(|(policy, _)| policy)
    }

    async fn obtain(&self, revision: &Revision, store: &PolicyStore) {
        let _fetching = self.fetching.lock().await;
        if store.pinned(revision).is_some() || self.is_unknown(revision) {
            return;
        }
        match self.fetch(revision).await {
            Ok((policy, _)) => {
                tracing::info!(
                    revision = revision.short(),
                    "fetched the policy that a message began under"
                );
                store.remember(policy);
            }
            Err(failed) => {
                let problem = match failed {
                    Failed::NotHad(error) => error.to_string(),
                    Failed::Refused(errors) => errors.to_string(),
                };
                tracing::warn!(
                    revision = revision.short(),
                    problem,
                    "a message began under a policy that cannot be had"
                );
                let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
                if unknown.len() >= MOST_UNKNOWN {
                    unknown.clear();
                }
                unknown.insert(revision.clone(), Instant::now());
            }
        }
    }

    fn is_unknown(&self, revision: &Revision) -> bool {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown
            .get(revision)
            .is_some_and(|found| found.elapsed() < UNKNOWN)
    }

    async fn fetch(&self, revision: &Revision) -> Result<Fetched, Failed> {
        let files = self.files(revision).await.map_err(Failed::NotHad)?;
        self.compile(revision, files).await
    }

    async fn compile(&self, revision: &Revision, files: PolicyFiles) -> Result<Fetched, Failed> {
        let name = revision.clone();
        let compiled = spawn_blocking(move || {
            Policy::published(&name, files.clone()).map(|policy| (policy, files))
        });
        match compiled.await {
            Ok(result) => result.map_err(Failed::Refused),
            Err(_) => Err(Failed::Refused(PolicyErrors::from(
                millrace_runtime::config::ConfigError::in_file(
                    std::path::Path::new("policy.toml"),
                    "compiling it panicked",
                    "report this, with the policy",
                ),
            ))),
        }
    }

    /// The files of a published revision: from the disk what is there, the rest from etcd.
    async fn files(&self, revision: &Revision) -> Result<PolicyFiles, PolicyError> {
        if let Some(disk) = self.disk.clone() {
            let name = revision.clone();
            if let Ok(Some(files)) = spawn_blocking(move || disk.files(&name)).await {
                return Ok(files);
            }
        }
        let manifest = self
            .published
            .manifest(revision)
            .await?
            .ok_or_else(|| PolicyError::Missing(format!("revision {}", revision.short())))?;
        self.contents(&manifest).await
    }

    async fn contents(&self, manifest: &Manifest) -> Result<PolicyFiles, PolicyError> {
        let mut known = HashMap::new();
        if let Some(disk) = self.disk.clone() {
            let wanted = manifest.clone();
            let found = spawn_blocking(move || {
                wanted
                    .files()
                    .filter_map(|(_, hash)| Some((hash.to_owned(), disk.part(hash)?)))
                    .collect()
            });
            known = found.await.unwrap_or_default();
        }
        self.published
            .files(manifest, |hash| known.get(hash).cloned())
            .await
    }

    /// Has the policy on disk as the last good one.
    async fn keep(&self, revision: &Revision, files: PolicyFiles, others: Vec<Revision>) {
        let Some(disk) = self.disk.clone() else {
            return;
        };
        let kept = spawn_blocking(move || disk.keep(&files, &others)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(revision = revision.short(), %error, "the policy's copy cannot be written to disk");
        }
    }

    /// What is to be told of a publication that is not in force.
    fn told(&self, publication: &Publication, failed: Failed) -> String {
        let errors = match failed {
            Failed::NotHad(error) => return error.to_string(),
            Failed::Refused(errors) => errors,
        };
        for error in &errors.0 {
            tracing::error!(
                revision = publication.revision,
                published_with = publication.version,
                "the published policy is refused, the last good one stays: {error}"
            );
        }
        let mut problem = errors.to_string();
        problem.truncate(problem.floor_char_boundary(TOLD));
        self.refused.send_replace(Some(Refused {
            revision: publication.revision.clone(),
            problem: problem.clone(),
        }));
        problem
    }
}

fn in_force(publication: &Publication) {
    tracing::info!(
        revision = publication.revision().as_ref().map_or("", Revision::short),
        number = publication.number,
        by = publication.by,
        comment = publication.comment,
        "a new policy is in force"
    );
}
