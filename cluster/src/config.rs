//! `[etcd]`: where etcd is, and who asks.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use millrace_runtime::config::{ConfigError, ConfigErrors};
use serde::Deserialize;
use toml::Spanned;

/// `[etcd]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdSection {
    /// Addresses of the members.
    endpoints: Spanned<Vec<Spanned<String>>>,
    /// What all keys begin with.
    prefix: Option<Spanned<String>>,
    /// The certificate of the authority that signed the members' certificates. PEM.
    ca: Option<Spanned<PathBuf>>,
    /// Our certificate. PEM.
    certificate: Option<Spanned<PathBuf>>,
    /// Its key. PEM.
    key: Option<Spanned<PathBuf>>,
    /// A user of etcd.
    user: Option<Spanned<String>>,
    /// The file that holds the user's password.
    password_file: Option<Spanned<PathBuf>>,
    /// The folder for a copy of the last good policy.
    cache: Option<PathBuf>,
    /// How long a node that says nothing more counts as there. Seconds.
    lease_seconds: Option<Spanned<u64>>,
}

/// An etcd cluster, and who asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// URLs of the members; at least one.
    pub(crate) endpoints: Vec<String>,
    /// What all keys begin with; begins and ends with `/`.
    pub(crate) prefix: String,
    /// With `https` endpoints.
    pub(crate) tls: Option<TlsFiles>,
    /// Name, and the file with the password.
    pub(crate) user: Option<(String, PathBuf)>,
    /// The folder for a copy of the last good policy.
    pub cache: Option<PathBuf>,
    /// How long a node that says nothing more counts as there.
    pub lease: Duration,
}

/// Files for TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) authority: PathBuf,
    /// Certificate and key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Endpoints that are none.
#[derive(Debug, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct InvalidEndpoints {
    problem: String,
    remedy: &'static str,
}

const PREFIX: &str = "/millrace/";
/// Long enough for an election among the members of etcd, short enough that a dead node is soon gone.
const LEASE: Duration = Duration::from_secs(10);
const ENDPOINT_REMEDY: &str = "write http://HOST:2379, or https://HOST:2379";

impl EtcdSection {
    /// What was understood of it; `table` is its name in the file, for errors.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with file, line, key and remedy.
    pub fn resolve(
        &self,
        file: &Path,
        text: &str,
        table: &str,
    ) -> Result<EtcdConfig, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut wrong = |span: Range<usize>, key: &str, problem: String, remedy: &str| {
            errors.push(ConfigError::at(
                file,
                text,
                span,
                format!("{table}.{key}"),
                problem,
                remedy,
            ));
        };
        let mut secure = None;
        for endpoint in self.endpoints.get_ref() {
            match endpoint_is_secure(endpoint.get_ref()) {
                Err(problem) => {
                    wrong(endpoint.span(), "endpoints", problem, ENDPOINT_REMEDY);
                }
                Ok(now) if secure.is_some_and(|first| first != now) => wrong(
                    endpoint.span(),
                    "endpoints",
                    "is the only one with its scheme".to_owned(),
                    "write http or https for all members",
                ),
                Ok(now) => secure = Some(now),
            }
        }
        if self.endpoints.get_ref().is_empty() {
            let problem = "names no member of etcd".to_owned();
            wrong(self.endpoints.span(), "endpoints", problem, ENDPOINT_REMEDY);
        }
        let secure = secure.unwrap_or(false);

