//! `millrace policy prune`.

use clap::Args;
use millrace_cluster::policy::Published;
use serde_json::json;

use super::told;
use crate::cluster::EtcdArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Keep the content of the last so many publications
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Example:
  millrace policy prune --keep 20 --etcd http://127.0.0.1:2379

What is in force, tried, or run by a registered node is never removed; the history keeps its lines. Space
in etcd is free again when etcd has compacted and defragmented.

Exit status: 0 removed, or nothing to remove; 2 etcd cannot be asked, or something was published meanwhile.";

/// Runs the command.
pub(super) async fn run(args: PruneArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let published = Published::new(args.etcd.open()?);
    let keep = usize::try_from(args.keep).unwrap_or(usize::MAX);
    let pruned = published.prune(keep, args.dry_run).await?;
    match args.format {
        Format::Json => output.pretty_json(&json!({
            "removed": !args.dry_run, "revisions": pruned.revisions, "parts": pruned.parts,
        }))?,
        Format::Human => {
            let verb = if args.dry_run {
                "would remove"
            } else {
                "removed"
            };
            output.line(&format!(
                "{verb} {} revisions and {} parts",
                pruned.revisions.len(),
                pruned.parts
            ))?;
            for revision in &pruned.revisions {
                output.line(&format!("  {}", told::short(revision)))?;
            }
        }
    }
    Ok(Exit::Good)
}
