//! The A and AAAA records of a name, asked for again when their time is over, for ever.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{Stream, stream};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::{DnsName, NodeAddress, NodeHint, SourceProblem};

/// Who is asked for names, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// The name servers; those of the system (`/etc/resolv.conf`) when empty.
    pub name_servers: Vec<SocketAddr>,
    /// A name is asked for again after its records' time to live, but no sooner than this.
    pub shortest: Duration,
    /// And no later than this.
    pub longest: Duration,
}

/// How long a name server may take, for each of two tries.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Default for DnsConfig {
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            shortest: Duration::from_secs(2),
            longest: Duration::from_secs(30),
        }
    }
}

/// All nodes of a name, each time that it was asked for.
///
/// # Errors
/// The system does not say whom to ask.
pub(super) fn follow(
    name: DnsName,
    config: &DnsConfig,
) -> Result<impl Stream<Item = Result<Vec<NodeHint>, SourceProblem>> + Send + use<>, SourceProblem>
{
    let resolver = resolver(config)?;
    let (shortest, longest) = (config.shortest, config.longest);
    Ok(stream::unfold(
        (resolver, name, Duration::ZERO),
        move |(resolver, name, pause)| async move {
            tokio::time::sleep(pause).await;
            let (hints, next) = match addresses(&resolver, &name).await {
                Ok((hints, lives)) => (Ok(hints), lives.clamp(shortest, longest)),
                Err(problem) => (Err(problem), shortest),
            };
            Some((hints, (resolver, name, next)))
        },
    ))
}

async fn addresses(
    resolver: &TokioResolver,
    name: &DnsName,
) -> Result<(Vec<NodeHint>, Duration), SourceProblem> {
    let found = resolver
        .lookup_ip(name.host())
        .await
        .map_err(|error| SourceProblem(error.to_string()))?;
    let lives = found
        .as_lookup()
        .answers()
        .iter()
        .map(|record| record.ttl)
        .min()
        .unwrap_or(0);
    // In order, whatever the order in which the name server gives them.
    let address = if name.is_secure() {
        NodeAddress::secure
    } else {
        NodeAddress::of
    };
    let nodes: BTreeSet<NodeAddress> = found.iter().map(|ip| address(ip, name.port())).collect();
    let hints = nodes.into_iter().map(NodeHint::at).collect();
    Ok((hints, Duration::from_secs(lives.into())))
}

fn resolver(config: &DnsConfig) -> Result<TokioResolver, SourceProblem> {
    let mut builder = if config.name_servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| {
            SourceProblem(format!("the system's name servers are not known: {error}"))
        })?
    } else {
        let servers = config.name_servers.iter().map(name_server).collect();
        TokioResolver::builder_with_config(
            ResolverConfig::from_parts(None, Vec::new(), servers),
            TokioRuntimeProvider::default(),
        )
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = TIMEOUT;
    options.attempts = 1;
    // What is asked for again shall be known anew.
    options.cache_size = 0;
    builder
        .build()
        .map_err(|error| SourceProblem(error.to_string()))
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}
