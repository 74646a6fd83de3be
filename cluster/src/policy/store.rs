//! Publishing, and reading what is published.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use millrace_proto::Revision;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::manifest::{Manifest, PolicyFiles};
use super::parts;
use super::publication::{Publication, Trial, now};
use crate::error::EtcdError;
use crate::etcd::Etcd;

/// Below this key, without the prefix, is what nodes follow.
pub(super) const HEAD: &str = "policy/head/";
pub(super) const CURRENT: &str = "policy/head/current";
pub(super) const SHADOW: &str = "policy/head/shadow";
pub(super) const HISTORY: &str = "policy/history/";
pub(super) const MANIFESTS: &str = "policy/manifest/";
/// Manifests of what was never in force: no transaction can be pinned to them.
pub(super) const CANDIDATES: &str = "policy/candidate/";
/// Touched whenever parts are removed: who saw them before must look again.
pub(super) const PRUNED: &str = "policy/pruned";
/// Publications are read so many at a time: an answer of etcd's has a limit of 4 MiB.
const PAGE: i64 = 500;
/// How often parts may be removed under one act of publishing before it is given up.
const TRIES: usize = 5;

/// The policies that are published in an etcd cluster. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Published(Etcd);

/// What is in force, and what is tried.
#[derive(Debug, Clone, Default)]
pub struct Heads {
    /// The publication in force; `None` while there was none.
    pub current: Option<Publication>,
    /// The candidate that judges beside it.
    pub shadow: Option<Trial>,
    /// When the current one was written, as etcd counts; 0 while there is none.
    pub(super) current_written: i64,
    pub(super) shadow_written: i64,
}

/// What a policy that is to be published was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// There was none before.
    Nothing,
    /// This revision, which must be the one in force.
    Revision(Revision),
}

/// A policy that is to be published. It has been compiled.
#[derive(Debug, Clone)]
pub struct Draft {
    /// All of its files.
    pub files: PolicyFiles,
    /// What it was made from.
    pub base: Base,
    /// Who publishes it: `user@host`.
    pub by: String,
    /// What it is for.
    pub comment: String,
    /// The version of Millrace that compiled it.
    pub version: String,
}

/// Why a policy was not published, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// etcd.
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    /// Another policy is in force than the one that this was made from.
    #[error("{}", conflict(base, current.as_deref()))]
    Conflict {
        /// What it was made from.
        base: Base,
        /// What is in force.
        current: Option<Box<Publication>>,
    },
    /// It is in force already.
    #[error("revision {} is in force already: {} published it at {}", short(&.0.revision), .0.by, .0.at)]
    Already(Box<Publication>),
    /// No policy was published.
    #[error("no policy is published; publish one: millrace policy publish DIR")]
    Nothing,
    /// No publication is meant by this.
    #[error("'{0}' is no published revision; 'millrace policy history' lists them")]
    Unknown(String),
    /// Several revisions begin so.
    #[error("several published revisions begin with '{0}': write more of it")]
    Ambiguous(String),
    /// It is not there any more.
    #[error("{0} is not in etcd any more: it was pruned, or etcd was set back")]
    Missing(String),
    /// What is there is not what was published.
    #[error("{what} in etcd is broken: {problem}; publish it again")]
    Broken {
        /// What.
        what: String,
        /// How.
        problem: String,
    },
    /// A file's name cannot be published.
    #[error("the file name '{}' cannot be published: rename the file", .0.escape_debug())]
    Name(String),
    /// Parts were removed again and again.
    #[error("parts of published policies are being removed: try again when that is done")]
    Busy,
    /// etcd was lost while the policy was put in force.
    #[error(
        "{0}; whether the policy is in force now is not known: 'millrace policy history' says it"
    )]
    Uncertain(EtcdError),
}

fn conflict(base: &Base, current: Option<&Publication>) -> String {
    let based = match base {
        Base::Nothing => "on none".to_owned(),
        Base::Revision(revision) => format!("on revision {}", revision.short()),
    };
    let Some(current) = current else {
        return format!(
            "not published: it is based {based}, and none is in force; publish it with --based-on none"
        );
    };
    let revision = short(&current.revision);
    let comment = match current.comment.as_str() {
        "" => String::new(),
        comment => format!(" ({comment})"),
    };
    format!(
        "not published: it is based {based}, and {} published {revision} at {}{comment}; see 'millrace policy show \
         {revision}', bring your change into it, and publish that with --based-on {revision}",
        current.by, current.at
    )
}

