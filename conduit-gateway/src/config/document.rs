//! The configuration file as it is written.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use millrace_cluster::{EtcdConfig, EtcdSection};
use millrace_runtime::admin;
use millrace_runtime::config::{self, ConfigErrors};
use millrace_runtime::lifecycle::DrainLimits;
use millrace_runtime::telemetry::{LogConfig, OtlpConfig};
use millrace_runtime::tls::{PeerConfig, TlsConfig};
use mpd_node::{QuarantineConfig, StampConfig};
use serde::Deserialize;
use toml::Spanned;

use super::remote::{DiscoveryTable, UpstreamTable};
use super::{Config, Origin, Remote};

/// The `--config` file of `conduit-gateway`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    /// Judge in this process.
    pub embedded: bool,
    /// The policy's folder, with `embedded`; the built-in policy without one.
    pub policy: Option<PathBuf>,
    nodes: Vec<Spanned<String>>,
    upstream: UpstreamTable,
    discovery: DiscoveryTable,
    etcd: Option<EtcdSection>,
    /// What was understood of `[etcd]`: where nodes are registered; with `embedded` where the policy is published.
    #[serde(skip)]
    pub cluster: Option<EtcdConfig>,
    /// Where health, readiness and metrics are served.
    pub admin: SocketAddr,
    /// Where copies are kept, with `embedded`.
    pub quarantine: QuarantineConfig,
    /// How released messages are known, with `embedded`.
    pub stamp: StampConfig,
    /// The gateway's certificate, and whom it believes.
    pub tls: TlsConfig,
    /// Which conduits may do what.
    pub peer: Vec<PeerConfig>,
    /// What is logged.
    pub log: LogConfig,
    /// Where traces go.
    pub otlp: OtlpConfig,
    /// How the process ends.
    pub drain: DrainLimits,
    limits: LimitsTable,
    time: TimeTable,
    client: Vec<Spanned<ClientTable>>,
    conduit: Vec<Spanned<ConduitTable>>,
    qmqp: Vec<Spanned<QmqpTable>>,
    failure: Vec<FailureTableRow>,
}

/// The gateway's part of a file that configures other things too: `limits`, `time`, `client`, `conduit`,
/// `qmqp` and `failure`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    pub(super) limits: LimitsTable,
    pub(super) time: TimeTable,
    pub(super) client: Vec<Spanned<ClientTable>>,
    pub(super) conduit: Vec<Spanned<ConduitTable>>,
    pub(super) qmqp: Vec<Spanned<QmqpTable>>,
    pub(super) failure: Vec<FailureTableRow>,
}

/// `[limits]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsTable {
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) memory_mib: Option<Spanned<u64>>,
    pub(super) spool_above_kib: Option<Spanned<u64>>,
    pub(super) spool_mib: Option<Spanned<u64>>,
    pub(super) spool_folder: Option<Spanned<PathBuf>>,
    pub(super) in_flight: Option<Spanned<usize>>,
    pub(super) queue_messages: Option<Spanned<usize>>,
    pub(super) queue_seconds: Option<Spanned<u64>>,
    pub(super) brownout_milliseconds: Option<Spanned<u64>>,
}

/// `[time]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TimeTable {
    pub(super) idle_seconds: Option<Spanned<u64>>,
    pub(super) progress_seconds: Option<Spanned<u64>>,
    pub(super) max_connection_age_seconds: Option<u32>,
    pub(super) max_connection_age_grace_seconds: Option<u32>,
}

/// `[[client]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTable {
    pub(super) name: Spanned<String>,
    pub(super) listen: Vec<Spanned<String>>,
    pub(super) direction: Option<Spanned<String>>,
    pub(super) mta: Option<Spanned<String>>,
    pub(super) socket_mode: Option<Spanned<String>>,
    pub(super) socket_group: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow: Vec<Spanned<String>>,
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) memory_mib: Option<Spanned<u64>>,
    pub(super) weight: Option<Spanned<u32>>,
    pub(super) message_size_kib: Option<Spanned<u64>>,
    pub(super) deadline_seconds: Option<Spanned<u64>>,
}

/// `[[conduit]]`: where conduits connect, which speak the contract.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConduitTable {
    pub(super) client: Spanned<String>,
    pub(super) listen: Vec<Spanned<String>>,
    pub(super) direction: Option<Spanned<String>>,
    pub(super) socket_mode: Option<Spanned<String>>,
    pub(super) socket_group: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow: Vec<Spanned<String>>,
    pub(super) tls: Option<bool>,
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) memory_mib: Option<Spanned<u64>>,
    pub(super) weight: Option<Spanned<u32>>,
    pub(super) message_size_kib: Option<Spanned<u64>>,
    pub(super) deadline_seconds: Option<Spanned<u64>>,
}

