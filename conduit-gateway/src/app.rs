//! The `conduit-gateway` program: configuration → logs → who judges → listeners → signal → bounded drain.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser as _};
use millrace_cluster::Etcd;
use millrace_runtime::admin::{Admin, Readiness};
use millrace_runtime::lifecycle::{Drain, Hangups, Shutdown, notify};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::telemetry::{self, TelemetryConfig};
use millrace_runtime::tls::{Connector, Links};
use mpd_node::policy::Policy;
use mpd_node::{Node, NodeConfig};
use tokio_util::sync::CancellationToken;

use crate::address::SPELLINGS;
use crate::cli::Arguments;
use crate::config::{ClientConfig, Config, Document, Remote};
use crate::gateway::{Gateway, StartError, Surroundings};
use crate::listen::{Network, SystemdSockets};
use crate::upstream::discovery::Source;
use crate::upstream::{Connect, Upstream, UpstreamConfig};

/// Everything that the program was told.
#[derive(Debug)]
struct Settings {
    file: PathBuf,
    document: Document,
    config: Config,
    remote: Remote,
}

/// How long etcd and name servers have to tell of a node before mail is taken all the same. With a socket that systemd
/// holds, mail servers wait at it already.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The command line's definition: for completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // Before any thread is there: the environment is changed.
    let systemd = SystemdSockets::from_environment();
    match run(Arguments::parse(), systemd) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "conduit-gateway: {}",
                millrace_runtime::told(error.as_ref())
            );
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, systemd: SystemdSockets) -> anyhow::Result<()> {
    let check = arguments.check;
    let settings = Settings::new(arguments)?;
    if check {
        return settings.check();
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(serve(settings, systemd))
}

impl Settings {
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let (mut document, mut config, mut remote) = match &arguments.config {
            Some(file) => Document::load(file)?,
            None => {
                let mut config = Config::simple(Vec::new(), Vec::new());
                config.clients.clear();
                (Document::default(), config, Remote::default())
            }
        };
        document.embedded |= arguments.embedded;
        if let Some(policy) = arguments.policy {
            document.policy = Some(policy);
        }
        if let Some(admin) = arguments.admin {
            document.admin = admin;
        }
        if let Some(format) = arguments.log_format {
            document.log.format = format.into();
        }
        if !arguments.node.is_empty() {
            remote.nodes = arguments.node;
        }
        if !arguments.milter.is_empty() {
            for address in &arguments.milter {
                if !address.is_local() && arguments.allow.is_empty() {
                    bail!(
                        "--milter {address} can be reached from other machines: say from which with --allow, such \
                         as --allow 192.0.2.0/24"
                    );
                }
            }
            let client = ClientConfig {
                connections: config.limits.connections,
                memory: config.limits.memory,
                ..ClientConfig::new(arguments.milter, arguments.allow)
            };
            if config.clients.iter().any(|known| known.name == client.name) {
                bail!(
                    "--milter makes a client named {}, and the file has one of this name: rename it",
                    client.name
                );
            }
            config.clients.push(client);
        }
        let settings = Self {
            file: arguments.config.unwrap_or_default(),
            document,
            config,
            remote,
        };
        settings.complete()?;
        Ok(settings)
    }

    /// What only the flags and the file together can miss.
    fn complete(&self) -> anyhow::Result<()> {
        let registered = self.document.cluster.is_some();
        match (self.document.embedded, self.remote.nodes.is_empty()) {
            (false, true) if !registered => bail!(
                "there is nobody to judge mail: give --embedded (judge in this process), --node \
                 http://127.0.0.1:7750 for each node, or [etcd] in --config, where nodes are registered"
            ),
            (true, false) => {
                bail!("--embedded and --node exclude each other: mail is judged here, or there")
            }
            _ => {}
        }
        if self.document.embedded && registered && self.document.policy.is_some() {
            bail!(
                "there are two policies: with --embedded the one that is published in [etcd], or the folder; remove \
                 one of them"
            );
        }
        if self.document.policy.is_some() && !self.document.embedded {
            bail!("a policy folder without --embedded is read by nobody: give it to the nodes");
        }
        if self.document.quarantine.store.is_some() && !self.document.embedded {
            bail!("[quarantine] without embedded is used by nobody: give it to the nodes");
        }
        if self.document.stamp.keys.is_some() && !self.document.embedded {
            bail!("[stamp] without embedded is used by nobody: give it to the nodes");
        }
        if let Some(node) = self.remote.nodes.iter().find(|node| node.is_secure())
            && !self.document.tls.connects()
        {
            bail!(
                "{node} is to be reached in TLS: name the authority to believe with `ca` under [tls] in --config"
            );
        }
        let speaks_tls = |client: &&ClientConfig| client.tls == Some(true);
        if let Some(client) = self.config.clients.iter().find(speaks_tls)
            && !self.document.tls.serves()
        {
            return Err(StartError::NoCertificate(client.name.clone()).into());
        }
        if self.config.clients.is_empty() {
            bail!(
                "no mail server can connect: give --milter ({SPELLINGS}), or a [[client]] or [[conduit]] in --config"
            );
        }
        Ok(())
    }

    fn check(&self) -> anyhow::Result<()> {
        Links::check(&self.file, &self.document.tls, &self.document.peer)?;
        if self.document.embedded {
            let policy = match (&self.document.policy, &self.document.cluster) {
                (Some(folder), _) => Policy::load(folder)?,
                (None, None) => Policy::builtin()?,
                (None, Some(_)) => {
                    println!("ok: the policy is the one that is published in etcd");
                    return Ok(());
                }
            };
            println!("ok: policy revision {}", policy.revision().short());
        } else {
            // What asks for names, for one thing, reads how this system does that.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let Remote { nodes, dns, .. } = self.remote.clone();
            runtime.block_on(async { Source::of(nodes, &dns).map(drop) })?;
            println!("ok");
        }
        Ok(())
    }

    fn remote(&self, connector: &Connector) -> anyhow::Result<Upstream> {
        let Remote {
            nodes,
            dns,
            upstream,
        } = self.remote.clone();
        let upstream = UpstreamConfig {
            connect: Connect::over(connector.clone()),
            ..upstream
        };
        let mut sources = Source::of(nodes, &dns)?;
        if let Some(etcd) = self.etcd() {
            sources.push(Source::etcd(&etcd)?);
        }
        Ok(Upstream::remote(sources, upstream))
    }

    fn etcd(&self) -> Option<Etcd> {
        self.document.cluster.clone().map(Etcd::new)
    }

    /// Waits for the first policy, where it is to come from etcd, and for a while until nodes are known.
    async fn upstream(
        &self,
        metrics: &Metrics,
        links: &Links,
    ) -> anyhow::Result<(Upstream, Option<Node>)> {
        if !self.document.embedded {
            let nodes = self.remote(&links.connector())?;
            nodes.known(FIRST_LOOK).await;
            return Ok((nodes, None));
        }
        let config = NodeConfig {
            policy: self.document.policy.clone(),
            quarantine: self.document.quarantine.clone(),
            stamp: self.document.stamp.clone(),
            ..NodeConfig::default()
        };
        let node = Node::start_in(&config, self.etcd().as_ref(), metrics).await?;
        Ok((Upstream::embedded(node.clone()), Some(node)))
    }
}

