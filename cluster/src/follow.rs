//! Keeps what stands below a key up to date.
//!
//! A watch of etcd ends with its connection, with the member, and with the compaction of what it has yet to tell. What
//! is followed here is a state and no history, so after each end it is listed again, and watched from the revision of
//! that list on: whatever has happened meanwhile, nothing is missed and nothing is told that is no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, EventType, GetOptions, ResponseHeader, WatchOptions};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{EtcdError, Failed};
use crate::etcd::Etcd;

/// Keys, without what they were asked by, and their values.
pub type Entries = BTreeMap<String, Arc<[u8]>>;

/// What is known of a part of etcd.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// What stands there; `None` while it was never seen. When etcd is lost it is what was there last.
    pub entries: Option<Arc<Entries>>,
    /// Why nothing is heard of changes now; `None` when it is.
    pub lost: Option<Arc<str>>,
}

/// A part of etcd that is followed, until this is dropped.
#[derive(Debug)]
pub struct Following {
    sight: watch::Receiver<Sight>,
    _task: AbortOnDropHandle<()>,
}

impl Following {
    /// What is known, and its changes.
    #[must_use]
    pub fn sight(&self) -> watch::Receiver<Sight> {
        self.sight.clone()
    }
}

/// How long a list may take, and a watch to begin.
const ANSWER: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Follows what stands below a key, which is given without the prefix. Must be called inside a tokio runtime.
#[must_use]
pub fn follow(etcd: &Etcd, below: &str) -> Following {
    let (sender, sight) = watch::channel(Sight::default());
    let follower = Follower {
        etcd: etcd.clone(),
        key: etcd.key(below),
        sender,
    };
    Following {
        sight,
        _task: AbortOnDropHandle::new(tokio::spawn(follower.run())),
    }
}

struct Follower {
    etcd: Etcd,
    key: String,
    sender: watch::Sender<Sight>,
}

impl Follower {
    async fn run(self) {
        let members = self.etcd.config().endpoints().len();
        let mut failed = 0_usize;
        let mut pause = FIRST_PAUSE;
        loop {
            let (at, client) = self.etcd.one().await;
            let problem = match client {
                Ok(client) => {
                    let mut seen = false;
                    let end = self.watch(client, &mut seen).await;
                    if seen {
                        (failed, pause) = (0, FIRST_PAUSE);
                    }
                    end
                }
                Err(error) => error.to_string(),
            };
            self.etcd.failed(at).await;
            failed += 1;
            // Every member is tried before there is a pause.
            if failed.is_multiple_of(members) {
                self.lose(&problem);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// Lists and watches until something ends it, and says what that was.
    async fn watch(&self, mut client: Client, seen: &mut bool) -> String {
        let late = || format!("no answer within {} s", ANSWER.as_secs());
        let list = client.get(self.key.as_str(), Some(GetOptions::new().with_prefix()));
        let (mut entries, revision) = match timeout(ANSWER, list).await {
            Err(_) => return late(),
            Ok(Err(error)) => return told(error),
            Ok(Ok(mut response)) => {
                let revision = response.header().map_or(0, ResponseHeader::revision);
                let entries: Entries = response
                    .take_kvs()
                    .into_iter()
                    .map(|entry| {
                        let (key, value) = entry.into_key_value();
                        (self.below(&key), value.into())
                    })
                    .collect();
                (entries, revision)
            }
        };
        let options = WatchOptions::new()
            .with_prefix()
            .with_start_revision(revision + 1);
        let opened = timeout(ANSWER, client.watch(self.key.as_str(), Some(options))).await;
        let mut stream = match opened {
            Err(_) => return late(),
            Ok(Err(error)) => return told(error),
            Ok(Ok(stream)) => stream,
        };
        *seen = true;
        self.see(&entries);
        loop {
            match stream.message().await {
                Ok(Some(response)) if response.canceled() => {
                    return match (response.compact_revision(), response.cancel_reason()) {
                        (0, "") => "the watch was ended".to_owned(),
                        (0, reason) => reason.to_owned(),
                        _ => "what there was to tell is compacted".to_owned(),
                    };
                }
                Ok(Some(response)) => {
                    if response.events().is_empty() {
                        continue;
                    }
                    for event in response.events() {
                        let Some(entry) = event.kv() else { continue };
                        let key = self.below(entry.key());
                        match event.event_type() {
                            EventType::Put => entries.insert(key, entry.value().into()),
                            EventType::Delete => entries.remove(&key),
                        };
                    }
                    self.see(&entries);
                }
                Ok(None) => return "the connection ended".to_owned(),
                Err(error) => return told(error),
            }
        }
    }

    fn below(&self, key: &[u8]) -> String {
        let key = String::from_utf8_lossy(key);
        key.strip_prefix(&self.key).unwrap_or(&key).to_owned()
    }

    fn see(&self, entries: &Entries) {
        self.sender.send_if_modified(|sight| {
            let found = sight.lost.take().is_some();
            let changed = sight.entries.as_deref() != Some(entries);
            if changed {
                sight.entries = Some(Arc::new(entries.clone()));
            }
            if found {
                tracing::info!(key = self.key, "etcd is followed again");
            }
            found || changed
        });
    }

    fn lose(&self, problem: &str) {
        self.sender.send_if_modified(|sight| {
            if sight.lost.is_some() {
                return false;
            }
            tracing::warn!(
                key = self.key,
                problem,
                "etcd cannot be followed; what was known stays"
            );
            sight.lost = Some(problem.into());
            true
        });
    }
}

fn told(error: etcd_client::Error) -> String {
    match Failed::from(error) {
        Failed::Refused(problem) => EtcdError::Refused { problem }.to_string(),
        Failed::Elsewhere { problem, .. } => problem,
    }
}
