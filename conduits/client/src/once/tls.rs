//! TLS for one call: whom a gateway's certificate has to be from, and our own where it asks for one.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore};

/// What is needed for `https://` endpoints.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

/// Why TLS cannot be had. Names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct TlsError {
    file: PathBuf,
    problem: String,
}

impl Tls {
    /// From PEM files: `ca` has the certificates that sign gateways', `identity` our own and its key. A gateway's
    /// certificate is to be for `name`; for the address that is connected to without one.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(
        ca: &Path,
        identity: Option<(&Path, &Path)>,
        name: Option<ServerName<'static>>,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|error| wrong(ca, &error))?;
        }
        let mut provider = rustls::crypto::ring::default_provider();
        // No less safe, and a handshake with it costs less: processors have instructions for SHA-256, not for SHA-384.
        provider
            .cipher_suites
            .sort_by_key(|one| one.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(ca, &error))?
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let secret =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, secret)
                    .map_err(|error| wrong(chain, &error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        // There is no second connection that a session could be resumed on.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    pub(super) fn name(&self, address: IpAddr) -> ServerName<'static> {
        self.name
            .clone()
            .unwrap_or_else(|| ServerName::IpAddress(address.into()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(file, &error))?;
    if all.is_empty() {
        return Err(wrong(file, &"there is no certificate in it"));
    }
    Ok(all)
}

fn wrong(file: &Path, problem: &dyn fmt::Display) -> TlsError {
    TlsError {
        file: file.to_owned(),
        problem: problem.to_string(),
    }
}
