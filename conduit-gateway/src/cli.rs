//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use millrace_runtime::telemetry::LogFormat;

use crate::address::ListenAddress;
use crate::upstream::discovery::{InvalidNode, Whereabouts};

/// Takes mail from Postfix and Sendmail by the milter protocol, has it judged by nodes, and carries the verdicts
/// out.
///
/// Mail is judged in this process with --embedded, or by nodes: those named with --node, and those that are registered
/// in etcd. All flags can stand in the configuration file too, which knows more: clients, etcd, limits, what is done
/// when something fails. A flag wins.
#[derive(Debug, Parser)]
#[command(name = "conduit-gateway", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Where mail servers connect, such as tcp://127.0.0.1:8891, unix:///run/millrace/milter.sock, systemd:NAME, or
    /// in the mail servers' own words: inet:8891@127.0.0.1, inet:127.0.0.1:8891, inet6:…, local:/path
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) milter: Vec<ListenAddress>,
    /// Who may connect to --milter from other machines, such as 192.0.2.0/24
    #[arg(long, value_name = "NETWORK")]
    pub(crate) allow: Vec<IpNet>,
    /// Judge mail in this process
    #[arg(long)]
    pub(crate) embedded: bool,
    /// The policy's folder, with --embedded [default: the built-in policy]
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// A node that judges mail, such as http://127.0.0.1:7750, or dns://NAME:7750 for all addresses of a name
    #[arg(long, value_name = "URL", value_parser = whereabouts)]
    pub(crate) node: Vec<Whereabouts>,
    /// Where to serve health, readiness and metrics [default: 127.0.0.1:7751]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// A configuration file in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Only check the configuration
    #[arg(long)]
    pub(crate) check: bool,
    /// The form of the log lines [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

fn whereabouts(text: &str) -> Result<Whereabouts, String> {
    text.parse()
        .map_err(|error: InvalidNode| format!("{error}; {}", InvalidNode::REMEDY))
}

const AFTER_HELP: &str = "\
Exit status: 0 after an orderly end (SIGTERM or SIGINT), or when --check found nothing; 1 when it could not start or \
the configuration is wrong; 2 for wrong arguments.

Example: conduit-gateway --milter tcp://127.0.0.1:8891 --embedded";

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Human => Self::Human,
            Format::Json => Self::Json,
        }
    }
}
