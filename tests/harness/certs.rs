//! Certificates of a private authority, made by `millrace certs`.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::run;
use crate::servers::binary;

/// A folder with an authority, and what it signed.
#[derive(Debug)]
pub struct Certs {
    folder: TempDir,
}

impl Certs {
    /// A new authority, and certificates for these, as `millrace certs` takes them.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn of(subjects: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("certs-")
            .tempdir()
            .expect("a temp folder can be made");
        let certs = Self { folder };
        certs.make(subjects);
        certs
    }

    /// Makes certificates, also in place of those that are there.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn make(&self, subjects: &[&str]) {
        run(Command::new(binary("millrace"))
            .args(["certs", "--force", "--out"])
            .arg(self.folder.path())
            .args(subjects));
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `[tls]` of the holder of this name.
    pub fn table(&self, name: &str) -> String {
        let file = |name: String| self.file(&name).display().to_string();
        format!(
            "[tls]\ncertificate = '{}'\nkey = '{}'\nca = '{}'\n",
            file(format!("{name}.pem")),
            file(format!("{name}-key.pem")),
            file("ca.pem".to_owned())
        )
    }
}