impl ConduitTable {
    /// As a client's table, of which it has all but the kind of mail server.
    pub(super) fn as_client(&self) -> ClientTable {
        ClientTable {
            name: self.client.clone(),
            listen: self.listen.clone(),
            direction: self.direction.clone(),
            mta: None,
            socket_mode: self.socket_mode.clone(),
            socket_group: self.socket_group.clone(),
            allow: self.allow.clone(),
            connections: self.connections.clone(),
            memory_mib: self.memory_mib.clone(),
            weight: self.weight.clone(),
            message_size_kib: self.message_size_kib.clone(),
            deadline_seconds: self.deadline_seconds.clone(),
        }
    }
}

/// `[[qmqp]]`: where qmails connect, and where their mail goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QmqpTable {
    pub(super) client: Spanned<String>,
    pub(super) listen: Vec<Spanned<String>>,
    pub(super) downstream: Spanned<Vec<Spanned<String>>>,
    pub(super) believe_received: Option<bool>,
    pub(super) direction: Option<Spanned<String>>,
    pub(super) socket_mode: Option<Spanned<String>>,
    pub(super) socket_group: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow: Vec<Spanned<String>>,
    pub(super) connections: Option<Spanned<usize>>,
    pub(super) memory_mib: Option<Spanned<u64>>,
    pub(super) weight: Option<Spanned<u32>>,
    pub(super) message_size_kib: Option<Spanned<u64>>,
    pub(super) deadline_seconds: Option<Spanned<u64>>,
}

impl QmqpTable {
    /// As a client's table, of which it has all but the kind of mail server.
    pub(super) fn as_client(&self) -> ClientTable {
        ClientTable {
            name: self.client.clone(),
            listen: self.listen.clone(),
            direction: self.direction.clone(),
            mta: None,
            socket_mode: self.socket_mode.clone(),
            socket_group: self.socket_group.clone(),
            allow: self.allow.clone(),
            connections: self.connections.clone(),
            memory_mib: self.memory_mib.clone(),
            weight: self.weight.clone(),
            message_size_kib: self.message_size_kib.clone(),
            deadline_seconds: self.deadline_seconds.clone(),
        }
    }
}

/// `[[failure]]`: a row of the failure table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailureTableRow {
    pub(super) client: Option<Spanned<String>>,
    pub(super) direction: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) kinds: Vec<Spanned<String>>,
    pub(super) action: Spanned<String>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            embedded: false,
            policy: None,
            nodes: Vec::new(),
            upstream: UpstreamTable::default(),
            discovery: DiscoveryTable::default(),
            etcd: None,
            cluster: None,
            admin: admin::DEFAULT_ADDRESS,
            quarantine: QuarantineConfig::default(),
            stamp: StampConfig::default(),
            tls: TlsConfig::default(),
            peer: Vec::new(),
            log: LogConfig::default(),
            otlp: OtlpConfig::default(),
            drain: DrainLimits::default(),
            limits: LimitsTable::default(),
            time: TimeTable::default(),
            client: Vec::new(),
            conduit: Vec::new(),
            qmqp: Vec::new(),
            failure: Vec::new(),
        }
    }
}

impl Document {
    /// Reads a file, and checks the gateway's part of it.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with file, line, key and remedy.
    pub fn load(file: &Path) -> Result<(Self, Config, Remote), ConfigErrors> {
        let text = config::read(file)?;
        let mut document: Self = config::parse(file, &text)?;
        let origin = Origin::new(file, &text);
        let mut errors = ConfigErrors::default();
        let config = errors.keep(document.section().resolve(&origin));
        let remote =
            errors.keep(origin.remote(&document.nodes, &document.upstream, &document.discovery));
        if let Some(section) = &document.etcd {
            document.cluster = errors.keep(section.resolve(file, &text, "etcd"));
        }
        match (config, remote) {
            (Some(config), Some(remote)) => errors.into_result((document, config, remote)),
            _ => Err(errors),
        }
    }

    fn section(&self) -> Section {
        Section {
            limits: self.limits.clone(),
            time: self.time.clone(),
            client: self.client.clone(),
            conduit: self.conduit.clone(),
            qmqp: self.qmqp.clone(),
            failure: self.failure.clone(),
        }
    }
}
