//! A model of a large cluster: the real gateways, and nodes and mail servers that only take time.
//!
//! One thread, and a clock that jumps to the next thing that happens: seconds of traffic take what their computing
//! takes, and a figure does not depend on the machine. Milter sessions, the gateway's upstream stack and gRPC are the
//! real ones over pipes in memory. A node's work is a model: so many messages at a time, each for a random time.

mod drawing;
mod figures;
mod node;
mod pipes;
mod traffic;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use conduit_gateway::discovery::{NodeAddress, NodeHint, Source};
use conduit_gateway::{
    Config, Connect, Gateway, ListenAddress, Network, Running, Surroundings, SystemdSockets,
    Upstream, UpstreamConfig,
};
use futures_util::{StreamExt, stream};
use millrace_client::Client;
use millrace_runtime::admin::Readiness;
use millrace_runtime::lifecycle::Drain;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::tls::Links;

pub use figures::{Sizes, Story};

use figures::{Sample, Sampled};
use node::{ModelNode, State};
use pipes::Door;

const NODES: usize = 100;
const GATEWAYS: usize = 4;
const MAIL_SERVERS: usize = 1000;
/// Messages a second of one mail server.
const RATE: f64 = 1.0;
/// A message that has no verdict by then is put off. Seconds are enough to see what is shed.
const DEADLINE: Duration = Duration::from_secs(5);
/// Until connections are made and limits are found; not counted.
const WARM_UP: Duration = Duration::from_secs(5);

/// Nodes that are of use in each part of the story, and what has happened to the others.
const STORY: [(&str, usize, usize); 6] = [
    ("60 nodes", 60, 0),
    ("40 are added", 100, 0),
    ("30 are killed", 70, 0),
    ("15 of the rest hang", 55, 15),
    ("15 more are killed", 40, 15),
    ("all are back", 100, 0),
];
const SIZES: [usize; 7] = [40, 48, 52, 56, 64, 80, 100];

/// The same load on clusters of different sizes.
#[must_use]
pub fn by_size(part: Duration) -> Sizes {
    let rows = SIZES.map(|nodes| {
        let samples = simulate(nodes as u64, async move {
            let cluster = Cluster::start();
            cluster.have(nodes, 0);
            let traffic = cluster.traffic();
            tokio::time::sleep(WARM_UP).await;
            let from = traffic.now();
            tokio::time::sleep(part).await;
            traffic.between(from, part).await
        });
        (nodes, Sampled::of(&samples))
    });
    Sizes {
        rows: rows.to_vec(),
    }
}

/// One cluster to which things happen.
#[must_use]
pub fn through_losses(part: Duration) -> Story {
    let samples: Vec<Sample> = simulate(1, async move {
        let cluster = Cluster::start();
        cluster.have(STORY[0].1, STORY[0].2);
        let traffic = cluster.traffic();
        tokio::time::sleep(WARM_UP).await;
        let from = traffic.now();
        for (_, alive, hung) in STORY {
            cluster.have(alive, hung);
            tokio::time::sleep(part).await;
        }
        traffic.between(from, part * 6).await
    });
    let parts = STORY.iter().zip(0..).map(|((what, alive, hung), number)| {
        let from = part * number;
        let within = samples
            .iter()
            .filter(|sample| sample.begun >= from && sample.begun < from + part);
        let within: Vec<Sample> = within.copied().collect();
        (*what, *alive, *hung, Sampled::of(&within))
    });
    Story {
        parts: parts.collect(),
        part,
        samples,
    }
}

/// Draws the story, and puts the tables between the marks of `scaling.md`.
///
/// # Errors
/// A file cannot be read or written, or has no marks.
pub fn write(folder: &Path, sizes: &Sizes, story: &Story) -> io::Result<()> {
    fs::write(folder.join("scaling.svg"), drawing::draw(story))?;
    let page = folder.join("scaling.md");
    let mut text = fs::read_to_string(&page)?;
    for (mark, table) in [("sizes", sizes.to_string()), ("story", story.to_string())] {
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
        let place = text.find(&begin).zip(text.find(&end));
        let Some((begins, ends)) = place else {
            let problem = format!("{} has no {begin}", page.display());
            return Err(io::Error::other(problem));
        };
        text.replace_range(begins + begin.len()..ends, &table);
    }
    fs::write(page, text)
}

/// Runs in simulated time.
fn simulate<T>(seed: u64, work: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread")
        .block_on(work)
}

struct Cluster {
    nodes: Vec<Arc<ModelNode>>,
    doors: Vec<Arc<Door>>,
    _gateways: Vec<Running>,
}

impl Cluster {
    fn start() -> Self {
        let nodes: Vec<_> = (0..NODES).map(|_| ModelNode::start()).collect();
        let doors: Vec<_> = (0..GATEWAYS).map(|_| Arc::new(Door::new())).collect();
        let gateways = doors.iter().zip(0..).map(|(door, number)| {
            gateway(door.clone(), &nodes, number).expect("a gateway without a socket starts")
        });
        Self {
            _gateways: gateways.collect(),
            nodes,
            doors,
        }
    }

    /// From now on the first of the nodes work, those after them hang, and the rest is dead.
    fn have(&self, alive: usize, hung: usize) {
        for (number, node) in self.nodes.iter().enumerate() {
            node.is(if number < alive {
                State::Working
            } else if number < alive + hung {
                State::Hung
            } else {
                State::Dead
            });
        }
    }

    fn traffic(&self) -> traffic::Traffic {
        traffic::Traffic::start(&self.doors, MAIL_SERVERS, RATE)
    }
}

fn gateway(
    door: Arc<Door>,
    nodes: &[Arc<ModelNode>],
    number: u64,
) -> Result<Running, conduit_gateway::StartError> {
    let listen = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8891)));
    let mut config = Config::simple(vec![listen], Vec::new());
    config.clients[0].deadline = DEADLINE;
    let surroundings = Surroundings {
        metrics: Metrics::new("conduit-gateway"),
        readiness: Readiness::default(),
        drain: Drain::new(),
        systemd: SystemdSockets::default(),
        network: Network::Simulated(Arc::new(move |_| door.incoming())),
        links: Links::default(),
    };
    Gateway::start(config, upstream(nodes, number), surroundings)
}

fn upstream(nodes: &[Arc<ModelNode>], number: u64) -> Upstream {
    let address = |node: usize| NodeAddress::of(node_ip(node), 7750);
    let hints = (0..nodes.len()).map(|node| NodeHint::at(address(node)));
    let told = stream::iter([Ok(hints.collect())]).chain(stream::pending());
    let nodes = nodes.to_vec();
    let config = UpstreamConfig {
        connect: Connect::with(move |address| {
            let node = (0..NODES).find(|&node| address == &NodeAddress::of(node_ip(node), 7750));
            let node = nodes[node.expect("there are no others")].clone();
            Client::over(
                address.as_str(),
                tower::service_fn(move |_| {
                    let node = node.clone();
                    async move { node.connect() }
                }),
            )
        }),
        seed: Some(number),
        ..UpstreamConfig::default()
    };
    Upstream::remote(vec![Source::new("the model", told)], config)
}

fn node_ip(node: usize) -> std::net::IpAddr {
    let last = u8::try_from(node + 1).expect("no more nodes than a network has addresses");
    Ipv4Addr::new(10, 0, 0, last).into()
}
