//! How the way to the next hop is encrypted: STARTTLS (RFC 3207).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lettre::transport::smtp::client::{
    Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use serde::Deserialize;

/// Whether the way to the next hop is to be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NextHopTls {
    /// Never.
    None,
    /// Where the next hop offers it. Whom it encrypts to is only known with a file of authorities.
    #[default]
    Opportunistic,
    /// Always, to a next hop whose certificate is for its name.
    Required,
}

/// What a connection is encrypted with.
pub(super) struct Encryption {
    pub(super) parameters: TlsParameters,
    /// It must not go on without.
    pub(super) required: bool,
    /// The certificate is looked at.
    pub(super) verified: bool,
}

/// Why nothing can be encrypted.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncryptionError {
    #[error("the certificates in {}: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the certificates in {}: {problem}", path.display())]
    Authorities { path: PathBuf, problem: String },
    #[error("TLS: {0}")]
    Tls(#[from] lettre::transport::smtp::Error),
}

impl Encryption {
    /// `None` where nothing is to be encrypted. `via` is `HOST:PORT`; without a file, authorities are the system's.
    pub(super) fn of(
        tls: NextHopTls,
        authorities: Option<&Path>,
        via: &str,
    ) -> Result<Option<Self>, EncryptionError> {
        if tls == NextHopTls::None {
            return Ok(None);
        }
        let required = tls == NextHopTls::Required;
        let verified = required || authorities.is_some();
        let mut builder = TlsParametersBuilder::new(host(via).to_owned());
        if let Some(path) = authorities {
            let pem = std::fs::read(path).map_err(|source| EncryptionError::Read {
                path: path.to_owned(),
                source,
            })?;
            let wrong = |problem: String| EncryptionError::Authorities {
                path: path.to_owned(),
                problem,
            };
            if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
                return Err(wrong("there is no certificate in PEM".to_owned()));
            }
            let own = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
            builder = builder
                .certificate_store(CertificateStore::None)
                .add_root_certificate(own);
        }
        if !verified {
            builder = builder
                .certificate_store(CertificateStore::None)
                .dangerous_accept_invalid_certs(true)
                .dangerous_accept_invalid_hostnames(true);
        }
        Ok(Some(Self {
            parameters: builder.build()?,
            required,
            verified,
        }))
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The host of `HOST:PORT`; an IPv6 address stands in brackets.
fn host(via: &str) -> &str {
    let host = via.rsplit_once(':').map_or(via, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

impl NextHopTls {
    const ALL: [Self; 3] = [Self::None, Self::Opportunistic, Self::Required];

    /// The name used in configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for NextHopTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NextHopTls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|one| one.name() == text)
            .ok_or_else(|| format!("'{text}' is not none, opportunistic or required"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_the_certificate_must_be_for() {
        for (via, wanted) in [
            ("mx.example:25", "mx.example"),
            ("192.0.2.1:587", "192.0.2.1"),
            ("[2001:db8::1]:25", "2001:db8::1"),
            ("mx.example", "mx.example"),
        ] {
            assert_eq!(host(via), wanted);
        }
    }

    #[test]
    fn a_file_without_certificates_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        for text in ["", "no certificate"] {
            std::fs::write(&file, text).unwrap();
            let error = Encryption::of(NextHopTls::Required, Some(&file), "mx.example:25");
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("ca.pem"), "{error}");
        }
        let none = Encryption::of(NextHopTls::None, Some(Path::new("/nowhere")), "x:25");
        assert!(none.unwrap().is_none());
    }
}
