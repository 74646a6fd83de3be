//! From the contents of the files to what connections are made with.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig};

use super::identity::{Authorities, Identity, Validity};
use super::links::TlsConfig;
use crate::config::ConfigError;

/// What the files hold. Not `Debug`: there is a key in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
}

/// What connections are made with, until the files change.
#[derive(Debug, Clone)]
pub(super) struct Material {
    /// Where this process has a certificate.
    pub(super) server: Option<Arc<ServerConfig>>,
    /// Where it knows an authority.
    pub(super) client: Option<Arc<ClientConfig>>,
    pub(super) certificate: Option<Validity>,
    pub(super) ca: Option<Validity>,
}

/// gRPC is HTTP/2 (RFC 9113 §3.2).
pub(super) const ALPN: &[u8] = b"h2";

impl Contents {
    /// Reads the files, so not for a runtime's thread.
    pub(super) fn read(config: &TlsConfig) -> Result<Self, ConfigError> {
        let read = |file: &Option<_>| file.as_deref().map(read).transpose();
        Ok(Self {
            certificate: read(&config.certificate)?,
            key: read(&config.key)?,
            ca: read(&config.ca)?,
        })
    }
}

impl Material {
    /// # Errors
    /// What is wrong with which file.
    pub(super) fn new(
        config: &TlsConfig,
        contents: &Contents,
        now: SystemTime,
    ) -> Result<Self, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let ca = match (&config.ca, &contents.ca) {
            (Some(file), Some(bytes)) => Some(Authorities::read(file, bytes, now)?),
            _ => None,
        };
        let identity = match (
            (&config.certificate, &contents.certificate),
            (&config.key, &contents.key),
        ) {
            ((Some(file), Some(bytes)), (Some(key_file), Some(key))) => Some(Identity::read(
                (file, bytes),
                (key_file, key),
                &provider,
                now,
            )?),
            _ => None,
        };
        let server = identity
            .as_ref()
            .map(|identity| server(config, identity, ca.as_ref(), &provider))
            .transpose()?;
        let client = ca
            .as_ref()
            .map(|ca| client(config, identity.as_ref(), ca, &provider))
            .transpose()?;
        Ok(Self {
            server,
            client,
            certificate: identity.map(|identity| identity.validity),
            ca: ca.map(|ca| ca.validity),
        })
    }
}

fn server(
    config: &TlsConfig,
    identity: &Identity,
    ca: Option<&Authorities>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, ConfigError> {
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(config, &error))?;
    let builder = match ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(ca.roots.clone(), provider.clone())
                    .build()
                    .map_err(|error| unusable(config, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let resolver = SingleCertAndKey::from(identity.key.clone());
    let mut server = builder.with_cert_resolver(Arc::new(resolver));
    server.alpn_protocols = vec![ALPN.to_vec()];
    // A session that is resumed is not asked for its certificate again, which may have expired by then. Connections
    // are few and last long: there is nothing to gain.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Arc::new(server))
}

fn client(
    config: &TlsConfig,
    identity: Option<&Identity>,
    ca: &Authorities,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ClientConfig>, ConfigError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(config, &error))?
        .with_root_certificates(ca.roots.clone());
    let mut client = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let resolver = SingleCertAndKey::from(identity.key.clone());
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(Arc::new(client))
}

fn unusable(config: &TlsConfig, error: &dyn std::fmt::Display) -> ConfigError {
    let file = config.certificate.as_deref().or(config.ca.as_deref());
    ConfigError::in_file(
        file.unwrap_or(Path::new("[tls]")),
        format!("cannot be used: {error}"),
        "make others, with 'millrace certs' say",
    )
}

fn read(file: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(file).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "name a file that exists",
            std::io::ErrorKind::PermissionDenied => {
                "let the user that this process runs as read it, such as with chgrp and mode 0640"
            }
            std::io::ErrorKind::IsADirectory => "name the file in it",
            _ => "name a readable file",
        };
        ConfigError::in_file(file, format!("cannot be read: {error}"), remedy)
    })
}
