//! The one file of configuration, under the qmail home.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_client::once::{Endpoint, ServerName, Tls};
use millrace_proto::ClientName;
use serde::Deserialize;

use crate::caller::{CallerKind, Users};
use crate::judge::Gateways;

/// What the programs are told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who judges.
    pub gateways: Gateways,
    /// The client's name, for a node that is asked without a gateway.
    pub client: ClientName,
    /// The real qmail-queue.
    pub queue: PathBuf,
    /// Where lines go; the system's log when `None`.
    pub log: Option<PathBuf>,
    /// Which uids are whose.
    pub users: Users,
    network: Rule,
    local: Rule,
    bounce_deadline: Duration,
}

/// How long a verdict may take, and what is done without one.
#[derive(Debug, Clone, Copy)]
struct Rule {
    deadline: Duration,
    on_failure: OnFailure,
}

/// What is done when no gateway gives a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The sender tries again.
    Tempfail,
    /// The message passes, and a header says that nobody looked at it.
    AcceptAndStamp,
    /// Refused for good.
    Reject,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no configuration.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, key and remedy.
        problem: String,
    },
}

/// The file, below the qmail home.
pub(crate) const FILE: &str = "control/millrace.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    gateways: Vec<String>,
    #[serde(default)]
    tls: Option<TlsTable>,
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    queue: Option<PathBuf>,
    #[serde(default)]
    log: Option<PathBuf>,
    #[serde(default)]
    network: Option<Table>,
    #[serde(default)]
    local: Option<Table>,
    #[serde(default)]
    bounce: Option<BounceTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Table {
    users: Option<Vec<User>>,
    deadline_ms: Option<u64>,
    on_failure: Option<OnFailure>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct BounceTable {
    users: Option<Vec<User>>,
    deadline_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TlsTable {
    ca: PathBuf,
    #[serde(default)]
    certificate: Option<PathBuf>,
    #[serde(default)]
    key: Option<PathBuf>,
    #[serde(default)]
    server_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum User {
    Number(u32),
    Name(String),
}

const DEFAULT_CLIENT: &str = "qmail";
const DEFAULT_QUEUE: &str = "bin/qmail-queue.orig";
/// Well under the 5 minutes after which an SMTP client is gone (RFC 5321 §4.5.3.2.6 gives it 10).
const LONGEST: u64 = 240_000;
const NETWORK: u64 = 30_000;
/// qmail-send does one thing at a time.
const QUICK: u64 = 800;
const LONGEST_QUICK: u64 = 999;

impl Config {
    /// Reads the file of a qmail home.
    ///
    /// # Errors
    /// It cannot be read, or what is wrong with it.
    pub fn load(home: &Path) -> Result<Self, ConfigError> {
        let path = home.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read {
            path: path.clone(),
            source,
        })?;
        Self::parse(home, &text).map_err(|problem| ConfigError::Invalid { path, problem })
    }

    /// What holds where there is no file that can be used: nobody judges, and the names are qmail's own.
    pub(crate) fn without_file(home: &Path) -> Self {
        let users = |name| Users::uid_of(name).into_iter().collect();
        let rule = |milliseconds, on_failure| Rule {
            deadline: Duration::from_millis(milliseconds),
            on_failure,
        };
        Self {
            gateways: Gateways {
                endpoints: Vec::new(),
                tls: None,
            },
            client: DEFAULT_CLIENT.parse().expect("a constant that is a name"),
            queue: home.join(DEFAULT_QUEUE),
            log: None,
            users: Users {
                network: users("qmaild"),
                bounce: users("qmails"),
            },
            network: rule(NETWORK, OnFailure::Tempfail),
            local: rule(QUICK, OnFailure::Tempfail),
            bounce_deadline: Duration::from_millis(QUICK),
        }
    }

    fn parse(home: &Path, text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
        let gateways: Vec<Endpoint> = document
            .gateways
            .iter()
            .map(|text| text.parse().map_err(|error| format!("gateways: {error}")))
            .collect::<Result<_, _>>()?;
        if gateways.is_empty() {
            return Err(
                "gateways: list at least one, such as unix:///run/millrace/qmail.sock".to_owned(),
            );
        }
        let client = document.client.as_deref().unwrap_or(DEFAULT_CLIENT);
        let (network, local) = (
            document.network.unwrap_or_default(),
            document.local.unwrap_or_default(),
        );
        let bounce = document.bounce.unwrap_or_default();
        if local.users.is_some() {
            return Err(
                "local.users: all users that are not listed elsewhere are local; take it away"
                    .to_owned(),
            );
        }
        let secured = gateways.iter().any(Endpoint::is_tls);
        let tls = match (document.tls, secured) {
            (Some(table), true) => Some(table.load(home)?),
            (None, true) => {
                return Err(
                    "gateways: https:// needs a [tls] table with `ca`, the file of certificates that sign the \
                     gateways' own"
                        .to_owned(),
                );
            }
            (Some(_), false) => {
                return Err(
                    "tls: no gateway is https://; write one, or take the table away".into(),
                );
            }
            (None, false) => None,
        };
        Ok(Self {
            gateways: Gateways {
                endpoints: gateways,
                tls,
            },
            client: client.parse().map_err(|error| format!("client: {error}"))?,
            queue: home.join(
                document
                    .queue
                    .as_deref()
                    .unwrap_or(Path::new(DEFAULT_QUEUE)),
            ),
            log: document.log,
            users: Users {
                network: uids("network.users", network.users, "qmaild")?,
                bounce: uids("bounce.users", bounce.users, "qmails")?,
            },
            network: Rule {
                deadline: deadline("network.deadline-ms", network.deadline_ms, NETWORK, LONGEST)?,
                on_failure: network.on_failure.unwrap_or(OnFailure::Tempfail),
            },
            local: Rule {
                deadline: deadline("local.deadline-ms", local.deadline_ms, QUICK, LONGEST)?,
                on_failure: local.on_failure.unwrap_or(OnFailure::AcceptAndStamp),
            },
            bounce_deadline: deadline(
                "bounce.deadline-ms",
                bounce.deadline_ms,
                QUICK,
                LONGEST_QUICK,
            )?,
        })
    }

    /// From the envelope's end to the verdict.
    #[must_use]
    pub fn deadline(&self, caller: CallerKind) -> Duration {
        match caller {
            CallerKind::Network => self.network.deadline,
            CallerKind::Local => self.local.deadline,
            CallerKind::Bounce => self.bounce_deadline,
        }
    }

    /// What is done without a verdict. A bounce always passes.
    #[must_use]
    pub fn on_failure(&self, caller: CallerKind) -> OnFailure {
        match caller {
            CallerKind::Network => self.network.on_failure,
            CallerKind::Local => self.local.on_failure,
            CallerKind::Bounce => OnFailure::AcceptAndStamp,
        }
    }
}

impl TlsTable {
    fn load(self, home: &Path) -> Result<Tls, String> {
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((home.join(certificate), home.join(key))),
            (None, None) => None,
            (Some(_), None) => return Err("tls.key: it belongs to tls.certificate".to_owned()),
            (None, Some(_)) => return Err("tls.certificate: it belongs to tls.key".to_owned()),
        };
        let name = self
            .server_name
            .map(|name| {
                ServerName::try_from(name.clone()).map_err(|_| {
                    format!("tls.server-name: '{name}' is no name that a certificate has")
                })
            })
            .transpose()?;
        let identity = identity
            .as_ref()
            .map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        Tls::load(&home.join(self.ca), identity, name).map_err(|error| format!("tls: {error}"))
    }
}

fn deadline(key: &str, given: Option<u64>, default: u64, most: u64) -> Result<Duration, String> {
    match given.unwrap_or(default) {
        milliseconds if (1..=most).contains(&milliseconds) => {
            Ok(Duration::from_millis(milliseconds))
        }
        other => Err(format!(
            "{key}: {other} is out of range; write 1 to {most} milliseconds"
        )),
    }
}

fn uids(key: &str, given: Option<Vec<User>>, default: &str) -> Result<Vec<u32>, String> {
    let Some(users) = given else {
        return Ok(Users::uid_of(default).into_iter().collect());
    };
    users
        .into_iter()
        .map(|user| match user {
            User::Number(uid) => Ok(uid),
            User::Name(name) => Users::uid_of(&name).ok_or_else(|| {
                format!("{key}: there is no user '{name}' in /etc/passwd; write its number")
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_put_mail_from_the_network_off_and_let_the_rest_pass() {
        let config =
            Config::parse(Path::new("/var/qmail"), "gateways = ['unix:///run/m.sock']").unwrap();
        assert_eq!(config.queue, Path::new("/var/qmail/bin/qmail-queue.orig"));
        for (caller, action, under_a_second) in [
            (CallerKind::Network, OnFailure::Tempfail, false),
            (CallerKind::Local, OnFailure::AcceptAndStamp, true),
            (CallerKind::Bounce, OnFailure::AcceptAndStamp, true),
        ] {
            assert_eq!(config.on_failure(caller), action, "{caller:?}");
            assert_eq!(
                config.deadline(caller) < Duration::from_secs(1),
                under_a_second,
                "{caller:?}"
            );
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_key() {
        for (text, part) in [
            ("", "gateways"),
            ("gateways = []", "at least one"),
            ("gateways = ['127.0.0.1:1']", "127.0.0.1:1"),
            ("gateways = ['http://mail.example:1']", "IP address"),
            ("gateways = ['unix:///x']\ncolour = 1", "colour"),
            ("gateways = ['https://192.0.2.1:1']", "[tls]"),
            (
                "gateways = ['https://192.0.2.1:1']\n[tls]\nca = '/no/such.pem'",
                "/no/such.pem",
            ),
            (
                "gateways = ['https://192.0.2.1:1']\n[tls]\nca = 'x'\nkey = 'y'",
                "tls.certificate",
            ),
            (
                "gateways = ['https://192.0.2.1:1']\n[tls]\nca = 'x'\nserver-name = '-'",
                "tls.server-name",
            ),
            (
                "gateways = ['unix:///x']\n[tls]\nca = 'x'",
                "no gateway is https://",
            ),
            ("gateways = ['unix:///x']\nclient = 'a b'", "client"),
            (
                "gateways = ['unix:///x']\n[bounce]\ndeadline-ms = 1000",
                "bounce.deadline-ms",
            ),
            (
                "gateways = ['unix:///x']\n[network]\non-failure = 'accept'",
                "accept",
            ),
            (
                "gateways = ['unix:///x']\n[network]\nusers = ['nobody-of-this-name']",
                "nobody-of-this-name",
            ),
            (
                "gateways = ['unix:///x']\n[local]\nusers = [1]",
                "local.users",
            ),
        ] {
            let error = Config::parse(Path::new("/q"), text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
