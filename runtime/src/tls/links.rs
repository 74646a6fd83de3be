//! `[tls]` and `[[peer]]` of a configuration file, and what comes of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::accept::Acceptor;
use super::connect::Connector;
use super::follow::Followed;
use super::peer::{PeerConfig, Peers};
use crate::config::{ConfigError, ConfigErrors};
use crate::metrics::Metrics;

/// `[tls]`: the process's own certificate, and whom it believes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM: the process's certificate, then those that lead to the authority. With it, ports speak TLS.
    pub certificate: Option<PathBuf>,
    /// PEM: its private key.
    pub key: Option<PathBuf>,
    /// PEM: the authorities whose certificates are believed. With it, whoever connects must have one of theirs.
    pub ca: Option<PathBuf>,
    /// The name that must be in the certificates of the servers connected to; the host of their addresses without
    /// it. For servers that are found by address.
    pub server_name: Option<String>,
}

/// How a process's links to its like are secured. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Links {
    followed: Option<Arc<Followed>>,
    peers: Arc<Peers>,
}

impl TlsConfig {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether ports speak TLS.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether `https://` addresses can be connected to.
    #[must_use]
    pub fn connects(&self) -> bool {
        self.ca.is_some()
    }
}

impl Links {
    /// Plain text, and nobody is asked who he is.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// Reads the files that the configuration `file` names, and checks them.
    ///
    /// # Errors
    /// What is wrong with the tables, or with a file that they name.
    pub fn check(file: &Path, tls: &TlsConfig, peers: &[PeerConfig]) -> Result<(), ConfigErrors> {
        let wrong = |key: &str, problem: &str, remedy: &str| {
            let error = ConfigError::in_file(file, problem, remedy);
            ConfigErrors::from(ConfigError {
                key: Some(key.to_owned()),
                ..error
            })
        };
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                return Err(wrong(
                    "tls.key",
                    "a certificate without its key proves nothing",
                    "name the key's file",
                ));
            }
            (None, Some(_)) => {
                return Err(wrong(
                    "tls.certificate",
                    "a key without a certificate is used by nobody",
                    "name the certificate's file",
                ));
            }
            _ => {}
        }
        if tls.ca.is_none() && tls.server_name.is_some() {
            return Err(wrong(
                "tls.server_name",
                "without `ca` no server's certificate is believed",
                "name the authority's file with `ca`",
            ));
        }
        if !peers.is_empty() && (tls.ca.is_none() || tls.certificate.is_none()) {
            return Err(wrong(
                "peer",
                "nobody is asked for a certificate, so that no name is known",
                "give `certificate`, `key` and `ca` under [tls]",
            ));
        }
        Peers::new(peers, true).map_err(|problem| {
            wrong(
                &problem.key,
                &problem.problem,
                "write a DNS name, *.domain, or a URI, as it stands in the certificate",
            )
        })?;
        Followed::check(tls)?;
        Ok(())
    }

    /// Reads the files and follows them as they change. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn start(
        file: &Path,
        tls: &TlsConfig,
        peers: &[PeerConfig],
        metrics: &Metrics,
    ) -> Result<Self, ConfigErrors> {
        Self::check(file, tls, peers)?;
        if tls.is_empty() {
            return Ok(Self::plain());
        }
        let authenticated = tls.ca.is_some() && tls.certificate.is_some();
        let peers = Peers::new(peers, authenticated).unwrap_or_default();
        Ok(Self {
            followed: Some(Followed::start(tls, Some(metrics))?),
            peers: Arc::new(peers),
        })
    }

    /// For a program that ends soon: connects with these files.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn client(tls: &TlsConfig) -> Result<Connector, ConfigErrors> {
        let file = Path::new("command line");
        Self::check(file, tls, &[])?;
        if tls.is_empty() {
            return Ok(Connector::plain());
        }
        Ok(Connector::new(Some(Followed::start(tls, None)?)))
    }

    /// What takes connections; `None` for plain text.
    #[must_use]
    pub fn acceptor(&self) -> Option<Acceptor> {
        self.followed.as_ref().and_then(Acceptor::new)
    }

    /// What makes connections.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(self.followed.clone())
    }

    /// Who may do what.
    #[must_use]
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }
}
