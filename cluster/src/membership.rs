//! Who is there: nodes register under a lease, and whoever wants to know follows them.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Compare, CompareOp, Error, GetOptions, PutOptions, Txn, TxnOp};
use millrace_proto::Revision;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use toml::Spanned;

use crate::error::EtcdError;
use crate::etcd::Etcd;
use crate::follow::{Entries, Following, follow};

/// Below this key, without the prefix, each node has one of its own.
pub const NODES: &str = "node/";
/// How long the end of a process waits for etcd to be told.
const WITHDRAWAL: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a node says of itself. Nodes of other versions may say more, or less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The URL by which gateways reach it, such as `http://192.0.2.11:7750`: its identity.
    pub address: String,
    /// How it signs its verdicts.
    pub name: String,
    /// Its version of Millrace.
    pub version: String,
    /// The policy revision that it judges by.
    pub revision: String,
    /// Large messages that it judges at once: one a processor.
    #[serde(default)]
    pub capacity: u32,
    /// Since when this process is there. RFC 3339.
    #[serde(default)]
    pub since: String,
    /// The published policy that it cannot use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A published policy that a node cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its revision.
    pub revision: String,
    /// Why not.
    pub problem: String,
}

impl Registration {
    /// The revision, where it is one.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        Revision::new(&self.revision)
    }

    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are JSON")
    }
}

/// The nodes that are registered now, by their addresses.
///
/// # Errors
/// etcd does not answer.
pub async fn nodes(etcd: &Etcd) -> Result<Vec<Registration>, EtcdError> {
    let options = GetOptions::new().with_prefix();
    let mut response = etcd.range(&etcd.key(NODES), Some(options)).await?;
    let entries = response
        .take_kvs()
        .into_iter()
        .map(|entry| {
            let (key, value) = entry.into_key_value();
            (String::from_utf8_lossy(&key).into_owned(), value.into())
        })
        .collect();
    Ok(registrations(&entries))
}

/// Follows the nodes: read the sight with [`registrations`].
#[must_use]
pub fn follow_nodes(etcd: &Etcd) -> Following {
    follow(etcd, NODES)
}

/// The registrations among what stands below [`NODES`]; what is none is left out, with a line in the log.
#[must_use]
pub fn registrations(entries: &Entries) -> Vec<Registration> {
    entries
        .iter()
        .filter_map(|(key, value)| {
            serde_json::from_slice(value)
                .inspect_err(|error| tracing::warn!(key, %error, "etcd: this is no node's entry"))
                .ok()
        })
        .collect()
}

