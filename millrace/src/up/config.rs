//! What `millrace up` is told, by its file and its flags.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::bail;
use conduit_gateway::config::{Origin, Section};
use conduit_gateway::{ClientConfig, Config, ListenAddress};
use millrace_cluster::{EtcdConfig, EtcdSection, membership};
use millrace_runtime::admin;
use millrace_runtime::config::{self, ConfigError, ConfigErrors};
use millrace_runtime::grpc::ConnectionAge;
use millrace_runtime::lifecycle::DrainLimits;
use millrace_runtime::telemetry::{LogConfig, OtlpConfig, TelemetryConfig};
use millrace_runtime::tls::{PeerConfig, TlsConfig};
use mpd_node::{NodeConfig, QuarantineConfig, ShadowConfig, StampConfig};
use serde::Deserialize;
use toml::Spanned;

use super::UpArgs;

/// Everything that the process is told.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) file: PathBuf,
    pub(super) gateway: Config,
    pub(super) node: NodeConfig,
    /// Where the policy comes from without a folder, and where the node is registered.
    pub(super) etcd: Option<EtcdConfig>,
    pub(super) advertise: Option<String>,
    pub(super) listen: SocketAddr,
    pub(super) connection_age: ConnectionAge,
    pub(super) admin: SocketAddr,
    pub(super) telemetry: TelemetryConfig,
    pub(super) drain: DrainLimits,
    pub(super) tls: TlsConfig,
    pub(super) peers: Vec<PeerConfig>,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    policy: Option<PathBuf>,
    admin: SocketAddr,
    node: NodeTable,
    gateway: Section,
    quarantine: QuarantineConfig,
    stamp: StampConfig,
    tls: TlsConfig,
    peer: Vec<PeerConfig>,
    shadow: ShadowConfig,
    etcd: Option<EtcdSection>,
    log: LogConfig,
    otlp: OtlpConfig,
    drain: DrainLimits,
}

/// `[node]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NodeTable {
    listen: SocketAddr,
    name: Option<String>,
    advertise: Option<Spanned<String>>,
    workers: usize,
    memory_mib: Option<u64>,
    max_connection_age_seconds: u32,
    max_connection_age_grace_seconds: u32,
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const MILTER: SocketAddr = SocketAddr::new(LOOPBACK, 8891);
const GRPC: SocketAddr = SocketAddr::new(LOOPBACK, 7750);

impl Default for Document {
    fn default() -> Self {
        Self {
            policy: None,
            admin: admin::DEFAULT_ADDRESS,
            node: NodeTable::default(),
            gateway: Section::default(),
            quarantine: QuarantineConfig::default(),
            stamp: StampConfig::default(),
            tls: TlsConfig::default(),
            peer: Vec::new(),
            shadow: ShadowConfig::default(),
            etcd: None,
            log: LogConfig::default(),
            otlp: OtlpConfig::default(),
            drain: DrainLimits::default(),
        }
    }
}

impl Default for NodeTable {
    fn default() -> Self {
        Self {
            listen: GRPC,
            name: None,
            advertise: None,
            workers: 0,
            memory_mib: None,
            max_connection_age_seconds: ConnectionAge::default().max_connection_age_seconds,
            max_connection_age_grace_seconds: ConnectionAge::default()
                .max_connection_age_grace_seconds,
        }
    }
}

/// A file, read.
struct Loaded {
    document: Document,
    gateway: Config,
    etcd: Option<EtcdConfig>,
}

impl Document {
    fn load(file: &Path) -> Result<Loaded, ConfigErrors> {
        let text = config::read(file)?;
        let document: Self = config::parse(file, &text)?;
        let gateway = document
            .gateway
            .resolve(&Origin::new(file, &text).under("gateway"))?;
        let etcd = document
            .etcd
            .as_ref()
            .map(|section| section.resolve(file, &text, "etcd"))
            .transpose()?;
        if let Some(written) = &document.node.advertise {
            membership::check_advertised(written, etcd.is_some()).map_err(
                |(problem, remedy)| {
                    ConfigError::at(
                        file,
                        &text,
                        written.span(),
                        "node.advertise",
                        problem,
                        remedy,
                    )
                },
            )?;
        }
        Ok(Loaded {
            document,
            gateway,
            etcd,
        })
    }
}