async fn serve(settings: Settings, systemd: SystemdSockets) -> anyhow::Result<()> {
    let document = &settings.document;
    let telemetry = TelemetryConfig {
        log: document.log.clone(),
        otlp: document.otlp.clone(),
    };
    let telemetry = telemetry::init(&telemetry, "conduit-gateway")?;
    let shutdown = Shutdown::on_signals().context("no signal handlers")?;
    let mut hangups = Hangups::new().context("no signal handlers")?;
    let metrics = Metrics::new("conduit-gateway");
    telemetry.register(&metrics);
    let readiness = Readiness::default();
    let drain = Drain::new();

    // First, for those who ask why it does not serve yet.
    let running_now = readiness.condition("running");
    running_now.unmet(if document.embedded {
        "waiting for a policy"
    } else {
        "waiting until a node is known"
    });
    let admin = Admin::bind(
        document.admin,
        "conduit-gateway",
        metrics.clone(),
        readiness.clone(),
    )
    .await?;
    let admin_address = admin.local_addr();
    let stop_admin = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(stop_admin.clone()));
    let links = Links::start(&settings.file, &document.tls, &document.peer, &metrics)?;
    let (upstream, node) = tokio::select! {
        upstream = settings.upstream(&metrics, &links) => upstream?,
        () = shutdown.requested().cancelled() => return Ok(()),
    };
    let surroundings = Surroundings {
        metrics,
        readiness: readiness.clone(),
        drain: drain.clone(),
        systemd,
        network: Network::System,
        links,
    };
    let limits = document.drain;
    let running = Gateway::start(settings.config, upstream, surroundings)?;

    running_now.met();
    notify::ready();
    tracing::info!(admin = %admin_address, embedded = node.is_some(), "serving");

    let reloaded = node.clone();
    let reloader = tokio::spawn(async move {
        loop {
            hangups.next().await;
            if let Some(node) = &reloaded {
                node.reload();
            }
        }
    });
    drain.run(&shutdown, &readiness, limits).await;
    running.drained().await;
    reloader.abort();
    if let Some(node) = &node {
        node.finish().await;
    }
    stop_admin.cancel();
    admin.await.context("the admin port panicked")?;
    drop(telemetry);
    Ok(())
}
