//! The connection to an etcd cluster: one member after the other, until one answers.
//!
//! tonic's balancing, which etcd-client builds upon, takes a dead connection for a fast one; so every member has a
//! client of its own here, and the one that answered last is asked first.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, GetResponse, Identity, KeyValue,
    TlsOptions, Txn, TxnResponse,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::config::EtcdConfig;
use crate::error::{EtcdError, Failed};

/// An etcd cluster. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Etcd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: EtcdConfig,
    members: Vec<Member>,
    /// The member that answered last.
    preferred: AtomicUsize,
}

struct Member {
    endpoint: String,
    /// Made when it is needed, and thrown away when it failed: files and names are then looked at again.
    client: Mutex<Option<Client>>,
}

/// How long one member has for an answer.
const TRY: Duration = Duration::from_secs(3);
/// How long members that answer may take to agree on a leader.
const ELECTION: Duration = Duration::from_secs(8);
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(2);
/// etcd takes pings that come oftener than every 5 s amiss.
const PING_INTERVAL: Duration = Duration::from_secs(7);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

impl Etcd {
    /// The cluster of a configuration. Nothing is connected before it is needed.
    #[must_use]
    pub fn new(config: EtcdConfig) -> Self {
        let members = config
            .endpoints
            .iter()
            .map(|endpoint| Member {
                endpoint: endpoint.clone(),
                client: Mutex::default(),
            })
            .collect();
        // Not all processes of a cluster begin with the same member.
        let first =
            usize::try_from(std::process::id()).unwrap_or(0) % config.endpoints.len().max(1);
        Self(Arc::new(Inner {
            config,
            members,
            preferred: AtomicUsize::new(first),
        }))
    }

    /// How it was configured.
    #[must_use]
    pub fn config(&self) -> &EtcdConfig {
        &self.0.config
    }

    /// A key below the prefix.
    pub(crate) fn key(&self, below: &str) -> String {
        format!("{}{below}", self.0.config.prefix)
    }

    /// Asks one member after the other, each twice; and again as long as an election may be the reason that there is
    /// no answer. What is asked must be safe to ask again: an answer that was lost may have been given.
    pub(crate) async fn ask<T, F>(&self, question: impl Fn(Client) -> F) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let count = self.0.members.len();
        let begun = Instant::now();
        let mut said = String::new();
        for round in 0.. {
            let mut one_alive = false;
            let first = self.0.preferred.load(Ordering::Relaxed);
            for turn in 0..count {
                let at = (first + turn) % count;
                let asked = timeout(TRY, async {
                    let client = self.client(at).await?;
                    Ok::<_, Problem>(question(client).await?)
                });
                match asked.await {
                    Ok(Ok(answer)) => {
                        self.0.preferred.store(at, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Ok(Err(Problem::File(error))) => return Err(error),
                    Ok(Err(Problem::Failed(Failed::Refused(problem)))) => {
                        return Err(EtcdError::Refused { problem });
                    }
                    Ok(Err(Problem::Failed(Failed::Elsewhere { problem, alive }))) => {
                        one_alive |= alive;
                        said = problem;
                    }
                    Err(_) => {
                        one_alive = true;
                        said = format!("no answer within {} s", TRY.as_secs());
                    }
                }
                let member = &self.0.members[at].endpoint;
                tracing::debug!(member, problem = said, "etcd: another member is asked");
                self.forget(at).await;
            }
            if round > 0 && (!one_alive || begun.elapsed() > ELECTION) {
                break;
            }
            sleep(BETWEEN_ROUNDS).await;
        }
        Err(EtcdError::Unreachable {
            endpoints: self.0.config.endpoints.join(", "),
            problem: said,
        })
    }

    /// The key, if it is there.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<KeyValue>, EtcdError> {
        let mut response = self.range(key, None).await?;
        Ok(response.take_kvs().pop())
    }

    /// What a range holds.
    pub(crate) async fn range(
        &self,
        key: &str,
        options: Option<GetOptions>,
    ) -> Result<GetResponse, EtcdError> {
        self.ask(|mut client| {
            let options = options.clone();
            async move { client.get(key, options).await }
        })
        .await
    }

    /// Writes a key.
    pub(crate) async fn put(&self, key: &str, value: &[u8]) -> Result<(), EtcdError> {
        self.ask(|mut client| async move { client.put(key, value, None).await })
            .await
            .map(drop)
    }

    /// Compares and swaps. An answer that was lost is told as an error, or as a comparison that failed: look whether
    /// it was one's own swap that made it fail.
    pub(crate) async fn transact(&self, txn: &Txn) -> Result<TxnResponse, EtcdError> {
        self.ask(|mut client| {
            let txn = txn.clone();
            async move { client.txn(txn).await }
        })
        .await
    }

    /// The member that is asked first, for what lasts longer than an answer. Tell of its end with [`Etcd::failed`].
    pub(crate) async fn one(&self) -> (usize, Result<Client, EtcdError>) {
        let at = self.0.preferred.load(Ordering::Relaxed);
        let unreachable = |problem| EtcdError::Unreachable {
            endpoints: self.0.members[at].endpoint.clone(),
            problem,
        };
        let client = match timeout(TRY, self.client(at)).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(Problem::File(error))) => Err(error),
            Ok(Err(Problem::Failed(Failed::Elsewhere { problem, .. }))) => {
                Err(unreachable(problem))
            }
            Ok(Err(Problem::Failed(Failed::Refused(problem)))) => {
                Err(EtcdError::Refused { problem })
            }
            Err(_) => Err(unreachable(format!("no answer within {} s", TRY.as_secs()))),
        };
        (at, client)
    }

    /// The member failed: another is asked first, and it is connected anew.
    pub(crate) async fn failed(&self, at: usize) {
        self.forget(at).await;
        let next = (at + 1) % self.0.members.len();
        let _ = self
            .0
            .preferred
            .compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    async fn forget(&self, at: usize) {
        self.0.members[at].client.lock().await.take();
    }

    async fn client(&self, at: usize) -> Result<Client, Problem> {
        let member = &self.0.members[at];
        let mut place = member.client.lock().await;
        if let Some(client) = &*place {
            return Ok(client.clone());
        }
        let options = self.0.config.options().await.map_err(Problem::File)?;
        let client = Client::connect([&member.endpoint], Some(options)).await?;
        *place = Some(client.clone());
        Ok(client)
    }
}

/// Why there is no answer from one member.
enum Problem {
    File(EtcdError),
    Failed(Failed),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl EtcdConfig {
    /// What a connection is made with; files are read anew for each.
    async fn options(&self) -> Result<ConnectOptions, EtcdError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING_INTERVAL, PING_TIMEOUT)
            .with_keep_alive_while_idle(true)
            // A member that is cut off from the others ends its watches instead of telling nothing.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(files) = &self.tls {
            let authority = Certificate::from_pem(read(&files.authority).await?);
            let mut tls = TlsOptions::new().ca_certificate(authority);
            if let Some((certificate, key)) = &files.identity {
                tls = tls.identity(Identity::from_pem(
                    read(certificate).await?,
                    read(key).await?,
                ));
            }
            options = options.with_tls(tls);
        }
        if let Some((user, password)) = &self.user {
            let password = String::from_utf8_lossy(&read(password).await?).into_owned();
            options = options.with_user(user, password.trim_end_matches(['\r', '\n']));
        }
        Ok(options)
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, EtcdError> {
    tokio::fs::read(path)
        .await
        .map_err(|error| EtcdError::File {
            file: path.display().to_string(),
            problem: error.to_string(),
        })
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.endpoint).finish()
    }
}
