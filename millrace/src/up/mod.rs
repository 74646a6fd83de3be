//! `millrace up`: the whole system in one process.

mod advice;
mod config;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use conduit_gateway::{Gateway, ListenAddress, Network, Surroundings, SystemdSockets, Upstream};
use millrace_cluster::Etcd;
use millrace_runtime::admin::{Admin, Readiness};
use millrace_runtime::lifecycle::{Drain, Hangups, Shutdown, notify};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::telemetry::{self, LogFormat};
use millrace_runtime::tls::Links;
use mpd_node::service::Server;
use mpd_node::{Member, Node};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::output::Output;

use advice::Advice;
use config::Settings;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct UpArgs {
    /// A configuration file in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The policy's folder, followed as it changes [default: the built-in policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Where mail servers connect [default: tcp://127.0.0.1:8891]
    #[arg(long, value_name = "ADDRESS")]
    milter: Vec<ListenAddress>,
    /// Where gRPC is served, to other gateways and conduits [default: 127.0.0.1:7750]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Where health, readiness and metrics are served [default: 127.0.0.1:7751]
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// The form of the log lines [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogForm>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogForm {
    Human,
    Json,
}

const AFTER_HELP: &str = "\
Examples:
  millrace up
  millrace up --policy /etc/millrace/policy
  millrace up --milter unix:/var/spool/postfix/millrace/milter.sock --log-format json 2>> millrace.log

What to tell Postfix and Sendmail is printed once it serves; logs go to standard error, one line a verdict.
SIGTERM and SIGINT drain: what is in flight is finished. SIGHUP looks at the policy's folder again; a policy
that does not compile is refused, and the last good one stays.

The configuration file has [log], [otlp] and [drain] as those of the servers, 'policy' and 'admin', [node]
with listen, name, advertise, workers and memory_mib, [quarantine], [stamp], [shadow] and [etcd] as those of a
node, and under [gateway] what a gateway's file has: [[gateway.client]], [[gateway.failure]], [gateway.limits],
[gateway.time]. [tls] and [[peer]] are for the ports that speak gRPC. A flag wins.

Exit status: 0 after an orderly end; 2 it could not start, or wrong arguments.";

/// Runs the command.
pub(crate) fn run(args: UpArgs) -> anyhow::Result<Exit> {
    // Before any thread is there: the environment is changed.
    let systemd = SystemdSockets::from_environment();
    let settings = Settings::new(args)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(serve(settings, systemd))?;
    Ok(Exit::Good)
}

async fn serve(settings: Settings, systemd: SystemdSockets) -> anyhow::Result<()> {
    let telemetry = telemetry::init(&settings.telemetry, "millrace")?;
    let shutdown = Shutdown::on_signals().context("no signal handlers")?;
    let mut hangups = Hangups::new().context("no signal handlers")?;
    let metrics = Metrics::new("millrace");
    telemetry.register(&metrics);
    let readiness = Readiness::default();
    let drain = Drain::new();

    // First, for those who ask why it does not serve yet.
    let running = readiness.condition("running");
    running.unmet("waiting for a policy");
    let admin = Admin::bind(
        settings.admin,
        "millrace",
        metrics.clone(),
        readiness.clone(),
    )
    .await?;
    let admin_address = admin.local_addr();
    let stop_admin = CancellationToken::new();
    let admin = tokio::spawn(admin.serve(stop_admin.clone()));
    let etcd = settings.etcd.map(Etcd::new);
    let node = tokio::select! {
        node = Node::start_in(&settings.node, etcd.as_ref(), &metrics) => node?,
        () = shutdown.requested().cancelled() => return Ok(()),
    };
    let links = Links::start(&settings.file, &settings.tls, &settings.peers, &metrics)?;
    let server = Server::bind(settings.listen, node.clone(), &links).await?;
    let listen = server.local_addr()?;
    let surroundings = Surroundings {
        metrics,
        readiness: readiness.clone(),
        drain: drain.clone(),
        systemd,
        network: Network::System,
        links,
    };
    let gateway = Gateway::start(
        settings.gateway,
        Upstream::embedded(node.clone()),
        surroundings,
    )?;
    let serving = tokio::spawn(server.serve(drain.clone(), settings.connection_age));

    running.met();
    notify::ready();
    tracing::info!(%listen, admin = %admin_address, revision = node.revision().short(), "serving");
    advise(&Advice {
        milters: gateway.addresses(),
        listen,
        admin: admin_address,
        policy: settings.node.policy.as_deref(),
        published: etcd.is_some(),
        revision: node.revision().short(),
    });

    let reloading = node.clone();
    let reloader = tokio::spawn(async move {
        loop {
            hangups.next().await;
            reloading.reload();
        }
    });
    let member = Member::join_if_told(&node, etcd.as_ref(), settings.advertise.as_deref(), &drain);
    drain.run(&shutdown, &readiness, settings.drain).await;
    if let Some(member) = member {
        member.left().await;
    }
    gateway.drained().await;
    reloader.abort();
    serving.await.context("the gRPC server panicked")??;
    node.finish().await;
    stop_admin.cancel();
    admin.await.context("the admin port panicked")?;
    drop(telemetry);
    Ok(())
}

/// A server goes on when nobody reads its standard output.
fn advise(advice: &Advice<'_>) {
    let mut output = Output::stdout();
    if let Err(error) = output
        .text(&advice.to_string())
        .and_then(|()| output.flush())
    {
        tracing::debug!(%error, "nobody was told how to connect");
    }
}

impl From<LogForm> for LogFormat {
    fn from(form: LogForm) -> Self {
        match form {
            LogForm::Human => Self::Human,
            LogForm::Json => Self::Json,
        }
    }
}