/// A revision as people see it.
fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}

impl Published {
    /// What is published in this cluster.
    #[must_use]
    pub fn new(etcd: Etcd) -> Self {
        Self(etcd)
    }

    /// The cluster.
    #[must_use]
    pub fn etcd(&self) -> &Etcd {
        &self.0
    }

    /// What is in force, and what is tried.
    ///
    /// # Errors
    /// etcd does not answer, or holds something else.
    pub async fn heads(&self) -> Result<Heads, PolicyError> {
        let (current, current_written) = self.entry(CURRENT).await?;
        let (shadow, shadow_written) = self.entry(SHADOW).await?;
        Ok(Heads {
            current,
            shadow,
            current_written,
            shadow_written,
        })
    }

    /// The publications, the newest first, at most so many.
    ///
    /// # Errors
    /// etcd does not answer, or holds something else.
    pub async fn history(&self, limit: usize) -> Result<Vec<Publication>, PolicyError> {
        let mut found = Vec::new();
        let below = self.0.key(HISTORY);
        // The byte after '/': the end of what begins with the key.
        let mut end = format!("{}0", below.trim_end_matches('/'));
        while found.len() < limit {
            let options = GetOptions::new()
                .with_range(end.as_str())
                .with_sort(SortTarget::Key, SortOrder::Descend)
                .with_limit(PAGE);
            let response = self.0.range(&below, Some(options)).await?;
            let Some(last) = response.kvs().last() else {
                break;
            };
            end = String::from_utf8_lossy(last.key()).into_owned();
            for entry in response.kvs() {
                found.push(parsed("a publication", entry.value())?);
            }
            if !response.more() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The publication that is meant by `current`, `previous`, a number of the history (`#7`), or the beginning of a
    /// revision; the newest, if the revision was published more than once.
    ///
    /// # Errors
    /// None is meant, or several are; or etcd does not answer.
    pub async fn find(&self, meant: &str) -> Result<Publication, PolicyError> {
        let unknown = || PolicyError::Unknown(meant.to_owned());
        if let Some(number) = meant.strip_prefix('#') {
            let number: u64 = number.parse().map_err(|_| unknown())?;
            return self.numbered(number).await?.ok_or_else(unknown);
        }
        let history = self.history(usize::MAX).await?;
        let current = history.first().ok_or(PolicyError::Nothing)?;
        match meant {
            "current" => return Ok(current.clone()),
            "previous" => {
                return history
                    .iter()
                    .find(|one| one.revision != current.revision)
                    .cloned()
                    .ok_or_else(unknown);
            }
            _ => {}
        }
        let mut found: Option<&Publication> = None;
        for one in &history {
            if meant.len() < 4 || !one.revision.starts_with(meant) {
                continue;
            }
            match found {
                Some(known) if known.revision != one.revision => {
                    return Err(PolicyError::Ambiguous(meant.to_owned()));
                }
                Some(_) => {}
                None => found = Some(one),
            }
        }
        found.cloned().ok_or_else(unknown)
    }

    /// What a revision consists of; `None` when it was never published, or was pruned.
    ///
    /// # Errors
    /// etcd does not answer, or holds something else.
    pub async fn manifest(&self, revision: &Revision) -> Result<Option<Manifest>, PolicyError> {
        self.manifest_at(MANIFESTS, revision).await
    }

    /// The same, also of what was stored to be tried.
    ///
    /// # Errors
    /// etcd does not answer, or holds something else.
    pub async fn candidate(&self, revision: &Revision) -> Result<Option<Manifest>, PolicyError> {
        match self.manifest(revision).await? {
            Some(manifest) => Ok(Some(manifest)),
            None => self.manifest_at(CANDIDATES, revision).await,
        }
    }

    pub(super) async fn manifest_at(
        &self,
        place: &str,
        revision: &Revision,
    ) -> Result<Option<Manifest>, PolicyError> {
        let key = self.0.key(&format!("{place}{revision}"));
        let Some(entry) = self.0.get(&key).await? else {
            return Ok(None);
        };
        let broken = |problem: String| PolicyError::Broken {
            what: format!("the manifest of {}", revision.short()),
            problem,
        };
        let text = String::from_utf8_lossy(entry.value()).into_owned();
        let manifest = Manifest::parse(&text).map_err(|error| broken(error.to_string()))?;
        if manifest.revision() != *revision {
            return Err(broken("it is another revision's".to_owned()));
        }
        Ok(Some(manifest))
    }

    /// The files of a manifest. Contents that are at hand (`known`, by their hash) are not asked of etcd.
    ///
    /// # Errors
    /// One is not there, or is not what was published; or etcd does not answer.
    pub async fn files(
        &self,
        manifest: &Manifest,
        known: impl Fn(&str) -> Option<Arc<str>>,
    ) -> Result<PolicyFiles, PolicyError> {
        let mut files = PolicyFiles::new();
        for (name, hash) in manifest.files() {
            let content = match known(hash) {
                Some(content) => content,
                None => parts::read(&self.0, hash).await?,
            };
            files.insert(name.to_owned(), content);
        }
        Ok(files)
    }

    /// Puts a policy in force, if the one in force is the one that it was made from.
    ///
    /// # Errors
    /// It is not, or the policy is in force already; or etcd does not answer.
    pub async fn publish(&self, draft: &Draft) -> Result<Publication, PolicyError> {
        let manifest = manifest_of(&draft.files);
        if let Some(name) = manifest.unfit() {
            return Err(PolicyError::Name(name.to_owned()));
        }
        let id = Uuid::now_v7().to_string();
        for _ in 0..TRIES {
            // Before anything is looked at: what is removed from here on shows.
            let (_, pruned) = self.written(PRUNED).await?;
            let heads = self.checked(draft, &manifest).await?;
            for content in draft.files.values() {
                parts::write(&self.0, content).await?;
            }
            let publication = publication(draft, &manifest, &heads, &id);
            let json = serde_json::to_vec(&publication).expect("strings and numbers are JSON");
            let revision = &publication.revision;
            let txn = Txn::new()
                .when([
                    self.unchanged(CURRENT, heads.current_written),
                    self.unchanged(PRUNED, pruned),
                ])
                .and_then([
                    TxnOp::put(
                        self.0.key(&format!("{MANIFESTS}{revision}")),
                        manifest.to_string(),
                        None,
                    ),
                    TxnOp::put(self.0.key(CURRENT), json.clone(), None),
                    TxnOp::put(self.0.key(&history_key(publication.number)), json, None),
                ]);
            let swapped = self.0.transact(&txn).await;
            if matches!(&swapped, Ok(response) if response.succeeded()) {
                return Ok(publication);
            }
            // The swap may have been made, and its answer lost.
            let there = match (self.numbered(publication.number).await, swapped) {
                (Ok(there), _) => there,
                (Err(_), Err(error)) => return Err(PolicyError::Uncertain(error)),
                (Err(error), Ok(_)) => return Err(error),
            };
            if there.is_some_and(|there| there.id == id) {
                return Ok(publication);
            }
        }
        Err(PolicyError::Busy)
    }

    /// Whether a policy could be published now.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, draft: &Draft) -> Result<Heads, PolicyError> {
        self.checked(draft, &manifest_of(&draft.files)).await
    }

    /// Has a published revision judge a share of the mail beside the one in force; `None` ends that.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn set_shadow(
        &self,
        trial: Option<(&Revision, f64, &str)>,
    ) -> Result<(), PolicyError> {
        let key = self.0.key(SHADOW);
        let Some((revision, share, by)) = trial else {
            let key = key.as_str();
            self.0
                .ask(|mut client| async move { client.delete(key, None).await })
                .await?;
            return Ok(());
        };
        let trial = Trial {
            revision: revision.to_string(),
            share,
            by: by.to_owned(),
            at: now(),
        };
        let json = serde_json::to_vec(&trial).expect("strings and numbers are JSON");
        Ok(self.0.put(&key, &json).await?)
    }

