//! How a node is set up: its configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use millrace_cluster::{EtcdConfig, EtcdSection, membership};
use millrace_quarantine::{NextHopTls, S3};
use millrace_runtime::admin;
use millrace_runtime::config::{self, ConfigError, ConfigErrors};
use millrace_runtime::grpc::ConnectionAge;
use millrace_runtime::lifecycle::DrainLimits;
use millrace_runtime::telemetry::{LogConfig, OtlpConfig, TelemetryConfig};
use millrace_runtime::tls::{PeerConfig, TlsConfig};
use serde::Deserialize;
use toml::Spanned;

/// What a node needs to know to judge.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// How it signs its verdicts; not empty.
    pub name: String,
    /// The policy's folder; `None` for the policy that is built in.
    pub policy: Option<PathBuf>,
    /// Messages above 64 KiB that are judged at once; 0 for one a processor.
    pub workers: usize,
    /// Bytes of content in memory at most, over all calls; above that calls
    /// are shed.
    pub memory: u64,
    /// Messages that are judged at once, over all callers; above that calls
    /// are shed.
    pub in_flight: usize,
    /// Where copies are kept.
    pub quarantine: QuarantineConfig,
    /// How released messages are known.
    pub stamp: StampConfig,
    /// A policy that is tried.
    pub shadow: ShadowConfig,
}

/// `[shadow]`: a policy that judges beside the one in force, and decides nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowConfig {
    /// Its folder. Without one it is what `millrace policy shadow` says, where the policy comes from etcd.
    pub policy: Option<PathBuf>,
    /// The share of messages that the folder's policy judges too, from 0 to 1.
    pub share: f64,
    /// Messages that it judges at once; what comes beyond them is passed by.
    pub concurrent: usize,
}

impl Default for ShadowConfig {
    fn default() -> Self {
        Self {
            policy: None,
            share: 0.1,
            concurrent: 1,
        }
    }
}

/// `[stamp]`: how released messages are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StampConfig {
    /// The file of keys; `None` where stamps are not looked at.
    pub keys: Option<PathBuf>,
}

/// `[quarantine]`: where copies are kept, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineConfig {
    /// `file:///path`, an absolute path, or `s3://bucket/prefix`; `None` for no store.
    pub store: Option<String>,
    /// How a bucket is reached.
    pub s3: S3,
    /// Copies older than this are deleted; 0 for never. Days.
    pub keep_days: u32,
    /// Copies at most, the newest; 0 for any number.
    pub keep_entries: u64,
    /// Bytes of all messages at most, the newest; 0 for any. MiB.
    pub keep_mib: u64,
    /// What is kept of single clients, by their names.
    pub client: BTreeMap<String, ClientRetention>,
    /// How long copies for recipients in single domains are kept, by the domain.
    pub recipient_domain: BTreeMap<String, DomainRetention>,
    /// The copies can be looked at, released and deleted over this node's gRPC port.
    pub serve: bool,
    /// Where this node releases copies to, `HOST:PORT`.
    pub release_via: String,
    /// Whether the way there is encrypted.
    pub release_tls: NextHopTls,
    /// The authorities of the next hop's certificate, PEM; the system's without.
    pub release_ca: Option<PathBuf>,
}

/// `[quarantine.client.NAME]`: what is kept of one client. What is left out is as for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientRetention {
    /// Copies older than this are deleted; 0 for never. Days.
    pub keep_days: Option<u32>,
    /// Copies of this client at most; 0 for any number.
    pub keep_entries: Option<u64>,
    /// Bytes of this client's messages at most; 0 for any. MiB.
    pub keep_mib: Option<u64>,
}

/// `[quarantine.recipient_domain."DOMAIN"]`: how long copies for its recipients are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainRetention {
    /// Copies older than this are deleted; 0 for never. Days.
    pub keep_days: u32,
}

impl Default for QuarantineConfig {
    fn default() -> Self {
        Self {
            store: None,
            s3: S3::default(),
            keep_days: 30,
            keep_entries: 0,
            keep_mib: 0,
            client: BTreeMap::new(),
            recipient_domain: BTreeMap::new(),
            serve: false,
            release_via: "127.0.0.1:25".to_owned(),
            release_tls: NextHopTls::default(),
            release_ca: None,
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: host_name(),
            policy: None,
            workers: 0,
            memory: DEFAULT_MEMORY_MIB << 20,
            // Whoever embeds a node has a queue before it.
            in_flight: usize::MAX,
            quarantine: QuarantineConfig::default(),
            stamp: StampConfig::default(),
            shadow: ShadowConfig::default(),
        }
    }
}

