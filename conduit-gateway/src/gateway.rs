//! The gateway as a whole: listeners that are open, what their connections share, and its end.

use std::sync::Arc;
use std::time::Duration;

use millrace_proto::ClientName;
use millrace_runtime::admin::{Condition, Readiness};
use millrace_runtime::lifecycle::{Drain, Phase};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::tls::Links;
use tokio::sync::Semaphore;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::address::ListenAddress;
use crate::budget::Budget;
use crate::config::{ClientConfig, Config, Times};
use crate::descriptors::allow_descriptors;
use crate::failure::FailureTable;
use crate::listen::{self, BindError, Listener, Network, SystemdSockets};
use crate::metrics::{ClientMetrics, GatewayMetrics};
use crate::queue::Queue;
use crate::spool::SpoolPlace;
use crate::upstream::{Plans, Upstream};

/// Starts gateways.
#[derive(Debug)]
pub struct Gateway;

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<(ClientName, ListenAddress)>,
    listeners: TaskTracker,
    connections: TaskTracker,
    drain: Drain,
    _upkeep: AbortOnDropHandle<()>,
}

/// What the gateway takes from the process that it runs in.
#[derive(Debug)]
pub struct Surroundings {
    /// Where its metrics go.
    pub metrics: Metrics,
    /// What it tells whether it is ready.
    pub readiness: Readiness,
    /// The process's end.
    pub drain: Drain,
    /// Sockets that systemd handed over.
    pub systemd: SystemdSockets,
    /// The network that `tcp://` listeners are on.
    pub network: Network,
    /// How links to conduits are secured.
    pub links: Links,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nobody to serve.
    #[error(
        "no mail server can connect: give --milter tcp://127.0.0.1:8891, or a [[client]] with `listen` in --config"
    )]
    NoListener,
    /// A listener is to speak TLS without a certificate.
    #[error(
        "[[conduit]] of client {0} has tls = true, and there is no certificate: name it and its key under [tls]"
    )]
    NoCertificate(ClientName),
    /// A listener cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) upstream: Upstream,
    pub(crate) queue: Arc<Queue>,
    pub(crate) failures: FailureTable,
    pub(crate) times: Times,
    pub(crate) links: Links,
    pub(crate) spool: Arc<SpoolPlace>,
    pub(crate) drain: Drain,
    pub(crate) connections: TaskTracker,
    pub(crate) slots: Arc<Semaphore>,
    /// For connections above the limit, which are only told so.
    pub(crate) spare_slots: Arc<Semaphore>,
}

/// What the connections of one client share.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) config: ClientConfig,
    /// Its place in the queue.
    pub(crate) lane: usize,
    pub(crate) plans: Plans,
    pub(crate) memory: Arc<Budget>,
    pub(crate) metrics: ClientMetrics,
    pub(crate) slots: Arc<Semaphore>,
}

/// How long connections may take to end once they are cut off.
const LAST_WORDS: Duration = Duration::from_secs(2);
const SPARE_SLOTS: usize = 1024;
/// How often gauges and readiness are looked after.
const UPKEEP: Duration = Duration::from_millis(250);

