//! `millrace policy diff`: what differs between two policies, in their files, or in what becomes of stored mail.

mod corpus;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use millrace_cluster::policy::{PolicyFiles, Published};
use mpd_node::policy::Policy;

use super::{show, told};
use crate::cluster::EtcdArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DiffArgs {
    /// A folder, or a published policy: current, previous, #7, the beginning of a revision
    #[arg(value_name = "A")]
    before: String,
    /// Another
    #[arg(value_name = "B")]
    after: String,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Judge these messages by both: files, mboxes, Maildirs, folders
    #[arg(long, value_name = "PATH", num_args = 1..)]
    corpus: Vec<PathBuf>,
    /// Tell also of messages that come to the same by another way
    #[arg(long, requires = "corpus")]
    all: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace policy diff current ./policy --etcd http://127.0.0.1:2379
  millrace policy diff ./policy ./candidate --corpus ~/Maildir archive.mbox
  millrace policy diff previous current --corpus mail/ --format json --etcd http://127.0.0.1:2379 | jq -r .file

Without --corpus the files are compared. With it each message is judged by both: which ones change their
disposition is told, and by which symbols and lines of the policy. JSON is one object a line; the last has
'summary'.

Exit status: 0 no difference (with --corpus: no message changes its disposition); 1 there are some; 2 a
policy, etcd or the messages cannot be had; 3 some messages could not be judged.";

/// One of the two.
struct Side {
    /// As it is told.
    name: String,
    policy: Arc<Policy>,
    files: PolicyFiles,
}

/// Runs the command.
pub(super) async fn run(args: DiffArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let before = Side::of(&args.before, &args.etcd).await?;
    let after = Side::of(&args.after, &args.etcd).await?;
    if args.corpus.is_empty() {
        return files::run(&before, &after, args.format, output);
    }
    corpus::run(&before, &after, &args.corpus, args.all, args.format, output).await
}

impl Side {
    async fn of(meant: &str, etcd: &EtcdArgs) -> anyhow::Result<Self> {
        let folder = Path::new(meant);
        if folder.is_dir() {
            let (policy, files) =
                Policy::load_with_files(folder).with_context(|| format!("{meant} is refused"))?;
            return Ok(Self {
                name: meant.to_owned(),
                policy,
                files,
            });
        }
        let etcd = etcd
            .open()
            .with_context(|| format!("{meant} is no folder, so a published policy is meant"))?;
        let (publication, files) = show::fetch(&Published::new(etcd), meant).await?;
        let revision = publication
            .revision()
            .with_context(|| format!("'{}' is no revision", publication.revision))?;
        let policy = Policy::published(&revision, files.clone())
            .with_context(|| format!("{meant} is refused by this version"))?;
        Ok(Self {
            name: format!(
                "#{} {}",
                publication.number,
                told::short(&publication.revision)
            ),
            policy,
            files,
        })
    }
}