    /// Stores a policy's content without putting it in force, so that it can be tried.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn store(&self, files: &PolicyFiles) -> Result<Revision, PolicyError> {
        let manifest = manifest_of(files);
        if let Some(name) = manifest.unfit() {
            return Err(PolicyError::Name(name.to_owned()));
        }
        let revision = manifest.revision();
        for _ in 0..TRIES {
            let (_, pruned) = self.written(PRUNED).await?;
            for content in files.values() {
                parts::write(&self.0, content).await?;
            }
            let key = self.0.key(&format!("{CANDIDATES}{revision}"));
            let txn = Txn::new()
                .when([self.unchanged(PRUNED, pruned)])
                .and_then([TxnOp::put(key, manifest.to_string(), None)]);
            if self.0.transact(&txn).await?.succeeded() {
                return Ok(revision);
            }
        }
        Err(PolicyError::Busy)
    }

    async fn checked(&self, draft: &Draft, manifest: &Manifest) -> Result<Heads, PolicyError> {
        let heads = self.heads().await?;
        if let Some(current) = &heads.current
            && current.revision == manifest.revision().as_str()
        {
            return Err(PolicyError::Already(Box::new(current.clone())));
        }
        let agrees = match (&draft.base, &heads.current) {
            (Base::Nothing, None) => true,
            (Base::Revision(base), Some(current)) => base.as_str() == current.revision,
            _ => false,
        };
        if !agrees {
            return Err(PolicyError::Conflict {
                base: draft.base.clone(),
                current: heads.current.map(Box::new),
            });
        }
        Ok(heads)
    }

    async fn numbered(&self, number: u64) -> Result<Option<Publication>, PolicyError> {
        Ok(self.entry(&history_key(number)).await?.0)
    }

    /// What a key holds, and when it was written.
    async fn entry<T: DeserializeOwned>(&self, key: &str) -> Result<(Option<T>, i64), PolicyError> {
        match self.written(key).await? {
            (Some(value), written) => Ok((Some(parsed(key, &value)?), written)),
            (None, _) => Ok((None, 0)),
        }
    }

    async fn written(&self, key: &str) -> Result<(Option<Vec<u8>>, i64), PolicyError> {
        let entry = self.0.get(&self.0.key(key)).await?;
        Ok(entry.map_or((None, 0), |entry| {
            let written = entry.mod_revision();
            (Some(entry.into_key_value().1), written)
        }))
    }

    pub(super) fn unchanged(&self, key: &str, written: i64) -> Compare {
        Compare::mod_revision(self.0.key(key), CompareOp::Equal, written)
    }
}

