//! `millrace record`: sits between a mail server and a filter, and writes down what they say.

mod scrub;
mod tape;
mod wire;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::output::Output;
use crate::target::Target;

use tape::Tape;
use wire::Listener;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct RecordArgs {
    /// Where the mail server connects to
    #[arg(long, value_name = "ADDRESS")]
    listen: Target,
    /// The filter
    #[arg(long, value_name = "ADDRESS")]
    to: Target,
    /// Folder for the transcripts, one for each milter connection
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// End after so many connections [default: run until interrupted]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sessions: Option<u64>,
    /// Write everything as it is: addresses, contents, all
    #[arg(long)]
    raw: bool,
    /// Allow addresses that are not on this machine
    #[arg(long)]
    allow_remote: bool,
}

const AFTER_HELP: &str = "\
Examples:
  millrace record --listen 127.0.0.1:8899 --to 127.0.0.1:8891 --out ./sessions --sessions 20
  millrace load --replay ./sessions --milter 127.0.0.1:8891

Tell the mail server the address of --listen in place of the filter's. All bytes pass as they are.

Transcripts are text, one frame a line, and scrubbed: lengths, folds, chunks and times stay.
  Pseudonyms      addresses, host names, HELO, authenticated users, TLS subjects and issuers;
                  the same name is the same pseudonym within one connection
  IP addresses    become ones for documentation, of the same length
  x, X, 9, ?      letters, digits and bytes that are not ASCII of bodies, header values, replies
  As it was       queue IDs, ports, sizes, versions, ciphers, header names, white space, punctuation,
                  reply codes, Content-Type (but for names and boundaries),
                  Content-Transfer-Encoding, MIME-Version
A scrubbed message has the shape of the real one, not its words, and may be judged otherwise. Look through a
transcript before you give it away: header names, lengths, times and queue IDs are still true.

Exit status: 0 done, or interrupted; 1 some connections could not be recorded whole;
2 it could not listen or write, or wrong arguments.";

/// Runs the command.
pub(crate) fn run(args: RecordArgs) -> anyhow::Result<Exit> {
    for address in [&args.listen, &args.to] {
        if !address.is_local() && !args.allow_remote {
            bail!(
                "{address} is not on this machine; add --allow-remote if mail may go there in the clear"
            );
        }
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.out)
        .with_context(|| format!("{}", args.out.display()))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(record(args))
}

async fn record(args: RecordArgs) -> anyhow::Result<Exit> {
    let listener = Listener::bind(&args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut output = Output::stdout();
    output.line(&format!(
        "recording {} to {} in {}",
        args.listen,
        args.to,
        args.out.display()
    ))?;
    output.flush()?;

    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let mut tasks = JoinSet::new();
    let mut tally = Tally::default();
    let mut number = 0;
    while args.sessions.is_none_or(|sessions| number < sessions) {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next() => tally.count(ended.context("a session's task failed")?),
            accepted = listener.accept() => {
                let client = accepted.context("accept")?;
                number += 1;
                let (to, out, raw, stop) = (args.to.clone(), args.out.clone(), args.raw, stop.clone());
                tasks.spawn(async move { session(client, &to, &out, number, raw, &stop).await });
            }
        }
    }
    drop(listener);
    while let Some(ended) = tasks.join_next().await {
        tally.count(ended.context("a session's task failed")?);
    }
    output.line(&format!("{} connections recorded", tally.recorded))?;
    output.flush()?;
    Ok(if tally.failed == 0 {
        Exit::Good
    } else {
        Exit::Bad
    })
}

#[derive(Debug, Default)]
struct Tally {
    recorded: u64,
    failed: u64,
}

impl Tally {
    fn count(&mut self, ended: anyhow::Result<()>) {
        match ended {
            Ok(()) => self.recorded += 1,
            Err(error) => {
                self.failed += 1;
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("millrace: a connection was not recorded whole: {error:#}\n")
                        .as_bytes(),
                );
            }
        }
    }
}

async fn session(
    client: wire::Socket,
    to: &Target,
    out: &Path,
    number: u64,
    raw: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let filter = wire::connect(to)
        .await
        .with_context(|| format!("no filter at {to}"))?;
    let mut tape = Tape::begin(out, number, raw)?;
    let passed = wire::pass(client, filter, &mut tape, stop).await;
    // What was said up to a failure is worth keeping.
    let kept = tape.finish();
    passed?;
    kept.with_context(|| format!("{}", out.display()))
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
