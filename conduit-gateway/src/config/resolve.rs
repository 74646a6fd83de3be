//! From the file as it is written to what it means; everything wrong is told at once.

mod qmqp;

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use millrace_runtime::config::{ConfigError, ConfigErrors};
use millrace_runtime::grpc::ConnectionAge;
use toml::Spanned;

use super::document::{ClientTable, FailureTableRow, LimitsTable, Section, TimeTable};
use super::remote::{DiscoveryTable, UpstreamTable};
use super::{ClientConfig, Config, DirectionFrom, Limits, Mta, Protocol, Remote, Times};
use crate::address::{ListenAddress, SPELLINGS};
use crate::failure::{FailureAction, FailureKind, FailureRow, FailureTable};
use crate::listen::LONGEST_QMQP_DEADLINE;
use crate::queue::QueueBounds;

/// Where a section was read from: for errors that name file, line and key.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    file: &'a Path,
    text: &'a str,
    prefix: &'a str,
}

impl<'a> Origin<'a> {
    /// A file and its content.
    #[must_use]
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            prefix: "",
        }
    }

    /// The section stands in a table of this name: keys in errors begin with it.
    #[must_use]
    pub fn under(self, prefix: &'a str) -> Self {
        Self { prefix, ..self }
    }

    fn error(
        &self,
        span: Range<usize>,
        key: &str,
        problem: impl Into<String>,
        remedy: &str,
    ) -> ConfigError {
        let key = match self.prefix {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        };
        ConfigError::at(self.file, self.text, span, key, problem, remedy)
    }
}

/// QMQP clients give up after 60 s, and a downstream server needs its share.
const QMQP_DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Resolver<'a> {
    origin: &'a Origin<'a>,
    errors: ConfigErrors,
}

impl Origin<'_> {
    /// Checks where nodes are and how they are asked.
    pub(super) fn remote(
        &self,
        nodes: &[Spanned<String>],
        upstream: &UpstreamTable,
        discovery: &DiscoveryTable,
    ) -> Result<Remote, ConfigErrors> {
        let mut resolver = Resolver {
            origin: self,
            errors: ConfigErrors::default(),
        };
        let remote = resolver.remote(nodes, upstream, discovery);
        resolver.errors.into_result(remote)
    }
}

impl Section {
    /// Checks the section. A file without a client is a configuration without one: the caller may have listeners
    /// from elsewhere.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn resolve(&self, origin: &Origin<'_>) -> Result<Config, ConfigErrors> {
        let mut resolver = Resolver {
            origin,
            errors: ConfigErrors::default(),
        };
        let limits = resolver.limits(&self.limits);
        let times = resolver.times(&self.time);
        let mut clients = Vec::new();
        let (mut names, mut addresses) = (HashSet::new(), HashSet::new());
        let milters = self.client.iter().enumerate().map(|(n, table)| {
            let key = format!("client[{n}]");
            (key, "name", table.get_ref().clone(), Protocol::Milter, None)
        });
        let conduits = self.conduit.iter().enumerate().map(|(n, table)| {
            let direction = match table.get_ref().direction {
                Some(_) => DirectionFrom::Listener,
                None => DirectionFrom::Conduit,
            };
            let protocol = Protocol::Contract { direction };
            let key = format!("conduit[{n}]");
            let table = table.get_ref();
            (key, "client", table.as_client(), protocol, table.tls)
        });
        let qmqp: Vec<_> = self
            .qmqp
            .iter()
            .enumerate()
            .map(|(n, table)| {
                let key = format!("qmqp[{n}]");
                let protocol = resolver.qmqp(&key, table.get_ref());
                (key, "client", table.get_ref().as_client(), protocol, None)
            })
            .collect();
        for (key, name_key, table, protocol, tls) in milters.chain(conduits).chain(qmqp) {
            let name_key = format!("{key}.{name_key}");
            let client = ClientConfig {
                tls,
                ..resolver.client(&key, &name_key, &table, protocol, &limits)
            };
            if !names.insert(client.name.clone()) {
                resolver.refuse(
                    table.name.span(),
                    &name_key,
                    format!("a client named {} was there before", client.name),
                    "give each client a name of its own, or list both addresses in `listen` of one",
                );
            }
            for (address, raw) in client.listen.iter().zip(&table.listen) {
                let any_port = matches!(address, ListenAddress::Tcp(tcp) if tcp.port() == 0);
                if !any_port && !addresses.insert(address.clone()) {
                    resolver.refuse(
                        raw.span(),
                        &format!("{key}.listen"),
                        format!("{address} is listened on twice"),
                        "take one of them away",
                    );
                }
            }
            clients.push(client);
        }
        let rows = self
            .failure
            .iter()
            .enumerate()
            .filter_map(|(n, row)| resolver.failure(n, row, &names))
            .collect();
        resolver.errors.into_result(Config {
            clients,
            failures: FailureTable::new(rows),
            limits,
            times,
        })
    }
}

