//! The flags with which commands reach servers in TLS.

use std::path::PathBuf;

use clap::Args;
use millrace_runtime::tls::{Connector, Links, TlsConfig};

/// Whom to believe, and who one is, for `--server https://…`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerTlsArgs {
    /// The authority that the server's certificate is from, for https:// (PEM)
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// Your certificate, where the server wants one (PEM)
    #[arg(long, value_name = "FILE", global = true, requires_all = ["key", "ca"])]
    certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", global = true, requires = "certificate")]
    key: Option<PathBuf>,
}

impl ServerTlsArgs {
    /// Whether the server is not told who is there.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.certificate.is_none()
    }

    /// What makes the connections. Must be called inside a tokio runtime.
    pub(crate) fn connector(&self) -> anyhow::Result<Connector> {
        Ok(Links::client(&TlsConfig {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            ca: self.ca.clone(),
            server_name: None,
        })?)
    }
}
