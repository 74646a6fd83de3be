//! Whom a certificate is for.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rcgen::SanType;

/// A name, and what else the holder is reached as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject {
    name: String,
    names: Vec<SanType>,
}

/// The longest common name (RFC 5280 appendix A, ub-common-name).
const LONGEST_NAME: usize = 64;

impl Subject {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn names(&self) -> &[SanType] {
        &self.names
    }

    /// Its certificate and its key.
    pub(super) fn files(&self, folder: &Path) -> (PathBuf, PathBuf) {
        (
            folder.join(format!("{}.pem", self.name)),
            folder.join(format!("{}-key.pem", self.name)),
        )
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        if name == "ca" || !is_host(&name) || name.len() > LONGEST_NAME {
            return Err(format!(
                "'{name}' is no name: write a DNS name, such as node-1.mail.example; addresses follow after a comma"
            ));
        }
        let mut names = vec![dns(&name)?];
        for part in parts {
            let other = match part.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) if part.contains("://") => SanType::URI(
                    part.try_into()
                        .map_err(|_| format!("'{part}' is no URI: it is not ASCII"))?,
                ),
                Err(_) if is_host(part.strip_prefix("*.").unwrap_or(part)) => dns(part)?,
                Err(_) => {
                    return Err(format!("'{part}' is no DNS name, IP address or URI"));
                }
            };
            names.push(other);
        }
        Ok(Self { name, names })
    }
}

fn dns(name: &str) -> Result<SanType, String> {
    let name = name.to_ascii_lowercase();
    match name.as_str().try_into() {
        Ok(name) => Ok(SanType::DnsName(name)),
        Err(_) => Err(format!("'{name}' is no DNS name")),
    }
}

/// Labels of letters, digits and hyphens (RFC 1123 §2.1), and underscores, which some have.
fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(label) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_name_and_what_else_it_is_reached_as() {
        for (text, names) in [
            ("node-1", 1),
            ("Node-1.Example", 1),
            ("node-1.example,192.0.2.1", 2),
            (
                "node-1.example, 2001:db8::1 ,*.nodes.example,spiffe://example/node",
                4,
            ),
        ] {
            let subject: Subject = text.parse().expect(text);
            assert_eq!(subject.names().len(), names, "{text}");
            assert_eq!(subject.name(), subject.name().to_ascii_lowercase());
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for text in [
            "",
            "192.0.2.1",
            "../evil",
            "a/b",
            "ca",
            "-x",
            "a..b",
            "node-1,not a name",
            "*.example",
            "node-1,",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }
}