/// What nodes follow, out of a [`Following`](crate::Following) of [`Published::follow`].
impl Heads {
    /// What stands there now.
    ///
    /// # Errors
    /// It is no publication.
    pub fn of(entries: &crate::Entries) -> Result<Self, PolicyError> {
        let current = entries.get("current").map(|value| parsed(CURRENT, value));
        let shadow = entries.get("shadow").map(|value| parsed(SHADOW, value));
        Ok(Self {
            current: current.transpose()?,
            shadow: shadow.transpose()?,
            ..Self::default()
        })
    }
}

impl Published {
    /// Follows what is in force and what is tried. Must be called inside a tokio runtime.
    #[must_use]
    pub fn follow(&self) -> crate::Following {
        crate::follow(&self.0, HEAD)
    }
}

fn history_key(number: u64) -> String {
    format!("{HISTORY}{number:012}")
}

fn manifest_of(files: &PolicyFiles) -> Manifest {
    Manifest::of(
        files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_ref())),
    )
}

fn publication(draft: &Draft, manifest: &Manifest, heads: &Heads, id: &str) -> Publication {
    let before = heads.current.as_ref();
    Publication {
        number: before.map_or(0, |before| before.number) + 1,
        revision: manifest.revision().to_string(),
        parent: before.map(|before| before.revision.clone()),
        by: draft.by.clone(),
        at: now(),
        comment: draft.comment.clone(),
        version: draft.version.clone(),
        files: draft.files.len() as u64,
        bytes: draft.files.values().map(|text| text.len() as u64).sum(),
        id: id.to_owned(),
    }
}

fn parsed<T: DeserializeOwned>(what: &str, value: &[u8]) -> Result<T, PolicyError> {
    serde_json::from_slice(value).map_err(|error| PolicyError::Broken {
        what: what.to_owned(),
        problem: error.to_string(),
    })
}
