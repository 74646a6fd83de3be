//! The flags by which commands find etcd, and who types them.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use millrace_cluster::{Etcd, EtcdConfig, EtcdSection};
use millrace_runtime::config;
use serde::Deserialize;

#[derive(Debug, Args)]
pub(crate) struct EtcdArgs {
    /// A member of etcd, such as http://127.0.0.1:2379; several with commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        env = "MILLRACE_ETCD",
        conflicts_with = "config"
    )]
    etcd: Vec<String>,
    /// A file that has `[etcd]`: that of a node, a gateway, or of 'millrace up'
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What all keys begin with, with --etcd [default: /millrace/]
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    prefix: Option<String>,
}

/// A file of which only this is read.
#[derive(Debug, Deserialize)]
struct OnlyEtcd {
    etcd: Option<EtcdSection>,
}

impl EtcdArgs {
    /// The cluster that is meant; nothing is connected yet.
    pub(crate) fn open(&self) -> anyhow::Result<Etcd> {
        if let Some(file) = &self.config {
            let text = config::read(file)?;
            let only: OnlyEtcd = config::parse(file, &text)?;
            let section = only
                .etcd
                .with_context(|| format!("{} has no [etcd]", file.display()))?;
            return Ok(Etcd::new(section.resolve(file, &text, "etcd")?));
        }
        if self.etcd.is_empty() {
            bail!(
                "where is etcd? Give --etcd http://HOST:2379 (or MILLRACE_ETCD), or --config with a file that has [etcd]"
            );
        }
        let mut config = EtcdConfig::plain(self.etcd.iter().map(String::as_str))?;
        if let Some(prefix) = &self.prefix {
            if !(prefix.starts_with('/') && prefix.ends_with('/') && prefix.len() > 1) {
                bail!("--prefix {prefix} does not begin and end with '/'");
            }
            config = config.with_prefix(prefix);
        }
        Ok(Etcd::new(config))
    }
}

/// Who types the command: `user@host`.
pub(crate) fn who() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}
