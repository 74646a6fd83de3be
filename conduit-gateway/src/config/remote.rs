//! Where nodes are and how they are asked, as it is written and as it is meant.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use crate::upstream::UpstreamConfig;
use crate::upstream::discovery::{DnsConfig, InvalidNode, Whereabouts};

/// Where nodes are, and how they are asked.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    /// What `nodes` lists.
    pub nodes: Vec<Whereabouts>,
    /// Who is asked for names among them.
    pub dns: DnsConfig,
    /// How they are asked.
    pub upstream: UpstreamConfig,
}

/// `[upstream]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamTable {
    hedge_after_ms: Option<Spanned<u64>>,
    hedge_percent: Option<Spanned<u16>>,
    retry_percent: Option<Spanned<u16>>,
    calls_per_node: Option<Spanned<usize>>,
}

/// `[discovery]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DiscoveryTable {
    name_servers: Vec<Spanned<String>>,
    refresh_seconds: Option<Spanned<u64>>,
}

const NAME_SERVER: &str = "write an IP address, such as 192.0.2.53 or 192.0.2.53:5353";

impl Resolver<'_> {
    pub(super) fn remote(
        &mut self,
        nodes: &[Spanned<String>],
        upstream: &UpstreamTable,
        discovery: &DiscoveryTable,
    ) -> Remote {
        let nodes = nodes
            .iter()
            .filter_map(|node| self.parsed("nodes", Some(node), InvalidNode::REMEDY))
            .collect();
        Remote {
            nodes,
            dns: self.dns(discovery),
            upstream: self.upstream(upstream),
        }
    }

    fn dns(&mut self, table: &DiscoveryTable) -> DnsConfig {
        let default = DnsConfig::default();
        let name_servers = table
            .name_servers
            .iter()
            .filter_map(|raw| {
                self.parsed::<NameServer>("discovery.name_servers", Some(raw), NAME_SERVER)
            })
            .map(|NameServer(address)| address)
            .collect();
        let longest = self.number(
            "discovery.refresh_seconds",
            table.refresh_seconds.as_ref(),
            1..3601,
            default.longest.as_secs(),
        );
        let longest = Duration::from_secs(longest);
        DnsConfig {
            name_servers,
            shortest: default.shortest.min(longest),
            longest,
        }
    }

    fn upstream(&mut self, table: &UpstreamTable) -> UpstreamConfig {
        let default = UpstreamConfig::default();
        let after = u64::try_from(default.hedge_after.as_millis()).unwrap_or(u64::MAX);
        let mut percent = |key, value: &Option<Spanned<u16>>, default: f32| {
            // Read back as it was written: a default is a share already.
            match value {
                None => default,
                Some(_) => f32::from(self.number(key, value.as_ref(), 0..101, 0)) / 100.0,
            }
        };
        let hedge_share = percent(
            "upstream.hedge_percent",
            &table.hedge_percent,
            default.hedge_share,
        );
        let retry_share = percent(
            "upstream.retry_percent",
            &table.retry_percent,
            default.retry_share,
        );
        UpstreamConfig {
            hedge_after: Duration::from_millis(self.number(
                "upstream.hedge_after_ms",
                table.hedge_after_ms.as_ref(),
                1..60_001,
                after,
            )),
            hedge_share,
            retry_share,
            calls_per_node: self.number(
                "upstream.calls_per_node",
                table.calls_per_node.as_ref(),
                1..1_000_001,
                default.calls_per_node,
            ),
            ..default
        }
    }
}

/// `192.0.2.53`, or with a port.
struct NameServer(SocketAddr);

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DNS_PORT: u16 = 53;
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        match text.parse::<IpAddr>() {
            Ok(ip) => Ok(Self(SocketAddr::new(ip, DNS_PORT))),
            Err(_) => Err(format!("'{text}' is not the address of a name server")),
        }
    }
}