impl Resolver<'_> {
    fn refuse(&mut self, span: Range<usize>, key: &str, problem: impl Into<String>, remedy: &str) {
        let error = self.origin.error(span, key, problem, remedy);
        self.errors.push(error);
    }

    /// A value that is parsed from a string; the default when it is absent or wrong.
    pub(super) fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        key: &str,
        value: Option<&Spanned<String>>,
        remedy: &str,
    ) -> Option<T> {
        let value = value?;
        match value.get_ref().parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                self.refuse(value.span(), key, error.to_string(), remedy);
                None
            }
        }
    }

    /// A number within a range; the default when it is absent or wrong.
    pub(super) fn number<T>(
        &mut self,
        key: &str,
        value: Option<&Spanned<T>>,
        range: Range<T>,
        default: T,
    ) -> T
    where
        T: Copy + PartialOrd + std::fmt::Display,
    {
        let Some(value) = value else { return default };
        let number = *value.get_ref();
        if range.contains(&number) {
            return number;
        }
        let Range { start, end } = range;
        let problem = format!("{number} is out of range");
        self.refuse(
            value.span(),
            key,
            problem,
            &format!("write a number from {start} to below {end}"),
        );
        default
    }

    fn limits(&mut self, table: &LimitsTable) -> Limits {
        let default = Limits::default();
        let connections = self.number(
            "limits.connections",
            table.connections.as_ref(),
            1..1_000_001,
            default.connections,
        );
        let mut scaled = |key, value: &Option<_>, shift: u32, default: u64| {
            self.number(key, value.as_ref(), 1..1 << 30, default >> shift) << shift
        };
        let memory = scaled("limits.memory_mib", &table.memory_mib, 20, default.memory);
        let spool_above = scaled(
            "limits.spool_above_kib",
            &table.spool_above_kib,
            10,
            default.spool_above,
        );
        let spool = scaled("limits.spool_mib", &table.spool_mib, 20, default.spool);
        let spool_folder = match &table.spool_folder {
            None => default.spool_folder,
            Some(folder) => {
                if !folder.get_ref().is_dir() {
                    self.refuse(
                        folder.span(),
                        "limits.spool_folder",
                        format!("{} is no folder", folder.get_ref().display()),
                        "make the folder, writable by the user that this process runs as",
                    );
                }
                folder.get_ref().clone()
            }
        };
        let in_flight = table
            .in_flight
            .as_ref()
            .map(|value| self.number("limits.in_flight", Some(value), 1..1_000_001, 1));
        Limits {
            connections,
            memory,
            spool_above,
            spool,
            spool_folder,
            in_flight,
            queue: self.queue(table),
        }
    }

    fn queue(&mut self, table: &LimitsTable) -> QueueBounds {
        let default = QueueBounds::default();
        let seconds = self.number(
            "limits.queue_seconds",
            table.queue_seconds.as_ref(),
            1..10_000,
            default.patience.as_secs(),
        );
        let brownout = self.number(
            "limits.brownout_milliseconds",
            table.brownout_milliseconds.as_ref(),
            1..10_000_000,
            u64::try_from(default.brownout.as_millis()).unwrap_or(u64::MAX),
        );
        QueueBounds {
            length: self.number(
                "limits.queue_messages",
                table.queue_messages.as_ref(),
                1..1_000_001,
                default.length,
            ),
            patience: Duration::from_secs(seconds),
            brownout: Duration::from_millis(brownout),
        }
    }

    fn times(&mut self, table: &TimeTable) -> Times {
        let default = Times::default();
        let idle = self.number(
            "time.idle_seconds",
            table.idle_seconds.as_ref(),
            1..1_000_000,
            default.idle.as_secs(),
        );
        // Above 9 s, Sendmail has given up by then.
        let progress = self.number(
            "time.progress_seconds",
            table.progress_seconds.as_ref(),
            1..10,
            default.progress.as_secs(),
        );
        let age = default.connection_age;
        Times {
            connection_age: ConnectionAge {
                max_connection_age_seconds: table
                    .max_connection_age_seconds
                    .unwrap_or(age.max_connection_age_seconds),
                max_connection_age_grace_seconds: table
                    .max_connection_age_grace_seconds
                    .unwrap_or(age.max_connection_age_grace_seconds),
            },
            idle: Duration::from_secs(idle),
            progress: Duration::from_secs(progress),
        }
    }

    fn client(
        &mut self,
        key: &str,
        name_key: &str,
        table: &ClientTable,
        protocol: Protocol,
        limits: &Limits,
    ) -> ClientConfig {
        let at = |name: &str| format!("{key}.{name}");
        let default = ClientConfig::new(Vec::new(), Vec::new());
        let name = self
            .parsed(
                name_key,
                Some(&table.name),
                "take a short name, such as mx-in",
            )
            .unwrap_or_else(|| default.name.clone());
        let mta = match &table.mta {
            None => Mta::Any,
            Some(word) => match word.get_ref().as_str() {
                "any" => Mta::Any,
                "sendmail" => Mta::Sendmail,
                "postfix" => Mta::Postfix,
                other => {
                    let problem = format!("'{other}' is no kind of mail server");
                    self.refuse(
                        word.span(),
                        &at("mta"),
                        problem,
                        "write any, sendmail or postfix",
                    );
                    Mta::Any
                }
            },
        };
        let (cap, usual) = match protocol {
            Protocol::Qmqp(_) => (LONGEST_QMQP_DEADLINE, QMQP_DEADLINE),
            Protocol::Milter | Protocol::Contract { .. } => {
                (mta.verdict_deadline(), default.deadline)
            }
        };
        let deadline = self.number(
            &at("deadline_seconds"),
            table.deadline_seconds.as_ref(),
            1..cap.as_secs() + 1,
            usual.min(cap).as_secs(),
        );
        let direction = self.parsed(
            &at("direction"),
            table.direction.as_ref(),
            "write inbound, outbound or local",
        );
        let allow: Vec<IpNet> = table
            .allow
            .iter()
            .filter_map(|raw| self.network(&at("allow"), raw))
            .collect();
        if table.listen.is_empty() {
            self.refuse(
                table.name.span(),
                &at("listen"),
                "nobody can connect",
                "list at least one address",
            );
        }
        let mut listen = Vec::new();
        for raw in &table.listen {
            let Some(address) = self.parsed::<ListenAddress>(&at("listen"), Some(raw), SPELLINGS)
            else {
                continue;
            };
            let unix = matches!(address, ListenAddress::Unix(_));
            if matches!(protocol, Protocol::Qmqp(_)) && !unix && table.allow.is_empty() {
                self.refuse(
                    raw.span(),
                    &at("listen"),
                    format!("QMQP knows no authentication, and `allow` does not say who may connect to {address}"),
                    "list the qmail hosts in `allow`, such as [\"192.0.2.7\"]",
                );
            } else if !address.is_local() && table.allow.is_empty() {
                self.refuse(
                    raw.span(),
                    &at("listen"),
                    format!("{address} can be reached from other machines, and `allow` does not say from which"),
                    "list the mail servers' networks in `allow`, such as [\"192.0.2.0/24\"]",
                );
            }
            listen.push(address);
        }
        let most = (limits.memory >> 20).max(1);
        ClientConfig {
            name,
            direction: direction.unwrap_or(default.direction),
            protocol,
            mta,
            listen,
            socket_mode: self.mode(
                &at("socket_mode"),
                table.socket_mode.as_ref(),
                default.socket_mode,
            ),
            socket_group: table
                .socket_group
                .as_ref()
                .and_then(|group| self.group(&at("socket_group"), group)),
            allow,
            tls: default.tls,
            connections: self.number(
                &at("connections"),
                table.connections.as_ref(),
                1..limits.connections + 1,
                limits.connections,
            ),
            memory: self.number(
                &at("memory_mib"),
                table.memory_mib.as_ref(),
                1..most + 1,
                most,
            ) << 20,
            weight: self.number(&at("weight"), table.weight.as_ref(), 1..1001, 1),
            message_size: table
                .message_size_kib
                .as_ref()
                .map(|size| self.number(&at("message_size_kib"), Some(size), 1..1 << 30, 1) << 10),
            deadline: Duration::from_secs(deadline),
        }
    }

    fn network(&mut self, key: &str, raw: &Spanned<String>) -> Option<IpNet> {
        let text = raw.get_ref();
        let network = text
            .parse()
            .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
        if network.is_err() {
            let problem = format!("'{text}' is no network");
            self.refuse(
                raw.span(),
                key,
                problem,
                "write an address or a network, such as 192.0.2.0/24",
            );
        }
        network.ok()
    }

    fn mode(&mut self, key: &str, value: Option<&Spanned<String>>, default: u32) -> u32 {
        let Some(value) = value else { return default };
        match u32::from_str_radix(value.get_ref(), 8) {
            Ok(mode) if mode <= 0o777 => mode,
            _ => {
                let problem = format!("'{}' is no mode", value.get_ref());
                self.refuse(
                    value.span(),
                    key,
                    problem,
                    "write three octal digits in quotes, such as \"0660\"",
                );
                default
            }
        }
    }

    fn group(&mut self, key: &str, value: &Spanned<String>) -> Option<String> {
        let name = value.get_ref();
        if !matches!(nix::unistd::Group::from_name(name), Ok(Some(_))) {
            let problem = format!("there is no group '{name}'");
            self.refuse(
                value.span(),
                key,
                problem,
                "name a group of this system, such as postfix",
            );
            return None;
        }
        Some(name.clone())
    }

    fn failure(
        &mut self,
        n: usize,
        row: &FailureTableRow,
        names: &HashSet<millrace_proto::ClientName>,
    ) -> Option<FailureRow> {
        let at = |name: &str| format!("failure[{n}].{name}");
        let client = self.parsed(&at("client"), row.client.as_ref(), "name a client");
        if let (Some(client), Some(raw)) = (&client, &row.client)
            && !names.contains(client)
            && raw.get_ref() != ClientConfig::DEFAULT_NAME
        {
            let problem = format!("there is no client named {client}");
            self.refuse(
                raw.span(),
                &at("client"),
                problem,
                "name a client of a [[client]] table",
            );
        }
        let direction = self.parsed(
            &at("direction"),
            row.direction.as_ref(),
            "write inbound, outbound or local",
        );
        let before = self.errors.0.len();
        let kinds = row
            .kinds
            .iter()
            .filter_map(|kind| self.parsed(&at("kinds"), Some(kind), "take one of these names"))
            .collect();
        let action = self.parsed(&at("action"), Some(&row.action), "take one of these names");
        let of_store = |kind: &&Spanned<String>| kind.get_ref() == FailureKind::Store.name();
        if action == Some(FailureAction::Reject)
            && let Some(kind) = row.kinds.iter().find(of_store)
        {
            self.refuse(
                kind.span(),
                &at("kinds"),
                "'store' is a copy that cannot be kept, and a refusal would lose it",
                "take tempfail, hold or accept-and-stamp for it",
            );
        }
        if self.errors.0.len() > before {
            return None;
        }
        Some(FailureRow {
            client,
            direction,
            kinds,
            action: action?,
        })
    }
}