impl Gateway {
    /// Opens all listeners, or none. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// There is no listener, or one cannot be had.
    pub fn start(
        config: Config,
        upstream: Upstream,
        surroundings: Surroundings,
    ) -> Result<Running, StartError> {
        let Config {
            clients,
            failures,
            limits,
            times,
        } = config;
        let Surroundings {
            metrics,
            readiness,
            drain,
            systemd,
            network,
            links,
        } = surroundings;
        allow_descriptors(limits.connections);
        let mut bound = Vec::new();
        for client in clients {
            if client.tls == Some(true) && links.acceptor().is_none() {
                return Err(StartError::NoCertificate(client.name));
            }
            let listeners = client
                .listen
                .iter()
                .map(|address| Listener::bind(address, &client, &systemd, &network))
                .collect::<Result<Vec<_>, _>>()?;
            bound.push((client, listeners));
        }
        if bound.iter().all(|(_, listeners)| listeners.is_empty()) {
            return Err(StartError::NoListener);
        }

        upstream.register(&metrics);
        let metrics = GatewayMetrics::register(&metrics);
        let memory = Budget::new(limits.memory);
        let spool = SpoolPlace {
            folder: limits.spool_folder,
            above: limits.spool_above,
            budget: Budget::new(limits.spool),
        };
        let weights = bound.iter().map(|(client, _)| client.weight);
        let admitted = limits.in_flight.unwrap_or_else(|| upstream.admits());
        let queue = Queue::new(weights, admitted, limits.queue);
        let shared = Arc::new(Shared {
            upstream,
            queue,
            failures,
            times,
            links,
            spool: Arc::new(spool),
            drain: drain.clone(),
            connections: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(limits.connections)),
            spare_slots: Arc::new(Semaphore::new(SPARE_SLOTS)),
        });
        let tasks = TaskTracker::new();
        let (mut addresses, mut clients) = (Vec::new(), Vec::new());
        for (lane, (config, listeners)) in bound.into_iter().enumerate() {
            let client = Arc::new(Client::new(config, lane, &shared, &memory, &metrics));
            for listener in listeners {
                let address = listener.address().clone();
                tracing::info!(client = %client.config.name, listener = %address, "listening");
                addresses.push((client.config.name.clone(), address));
                listen::serve(listener, &client, &shared, &tasks);
            }
            clients.push(client);
        }
        tasks.close();
        let connections = shared.connections.clone();
        let reached = readiness.condition("nodes");
        let upkeep = tokio::spawn(upkeep(
            clients,
            shared,
            limits.in_flight,
            memory,
            metrics,
            reached,
        ));
        Ok(Running {
            addresses,
            listeners: tasks,
            connections,
            drain,
            _upkeep: AbortOnDropHandle::new(upkeep),
        })
    }
}

impl Running {
    /// Where each client connects, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> &[(ClientName, ListenAddress)] {
        &self.addresses
    }

    /// Waits until the listeners are closed, nothing is in flight, and what was cut off has been told so, after the
    /// process's drain has begun.
    pub async fn drained(&self) {
        self.listeners.wait().await;
        self.drain.reached(Phase::Done).await;
        self.connections.close();
        if tokio::time::timeout(LAST_WORDS, self.connections.wait())
            .await
            .is_err()
        {
            let left = self.connections.len();
            tracing::warn!(left, "milter connections that did not end by themselves");
        }
    }
}

impl Client {
    fn new(
        config: ClientConfig,
        lane: usize,
        shared: &Shared,
        memory: &Arc<Budget>,
        metrics: &GatewayMetrics,
    ) -> Self {
        let sized = config.message_size.is_some();
        Self {
            plans: shared
                .upstream
                .follow(&config.name, config.direction, sized),
            memory: memory.share(config.memory),
            metrics: metrics.client(&config.name),
            slots: Arc::new(Semaphore::new(config.connections)),
            lane,
            config,
        }
    }
}

/// Keeps gauges and readiness as things are. A gateway is ready while, for every client, a node tells what the policy
/// wants: then there is one that judges.
async fn upkeep(
    clients: Vec<Arc<Client>>,
    shared: Arc<Shared>,
    in_flight: Option<usize>,
    memory: Arc<Budget>,
    metrics: GatewayMetrics,
    reached: Condition,
) {
    let mut ready = None;
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.reserved(memory.used(), shared.spool.budget.used());
        if in_flight.is_none() {
            shared.queue.admit(shared.upstream.admits());
        }
        for client in &clients {
            let depth = shared.queue.depth(client.lane);
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            client.metrics.queued.set(depth);
        }
        let alone = clients.iter().find(|client| !client.plans.followed());
        if ready == Some(alone.is_none()) {
            continue;
        }
        ready = Some(alone.is_none());
        match alone {
            None => reached.met(),
            Some(client) => {
                let name = &client.config.name;
                reached.unmet(format!("no node tells the plan of client {name}"));
            }
        }
    }
}
