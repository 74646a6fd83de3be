//! The authority, and what it signs.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use super::subject::Subject;

/// The authority's certificate, in the folder.
pub(super) const CA: &str = "ca.pem";
/// Its key.
pub(super) const CA_KEY: &str = "ca-key.pem";

/// Clocks differ a little.
const BEFORE: Duration = Duration::from_secs(3600);

/// Who signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    until: SystemTime,
    new: bool,
}

impl Authority {
    /// The folder's authority; a new one where there is none.
    pub(super) fn open_or_make(
        folder: &Path,
        life: Duration,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let (file, key_file) = (folder.join(CA), folder.join(CA_KEY));
        match (file.exists(), key_file.exists()) {
            (true, true) => Self::open(&file, &key_file),
            (false, false) => Self::make(&file, &key_file, life, now),
            (true, false) => bail!(
                "{} is there and its key is not: run this where the authority's key is, or name another --out",
                file.display()
            ),
            (false, true) => bail!(
                "{} is there and its certificate is not: put {CA} beside it, or name another --out",
                key_file.display()
            ),
        }
    }

    fn open(file: &Path, key_file: &Path) -> anyhow::Result<Self> {
        let certificate = fs::read_to_string(file)
            .with_context(|| format!("{} cannot be read", file.display()))?;
        let key = fs::read_to_string(key_file)
            .with_context(|| format!("{} cannot be read", key_file.display()))?;
        let key = KeyPair::from_pem(&key)
            .with_context(|| format!("{} holds no key", key_file.display()))?;
        let until = millrace_runtime::tls::end_of(file, certificate.as_bytes())?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .with_context(|| format!("{} holds no authority", file.display()))?;
        Ok(Self {
            issuer,
            certificate,
            until,
            new: false,
        })
    }

    fn make(file: &Path, key_file: &Path, life: Duration, now: SystemTime) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("no key can be made")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Millrace private authority");
        // It signs what is used, and no other authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - BEFORE).into();
        params.not_after = (now + life).into();
        let certificate = params.self_signed(&key)?.pem();
        write(key_file, &key.serialize_pem(), 0o600)?;
        write(file, &certificate, 0o644)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            until: now + life,
            new: true,
        })
    }

    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    /// When it ends, if that is before `time`.
    pub(super) fn ends_before(&self, time: SystemTime) -> Option<String> {
        (self.until < time).then(|| humantime::format_rfc3339_seconds(self.until).to_string())
    }

    /// Makes a certificate and its key. The key comes first: a server that follows both files waits until they fit.
    pub(super) fn issue(
        &self,
        subject: &Subject,
        life: Duration,
        now: SystemTime,
        file: &Path,
        key_file: &Path,
    ) -> anyhow::Result<()> {
        let key = KeyPair::generate().context("no key can be made")?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named(subject.name());
        params.subject_alt_names = subject.names().to_vec();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A gateway is a server to its conduits and a client of its nodes.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_before = (now - BEFORE).into();
        params.not_after = (now + life).into();
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        write(key_file, &key.serialize_pem(), 0o600)?;
        write(file, &(certificate + &self.certificate), 0o644)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    full.push(DnType::CommonName, name);
    full
}

/// Puts a whole file in place of what was there, or nothing.
fn write(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let told = || format!("{} cannot be written", file.display());
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // One that was left by a call that was cut off.
    let _ = fs::remove_file(new);
    let mut open = OpenOptions::new();
    let mut out = open
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(new)
        .with_context(told)?;
    out.write_all(text.as_bytes()).with_context(told)?;
    out.sync_all().with_context(told)?;
    fs::rename(new, file).with_context(told)
}
