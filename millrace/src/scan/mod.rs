//! `millrace scan`: verdict and findings for messages on disk.

mod envelope;
mod judge;
mod progress;
mod report;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures_util::{Stream, StreamExt, stream};
use millrace_proto::{ClientName, Direction, Verdict};
use tokio::sync::mpsc;

use crate::exit::Exit;
use crate::mail::{Found, Sources};
use crate::output::{Format, Output};

use judge::Judge;
use report::{Scanned, Summary};

pub(crate) use envelope::Circumstances;
pub(crate) use progress::Progress;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ScanArgs {
    /// Files, mboxes, Maildirs, folders; '-' for standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Judge by the policy in this folder [default: the built-in policy]
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    policy: Option<PathBuf>,
    /// Have them judged by a node or gateway, such as http://127.0.0.1:7750
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// As if they came in by this client of the policy
    #[arg(long, value_name = "NAME", default_value = "default")]
    client: ClientName,
    /// As if they went this way: inbound, outbound, local
    #[arg(long, value_name = "DIRECTION", default_value = "inbound")]
    direction: Direction,
    /// Envelope sender [default: as the file tells: Return-Path, or an mbox's From line]
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
    /// Envelope recipients [default: as the file tells: Delivered-To or X-Original-To]
    #[arg(long, value_name = "ADDRESS")]
    recipient: Vec<String>,
    /// As if this address had connected
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// As if it had said this at HELO
    #[arg(long, value_name = "NAME")]
    helo: Option<String>,
    /// Messages to judge at once [default: two a processor]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Seconds that a server may take for one message
    #[arg(long, value_name = "N", default_value_t = 60)]
    timeout: u64,
}

const AFTER_HELP: &str = "\
Examples:
  millrace scan message.eml                        what would become of it, and why
  millrace scan - < message.eml
  millrace scan ~/Maildir archive.mbox             all of them, with a summary
  millrace scan --policy ./policy spam/            try a policy on a folder of spam
  millrace scan --server http://127.0.0.1:7750 --client mx1 --ip 192.0.2.7 message.eml
  millrace scan --format json spam/ | jq -r 'select(.disposition == \"accept\") | .file'

A file that begins with an mbox's 'From ' line is an mbox; of a Maildir cur and new are taken; of any other
folder all files that are not hidden. JSON is one object a line: for each message 'file', 'disposition',
'score', 'findings' and so on, or 'file' and 'error'; the last line has 'summary'.

Exit status: 0 all would be accepted; 1 some would be refused, deferred, held or discarded; 2 wrong
arguments, or the files, the policy or the server cannot be had; 3 some messages could not be judged.";

/// One message after judgement.
#[derive(Debug)]
struct Judged {
    path: PathBuf,
    number: Option<u64>,
    size: usize,
    took: Duration,
    result: Result<Verdict, String>,
}

/// Runs the command.
pub(crate) fn run(args: ScanArgs) -> anyhow::Result<Exit> {
    let sources = Sources::new(&args.paths)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?
        .block_on(scan(args, sources))
}

async fn scan(args: ScanArgs, sources: Sources) -> anyhow::Result<Exit> {
    let judge = match &args.server {
        Some(server) => {
            Judge::server(
                server,
                &args.client,
                args.direction,
                Duration::from_secs(args.timeout),
            )
            .await?
        }
        None => Judge::in_process(args.policy.as_deref())?,
    };
    let jobs = args.jobs.map_or_else(default_jobs, NonZeroUsize::get);
    let circumstances = Arc::new(Circumstances {
        client: args.client,
        direction: args.direction,
        sender: args.sender,
        recipients: args.recipient,
        ip: args.ip,
        helo: args.helo,
    });
    let progress = Progress::new(&args.paths);
    let begun = Instant::now();
    let mut judged = judge_all(judge, circumstances, sources, jobs);
    let mut output = Output::stdout();
    let mut summary = Summary::default();
    while let Some(judged) = judged.next().await {
        let judged = judged?;
        summary.count(&judged);
        let scanned = Scanned::new(&judged);
        let written = progress.aside(|| {
            match args.format {
                Format::Human => output.text(&scanned.to_string())?,
                Format::Json => output.json(&scanned)?,
            }
            // Whoever watches, or filters what comes, is not to wait for a full buffer.
            if summary.messages() < 100 {
                output.flush()
            } else {
                Ok(())
            }
        });
        written?;
        progress.advance(judged.size);
    }
    progress.finish();
    summary.end(begun.elapsed());
    match args.format {
        Format::Human if summary.messages() > 1 => output.text(&summary.to_string())?,
        Format::Human => {}
        Format::Json => output.json(&summary)?,
    }
    output.flush()?;
    Ok(summary.exit())
}

/// Judges in parallel, and gives the results in the order of the messages. No more than `jobs` messages are in
/// memory for judgement, and as many again that were read ahead.
fn judge_all(
    judge: Judge,
    circumstances: Arc<Circumstances>,
    sources: Sources,
    jobs: usize,
) -> impl Stream<Item = anyhow::Result<Judged>> + Unpin {
    let (sender, receiver) = mpsc::channel(jobs);
    // Ends with its file, or when nobody listens any more.
    std::thread::spawn(move || {
        for found in sources {
            if sender.blocking_send(found).is_err() {
                return;
            }
        }
    });
    let found = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|found| (found, receiver))
    });
    let tasks = found.map(move |found| {
        let (judge, circumstances) = (judge.clone(), circumstances.clone());
        tokio::spawn(judge_one(judge, circumstances, found))
    });
    Box::pin(
        tasks
            .buffered(jobs)
            .map(|joined| joined.context("a message's task failed")),
    )
}

async fn judge_one(judge: Judge, circumstances: Arc<Circumstances>, found: Found) -> Judged {
    let Found {
        path,
        number,
        sender,
        content,
    } = found;
    let begun = Instant::now();
    let (size, result) = match content {
        Err(error) => (0, Err(format!("cannot be read: {error}"))),
        Ok(content) => {
            let size = content.len();
            let transaction = circumstances.transaction(&content, sender);
            let verdict = judge.judge(transaction, content).await;
            (size, verdict.map_err(|error| error.to_string()))
        }
    };
    Judged {
        path,
        number,
        size,
        took: begun.elapsed(),
        result,
    }
}

fn default_jobs() -> usize {
    2 * std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
