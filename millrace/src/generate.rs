//! `millrace completions` and `millrace man`: made from the same definitions as the command line itself.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = MAN_HELP)]
pub(crate) struct ManArgs {
    /// The folder, such as /usr/local/share/man/man1; it is made if it is not there
    dir: PathBuf,
}

const COMPLETIONS_HELP: &str = "\
Examples:
  millrace completions bash > /etc/bash_completion.d/millrace
  millrace completions zsh > \"${fpath[1]}/_millrace\"

Exit status: 0 written; 2 wrong arguments.";

const MAN_HELP: &str = "\
Example:
  millrace man /usr/local/share/man/man1 && man millrace-scan

Pages of conduit-gateway and mpd-node are among them. Exit status: 0 written; 2 not.";

/// Runs `millrace completions`.
pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "millrace", &mut script);
    let mut output = Output::stdout();
    output.text(&String::from_utf8_lossy(&script))?;
    output.flush()?;
    Ok(Exit::Good)
}

/// Runs `millrace man`.
pub(crate) fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<Exit> {
    let dir = &args.dir;
    let shown = || dir.display().to_string();
    fs::create_dir_all(dir).with_context(shown)?;
    for command in [
        command,
        conduit_gateway::app::command(),
        mpd_node::app::command(),
    ] {
        clap_mangen::generate_to(command, dir).with_context(shown)?;
    }
    Ok(Exit::Good)
}
