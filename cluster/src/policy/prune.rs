//! Removes the content of old revisions. The history itself stays: it is small.

use std::collections::{BTreeMap, BTreeSet};

use etcd_client::{GetOptions, Txn, TxnOp};
use millrace_proto::Revision;

use super::parts::{PARTS, hash_in};
use super::publication::now;
use super::store::{CANDIDATES, CURRENT, MANIFESTS, PRUNED, PolicyError, Published, SHADOW};
use crate::membership;

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Revisions that cannot be shown and rolled back to any more.
    pub revisions: Vec<String>,
    /// Contents of files that no other revision has.
    pub parts: usize,
}

/// Keys are listed so many at a time.
const PAGE: i64 = 2000;
/// etcd takes 128 operations in a transaction by default.
const AT_ONCE: usize = 100;

impl Published {
    /// Removes what only revisions before the last `keep` publications consist of; never what is in force, tried, or
    /// run by a node that is registered. Nothing is removed that is published meanwhile: each removal is made only
    /// if nothing was, and whoever publishes looks again at what was removed.
    ///
    /// # Errors
    /// etcd does not answer, or another policy was published meanwhile.
    pub async fn prune(&self, keep: usize, dry_run: bool) -> Result<Pruned, PolicyError> {
        let heads = self.heads().await?;
        let history = self.history(keep.max(1)).await?;
        let nodes = membership::nodes(self.etcd()).await?;
        let kept: BTreeSet<String> = history
            .into_iter()
            .map(|one| one.revision)
            .chain(heads.current.iter().map(|current| current.revision.clone()))
            .chain(heads.shadow.iter().map(|shadow| shadow.revision.clone()))
            .chain(nodes.into_iter().map(|node| node.revision))
            .collect();

        let mut needed = BTreeSet::new();
        let mut doomed = Vec::new();
        let mut pruned = Pruned::default();
        for place in [MANIFESTS, CANDIDATES] {
            for key in self.keys(place).await? {
                let name = key.rsplit('/').next().unwrap_or_default();
                if !kept.contains(name) {
                    pruned.revisions.push(name.to_owned());
                    doomed.push(key);
                    continue;
                }
                if let Some(revision) = Revision::new(name)
                    && let Some(manifest) = self.manifest_at(place, &revision).await?
                {
                    needed.extend(manifest.files().map(|(_, hash)| hash.to_owned()));
                }
            }
        }
        let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in self.keys(PARTS).await? {
            match hash_in(&key) {
                Some(hash) if !needed.contains(hash) => {
                    parts.entry(hash.to_owned()).or_default().push(key);
                }
                _ => {}
            }
        }
        pruned.parts = parts.len();
        doomed.extend(parts.into_values().flatten());
        if dry_run {
            return Ok(pruned);
        }
        for keys in doomed.chunks(AT_ONCE) {
            let mut operations = vec![TxnOp::put(self.etcd().key(PRUNED), now(), None)];
            operations.extend(keys.iter().map(|key| TxnOp::delete(key.as_str(), None)));
            let txn = Txn::new()
                .when([
                    self.unchanged(CURRENT, heads.current_written),
                    self.unchanged(SHADOW, heads.shadow_written),
                ])
                .and_then(operations);
            if !self.etcd().transact(&txn).await?.succeeded() {
                return Err(PolicyError::Busy);
            }
        }
        Ok(pruned)
    }

    async fn keys(&self, below: &str) -> Result<Vec<String>, PolicyError> {
        let begin = self.etcd().key(below);
        let end = format!("{}0", begin.trim_end_matches('/'));
        let mut from = begin;
        let mut found = Vec::new();
        loop {
            let options = GetOptions::new()
                .with_range(end.as_str())
                .with_keys_only()
                .with_limit(PAGE);
            let response = self.etcd().range(&from, Some(options)).await?;
            found.extend(
                response
                    .kvs()
                    .iter()
                    .map(|entry| String::from_utf8_lossy(entry.key()).into_owned()),
            );
            match found.last() {
                Some(last) if response.more() => from = format!("{last}\0"),
                _ => return Ok(found),
            }
        }
    }
}