/// A node's `--config` file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileConfig {
    /// Where gRPC is served.
    pub(crate) listen: SocketAddr,
    /// Where health, readiness and metrics are served.
    pub(crate) admin: SocketAddr,
    /// How the node signs its verdicts; the host's name by default.
    pub(crate) name: Option<String>,
    /// The policy's folder.
    pub(crate) policy: Option<PathBuf>,
    /// Messages above 64 KiB judged at once.
    pub(crate) workers: usize,
    /// Memory for content.
    pub(crate) memory_mib: u64,
    /// Messages judged at once; 0 for 128 a processor.
    pub(crate) in_flight: usize,
    /// Age at which connections are asked to go; 0 for never.
    pub(crate) max_connection_age_seconds: u32,
    /// How long calls on such a connection may then still take.
    pub(crate) max_connection_age_grace_seconds: u32,
    pub(crate) quarantine: QuarantineConfig,
    pub(crate) stamp: StampConfig,
    /// The node's certificate, and whom it believes.
    pub(crate) tls: TlsConfig,
    /// Who may do what.
    pub(crate) peer: Vec<PeerConfig>,
    pub(crate) shadow: ShadowConfig,
    /// The address by which gateways reach this node: it is registered in etcd.
    pub(crate) advertise: Option<Spanned<String>>,
    etcd: Option<EtcdSection>,
    /// What was understood of `[etcd]`.
    #[serde(skip)]
    pub(crate) cluster: Option<EtcdConfig>,
    pub(crate) log: LogConfig,
    pub(crate) otlp: OtlpConfig,
    pub(crate) drain: DrainLimits,
}

/// The port that a node serves by default.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7750);
const DEFAULT_MEMORY_MIB: u64 = 1024;
/// Messages judged at once, for each processor.
const IN_FLIGHT_EACH: usize = 128;

impl Default for FileConfig {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            admin: admin::DEFAULT_ADDRESS,
            name: None,
            policy: None,
            workers: 0,
            memory_mib: DEFAULT_MEMORY_MIB,
            in_flight: 0,
            max_connection_age_seconds: ConnectionAge::default().max_connection_age_seconds,
            max_connection_age_grace_seconds: ConnectionAge::default()
                .max_connection_age_grace_seconds,
            quarantine: QuarantineConfig::default(),
            stamp: StampConfig::default(),
            tls: TlsConfig::default(),
            peer: Vec::new(),
            shadow: ShadowConfig::default(),
            advertise: None,
            etcd: None,
            cluster: None,
            log: LogConfig::default(),
            otlp: OtlpConfig::default(),
            drain: DrainLimits::default(),
        }
    }
}

impl NodeConfig {
    /// Messages above 64 KiB that are judged at once.
    pub(crate) fn width(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

impl FileConfig {
    /// Reads a file.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = config::read(path)?;
        let mut config: Self = config::parse(path, &text)?;
        if let Some(section) = &config.etcd {
            config.cluster = Some(section.resolve(path, &text, "etcd")?);
        }
        if let Some(written) = &config.advertise {
            membership::check_advertised(written, config.etcd.is_some()).map_err(
                |(problem, remedy)| {
                    ConfigError::at(path, &text, written.span(), "advertise", problem, remedy)
                },
            )?;
        }
        Ok(config)
    }

    pub(crate) fn node(&self) -> NodeConfig {
        NodeConfig {
            name: self.name.clone().unwrap_or_else(host_name),
            policy: self.policy.clone(),
            workers: self.workers,
            memory: self.memory_mib << 20,
            in_flight: match self.in_flight {
                0 => {
                    let processors = std::thread::available_parallelism();
                    IN_FLIGHT_EACH * processors.map_or(1, usize::from)
                }
                in_flight => in_flight,
            },
            quarantine: self.quarantine.clone(),
            stamp: self.stamp.clone(),
            shadow: self.shadow.clone(),
        }
    }

    pub(crate) fn telemetry(&self) -> TelemetryConfig {
        TelemetryConfig {
            log: self.log.clone(),
            otlp: self.otlp.clone(),
        }
    }

    pub(crate) fn connection_age(&self) -> ConnectionAge {
        ConnectionAge {
            max_connection_age_seconds: self.max_connection_age_seconds,
            max_connection_age_grace_seconds: self.max_connection_age_grace_seconds,
        }
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "mpd-node".to_owned())
}
