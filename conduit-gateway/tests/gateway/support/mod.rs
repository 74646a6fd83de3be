//! A gateway, a node and a mail server in one process.

mod mta;
mod node;

use std::time::Duration;

use conduit_gateway::{
    ClientConfig, Config, Gateway, ListenAddress, Network, Running, Surroundings, SystemdSockets,
    Upstream,
};
use millrace_runtime::admin::{Admin, Readiness};
use millrace_runtime::lifecycle::{Drain, DrainLimits, Shutdown};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::tls::Links;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use mta::{Mail, MailServer, message, path};
pub use node::{Script, ScriptedNode, accept, refuse};

/// Long enough that only a hang is one.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that serves.
pub struct TestGateway {
    pub running: Running,
    pub drain: Drain,
    pub shutdown: Shutdown,
    readiness: Readiness,
    admin: std::net::SocketAddr,
    _admin: JoinHandle<()>,
}

/// A configuration with one client on a free port.
pub fn config() -> Config {
    Config::simple(vec!["tcp://127.0.0.1:0".parse().unwrap()], vec![])
}

/// The same, changed.
pub fn config_with(change: impl FnOnce(&mut Config, &mut ClientConfig)) -> Config {
    let mut config = config();
    let mut client = config.clients.remove(0);
    change(&mut config, &mut client);
    config.clients.push(client);
    config
}

impl TestGateway {
    /// A gateway before this node, that knows the node's plan.
    pub async fn before(node: &ScriptedNode, config: Config) -> Self {
        let address = node.address();
        let gateway = Self::start(Upstream::nodes([address.as_str()]).unwrap(), config).await;
        gateway.ready().await;
        gateway
    }

    pub async fn start(upstream: Upstream, config: Config) -> Self {
        let metrics = Metrics::new("test");
        let (readiness, drain) = (Readiness::default(), Drain::new());
        let surroundings = Surroundings {
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            drain: drain.clone(),
            systemd: SystemdSockets::default(),
            network: Network::System,
            links: Links::plain(),
        };
        let running = Gateway::start(config, upstream, surroundings).unwrap();
        let admin = Admin::bind(
            ([127, 0, 0, 1], 0).into(),
            "test",
            metrics,
            readiness.clone(),
        )
        .await
        .unwrap();
        let address = admin.local_addr();
        let served = tokio::spawn(admin.serve(CancellationToken::new()));
        Self {
            running,
            drain,
            shutdown: Shutdown::new(),
            readiness,
            admin: address,
            _admin: served,
        }
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        until("the gateway is ready", async || self.readiness.is_ready()).await;
    }

    pub fn address(&self) -> &ListenAddress {
        &self.running.addresses()[0].1
    }

    /// A mail server that connects as this client.
    pub async fn connect_to(&self, client: &str) -> MailServer {
        let addresses = self.running.addresses();
        let found = addresses.iter().find(|(name, _)| name.as_str() == client);
        MailServer::connect(&found.expect("a client of this name").1).await
    }

    /// A mail server that connects.
    pub async fn connect(&self) -> MailServer {
        MailServer::connect(self.address()).await
    }

    /// Plain bytes to the listener.
    pub async fn connect_raw(&self) -> TcpStream {
        let ListenAddress::Tcp(address) = self.address() else {
            panic!("a TCP listener")
        };
        TcpStream::connect(address).await.unwrap()
    }

    /// How often calls of a node ended so.
    pub async fn calls(&self, node: &ScriptedNode, result: &str) -> f64 {
        let node = node.address();
        self.metric(&format!(
            "millrace_gateway_node_calls_total{{node=\"{node}\",result=\"{result}\"}}"
        ))
        .await
    }

    /// Waits until the health of so many nodes serves.
    pub async fn serving(&self, nodes: &[&ScriptedNode]) {
        for node in nodes {
            let node = node.address();
            let gauge = format!("millrace_gateway_node_serving{{node=\"{node}\"}}");
            until("a node is in", async || self.metric(&gauge).await == 1.0).await;
        }
    }

    /// Waits until the health of a node does not serve any more, or the node is gone.
    pub async fn leaves(&self, node: &ScriptedNode) {
        let gauge = format!(
            "millrace_gateway_node_serving{{node=\"{}\"}}",
            node.address()
        );
        until("a node is out", async || self.metric(&gauge).await == 0.0).await;
    }

    /// The value of a metric, with its labels as they are written; 0 when it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Begins the end; gives what waits for it.
    pub fn end(&self, grace: Duration, bound: Duration) -> JoinHandle<()> {
        let (drain, shutdown, readiness) = (
            self.drain.clone(),
            self.shutdown.clone(),
            self.readiness.clone(),
        );
        self.shutdown.request();
        tokio::spawn(async move {
            drain
                .run(&shutdown, &readiness, DrainLimits { grace, bound })
                .await;
        })
    }
}

/// Waits for something that comes true in the background.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < end, "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Fails instead of hanging.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("it never came: {what}"),
    }
}