        if secure && self.ca.is_none() {
            wrong(
                self.endpoints.span(),
                "ca",
                "is missing, and the endpoints are https".to_owned(),
                "name the certificate of the authority that signed the members' certificates",
            );
        }
        let files = [
            ("ca", &self.ca),
            ("certificate", &self.certificate),
            ("key", &self.key),
        ];
        for (key, path) in files {
            let Some(path) = path else { continue };
            if !secure {
                let problem = "is not used: the endpoints are http".to_owned();
                wrong(path.span(), key, problem, "write https, or remove it");
            }
        }
        match (&self.certificate, &self.key) {
            (Some(one), None) => wrong(
                one.span(),
                "certificate",
                "has no key".to_owned(),
                "add `key`, the file of its private key",
            ),
            (None, Some(one)) => wrong(
                one.span(),
                "key",
                "has no certificate".to_owned(),
                "add `certificate`",
            ),
            _ => {}
        }
        match (&self.user, &self.password_file) {
            (Some(one), None) => wrong(
                one.span(),
                "user",
                "has no password".to_owned(),
                "add `password_file`, a file that holds it",
            ),
            (None, Some(one)) => wrong(
                one.span(),
                "password_file",
                "has no user".to_owned(),
                "add `user`",
            ),
            _ => {}
        }
        let prefix = self.prefix.as_ref().map_or(PREFIX, |p| p.get_ref());
        if let Some(written) = &self.prefix
            && !(prefix.starts_with('/') && prefix.ends_with('/') && prefix.len() > 1)
        {
            let problem = format!("'{prefix}' does not begin and end with '/'");
            wrong(
                written.span(),
                "prefix",
                problem,
                "write \"/millrace/\", say",
            );
        }
        let lease = self.lease_seconds.as_ref();
        if let Some(seconds) = lease.filter(|n| !(3..=600).contains(n.get_ref())) {
            let problem = format!("{} is not from 3 to 600", seconds.get_ref());
            wrong(
                seconds.span(),
                "lease_seconds",
                problem,
                "choose a number in that range",
            );
        }

        let path = |path: &Spanned<PathBuf>| path.get_ref().clone();
        let identity = self.certificate.as_ref().zip(self.key.as_ref());
        errors.into_result(EtcdConfig {
            endpoints: self
                .endpoints
                .get_ref()
                .iter()
                .map(|endpoint| endpoint.get_ref().clone())
                .collect(),
            prefix: prefix.to_owned(),
            tls: self.ca.as_ref().map(|authority| TlsFiles {
                authority: path(authority),
                identity: identity.map(|(certificate, key)| (path(certificate), path(key))),
            }),
            user: self
                .user
                .as_ref()
                .zip(self.password_file.as_ref())
                .map(|(user, file)| (user.get_ref().clone(), path(file))),
            cache: self.cache.clone(),
            lease: lease.map_or(LEASE, |seconds| Duration::from_secs(*seconds.get_ref())),
        })
    }
}

impl EtcdConfig {
    /// A cluster without TLS and users, by the URLs of its members.
    ///
    /// # Errors
    /// There is none, one of them is no URL, or it is `https`, which wants certificates and so a file.
    pub fn plain<'a>(
        endpoints: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidEndpoints> {
        let invalid = |problem: String, remedy| InvalidEndpoints { problem, remedy };
        let endpoints: Vec<String> = endpoints.into_iter().map(str::to_owned).collect();
        if endpoints.is_empty() {
            return Err(invalid(
                "no member of etcd is named".to_owned(),
                ENDPOINT_REMEDY,
            ));
        }
        for endpoint in &endpoints {
            match endpoint_is_secure(endpoint) {
                Ok(false) => {}
                Ok(true) => {
                    return Err(invalid(
                        format!("'{endpoint}' wants certificates"),
                        "name them in [etcd] of a file, and the file with --config",
                    ));
                }
                Err(problem) => {
                    return Err(invalid(format!("'{endpoint}' {problem}"), ENDPOINT_REMEDY));
                }
            }
        }
        Ok(Self {
            endpoints,
            prefix: PREFIX.to_owned(),
            tls: None,
            user: None,
            cache: None,
            lease: LEASE,
        })
    }

    /// The same with another prefix, which begins and ends with `/`.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..self
        }
    }

    /// URLs of the members.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }
}