/// A node's entry in etcd, kept there until it is withdrawn or the process ends.
#[derive(Debug)]
pub struct Registrar {
    withdraw: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Registrar {
    /// Registers from now on, and again whenever what is said changes or the lease was lost. Must be called inside a
    /// tokio runtime.
    #[must_use]
    pub fn start(etcd: Etcd, said: watch::Receiver<Registration>) -> Self {
        let (withdraw, withdrawn) = oneshot::channel();
        let keeper = Keeper {
            lease: etcd.config().lease,
            key: etcd.key(&format!("{NODES}{}", said.borrow().address)),
            etcd,
            said,
        };
        Self {
            withdraw: Some(withdraw),
            task: Some(tokio::spawn(keeper.run(withdrawn))),
        }
    }

    /// Takes the entry away, now; an etcd that does not answer does it when the lease is over.
    pub async fn withdraw(mut self) {
        if let Some(withdraw) = self.withdraw.take() {
            let _ = withdraw.send(());
        }
        if let Some(task) = self.task.take() {
            let _ = timeout(WITHDRAWAL, task).await;
        }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Keeper {
    etcd: Etcd,
    said: watch::Receiver<Registration>,
    key: String,
    lease: Duration,
}

/// Why a lease is not kept any longer.
enum End {
    Withdrawn,
    /// It is over, or what it is told by.
    Lost(String),
}

impl Keeper {
    async fn run(mut self, mut withdrawn: oneshot::Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            let granted = tokio::select! {
                _ = &mut withdrawn => return,
                granted = self.grant() => granted,
            };
            let problem = match granted {
                Ok(id) => {
                    tracing::info!(key = self.key, "registered");
                    (pause, told) = (FIRST_PAUSE, false);
                    match self.keep(id, &mut withdrawn).await {
                        End::Withdrawn => {
                            self.revoke(id).await;
                            return;
                        }
                        End::Lost(problem) => problem,
                    }
                }
                Err(error) => error.to_string(),
            };
            // Once, and then again only after it has worked.
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(
                    key = self.key,
                    problem,
                    "not registered; what was known of this node stays until its lease is over"
                );
            }
            tokio::select! {
                _ = &mut withdrawn => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes a new lease, and writes the entry under it.
    async fn grant(&mut self) -> Result<i64, EtcdError> {
        let seconds = i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX);
        let granted = self
            .etcd
            .ask(|mut client| async move { client.lease_grant(seconds, None).await })
            .await?;
        let id = granted.id();
        self.write(id).await?;
        Ok(id)
    }

    async fn write(&mut self, lease: i64) -> Result<(), EtcdError> {
        let value = self.said.borrow_and_update().json();
        let (key, value) = (self.key.as_str(), value.as_slice());
        self.etcd
            .ask(|mut client| async move {
                let options = PutOptions::new().with_lease(lease);
                client.put(key, value, Some(options)).await
            })
            .await
            .map(drop)
    }

    /// Keeps the lease alive, and the entry true.
    async fn keep(&mut self, id: i64, withdrawn: &mut oneshot::Receiver<()>) -> End {
        let mut beat = interval(self.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.tick().await;
        let mut alive = Instant::now();
        loop {
            let done = tokio::select! {
                _ = &mut *withdrawn => return End::Withdrawn,
                _ = beat.tick() => self.refresh(id).await,
                changed = self.said.changed() => match changed {
                    Ok(()) => self.write(id).await,
                    // Nobody speaks for the node any more.
                    Err(_) => return End::Withdrawn,
                },
            };
            match done {
                Ok(()) => alive = Instant::now(),
                Err(EtcdError::Refused { problem }) => return End::Lost(problem),
                Err(error) => {
                    // It may be that etcd was away for everybody, and the lease still lives.
                    tracing::debug!(%error, "the lease was not renewed");
                    if alive.elapsed() > self.lease * 3 {
                        return End::Lost(error.to_string());
                    }
                    // A change that was not written is written with the next beat.
                    self.said.mark_changed();
                    sleep(FIRST_PAUSE).await;
                }
            }
        }
    }

    /// Renews the lease, and puts the entry back if somebody took it away.
    async fn refresh(&mut self, id: i64) -> Result<(), EtcdError> {
        self.etcd
            .ask(|mut client| async move {
                // The stream is for this one answer: the next may come from another member.
                client.lease_keep_alive(id).await.map(drop)
            })
            .await?;
        let value = self.said.borrow().json();
        let txn = Txn::new()
            .when([Compare::version(self.key.as_str(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(
                self.key.as_str(),
                value,
                Some(PutOptions::new().with_lease(id)),
            )]);
        let restored = self.etcd.transact(&txn).await?.succeeded();
        if restored {
            tracing::warn!(
                key = self.key,
                "the entry was gone from etcd, and is there again"
            );
        }
        Ok(())
    }

    async fn revoke(&self, id: i64) {
        let revoked = self
            .etcd
            .ask(|mut client| async move {
                match client.lease_revoke(id).await {
                    // Gone is gone.
                    Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::NotFound => {
                        Ok(())
                    }
                    other => other.map(drop),
                }
            })
            .await;
        match revoked {
            Ok(()) => tracing::info!(key = self.key, "withdrawn"),
            Err(error) => {
                tracing::warn!(key = self.key, %error, "not withdrawn; the lease will end it");
            }
        }
    }
}

/// An address as it stands in [`Registration::address`], from what people write: a URL without anything after the
/// port.
///
/// # Errors
/// It is no such URL; says what to write.
pub fn address(text: &str) -> Result<Arc<str>, String> {
    let uri: http::Uri = text
        .parse()
        .map_err(|error| format!("'{text}' is no URL: {error}"))?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let bare = uri.path() == "/" || uri.path().is_empty();
    let reachable = uri
        .host()
        .is_some_and(|host| !matches!(host, "" | "0.0.0.0" | "[::]"));
    if !(known && bare && reachable && uri.port_u16().is_some_and(|port| port > 0)) {
        return Err(format!(
            "'{text}' is no address by which others reach this node"
        ));
    }
    Ok(text.trim_end_matches('/').into())
}

/// Whether an `advertise` of a configuration file can be used.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn check_advertised(
    written: &Spanned<String>,
    has_etcd: bool,
) -> Result<(), (String, &'static str)> {
    if !has_etcd {
        return Err((
            "is told to nobody: there is no [etcd]".to_owned(),
            "add [etcd] with `endpoints`, or remove it",
        ));
    }
    address(written.get_ref())
        .map(drop)
        .map_err(|problem| (problem, "write http://HOST:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_another_version_is_understood() {
        let known: Registration = serde_json::from_str(
            r#"{"address":"http://a:1","name":"a","version":"9","revision":"ab","colour":"blue"}"#,
        )
        .unwrap();
        assert_eq!(known.capacity, 0);
        assert_eq!(known.refused, None);
        let entries = Entries::from([
            ("good".to_owned(), known.json().into()),
            ("bad".to_owned(), b"?".as_slice().into()),
        ]);
        assert_eq!(registrations(&entries), [known]);
    }

    #[test]
    fn an_address_is_one_that_others_can_reach() {
        assert_eq!(
            &*address("http://192.0.2.1:7750/").unwrap(),
            "http://192.0.2.1:7750"
        );
        assert_eq!(
            &*address("https://node-1:7750").unwrap(),
            "https://node-1:7750"
        );
        for bad in [
            "192.0.2.1:7750",
            "http://0.0.0.0:7750",
            "http://[::]:7750",
            "http://a",
            "http://a:1/x",
            "ftp://a:1",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
