//! The command line: one sub-command a module.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::Exit;
use crate::output::OutputError;
use crate::{certs, explain, generate, load, nodes, policy, quarantine, record, scan, up};

/// Mail filtering as a shared cluster: run it, try it, ask it why.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole system in one process: milter, gRPC and admin port
    Up(up::UpArgs),
    /// Judge messages on disk: files, mboxes, Maildirs, folders, standard input
    Scan(scan::ScanArgs),
    /// Write the default policy, check one, publish one, look a symbol up
    Policy(policy::PolicyArgs),
    /// List the nodes that are registered in etcd, and by which policy they judge
    Nodes(nodes::NodesArgs),
    /// Find a message's verdict in the logs, and say why
    Explain(explain::ExplainArgs),
    /// Look at kept copies: list, show, delete
    Quarantine(quarantine::QuarantineArgs),
    /// Make a private authority and certificates for servers and conduits
    Certs(certs::CertsArgs),
    /// Play a mail server against a milter, and measure it
    Load(load::LoadArgs),
    /// Write down what a mail server and a milter say, scrubbed, to play it again
    Record(record::RecordArgs),
    /// Print completions for a shell
    Completions(generate::CompletionsArgs),
    /// Write manual pages into a folder
    Man(generate::ManArgs),
}

const AFTER_HELP: &str = "\
Begin with:
  millrace up                          filter on 127.0.0.1:8891; prints what to tell Postfix, Sendmail
  millrace scan message.eml            what would become of this message, and why
  millrace policy default ./policy     the built-in policy, as files to change
  millrace up --policy ./policy        use them; a change is taken up at once

'millrace COMMAND --help' has examples and exit statuses of each command.";

/// Runs the command.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(args) => up::run(args),
        Command::Scan(args) => scan::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Nodes(args) => nodes::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Quarantine(args) => quarantine::run(args),
        Command::Certs(args) => certs::run(&args),
        Command::Load(args) => load::run(args),
        Command::Record(args) => record::run(args),
        Command::Completions(args) => generate::completions(&args, Cli::command()),
        Command::Man(args) => generate::man(&args, Cli::command()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) if matches!(error.downcast_ref(), Some(OutputError::Gone)) => {
            Exit::OutputGone.into()
        }
        Err(error) => {
            // The other end of standard error may be gone too; then there is nobody to tell.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("millrace: {}\n", chain(&error)).as_bytes(),
            );
            Exit::Failed.into()
        }
    }
}

/// An error and its causes, without those that it tells of itself.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_is_told_once() {
        for (causes, told) in [
            (&["socket closed", "no node"][..], "no node: socket closed"),
            (
                &["bad line", "policy refused: bad line"],
                "policy refused: bad line",
            ),
        ] {
            let mut error = anyhow::anyhow!(causes[0]);
            for &cause in &causes[1..] {
                error = error.context(cause);
            }
            assert_eq!(chain(&error), told);
        }
    }
}
