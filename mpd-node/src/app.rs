//! The `mpd-node` program: configuration → logs → node → ports → signal →
//! bounded drain.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::{CommandFactory, Parser, ValueEnum};
use millrace_cluster::{Etcd, membership};
use millrace_runtime::admin::{Admin, Readiness};
use millrace_runtime::lifecycle::{Drain, Hangups, Shutdown, notify};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::telemetry::{self, LogFormat};
use millrace_runtime::tls::Links;
use tokio_util::sync::CancellationToken;
use toml::Spanned;

use crate::config::FileConfig;
use crate::member::Member;
use crate::node::Node;
use crate::policy::Policy;
use crate::service::Server;

/// Judges mail: takes mail transactions over gRPC, runs the checks that the
/// policy asks for, and answers with verdicts.
///
/// Any number of nodes run behind a gateway or a load balancer; none keeps
/// state between messages. All flags can stand in the configuration file too;
/// a flag wins.
#[derive(Debug, Parser)]
#[command(name = "mpd-node", version, after_help = AFTER_HELP)]
struct Arguments {
    /// Where to serve gRPC [default: 127.0.0.1:7750]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The policy's folder, watched for changes [default: the built-in policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Where to serve health, readiness and metrics [default: 127.0.0.1:7751]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// How the node signs its verdicts [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// Register in etcd under this address, by which it is reached
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// The form of the log lines [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// A configuration file in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only check the configuration and the policy
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Human,
    Json,
}

const AFTER_HELP: &str = "\
Exit status: 0 after an orderly end (SIGTERM or SIGINT), or when --check found \
nothing; 1 when it could not start or serve; 2 for wrong arguments.

SIGHUP looks at the policy's folder again. A policy that does not compile is \
refused, and the last good one stays in force. With [etcd] in the file and no \
folder the policy is the one that 'millrace policy publish' put in force; with \
an address to advertise, gateways find the node there ('millrace nodes').

Example: mpd-node --listen 127.0.0.1:7750 --policy /etc/millrace/policy";

/// The command line's definition: for manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mpd-node: {}", millrace_runtime::told(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = effective(arguments.config.as_deref(), arguments)?;
    let origin = arguments.config.clone().unwrap_or_default();
    if arguments.check {
        Links::check(&origin, &config.tls, &config.peer)?;
        let policy = match (&config.policy, &config.cluster) {
            (Some(folder), _) => Policy::load(folder)?,
            (None, None) => Policy::builtin()?,
            (None, Some(_)) => {
                println!("ok: the policy is the one that is published in etcd");
                return Ok(());
            }
        };
        println!("ok: policy revision {}", policy.revision().short());
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(serve(config, &origin))
}

fn effective(file: Option<&Path>, arguments: &Arguments) -> anyhow::Result<FileConfig> {
    let mut config = match file {
        Some(file) => FileConfig::load(file)?,
        None => FileConfig::default(),
    };
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    if let Some(admin) = arguments.admin {
        config.admin = admin;
    }
    if let Some(policy) = &arguments.policy {
        config.policy = Some(policy.clone());
    }
    if let Some(name) = &arguments.name {
        config.name = Some(name.clone());
    }
    if let Some(address) = &arguments.advertise {
        if config.cluster.is_none() {
            bail!("--advertise is told to nobody: there is no [etcd] in the configuration file");
        }
        membership::address(address)
            .map_err(|problem| anyhow!("--advertise: {problem}; write http://HOST:PORT"))?;
        config.advertise = Some(Spanned::new(0..0, address.clone()));
    }
    match arguments.log_format {
        Some(Format::Human) => config.log.format = LogFormat::Human,
        Some(Format::Json) => config.log.format = LogFormat::Json,
        None => {}
    }
    Ok(config)
}

async fn serve(config: FileConfig, origin: &Path) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&config.telemetry(), "mpd-node")?;
    let shutdown = Shutdown::on_signals().context("no signal handlers")?;
    let mut hangups = Hangups::new().context("no signal handlers")?;
    let metrics = Metrics::new("mpd-node");
    telemetry.register(&metrics);
    let readiness = Readiness::default();
    let drain = Drain::new();

    // First, for those who ask why it does not serve yet.
    let running = readiness.condition("running");
    running.unmet("waiting for a policy");
    let admin = Admin::bind(config.admin, "mpd-node", metrics.clone(), readiness.clone()).await?;
    let admin_address = admin.local_addr();
    let stop_admin = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(stop_admin.clone()));
    let etcd = config.cluster.clone().map(Etcd::new);
    let node_config = config.node();
    let node = tokio::select! {
        node = Node::start_in(&node_config, etcd.as_ref(), &metrics) => node?,
        () = shutdown.requested().cancelled() => return Ok(()),
    };
    let links = Links::start(origin, &config.tls, &config.peer, &metrics)?;
    let server = Server::bind(config.listen, node.clone(), &links).await?;
    let listen = server.local_addr()?;
    let serving = tokio::spawn(server.serve(drain.clone(), config.connection_age()));

    running.met();
    notify::ready();
    tracing::info!(%listen, tls = config.tls.serves(), admin = %admin_address, node = %node.name(), revision = node.revision().short(), "serving");

    let reloading = node.clone();
    let reloader = tokio::spawn(async move {
        loop {
            hangups.next().await;
            reloading.reload();
        }
    });
    let member = Member::join_if_told(
        &node,
        etcd.as_ref(),
        config.advertise.as_ref().map(|a| a.get_ref().as_str()),
        &drain,
    );
    drain.run(&shutdown, &readiness, config.drain).await;
    reloader.abort();
    if let Some(member) = member {
        member.left().await;
    }
    serving.await.context("the gRPC server panicked")??;
    node.finish().await;
    stop_admin.cancel();
    admin.await.context("the admin port panicked")?;
    drop(telemetry);
    Ok(())
}
