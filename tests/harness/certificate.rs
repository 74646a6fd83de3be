//! A self-signed certificate for `mx.test.example`, made at test time.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::process::run;

/// Where certificate and key lie, both PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, which is its own authority.
    pub certificate: PathBuf,
    /// Its key, readable by root alone.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes a certificate in `folder`.
    ///
    /// # Panics
    /// When openssl is missing or fails.
    pub fn make(folder: &Path) -> Self {
        let made = Self {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        run(Command::new(packages::program("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=mx.test.example"])
            .args(["-addext", "subjectAltName=DNS:mx.test.example,IP:127.0.0.1"])
            // Some clients take no authority's certificate for a server's.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(&made.certificate)
            .arg("-keyout")
            .arg(&made.key));
        fs::set_permissions(&made.key, Permissions::from_mode(0o600)).expect("the key is ours");
        made
    }
}
