//! Addresses of nodes as they are written: `http://HOST:PORT`, or `dns://NAME:PORT` for all addresses of a name.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::Authority;

/// The address of one node, such as `http://192.0.2.11:7750`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress(Arc<str>);

/// A name whose addresses are nodes, all with this port: `dns://mpd-node.mail.example:7750`, or `dns+https://…` for
/// nodes that speak TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName {
    secure: bool,
    host: String,
    port: u16,
}

/// What a configuration lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Whereabouts {
    /// One node.
    Address(NodeAddress),
    /// All nodes of a name.
    Dns(DnsName),
}

/// The text says of no node where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not the address of a node: {problem}")]
pub struct InvalidNode {
    text: String,
    problem: &'static str,
}

const DNS: &str = "dns";
const DNS_SECURE: &str = "dns+https";

impl InvalidNode {
    /// How addresses are written, for whoever has to put one right.
    pub const REMEDY: &'static str = "write http://192.0.2.11:7750 for one node, or dns://NAME:7750 for all addresses of a name (https:// and dns+https:// for nodes that speak TLS)";
}

impl NodeAddress {
    /// A node at this IP address, in plain text.
    #[must_use]
    pub fn of(ip: IpAddr, port: u16) -> Self {
        Self(format!("http://{}", SocketAddr::new(ip, port)).into())
    }

    /// A node at this IP address that speaks TLS.
    #[must_use]
    pub fn secure(ip: IpAddr, port: u16) -> Self {
        Self(format!("https://{}", SocketAddr::new(ip, port)).into())
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeAddress {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Self, InvalidNode> {
        let (scheme, authority) = parts(text)?;
        if !matches!(&*scheme, "http" | "https") {
            return Err(invalid(text, "its scheme is neither http nor https"));
        }
        Ok(Self(format!("{scheme}://{authority}").into()))
    }
}

impl DnsName {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { DNS_SECURE } else { DNS };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl FromStr for DnsName {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Self, InvalidNode> {
        let (scheme, authority) = parts(text)?;
        if !matches!(&*scheme, DNS | DNS_SECURE) {
            return Err(invalid(text, "its scheme is neither dns nor dns+https"));
        }
        let port = authority
            .port_u16()
            .ok_or_else(|| invalid(text, "the port is missing"))?;
        let host = authority.host().to_owned();
        if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
            return Err(invalid(text, "an IP address is no name"));
        }
        Ok(Self {
            secure: scheme == DNS_SECURE,
            host,
            port,
        })
    }
}

impl Whereabouts {
    /// Whether what is there speaks TLS.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Self::Address(address) => address.as_str().starts_with("https:"),
            Self::Dns(name) => name.is_secure(),
        }
    }
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Dns(name) => name.fmt(f),
        }
    }
}

impl FromStr for Whereabouts {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Self, InvalidNode> {
        if text.starts_with(DNS) {
            Ok(Self::Dns(text.parse()?))
        } else {
            Ok(Self::Address(text.parse()?))
        }
    }
}

fn parts(text: &str) -> Result<(String, Authority), InvalidNode> {
    let uri: Uri = text.parse().map_err(|_| invalid(text, "it is no URI"))?;
    let path = uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str);
    if !matches!(path, "" | "/") {
        return Err(invalid(text, "a node has no path"));
    }
    match (uri.scheme_str(), uri.authority()) {
        (None, _) => Err(invalid(text, "the scheme is missing")),
        (_, None) => Err(invalid(text, "the host is missing")),
        (_, Some(authority)) if authority.as_str().contains('@') => {
            Err(invalid(text, "a node has no user"))
        }
        (Some(scheme), Some(authority)) => Ok((scheme.to_owned(), authority.clone())),
    }
}

fn invalid(text: &str, problem: &'static str) -> InvalidNode {
    InvalidNode {
        text: text.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "http://192.0.2.11:7750",
            "http://[2001:db8::1]:7750",
            "http://node-1.mail.example:7750",
            "https://node-1.mail.example:7750",
            "dns://mpd-node.mail.svc.cluster.local:7750",
            "dns+https://mpd-node.mail.example:7750",
        ] {
            match text.parse() {
                Ok(Whereabouts::Address(address)) => assert_eq!(address.to_string(), text),
                Ok(Whereabouts::Dns(name)) => assert_eq!(name.to_string(), text),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(
            "http://node:7750/".parse::<NodeAddress>().unwrap().as_str(),
            "http://node:7750"
        );
        assert_eq!(
            NodeAddress::secure("2001:db8::1".parse().unwrap(), 7750).as_str(),
            "https://[2001:db8::1]:7750"
        );
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, problem) in [
            ("", "it is no URI"),
            ("node:7750", "the scheme is missing"),
            ("ftp://node:7750", "its scheme is neither http nor https"),
            (
                "dnsx://node:7750",
                "its scheme is neither dns nor dns+https",
            ),
            ("http://user@node:7750", "a node has no user"),
            ("http://node:7750/path", "a node has no path"),
            ("dns://mpd-node", "the port is missing"),
            ("dns://192.0.2.1:7750", "an IP address is no name"),
            ("dns://[2001:db8::1]:7750", "an IP address is no name"),
        ] {
            let error = text.parse::<Whereabouts>().expect_err(text).to_string();
            assert!(error.ends_with(problem), "{error}");
        }
    }
}
