//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use millrace_quarantine::NextHopTls;

use crate::output::Format;
use crate::server_tls::ServerTlsArgs;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct QuarantineArgs {
    /// The store, as `[quarantine] store` names it: a folder, or s3://BUCKET/PREFIX with the AWS_* variables
    #[arg(
        long,
        value_name = "STORE",
        global = true,
        default_value = "file:///var/lib/millrace/quarantine"
    )]
    pub(super) store: String,
    /// A node that serves its store (`quarantine.serve = true`), instead of --store: http://HOST:PORT, or https:// with --ca
    #[arg(long, value_name = "URL", global = true)]
    pub(super) server: Option<String>,
    #[command(flatten)]
    pub(super) tls: ServerTlsArgs,
    /// Form of the output
    #[arg(long, value_enum, global = true, default_value_t)]
    pub(super) format: Format,
    #[command(subcommand)]
    pub(super) action: Action,
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List copies, the newest first
    List(ListArgs),
    /// Show a copy, printable; or its exact bytes
    Show {
        /// The copy's identifier
        id: String,
        /// The message's exact bytes
        #[arg(long)]
        raw: bool,
    },
    /// Send copies on, with a stamp that keeps our filters from holding them again
    Release(ReleaseArgs),
    /// Put a copy's sender on the policy's list of allowed senders
    Allow(SenderArgs),
    /// Put a copy's sender on the policy's list of blocked senders
    Block(SenderArgs),
    /// Put a new key first into a file of keys for stamps; it is made when there is none
    Key {
        /// The file, as `stamp.keys` names it
        #[arg(default_value = KEYS)]
        file: PathBuf,
    },
    /// Delete copies for good
    Delete {
        /// Identifiers
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete what is over limits; nodes do so by age themselves
    Expire {
        /// Copies older than this many days
        #[arg(long)]
        days: Option<u64>,
        /// All but this many copies
        #[arg(long)]
        entries: Option<u64>,
        /// All above this many bytes of messages
        #[arg(long)]
        bytes: Option<u64>,
    },
    /// Count copies
    Stats,
    /// Tell who released, deleted, allowed, blocked or expired what
    Audit {
        /// So many days back
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Make the index again from the copies, after a restore
    Mend,
}

#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// Identifiers
    #[arg(required = true)]
    pub(super) ids: Vec<String>,
    /// To these instead of those for whom it was kept
    #[arg(long, value_name = "ADDRESS")]
    pub(super) to: Vec<String>,
    /// The next hop; with --server it is the node's
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:25",
        conflicts_with = "server"
    )]
    pub(super) via: String,
    /// Encrypt the way to the next hop: none, opportunistic (where it offers STARTTLS), required (and its certificate
    /// is looked at)
    #[arg(long, value_name = "MODE", default_value_t, conflicts_with = "server")]
    pub(super) tls: NextHopTls,
    /// The authorities, PEM, of which the next hop's certificate must be [default: the system's, for --tls required]
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub(super) tls_ca: Option<PathBuf>,
    /// The file of keys for stamps, the same as the nodes have; with --server it is the node's
    #[arg(long, value_name = "FILE", default_value = KEYS, conflicts_with = "server")]
    pub(super) keys: PathBuf,
    /// Days that the stamp holds
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..=365),
        conflicts_with = "server"
    )]
    pub(super) valid: u32,
    /// Send again what was released before, without being asked
    #[arg(long)]
    pub(super) again: bool,
}

#[derive(Debug, Args)]
pub(super) struct SenderArgs {
    /// The copy's identifier
    pub(super) id: String,
    /// The policy's folder; with --server it is the node's
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub(super) policy: Option<PathBuf>,
    /// The sender's whole domain
    #[arg(long)]
    pub(super) domain: bool,
    /// The list, a file below the policy's folder [default: lists/allowed-senders.txt, lists/blocked-senders.txt]
    #[arg(long, value_name = "FILE")]
    pub(super) list: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The client's name
    #[arg(long)]
    pub(super) client: Option<String>,
    /// Text in the envelope's sender
    #[arg(long)]
    pub(super) sender: Option<String>,
    /// Text in a recipient
    #[arg(long)]
    pub(super) recipient: Option<String>,
    /// A symbol that was found
    #[arg(long)]
    pub(super) symbol: Option<String>,
    /// The disposition: accept, reject, tempfail, discard, hold
    #[arg(long)]
    pub(super) disposition: Option<String>,
    /// Text in the subject, decoded
    #[arg(long)]
    pub(super) subject: Option<String>,
    /// Only this many days back
    #[arg(long)]
    pub(super) days: Option<u64>,
    /// Only older than this: 2026-11-23T10:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<humantime::Timestamp>,
    /// How many
    #[arg(long, default_value_t = 50)]
    pub(super) limit: usize,
    /// From the copy after this one on
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<String>,
}

/// Where keys are looked for.
const KEYS: &str = "/etc/millrace/stamp.keys";

const AFTER_HELP: &str = "\
Examples:
  millrace quarantine list --recipient bob@example.com --days 3
  millrace quarantine show 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace quarantine show --raw 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d > message.eml
  millrace quarantine release 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d --via 127.0.0.1:25
  millrace quarantine allow 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d --policy /etc/millrace/policy
  millrace quarantine delete 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace quarantine audit --days 30
  millrace quarantine list --server http://127.0.0.1:7750 --format json
  millrace quarantine list --server https://node-1.mail.example:7750 --ca ca.pem --certificate me.pem --key me-key.pem

A copy is unconfirmed until somebody told what was done with the message.

Exit status: 0 done; 1 there is no such copy, it was released before, or the next hop did not take it for \
everybody; 2 wrong arguments, nobody knows whether the next hop took it, the sender cannot be put on the list, or the \
store, the server, the keys or the policy cannot be read or written.";