impl Settings {
    /// The file's, overridden by the flags.
    pub(super) fn new(args: UpArgs) -> anyhow::Result<Self> {
        let loaded = match &args.config {
            Some(file) => Document::load(file)?,
            None => {
                let mut none = Config::simple(Vec::new(), Vec::new());
                none.clients.clear();
                Loaded {
                    document: Document::default(),
                    gateway: none,
                    etcd: None,
                }
            }
        };
        let Loaded {
            document,
            mut gateway,
            etcd,
        } = loaded;
        add_client(&mut gateway, args.milter)?;
        let node = NodeConfig::default();
        let NodeTable {
            listen,
            name,
            advertise,
            workers,
            memory_mib,
            max_connection_age_seconds,
            max_connection_age_grace_seconds,
        } = document.node;
        let mut log = document.log;
        if let Some(form) = args.log_format {
            log.format = form.into();
        }
        Ok(Self {
            file: args.config.unwrap_or_default(),
            gateway,
            node: NodeConfig {
                name: name.filter(|name| !name.is_empty()).unwrap_or(node.name),
                policy: args.policy.or(document.policy),
                workers,
                memory: memory_mib.map_or(node.memory, |mib| mib << 20),
                in_flight: node.in_flight,
                quarantine: document.quarantine,
                stamp: document.stamp,
                shadow: document.shadow,
            },
            etcd,
            advertise: advertise.map(Spanned::into_inner),
            listen: args.listen.unwrap_or(listen),
            connection_age: ConnectionAge {
                max_connection_age_seconds,
                max_connection_age_grace_seconds,
            },
            admin: args.admin.unwrap_or(document.admin),
            telemetry: TelemetryConfig {
                log,
                otlp: document.otlp,
            },
            drain: document.drain,
            tls: document.tls,
            peers: document.peer,
        })
    }
}

/// The listeners of the flags are a client of their own; without a file that has any, there is one on the
/// port that the guides name.
fn add_client(gateway: &mut Config, mut milter: Vec<ListenAddress>) -> anyhow::Result<()> {
    if milter.is_empty() && gateway.clients.is_empty() {
        milter.push(ListenAddress::Tcp(MILTER));
    }
    if milter.is_empty() {
        return Ok(());
    }
    if let Some(open) = milter.iter().find(|address| !address.is_local()) {
        bail!(
            "--milter {open} can be reached from other machines, and milter has no authentication: say in --config \
             who may connect, with `listen` and `allow` of a [[gateway.client]]"
        );
    }
    let client = ClientConfig {
        connections: gateway.limits.connections,
        memory: gateway.limits.memory,
        ..ClientConfig::new(milter, Vec::new())
    };
    if gateway
        .clients
        .iter()
        .any(|known| known.name == client.name)
    {
        bail!(
            "--milter makes a client named {}, and the file has one of this name: rename it",
            client.name
        );
    }
    gateway.clients.push(client);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> UpArgs {
        UpArgs {
            config: None,
            policy: None,
            milter: Vec::new(),
            listen: None,
            admin: None,
            log_format: None,
        }
    }

    fn with_file(text: &str, args: UpArgs) -> anyhow::Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("up.toml");
        std::fs::write(&file, text).unwrap();
        Settings::new(UpArgs {
            config: Some(file),
            ..args
        })
    }

    fn milters(settings: &Settings) -> Vec<String> {
        settings
            .gateway
            .clients
            .iter()
            .flat_map(|client| &client.listen)
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn without_a_word_it_is_on_the_ports_of_the_guides() {
        let settings = Settings::new(args()).unwrap();
        assert_eq!(milters(&settings), ["tcp://127.0.0.1:8891"]);
        assert_eq!(settings.listen.to_string(), "127.0.0.1:7750");
        assert_eq!(settings.admin.to_string(), "127.0.0.1:7751");
        assert_eq!(settings.node.policy, None);
    }

    #[test]
    fn a_file_says_more_and_a_flag_wins() {
        let text = "policy = '/p'\nadmin = '127.0.0.1:1'\n[node]\nlisten = '127.0.0.1:2'\nname = 'n'\nmemory_mib = 3\n\
                    [[gateway.client]]\nname = 'mx'\nlisten = ['tcp://127.0.0.1:4']\n";
        let settings = with_file(text, args()).unwrap();
        assert_eq!(milters(&settings), ["tcp://127.0.0.1:4"]);
        assert_eq!((settings.admin.port(), settings.listen.port()), (1, 2));
        assert_eq!((&*settings.node.name, settings.node.memory), ("n", 3 << 20));

        let flags = UpArgs {
            policy: Some("/q".into()),
            milter: vec!["tcp://127.0.0.1:5".parse().unwrap()],
            listen: Some("127.0.0.1:6".parse().unwrap()),
            ..args()
        };
        let settings = with_file(text, flags).unwrap();
        assert_eq!(
            milters(&settings),
            ["tcp://127.0.0.1:4", "tcp://127.0.0.1:5"]
        );
        assert_eq!(settings.node.policy, Some("/q".into()));
        assert_eq!(settings.listen.port(), 6);
    }

    #[test]
    fn mistakes_are_told_with_their_place_and_a_remedy() {
        for (text, part) in [
            ("polizy = '/p'\n", "up.toml:1:1"),
            ("[node]\nlisten = 'nowhere'\n", "node.listen"),
            (
                "[[gateway.client]]\nname = 'mx'\nlisten = ['nowhere']\n",
                "gateway.client[0].listen",
            ),
            (
                "[[gateway.client]]\nname = 'default'\nlisten = ['tcp://127.0.0.1:4']\n",
                "rename it",
            ),
        ] {
            let flags = UpArgs {
                milter: vec!["tcp://127.0.0.1:5".parse().unwrap()],
                ..args()
            };
            let error = with_file(text, flags).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let open = UpArgs {
            milter: vec!["inet:8891".parse().unwrap()],
            ..args()
        };
        let error = Settings::new(open).unwrap_err().to_string();
        assert!(
            error.contains("can be reached from other machines"),
            "{error}"
        );
    }
}
