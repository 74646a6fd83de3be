//! Where a listener listens, in URL form and in the mail servers' own spellings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a milter listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// TCP, over IPv4 or IPv6; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
    /// A socket that systemd hands over (`sd_listen_fds(3)`), by its
    /// `FileDescriptorName=`; an empty name takes all that have no other taker.
    Systemd(String),
}

/// Why a text is no listener address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a listener's address: {problem}")]
pub struct InvalidAddress {
    text: String,
    problem: &'static str,
}

/// What an address may look like, for people.
pub const SPELLINGS: &str = "write tcp://127.0.0.1:8891, tcp://[::1]:8891, unix:///run/millrace/milter.sock, \
                             inet:8891@127.0.0.1, inet:127.0.0.1:8891, inet6:8891@::1, local:/path or systemd:NAME";

impl ListenAddress {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
            // The unit's ListenStream= decides; it is looked at when the socket is there.
            Self::Systemd(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidAddress;

    /// Reads `tcp://HOST:PORT`, `unix://PATH`, Postfix's `inet:HOST:PORT` and `unix:PATH` (`postconf(5)`,
    /// `smtpd_milters`), Sendmail's `inet:PORT@HOST`, `inet6:PORT@HOST` and `local:PATH` (`smfi_setconn`), and
    /// `systemd:NAME`.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |problem| InvalidAddress {
            text: text.to_owned(),
            problem,
        };
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| invalid("it has no scheme"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => {
                let rest = rest.strip_prefix("//").unwrap_or(rest);
                host_and_port(rest, Family::Any)
                    .map(Self::Tcp)
                    .map_err(invalid)
            }
            "inet" => mta_inet(rest, Family::Any).map(Self::Tcp).map_err(invalid),
            "inet6" => mta_inet(rest, Family::V6).map(Self::Tcp).map_err(invalid),
            "unix" | "local" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if !path.starts_with('/') {
                    return Err(invalid("the path of a unix socket is absolute"));
                }
                if path.len() > MAX_UNIX_PATH {
                    return Err(invalid("the path of a unix socket has at most 107 bytes"));
                }
                Ok(Self::Unix(PathBuf::from(path)))
            }
            "systemd" => Ok(Self::Systemd(rest.to_owned())),
            _ => Err(invalid("unknown scheme")),
        }
    }
}

/// `sun_path` has 108 bytes, the last for the NUL (`unix(7)`).
const MAX_UNIX_PATH: usize = 107;

#[derive(Clone, Copy, PartialEq)]
enum Family {
    Any,
    V6,
}

/// Sendmail's `PORT@HOST` or `PORT`, Postfix's `HOST:PORT`.
fn mta_inet(text: &str, family: Family) -> Result<SocketAddr, &'static str> {
    let Some((port, host)) = text.split_once('@') else {
        if let Ok(port) = text.parse::<u16>() {
            return Ok(SocketAddr::new(unspecified(family), port));
        }
        return host_and_port(text, family);
    };
    Ok(SocketAddr::new(
        host_address(host, family)?,
        port_number(port)?,
    ))
}

fn host_and_port(text: &str, family: Family) -> Result<SocketAddr, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    if host.contains(':') && !host.starts_with('[') {
        return Err("an IPv6 address before a port stands in brackets");
    }
    Ok(SocketAddr::new(
        host_address(host, family)?,
        port_number(port)?,
    ))
}

fn port_number(text: &str) -> Result<u16, &'static str> {
    text.parse()
        .map_err(|_| "the port is not a number up to 65535")
}

fn host_address(text: &str, family: Family) -> Result<IpAddr, &'static str> {
    let bare = text
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(text);
    let address = match bare {
        "" | "*" => unspecified(family),
        "localhost" if family == Family::V6 => Ipv6Addr::LOCALHOST.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => bare
            .parse()
            .map_err(|_| "the host is an IP address, or localhost")?,
    };
    if family == Family::V6 && address.is_ipv4() {
        return Err("inet6 takes an IPv6 address");
    }
    Ok(address)
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Any => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_understood() {
        for (text, expected) in [
            ("tcp://127.0.0.1:8891", "tcp://127.0.0.1:8891"),
            ("tcp:127.0.0.1:8891", "tcp://127.0.0.1:8891"),
            ("tcp://[::1]:8891", "tcp://[::1]:8891"),
            ("tcp://localhost:0", "tcp://127.0.0.1:0"),
            ("tcp://*:8891", "tcp://0.0.0.0:8891"),
            ("inet:8891@127.0.0.1", "tcp://127.0.0.1:8891"),
            ("inet:8891@localhost", "tcp://127.0.0.1:8891"),
            ("inet:8891", "tcp://0.0.0.0:8891"),
            ("inet:127.0.0.1:8891", "tcp://127.0.0.1:8891"),
            ("inet:[::1]:8891", "tcp://[::1]:8891"),
            ("INET:8891@[::1]", "tcp://[::1]:8891"),
            ("inet6:8891@::1", "tcp://[::1]:8891"),
            ("inet6:8891@localhost", "tcp://[::1]:8891"),
            ("inet6:8891", "tcp://[::]:8891"),
            ("inet6:[::1]:8891", "tcp://[::1]:8891"),
            ("unix:///run/m.sock", "unix:///run/m.sock"),
            ("unix:/run/m.sock", "unix:///run/m.sock"),
            ("local:/run/m.sock", "unix:///run/m.sock"),
            ("systemd:milter", "systemd:milter"),
            ("systemd:", "systemd:"),
        ] {
            let parsed = text.parse::<ListenAddress>().expect(text);
            assert_eq!(parsed.to_string(), expected, "{text}");
            assert_eq!(
                parsed.to_string().parse(),
                Ok(parsed),
                "{text}: its own form is understood"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, problem) in [
            ("127.0.0.1", "it has no scheme"),
            ("http://127.0.0.1:8891", "unknown scheme"),
            ("tcp://127.0.0.1", "it has no port"),
            (
                "tcp://127.0.0.1:99999",
                "the port is not a number up to 65535",
            ),
            (
                "tcp://::1:8891",
                "an IPv6 address before a port stands in brackets",
            ),
            (
                "tcp://mail.example:8891",
                "the host is an IP address, or localhost",
            ),
            (
                "inet:http@127.0.0.1",
                "the port is not a number up to 65535",
            ),
            ("inet6:8891@127.0.0.1", "inet6 takes an IPv6 address"),
            ("unix:run/m.sock", "the path of a unix socket is absolute"),
            ("unix:", "the path of a unix socket is absolute"),
        ] {
            let error = text.parse::<ListenAddress>().expect_err(text);
            assert_eq!(error.problem, problem, "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(107));
        assert!(long.parse::<ListenAddress>().is_err());
    }

    #[test]
    fn what_others_can_reach_is_known() {
        for (text, local) in [
            ("tcp://127.0.0.1:1", true),
            ("tcp://[::1]:1", true),
            ("tcp://[::ffff:127.0.0.1]:1", true),
            ("tcp://0.0.0.0:1", false),
            ("inet:8891", false),
            ("unix:/x", true),
        ] {
            assert_eq!(
                text.parse::<ListenAddress>().expect(text).is_local(),
                local,
                "{text}"
            );
        }
    }
}
