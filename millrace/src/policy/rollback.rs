//! `millrace policy rollback`.

use clap::Args;
use millrace_cluster::policy::{Base, Draft, PolicyError, Published};
use mpd_node::policy::Policy;
use serde_json::json;

use super::publish::{Waiting, already, follow_up, refused};
use super::{show, told};
use crate::cluster::{EtcdArgs, who};
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct RollbackArgs {
    /// To which: previous, a number of the history (#7), or the beginning of a revision
    #[arg(default_value = "previous")]
    revision: String,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Why: stands in the history [default: back to NUMBER]
    #[arg(long, short = 'm', value_name = "TEXT")]
    comment: Option<String>,
    /// Only if this revision is the one in force
    #[arg(long, value_name = "REVISION")]
    from: Option<String>,
    /// Only say what would be put in force
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace policy rollback --etcd http://127.0.0.1:2379
  millrace policy rollback '#7' -m 'the new list was wrong' --etcd http://127.0.0.1:2379

It is a publication of its own: the history goes on. Nodes that had the revision a while ago have it still,
compiled. Exit status: as of publish.";

/// Runs the command.
pub(super) async fn run(args: RollbackArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let published = Published::new(args.etcd.open()?);
    let current = published.find("current").await?;
    let base = match &args.from {
        Some(meant) => published.find(meant).await?,
        None => current,
    };
    let (target, files) = show::fetch(&published, &args.revision).await?;
    let Some(revision) = target.revision() else {
        anyhow::bail!("'{}' is no revision", target.revision);
    };
    // It did when it was published; this version of Millrace may be another.
    if let Err(errors) = Policy::published(&revision, files.clone()) {
        match args.format {
            Format::Human => output.line(&format!("{errors}\nnot published"))?,
            Format::Json => output.pretty_json(&json!({ "published": false, "errors": errors }))?,
        }
        return Ok(Exit::Bad);
    }
    let draft = Draft {
        files,
        base: base.revision().map_or(Base::Nothing, Base::Revision),
        by: who(),
        comment: args
            .comment
            .unwrap_or_else(|| format!("back to #{}", target.number)),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if args.dry_run {
        return match published.check(&draft).await {
            Err(PolicyError::Already(there)) => already(&there, args.format, output),
            Err(error) => refused(&error, args.format, output),
            Ok(_) => {
                match args.format {
                    Format::Human => output.line(&format!("would put in force {}", told::line(&target)))?,
                    Format::Json => output.pretty_json(
                        &json!({ "published": false, "would": true, "publication": told::as_json(&target) }),
                    )?,
                }
                Ok(Exit::Good)
            }
        };
    }
    match published.publish(&draft).await {
        Ok(publication) => {
            follow_up(&published, &publication, args.waiting, args.format, output).await
        }
        Err(PolicyError::Already(there)) => already(&there, args.format, output),
        Err(error) => refused(&error, args.format, output),
    }
}
