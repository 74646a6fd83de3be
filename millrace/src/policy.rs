//! `millrace policy`: write the default out, check one, look a symbol up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use millrace_runtime::printable;
use mpd_node::policy::Policy;
use serde_json::json;

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
        PolicyCommand::Default { dir } => write_default(&dir, &mut output)?,
        PolicyCommand::Check { dir, format } => check(&dir, format, &mut output)?,
        PolicyCommand::Explain {
            what,
            policy,
            format,
        } => explain(&what, policy.as_deref(), format, &mut output)?,
    };
    output.flush()?;
    Ok(exit)
}

fn write_default(dir: &Path, output: &mut Output) -> anyhow::Result<Exit> {
    Policy::write_default(dir)?;
    let shown = dir.display();
    output.line(&format!(
        "The default policy is in {shown}. Begin with {shown}/policy.toml; then:\n  \
         millrace policy check {shown}\n  millrace up --policy {shown}"
    ))?;
    Ok(Exit::Good)
}

fn check(dir: &Path, format: Format, output: &mut Output) -> anyhow::Result<Exit> {
    if !dir.is_dir() {
        anyhow::bail!("{} is no folder", dir.display());
    }
    match (Policy::load(dir), format) {
        (Ok(policy), Format::Human) => {
            output.text(&format!("ok: {}", policy.describe()))?;
            Ok(Exit::Good)
        }
        (Ok(policy), Format::Json) => {
            output.pretty_json(
                &json!({ "ok": true, "revision": policy.revision().as_str(), "errors": [] }),
            )?;
            Ok(Exit::Good)
        }
        (Err(errors), Format::Human) => {
            output.line(&errors.to_string())?;
            Ok(Exit::Bad)
        }
        (Err(errors), Format::Json) => {
            output.pretty_json(&json!({ "ok": false, "errors": errors }))?;
            Ok(Exit::Bad)
        }
    }
}

fn explain(
    what: &str,
    dir: Option<&Path>,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let policy: Arc<Policy> = match dir {
        Some(dir) => Policy::load(dir)?,
        None => Policy::builtin()?,
    };
    let text = policy.explain(what);
    match (&text, format) {
        (_, Format::Json) => output.pretty_json(&json!({
            "what": printable(what.as_bytes()),
            "revision": policy.revision().as_str(),
            "explanation": text,
        }))?,
        (Some(text), Format::Human) => output.text(text)?,
        (None, Format::Human) => {
            output.line(&format!(
                "the policy has no symbol or line {}",
                printable(what.as_bytes())
            ))?;
        }
    }
    Ok(if text.is_some() {
        Exit::Good
    } else {
        Exit::Bad
    })
}
