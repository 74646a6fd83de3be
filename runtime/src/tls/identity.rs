//! Certificates and keys as their files hold them, and what is wrong with the files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::config::ConfigError;

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
}

/// Who this process is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) validity: Validity,
}

/// Whom this process believes.
#[derive(Debug, Clone)]
pub(super) struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) validity: Validity,
}

/// A certificate that was made for so long is warned of so long before its end.
const WARNING_AT_MOST: Duration = Duration::from_secs(14 * 24 * 3600);
const WARNING_SHARE: u32 = 4;

impl Identity {
    /// Reads the chain, the process's own certificate first, and its key.
    ///
    /// # Errors
    /// What is wrong with which of the files.
    pub(super) fn read(
        certificate: (&Path, &[u8]),
        key: (&Path, &[u8]),
        provider: &CryptoProvider,
        now: SystemTime,
    ) -> Result<Self, ConfigError> {
        let chain = certificates(certificate.0, certificate.1)?;
        let validity = good_now(certificate.0, &chain[0], now)?;
        let private = private_key(key.0, key.1)?;
        let key =
            CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    ConfigError::in_file(
                        key.0,
                        format!(
                            "is not the key of the certificate in {}",
                            certificate.0.display()
                        ),
                        "name the key that was made together with the certificate",
                    )
                }
                error => ConfigError::in_file(
                    key.0,
                    format!("holds a key that cannot be used: {error}"),
                    "make one of the kind ECDSA P-256, Ed25519 or RSA with 2048 bits and more",
                ),
            })?;
        Ok(Self {
            key: Arc::new(key),
            validity,
        })
    }
}

impl Authorities {
    /// Reads the certificates of authorities.
    ///
    /// # Errors
    /// What is wrong with the file; that all of them have expired, too.
    pub(super) fn read(file: &Path, bytes: &[u8], now: SystemTime) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore::empty();
        let mut validity: Option<Validity> = None;
        let mut expired = None;
        for certificate in certificates(file, bytes)? {
            match good_now(file, &certificate, now) {
                // The last one to end counts: while one is good there is something to believe.
                Ok(found) => {
                    let later = validity.is_none_or(|known| found.until > known.until);
                    validity = if later { Some(found) } else { validity };
                }
                // A bundle keeps old ones for a while.
                Err(error) => expired = expired.or(Some(error)),
            }
            roots.add(certificate).map_err(|error| {
                ConfigError::in_file(
                    file,
                    format!("holds what is no authority's certificate: {error}"),
                    "name the authority's own certificate, such as ca.pem of 'millrace certs'",
                )
            })?;
        }
        match (validity, expired) {
            (Some(validity), _) => Ok(Self {
                roots: Arc::new(roots),
                validity,
            }),
            (None, Some(error)) => Err(error),
            (None, None) => Err(no_certificate(file, bytes)),
        }
    }
}

impl Validity {
    /// How long before its end a certificate is warned of: two weeks, or a quarter of its life where that is less.
    pub(super) fn warning(self) -> Duration {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        WARNING_AT_MOST.min(life / WARNING_SHARE)
    }

    /// What is left of it; `None` when it is over.
    pub(super) fn left(self, now: SystemTime) -> Option<Duration> {
        self.until.duration_since(now).ok()
    }

    /// Its end, in Unix time.
    pub(super) fn until_unix(self) -> i64 {
        self.until
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_secs()).ok())
            .unwrap_or_default()
    }
}

/// When the first certificate of a PEM file ends.
///
/// # Errors
/// There is none, or it is no longer, or not yet, good.
pub fn end_of(file: &Path, bytes: &[u8]) -> Result<SystemTime, ConfigError> {
    let chain = certificates(file, bytes)?;
    good_now(file, &chain[0], SystemTime::now()).map(|validity| validity.until)
}

fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(no_certificate(file, bytes)),
        Err(error) => Err(ConfigError::in_file(
            file,
            format!("is not PEM: {error}"),
            "copy the file again; it was cut off or changed on the way",
        )),
    }
}

fn no_certificate(file: &Path, bytes: &[u8]) -> ConfigError {
    let (problem, remedy) = if has(bytes, "PRIVATE KEY-----") {
        (
            "holds a private key and no certificate",
            "name the certificate's file here, and this one with `key`",
        )
    } else if has(bytes, "BEGIN CERTIFICATE REQUEST") {
        (
            "holds a request for a certificate and no certificate",
            "have the request signed, and name what comes of it",
        )
    } else if has(bytes, "-----BEGIN") {
        (
            "holds no certificate",
            "name a file with a block BEGIN CERTIFICATE",
        )
    } else if bytes.is_empty() {
        (
            "is empty",
            "copy the certificate there, as PEM (BEGIN CERTIFICATE)",
        )
    } else {
        (
            "is not PEM",
            "convert it: openssl x509 -inform der -in FILE -out FILE.pem",
        )
    };
    ConfigError::in_file(file, problem, remedy)
}

fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, ConfigError> {
    if let Ok(key) = PrivateKeyDer::from_pem_slice(bytes) {
        return Ok(key);
    }
    let (problem, remedy) = if has(bytes, "ENCRYPTED") {
        (
            "holds an encrypted key",
            "decrypt it, readable by this process's user alone: openssl pkey -in FILE -out FILE.new",
        )
    } else if has(bytes, "BEGIN CERTIFICATE") {
        (
            "holds a certificate and no private key",
            "name the key's file here, and this one with `certificate`",
        )
    } else if has(bytes, "BEGIN PUBLIC KEY") {
        (
            "holds a public key",
            "name the file of the private key (BEGIN PRIVATE KEY)",
        )
    } else if bytes.is_empty() {
        ("is empty", "copy the private key there, as PEM")
    } else {
        (
            "holds no private key in PEM",
            "name a file with a block BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or BEGIN RSA PRIVATE KEY",
        )
    };
    Err(ConfigError::in_file(file, problem, remedy))
}

fn good_now(
    file: &Path,
    certificate: &CertificateDer<'_>,
    now: SystemTime,
) -> Result<Validity, ConfigError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        ConfigError::in_file(
            file,
            format!("holds what is no X.509 certificate: {error}"),
            "copy the file again, or make another certificate",
        )
    })?;
    let (from, until) = (parsed.validity().not_before, parsed.validity().not_after);
    let validity = Validity {
        from: system_time(from),
        until: system_time(until),
    };
    if validity.left(now).is_none() {
        return Err(ConfigError::in_file(
            file,
            format!("the certificate has expired at {until}"),
            "make another, with 'millrace certs' or where this one came from",
        ));
    }
    if now < validity.from {
        return Err(ConfigError::in_file(
            file,
            format!("the certificate is not valid before {from}"),
            "look at the clock of this machine",
        ));
    }
    Ok(validity)
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
