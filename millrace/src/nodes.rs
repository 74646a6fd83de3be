//! `millrace nodes`: who is registered, and who judges by what.

use anyhow::Context as _;
use clap::Args;
use millrace_cluster::membership::{self, Registration};
use millrace_cluster::policy::Published;
use millrace_runtime::printable;
use serde_json::json;

use crate::cluster::EtcdArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace nodes --etcd http://127.0.0.1:2379
  millrace nodes --config /etc/millrace/conduit-gateway.toml --format json | jq -r '.nodes[].address'

A node that judges by another revision than the published one is marked with '!', and says why where it
refuses that. Exit status: 0 all judge by the published policy; 1 some do not, or no node is registered; 2
etcd cannot be asked.";

/// Runs the command.
pub(crate) fn run(args: NodesArgs) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(list(args))
}

async fn list(args: NodesArgs) -> anyhow::Result<Exit> {
    let etcd = args.etcd.open()?;
    let nodes = membership::nodes(&etcd).await?;
    let current = Published::new(etcd).heads().await?.current;
    let published = current.as_ref().map(|current| current.revision.as_str());
    // Without a publication the nodes have their policies elsewhere: they are to agree with each other.
    let wanted = published.or(nodes.first().map(|node| node.revision.as_str()));
    let strays = |node: &&Registration| Some(node.revision.as_str()) != wanted;
    let mixed = nodes.iter().filter(strays).count();
    let mut output = Output::stdout();
    match args.format {
        Format::Json => output.pretty_json(&json!({
            "published": published,
            "mixed": mixed > 0,
            "nodes": nodes,
        }))?,
        Format::Human => {
            for node in &nodes {
                let mark = if strays(&node) { '!' } else { ' ' };
                let line = format!(
                    "{mark} {:<32} {:<16} {:<8} {} since {}",
                    node.address,
                    node.name,
                    node.version,
                    node.revision.get(..12).unwrap_or(&node.revision),
                    node.since,
                );
                output.line(&printable(line.as_bytes()))?;
                if let Some(refused) = &node.refused {
                    for problem in refused.problem.lines() {
                        output.line(&format!("    refuses: {}", printable(problem.as_bytes())))?;
                    }
                }
            }
            let short = |revision: &str| revision.get(..12).unwrap_or(revision).to_owned();
            let told = published.map_or_else(
                || "no policy is published".to_owned(),
                |revision| format!("published: {}", short(revision)),
            );
            output.line(&format!(
                "{} nodes, {mixed} with another policy; {told}",
                nodes.len()
            ))?;
        }
    }
    output.flush()?;
    Ok(if mixed == 0 && !nodes.is_empty() {
        Exit::Good
    } else {
        Exit::Bad
    })
}
