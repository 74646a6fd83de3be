//! Addresses of nodes as they are written: `http://HOST:PORT`, or `dns://NAME:PORT` for all addresses of a name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::Authority;

/// The address of one node, such as `http://192.0.2.11:7750`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress(Arc<str>);

/// A name whose addresses are nodes, all with this port: `dns://mpd-node.mail.example:7750`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName {
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

impl InvalidNode {
    /// How addresses are written, for whoever has to put one right.
    pub const REMEDY: &'static str =
        "write http://192.0.2.11:7750 for one node, or dns://NAME:7750 for all addresses of a name";
}

impl NodeAddress {
    /// A node at this IP address.
    #[must_use]
    pub fn of(ip: IpAddr, port: u16) -> Self {
        let authority = std::net::SocketAddr::new(ip, port);
        Self(format!("http://{authority}").into())
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
        if scheme != "http" {
            return Err(invalid(text, "its scheme is not http"));
        }
        Ok(Self(format!("http://{authority}").into()))
    }
}

impl DnsName {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dns://{}:{}", self.host, self.port)
    }
}

impl FromStr for DnsName {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Self, InvalidNode> {
        let (scheme, authority) = parts(text)?;
        if scheme != "dns" {
            return Err(invalid(text, "its scheme is not dns"));
        }
        let port = authority
            .port_u16()
            .ok_or_else(|| invalid(text, "the port is missing"))?;
        let host = authority.host().to_owned();
        if host.parse::<IpAddr>().is_ok() || host.starts_with('[') {
            return Err(invalid(text, "an IP address is no name"));
        }
        Ok(Self { host, port })
    }
}

impl FromStr for Whereabouts {
    type Err = InvalidNode;

    fn from_str(text: &str) -> Result<Self, InvalidNode> {
        if text.starts_with("dns:") {
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
            "dns://mpd-node.mail.svc.cluster.local:7750",
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
            NodeAddress::of("2001:db8::1".parse().unwrap(), 7750).as_str(),
            "http://[2001:db8::1]:7750"
        );
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, problem) in [
            ("", "it is no URI"),
            ("node:7750", "the scheme is missing"),
            ("https://node:7750", "its scheme is not http"),
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
