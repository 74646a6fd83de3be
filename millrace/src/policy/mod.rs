//! `millrace policy`: write the default out, check one, publish one, look a symbol up.

mod diff;
mod history;
mod local;
mod prune;
mod publish;
mod rollback;
mod shadow;
mod show;
mod told;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Write the built-in policy into a folder, as files to change
    #[command(after_help = DEFAULT_HELP)]
    Default {
        /// The folder; it is made if it is not there
        dir: PathBuf,
    },
    /// Say whether a policy can be used, and everything that is wrong with it
    #[command(after_help = CHECK_HELP)]
    Check {
        /// The folder
        dir: PathBuf,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Say what a symbol means, where its score comes from, and what asks for it
    #[command(after_help = EXPLAIN_HELP)]
    Explain {
        /// A symbol, such as GTUBE, or a line of the policy, such as policy.toml:12
        #[arg(value_name = "SYMBOL|FILE:LINE")]
        what: String,
        /// The policy's folder [default: the built-in policy]
        #[arg(long, value_name = "DIR")]
        policy: Option<PathBuf>,
        /// Form of the output
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Put a policy in force on all nodes that follow etcd
    Publish(publish::PublishArgs),
    /// List what was published: who, when, and why
    History(history::HistoryArgs),
    /// Show a published policy, or fetch it into a folder
    Show(show::ShowArgs),
    /// Compare two policies: their files, or what becomes of stored mail
    Diff(diff::DiffArgs),
    /// Have a candidate judge a share of the mail beside the policy in force
    Shadow(shadow::ShadowArgs),
    /// Put a policy that was published before in force again
    Rollback(rollback::RollbackArgs),
    /// Remove the content of old policies from etcd
    Prune(prune::PruneArgs),
}

const DEFAULT_HELP: &str = "\
Example:
  millrace policy default /etc/millrace/policy && millrace up --policy /etc/millrace/policy

Nothing is overwritten. Exit status: 0 written; 2 a file was there already, or could not be written.";

const CHECK_HELP: &str = "\
Examples:
  millrace policy check ./policy
  millrace policy check ./policy --format json | jq -r '.errors[].remedy'

Exit status: 0 it can be used; 1 it would be refused: file, line, key and remedy of each mistake are printed;
2 there is no such folder.";

const EXPLAIN_HELP: &str = "\
Examples:
  millrace policy explain GTUBE
  millrace policy explain policy.toml:12 --policy ./policy

Exit status: 0 found; 1 the policy has no such symbol or line; 2 the policy cannot be used.";

/// Runs the command.
pub(crate) fn run(args: PolicyArgs) -> anyhow::Result<Exit> {
    let mut output = Output::stdout();
    let exit = match args.command {
        PolicyCommand::Default { dir } => local::write_default(&dir, &mut output)?,
        PolicyCommand::Check { dir, format } => local::check(&dir, format, &mut output)?,
        PolicyCommand::Explain {
            what,
            policy,
            format,
        } => local::explain(&what, policy.as_deref(), format, &mut output)?,
        PolicyCommand::Publish(args) => wait(publish::run(args, &mut output))?,
        PolicyCommand::History(args) => wait(history::run(args, &mut output))?,
        PolicyCommand::Show(args) => wait(show::run(args, &mut output))?,
        PolicyCommand::Diff(args) => wait(diff::run(args, &mut output))?,
        PolicyCommand::Shadow(args) => wait(shadow::run(args, &mut output))?,
        PolicyCommand::Rollback(args) => wait(rollback::run(args, &mut output))?,
        PolicyCommand::Prune(args) => wait(prune::run(args, &mut output))?,
    };
    output.flush()?;
    Ok(exit)
}

fn wait(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(work)
}
