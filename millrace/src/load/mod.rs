//! `millrace load`: plays a mail server against a milter, and measures it.

mod histogram;
mod idle;
mod pace;
mod process;
mod replay;
mod report;
mod supply;
mod synthetic;
mod tally;
mod wire;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use millrace_milter::mta::{self, Mta};

use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::size::Size;
use crate::target::Target;

use idle::IdleConnections;
use pace::Pace;
use process::ProcessUse;
use report::Report;
use supply::Supply;
use tally::Tally;
use worker::Worker;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LoadArgs {
    /// The filter, in any spelling that Postfix, Sendmail or the gateway have
    #[arg(long, value_name = "ADDRESS")]
    milter: Target,
    /// SMTP sessions at a time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// How many messages to send [default: each of the corpus once, or 1000]
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// How long to send
    #[arg(long, value_name = "N", conflicts_with = "messages")]
    seconds: Option<f64>,
    /// Messages a second at most [default: as many as it takes]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Size of the made-up messages
    #[arg(long, value_name = "BYTES", default_value = "4KiB")]
    size: Size,
    /// Make most of the message a base64 attachment
    #[arg(long)]
    attachment: bool,
    /// Send real messages: a folder, a Maildir, an mbox
    #[arg(long, value_name = "PATH", conflicts_with_all = ["size", "attachment"])]
    corpus: Option<PathBuf>,
    /// Play recorded connections: transcripts, folders of them; --messages counts connections
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["size", "attachment", "corpus", "flavour", "messages_per_connection", "idle"])]
    replay: Vec<PathBuf>,
    /// The mail server to play
    #[arg(long, value_enum, default_value_t)]
    flavour: Flavour,
    /// Messages of one SMTP session
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    messages_per_connection: u32,
    /// Idle connections to hold open meanwhile
    #[arg(long, value_name = "N", default_value_t = 0)]
    idle: usize,
    /// Processes of the filter, to measure their CPU time and memory
    #[arg(long, value_name = "PID", num_args = 1..)]
    pid: Vec<u32>,
    /// Seconds that one message may take
    #[arg(long, value_name = "N", default_value_t = 60)]
    timeout: u64,
    /// Allow a filter that is not on this machine
    #[arg(long)]
    allow_remote: bool,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The kinds of mail servers that can be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Flavour {
    /// Postfix, with its macros before each step
    #[default]
    Postfix,
    /// Sendmail
    Sendmail,
    /// One that speaks protocol version 2 only
    Minimal,
}

const AFTER_HELP: &str = "\
Examples:
  millrace load --milter 127.0.0.1:8891
  millrace load --milter inet:8891@localhost --concurrency 50 --seconds 10 --pid $(pidof conduit-gateway)
  millrace load --milter unix:/run/other/milter.sock --size 5MiB --attachment --messages 100
  millrace load --milter 127.0.0.1:8891 --corpus ~/Maildir --format json
  millrace load --milter 127.0.0.1:8891 --replay ./sessions
  millrace load --milter 127.0.0.1:8891 --idle 10000 --messages 0 --pid 4711

Latency is from the first byte of a message (of its connection, where it is the first) to the verdict.
With --replay, each recorded connection (see 'millrace record') is played once: its offer, its commands,
in its order, without its pauses. The filter is waited for where this negotiation wants an answer, and what
it refuses is not gone on with. Messages that the recorded mail server gave up have no outcome.
Any milter can be measured; only a filter on this machine is, unless --allow-remote says so.

Exit status: 0 every message was answered; 1 some were not, for reasons that the report counts;
2 the filter was not reached, or wrong arguments.";

/// What a run without a corpus sends when nothing else is said.
const DEFAULT_MESSAGES: u64 = 1000;

/// Runs the command.
pub(crate) fn run(args: LoadArgs) -> anyhow::Result<Exit> {
    if !args.milter.is_local() && !args.allow_remote {
        bail!(
            "{} is not on this machine; add --allow-remote if it is yours to load",
            args.milter
        );
    }
    raise_file_limit();
    // One thread: what plays the mail server is to leave the machine to the filter.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(measure(args))
}

async fn measure(args: LoadArgs) -> anyhow::Result<Exit> {
    let format = args.format;
    let supply = Arc::new(match &args.corpus {
        Some(path) => Supply::corpus(path)?,
        None => Supply::synthetic(args.size.0, args.attachment),
    });
    let timeout = Duration::from_secs(args.timeout.max(1));
    let flavour = args.flavour.into();
    let recordings = if args.replay.is_empty() {
        None
    } else {
        Some(Arc::new(replay::read(&args.replay)?))
    };
    let greeting = match &recordings {
        Some(recordings) => Mta::replay(&recordings[0].greeting()),
        None => wire::mta(flavour),
    };
    let agreement = wire::greet(&args.milter, greeting, timeout)
        .await
        .with_context(|| format!("no milter at {}", args.milter))?;

    let idle_before = ProcessUse::read_all(&args.pid)?;
    let idle = IdleConnections::open(&args.milter, flavour, args.idle, timeout).await?;
    let before = ProcessUse::read_all(&args.pid)?;

    let end = args.seconds.map(Duration::from_secs_f64);
    let limit = match (args.messages, end) {
        (Some(messages), _) => messages,
        (None, Some(_)) => u64::MAX,
        (None, None) => match &recordings {
            Some(recordings) => recordings.len() as u64,
            None => supply.once().unwrap_or(DEFAULT_MESSAGES),
        },
    };
    let pace = Arc::new(Pace::new(limit, end, args.rate));
    stop_on_interrupt(pace.clone());
    let begun = Instant::now();
    let workers: Vec<_> = (0..args.concurrency)
        .map(|number| {
            if let Some(recordings) = &recordings {
                return tokio::spawn(replay::work(
                    args.milter.clone(),
                    recordings.clone(),
                    pace.clone(),
                    timeout,
                ));
            }
            let worker = Worker::new(
                number,
                args.milter.clone(),
                flavour,
                args.messages_per_connection,
                timeout,
                supply.clone(),
                pace.clone(),
            );
            tokio::spawn(worker.run())
        })
        .collect();
    let mut tally = Tally::default();
    for worker in workers {
        tally.merge(worker.await.context("a session's task failed")?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = ProcessUse::read_all(&args.pid)?;

    let report = Report::new(
        &args,
        &agreement,
        &tally,
        seconds,
        &[idle_before, before, after],
        idle.len(),
    );
    let mut output = Output::stdout();
    match format {
        Format::Human => output.text(&report.to_string())?,
        Format::Json => output.pretty_json(&report)?,
    }
    output.flush()?;
    drop(idle);
    Ok(if tally.errors.is_empty() {
        Exit::Good
    } else {
        Exit::Bad
    })
}

/// Ctrl-C ends the sending, and what was measured is reported.
fn stop_on_interrupt(pace: Arc<Pace>) {
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            pace.stop();
        }
    });
}

/// Ten thousand connections need as many files; what the system does not allow fails later, with its reason.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

impl From<Flavour> for mta::Flavour {
    fn from(flavour: Flavour) -> Self {
        match flavour {
            Flavour::Postfix => Self::Postfix,
            Flavour::Sendmail => Self::Sendmail,
            Flavour::Minimal => Self::Minimal,
        }
    }
}
