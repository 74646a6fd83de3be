//! `millrace policy history`.

use clap::Args;
use millrace_cluster::policy::Published;
use serde_json::json;

use super::told;
use crate::cluster::EtcdArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    etcd: EtcdArgs,
    /// The newest so many; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace policy history --etcd http://127.0.0.1:2379
  millrace policy history --config /etc/millrace/mpd-node.toml --limit 0 --format json | jq -r '.[].comment'

The newest is first, and is the one in force. Exit status: 0 listed; 1 nothing was published yet; 2 etcd
cannot be asked.";

/// Runs the command.
pub(super) async fn run(args: HistoryArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let published = Published::new(args.etcd.open()?);
    let limit = match args.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let history = published.history(limit).await?;
    match args.format {
        Format::Json => {
            let list: Vec<_> = history.iter().map(told::as_json).collect();
            output.pretty_json(&json!(list))?;
        }
        Format::Human if history.is_empty() => {
            output.line("nothing was published yet: millrace policy publish DIR")?;
        }
        Format::Human => {
            for publication in &history {
                output.line(&told::line(publication))?;
            }
        }
    }
    Ok(if history.is_empty() {
        Exit::Bad
    } else {
        Exit::Good
    })
}
