//! A gateway's host: the real gateway between the simulated networks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conduit_gateway::discovery::{NodeAddress, NodeHint, Source, SourceProblem};
use conduit_gateway::{
    Config, Connect, Gateway, ListenAddress, Surroundings, SystemdSockets, Upstream, UpstreamConfig,
};
use futures_util::StreamExt;
use hyper_util::rt::TokioIo;
use millrace_client::Client;
use millrace_runtime::admin::Readiness;
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::tls::Links;
use tokio_stream::wrappers::WatchStream;
use turmoil::net::TcpStream;

use crate::network::{MILTER, NODE, network};
use crate::world::World;

/// From the end of a message to its verdict. Short, so that runs are.
const DEADLINE: Duration = Duration::from_secs(6);

pub(crate) async fn serve(number: usize, world: Arc<World>) -> turmoil::Result {
    let metrics = Metrics::new("conduit-gateway");
    world.measures(format!("gateway-{number}"), &metrics);
    let listen = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, MILTER)));
    let mut config = Config::simple(vec![listen], vec!["0.0.0.0/0".parse()?]);
    config.clients[0].deadline = DEADLINE;
    let surroundings = Surroundings {
        metrics,
        readiness: Readiness::default(),
        drain: Drain::new(),
        systemd: SystemdSockets::default(),
        network: network(),
        links: Links::default(),
    };
    let _running = Gateway::start(config, upstream(number, &world), surroundings)?;
    std::future::pending().await
}

fn upstream(number: usize, world: &World) -> Upstream {
    let told = WatchStream::new(world.members[number].subscribe());
    let source = Source::new(
        "the simulation",
        told.map(|told| match told {
            Some(nodes) => Ok(nodes.into_iter().map(hint).collect()),
            None => Err(SourceProblem("it fails as the seed says".to_owned())),
        }),
    );
    let config = UpstreamConfig {
        connect: Connect::with(|address| {
            let connector = tower::service_fn(|to: http::Uri| async move {
                let host = to.host().unwrap_or_default().to_owned();
                let stream = TcpStream::connect((host, to.port_u16().unwrap_or(NODE)));
                stream.await.map(TokioIo::new)
            });
            Client::over(address.as_str(), connector)
        }),
        // Its choices are the seed's, too.
        seed: Some(world.seed.wrapping_add(number as u64)),
        ..UpstreamConfig::default()
    };
    Upstream::remote(vec![source], config)
}

fn hint(node: usize) -> NodeHint {
    NodeHint::at(NodeAddress::of(
        turmoil::lookup(format!("node-{node}")),
        NODE,
    ))
}
