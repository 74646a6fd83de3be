//! `millrace policy publish`: compiled here, put in force by compare-and-swap, and watched until the nodes have it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use millrace_cluster::membership::{Registration, follow_nodes, registrations};
use millrace_cluster::policy::{Base, Draft, PolicyError, Publication, Published};
use millrace_proto::Revision;
use millrace_runtime::printable;
use mpd_node::policy::Policy;
use serde_json::{Value, json};
use tokio::time::timeout_at;

use super::told;
use crate::cluster::{EtcdArgs, who};
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct PublishArgs {
    /// The policy's folder
    dir: PathBuf,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// What it is for: stands in the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "")]
    comment: String,
    /// The published revision that it was made from, or 'none' [default: as the folder's file .published says]
    #[arg(long, value_name = "REVISION")]
    based_on: Option<String>,
    /// Only say whether it would be published
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How long to look whether the nodes follow.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Waiting {
    /// Seconds to wait until all registered nodes have it; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
}

const HELP: &str = "\
Examples:
  millrace policy publish ./policy --etcd http://127.0.0.1:2379 -m 'block example.com'
  millrace policy publish ./policy --config /etc/millrace/mpd-node.toml --dry-run

The policy is compiled first: what has a mistake never reaches etcd. It is published only if the policy in
force is the one that it was made from, so that two people cannot overwrite each other's work: a folder
remembers (.published) what was last published or fetched ('millrace policy show current --out DIR') there.

Exit status: 0 in force (on all nodes, unless --wait 0), or it was already; 1 refused: it has mistakes, or
another was published meanwhile; 2 etcd or the folder cannot be had; 3 in force, but not on all nodes.";

/// Runs the command.
pub(super) async fn run(args: PublishArgs, output: &mut Output) -> anyhow::Result<Exit> {
    if !args.dir.is_dir() {
        anyhow::bail!("{} is no folder", args.dir.display());
    }
    let published = Published::new(args.etcd.open()?);
    let (policy, files) = match Policy::load_with_files(&args.dir) {
        Ok(loaded) => loaded,
        Err(errors) => {
            match args.format {
                Format::Human => output.line(&format!("{errors}\nnot published"))?,
                Format::Json => {
                    output.pretty_json(&json!({ "published": false, "errors": errors }))?;
                }
            }
            return Ok(Exit::Bad);
        }
    };
    let draft = Draft {
        files,
        base: base(&published, args.based_on.as_deref(), &args.dir).await?,
        by: who(),
        comment: args.comment.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let revision = policy.revision().clone();
    drop(policy);
    if args.dry_run {
        let told = match published.check(&draft).await {
            Err(error) => return refused(&error, args.format, output),
            Ok(heads) => heads.current,
        };
        match args.format {
            Format::Human => output.line(&format!(
                "would publish {} in place of {}",
                revision.short(),
                told.as_ref()
                    .map_or("none", |current| told::short(&current.revision))
            ))?,
            Format::Json => output.pretty_json(&json!({
                "published": false, "would": true, "revision": revision.as_str(),
                "parent": told.map(|current| current.revision),
            }))?,
        }
        return Ok(Exit::Good);
    }
    let publication = match published.publish(&draft).await {
        Ok(publication) => publication,
        Err(PolicyError::Already(there)) => {
            remember(&args.dir, &there.revision);
            return already(&there, args.format, output);
        }
        Err(error) => return refused(&error, args.format, output),
    };
    remember(&args.dir, &publication.revision);
    follow_up(&published, &publication, args.waiting, args.format, output).await
}

/// What a folder's content was made from.
async fn base(
    published: &Published,
    told: Option<&str>,
    folder: &Path,
) -> Result<Base, PolicyError> {
    match told {
        Some("none") => Ok(Base::Nothing),
        Some(meant) => {
            let found = published.find(meant).await?;
            Ok(found.revision().map_or(Base::Nothing, Base::Revision))
        }
        None => Ok(told::base_of(folder).map_or(Base::Nothing, Base::Revision)),
    }
}

fn remember(folder: &Path, revision: &str) {
    if let Err(error) = told::mark(folder, revision) {
        eprintln!(
            "millrace: {} cannot be written ({error}): say --based-on {} when you publish from here again",
            folder.join(".published").display(),
            told::short(revision)
        );
    }
}

/// Tells why nothing was published: an answer where the policy is to blame, an error where etcd is.
pub(super) fn refused(
    error: &PolicyError,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let current = match error {
        PolicyError::Conflict { current, .. } => current.as_deref(),
        PolicyError::Name(_) | PolicyError::Busy => None,
        _ => anyhow::bail!("{error}"),
    };
    match format {
        Format::Human => output.line(&printable(error.to_string().as_bytes()))?,
        Format::Json => output.pretty_json(&json!({
            "published": false,
            "problem": error.to_string(),
            "current": current.map(told::as_json),
        }))?,
    }
    Ok(Exit::Bad)
}

/// Tells that nothing was to be done.
pub(super) fn already(
    there: &Publication,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    match format {
        Format::Human => output.line(&format!("in force already: {}", told::line(there)))?,
        Format::Json => output.pretty_json(
            &json!({ "published": false, "already": true, "publication": told::as_json(there) }),
        )?,
    }
    Ok(Exit::Good)
}

/// Tells what was published, and waits until the nodes have it.
pub(super) async fn follow_up(
    published: &Published,
    publication: &Publication,
    waiting: Waiting,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    if matches!(format, Format::Human) {
        output.line(&format!(
            "published {}\n  {} files, {}",
            told::line(publication),
            publication.files,
            told::bytes(publication.bytes)
        ))?;
        output.flush()?;
    }
    let fleet = match (waiting.wait, publication.revision()) {
        (0, _) | (_, None) => Fleet::default(),
        (seconds, Some(revision)) => {
            Fleet::watch(published, &revision, Duration::from_secs(seconds)).await
        }
    };
    match format {
        Format::Human if waiting.wait > 0 => output.line(&fleet.told())?,
        Format::Human => {}
        Format::Json => output.pretty_json(&json!({
            "published": true,
            "publication": told::as_json(publication),
            "nodes": fleet.as_json(),
        }))?,
    }
    Ok(if fleet.behind.is_empty() {
        Exit::Good
    } else {
        Exit::Partial
    })
}

/// How far the nodes have followed.
#[derive(Debug, Default)]
struct Fleet {
    took: Duration,
    following: usize,
    behind: Vec<Registration>,
}

impl Fleet {
    /// Watches until all nodes have the revision, or the time is over.
    async fn watch(published: &Published, revision: &Revision, patience: Duration) -> Self {
        let begun = Instant::now();
        let nodes = follow_nodes(published.etcd());
        let mut sight = nodes.sight();
        let end = tokio::time::Instant::now() + patience;
        let mut fleet = Self::default();
        loop {
            let entries = sight.borrow_and_update().entries.clone();
            if let Some(entries) = entries {
                let (following, behind) = registrations(&entries)
                    .into_iter()
                    .partition::<Vec<_>, _>(|node| node.revision == revision.as_str());
                (fleet.following, fleet.behind) = (following.len(), behind);
                let refused = |node: &Registration| {
                    node.refused
                        .as_ref()
                        .is_some_and(|refused| refused.revision == revision.as_str())
                };
                if fleet.behind.iter().all(refused) {
                    break;
                }
            }
            match timeout_at(end, sight.changed()).await {
                Ok(Ok(())) => {}
                _ => break,
            }
        }
        fleet.took = begun.elapsed();
        fleet
    }

    fn told(&self) -> String {
        let all = self.following + self.behind.len();
        if all == 0 {
            return "  no node is registered".to_owned();
        }
        let mut text = format!(
            "  in force on {} of {all} nodes after {:.2} s",
            self.following,
            self.took.as_secs_f64()
        );
        for node in &self.behind {
            let why = node.refused.as_ref().map_or_else(
                || format!("still has {}", told::short(&node.revision)),
                |refused| format!("refuses it: {}", refused.problem),
            );
            text.push_str(&printable(
                format!("  {} ({}) {why}", node.name, node.address).as_bytes(),
            ));
        }
        text
    }

    fn as_json(&self) -> Value {
        json!({
            "following": self.following,
            "behind": self.behind,
            "seconds": self.took.as_secs_f64(),
        })
    }
}
