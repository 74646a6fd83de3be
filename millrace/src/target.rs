//! Which filter.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use conduit_gateway::{ListenAddress, SPELLINGS};

/// A filter's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) ListenAddress);

impl Target {
    /// Whether it is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.0.is_local()
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self(ListenAddress::Tcp(address)));
        }
        match text.parse::<ListenAddress>() {
            Ok(ListenAddress::Systemd(_)) => {
                Err("a systemd name is no address to connect to".to_owned())
            }
            Ok(address) => Ok(Self(address)),
            Err(error) => Err(format!("{error}; {SPELLINGS}")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_connected_to_is_a_target() {
        for (text, local) in [
            ("127.0.0.1:8891", Some(true)),
            ("[::1]:8891", Some(true)),
            ("inet:8891@localhost", Some(true)),
            ("unix:/run/x.sock", Some(true)),
            ("192.0.2.1:8891", Some(false)),
            ("systemd:milter", None),
            ("8891", None),
        ] {
            let target = text.parse::<Target>().ok();
            assert_eq!(target.as_ref().map(Target::is_local), local, "{text}");
        }
    }
}
