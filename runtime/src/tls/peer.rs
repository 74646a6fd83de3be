//! Who may do what, by the names in a peer's certificate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// `[[peer]]`: a name in certificates, and what its holder may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// A DNS name, `*.domain` for all names right below it, or a URI.
    pub name: String,
    /// The clients that it may speak for; `*` for all.
    #[serde(default)]
    pub clients: Vec<String>,
    /// What it may use.
    #[serde(default = "processing")]
    pub may: Vec<Right>,
}

/// What a peer may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// The processing service: have mail judged.
    Process,
    /// The service of kept copies: look at them, release them, delete them.
    Quarantine,
}

/// The names in a peer's certificate (RFC 5280 §4.2.1.6): DNS names in lower case, and URIs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerNames(Arc<[String]>);

/// Who may do what.
#[derive(Debug, Default)]
pub struct Peers {
    /// `None` where nobody is asked for a certificate.
    rules: Option<Rules>,
}

/// Why a peer may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of {peer} {problem}")]
pub struct Denied {
    peer: String,
    problem: String,
}

/// A row that cannot be used.
#[derive(Debug)]
pub(super) struct InvalidPeer {
    pub(super) key: String,
    pub(super) problem: String,
}

/// Rows by their names, so that their number costs a call nothing.
#[derive(Debug, Default)]
struct Rules {
    exact: HashMap<String, Vec<Row>>,
    /// By the domain that follows `*.`.
    below: HashMap<String, Vec<Row>>,
}

#[derive(Debug)]
struct Row {
    clients: Vec<String>,
    may: Vec<Right>,
}

const ANY: &str = "*";

fn processing() -> Vec<Right> {
    vec![Right::Process]
}

impl PeerNames {
    /// The names in a certificate; none when it cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return Self::default();
        };
        let Ok(Some(names)) = parsed.subject_alternative_name() else {
            return Self::default();
        };
        names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                GeneralName::URI(uri) => Some((*uri).to_owned()),
                _ => None,
            })
            .collect()
    }
}

impl FromIterator<String> for PeerNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl fmt::Display for PeerNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("a peer without a DNS name or URI");
        }
        f.write_str(&self.0.join(", "))
    }
}

impl Peers {
    /// `authenticated` where whoever connects must have a certificate: without a row, each may then have mail
    /// judged, for any client, and nobody may use the kept copies.
    pub(super) fn new(rows: &[PeerConfig], authenticated: bool) -> Result<Self, InvalidPeer> {
        let mut rules = Rules::default();
        for (n, row) in rows.iter().enumerate() {
            let invalid = |key: &str, problem: &str| InvalidPeer {
                key: format!("peer[{n}].{key}"),
                problem: problem.to_owned(),
            };
            let name = row.name.trim();
            if name.is_empty() || name == ANY {
                return Err(invalid("name", "a peer has a name"));
            }
            if row.may.contains(&Right::Process) && row.clients.is_empty() {
                return Err(invalid(
                    "clients",
                    "it may have mail judged, and speaks for no client",
                ));
            }
            let name = if name.contains("://") {
                name.to_owned()
            } else {
                name.to_ascii_lowercase()
            };
            let row = Row {
                clients: row.clients.clone(),
                may: row.may.clone(),
            };
            let (table, key) = match name.strip_prefix("*.") {
                Some(domain) => (&mut rules.below, domain.to_owned()),
                None => (&mut rules.exact, name),
            };
            table.entry(key).or_default().push(row);
        }
        Ok(Self {
            rules: authenticated.then_some(rules),
        })
    }

    /// Whether the peer may have mail of this client judged. `None` is a peer that was not asked who he is: over a
    /// unix socket, or where no certificates are wanted.
    ///
    /// # Errors
    /// Why not, for the log and for the peer.
    pub fn may_process(&self, peer: Option<&PeerNames>, client: &str) -> Result<(), Denied> {
        let (Some(rules), Some(peer)) = (&self.rules, peer) else {
            return Ok(());
        };
        if rules.exact.is_empty() && rules.below.is_empty() {
            return Ok(());
        }
        let mut known = false;
        for row in rules.of(peer) {
            known = true;
            let client = row.clients.iter().any(|name| name == ANY || name == client);
            if row.may.contains(&Right::Process) && client {
                return Ok(());
            }
        }
        Err(Denied {
            peer: peer.to_string(),
            problem: if known {
                format!("does not let it speak for client {client}: its [[peer]] does not say so")
            } else {
                "is not known here: no [[peer]] has its name".to_owned()
            },
        })
    }

    /// Whether the peer may use the kept copies.
    ///
    /// # Errors
    /// Why not, for the log and for the peer.
    pub fn may_use_copies(&self, peer: Option<&PeerNames>) -> Result<(), Denied> {
        let (Some(rules), Some(peer)) = (&self.rules, peer) else {
            return Ok(());
        };
        if rules
            .of(peer)
            .any(|row| row.may.contains(&Right::Quarantine))
        {
            return Ok(());
        }
        Err(Denied {
            peer: peer.to_string(),
            problem: "does not let it use the kept copies: no [[peer]] of its name has may = [\"quarantine\"]"
                .to_owned(),
        })
    }
}

impl Rules {
    fn of<'a>(&'a self, peer: &'a PeerNames) -> impl Iterator<Item = &'a Row> {
        peer.0.iter().flat_map(|name| {
            let below = name
                .split_once('.')
                .filter(|(first, _)| !first.is_empty())
                .and_then(|(_, domain)| self.below.get(domain));
            let rows = [self.exact.get(name), below];
            rows.into_iter().flatten().flatten()
        })
    }
}