/// Whether a member speaks TLS.
fn endpoint_is_secure(endpoint: &str) -> Result<bool, String> {
    let uri: Uri = endpoint
        .parse()
        .map_err(|error| format!("is no URL: {error}"))?;
    let plain = uri.path() == "/" || uri.path().is_empty();
    if uri.host().is_none_or(str::is_empty) || !plain || uri.query().is_some() {
        return Err("is no URL of a member".to_owned());
    }
    match uri.scheme_str() {
        Some("http") => Ok(false),
        Some("https") => Ok(true),
        _ => Err("is neither http nor https".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        etcd: EtcdSection,
    }

    fn resolve(text: &str) -> Result<EtcdConfig, ConfigErrors> {
        let path = Path::new("node.toml");
        let text = format!("[etcd]\n{text}");
        let file: File = millrace_runtime::config::parse(path, &text)?;
        file.etcd.resolve(path, &text, "etcd")
    }

    #[test]
    fn little_is_needed() {
        let config = resolve("endpoints = ['http://127.0.0.1:2379']").unwrap();
        assert_eq!(config.prefix, "/millrace/");
        assert_eq!(config.lease, LEASE);
        assert_eq!(
            config,
            EtcdConfig::plain(["http://127.0.0.1:2379"]).unwrap()
        );
    }

    #[test]
    fn certificates_and_users_are_told_by_files() {
        let config = resolve(
            "endpoints = ['https://a:2379', 'https://b:2379']\nca = 'ca'\ncertificate = 'c'\nkey = 'k'\n\
             user = 'node'\npassword_file = 'p'\nprefix = '/mail/'\nlease_seconds = 5",
        )
        .unwrap();
        let tls = config.tls.unwrap();
        assert_eq!(tls.identity, Some(("c".into(), "k".into())));
        assert_eq!(config.user, Some(("node".to_owned(), "p".into())));
        assert_eq!(config.prefix, "/mail/");
    }

    #[test]
    fn mistakes_are_told_with_place_key_and_remedy() {
        for (text, place, key, part) in [
            (
                "endpoints = []",
                "node.toml:2:",
                "etcd.endpoints",
                "no member",
            ),
            (
                "endpoints = ['127.0.0.1:2379']",
                "node.toml:2:",
                "etcd.endpoints",
                "http://HOST",
            ),
            (
                "endpoints = ['http://a', 'https://b']",
                "node.toml:2:",
                "etcd.endpoints",
                "for all",
            ),
            (
                "endpoints = ['https://a']",
                "node.toml:2:",
                "etcd.ca",
                "authority",
            ),
            (
                "endpoints = ['http://a']\nca = 'x'",
                "node.toml:3:",
                "etcd.ca",
                "write https",
            ),
            (
                "endpoints = ['https://a']\nca = 'x'\nkey = 'x'",
                "node.toml:4:",
                "etcd.key",
                "certificate",
            ),
            (
                "endpoints = ['https://a']\nca = 'x'\ncertificate = 'x'",
                "node.toml:4:",
                "etcd.certificate",
                "`key`",
            ),
            (
                "endpoints = ['http://a']\nuser = 'x'",
                "node.toml:3:",
                "etcd.user",
                "password_file",
            ),
            (
                "endpoints = ['http://a']\npassword_file = 'x'",
                "node.toml:3:",
                "etcd.password_file",
                "`user`",
            ),
            (
                "endpoints = ['http://a']\nprefix = 'x'",
                "node.toml:3:",
                "etcd.prefix",
                "/millrace/",
            ),
            (
                "endpoints = ['http://a']\nlease_seconds = 1",
                "node.toml:3:",
                "etcd.lease_seconds",
                "range",
            ),
            (
                "endpoint = ['http://a']",
                "node.toml:2:",
                "etcd.endpoint",
                "endpoints",
            ),
            (
                "prefix = '/x/'",
                "node.toml:",
                "etcd.endpoints",
                "is missing",
            ),
        ] {
            let told = resolve(text).unwrap_err().to_string();
            for wanted in [place, &format!("`{key}`"), part] {
                assert!(told.contains(wanted), "{text}: {wanted}: {told}");
            }
        }
    }
}
