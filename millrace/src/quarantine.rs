//! `millrace quarantine`: looks at kept copies, and deletes them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use millrace_quarantine::{Filter, Quarantine, QuarantineError, Record, Retention, State};
use millrace_runtime::printable;

use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct QuarantineArgs {
    /// The store, as `[quarantine] store` names it
    #[arg(
        long,
        value_name = "FOLDER",
        global = true,
        default_value = "file:///var/lib/millrace/quarantine"
    )]
    store: String,
    /// Form of the output
    #[arg(long, value_enum, global = true, default_value_t)]
    format: Format,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List copies, the newest first
    List(ListArgs),
    /// Show a copy, printable; or its exact bytes
    Show {
        /// The copy's identifier
        id: String,
        /// The message's exact bytes
        #[arg(long)]
        raw: bool,
    },
    /// Delete copies for good
    Delete {
        /// Identifiers
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Delete what is over limits; nodes do so by age themselves
    Expire {
        /// Copies older than this many days
        #[arg(long)]
        days: Option<u64>,
        /// All but this many copies
        #[arg(long)]
        entries: Option<u64>,
        /// All above this many bytes of messages
        #[arg(long)]
        bytes: Option<u64>,
    },
    /// Count copies
    Stats,
    /// Make the index again from the copies, after a restore
    Mend,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The client's name
    #[arg(long)]
    client: Option<String>,
    /// Text in the envelope's sender
    #[arg(long)]
    sender: Option<String>,
    /// Text in a recipient
    #[arg(long)]
    recipient: Option<String>,
    /// A symbol that was found
    #[arg(long)]
    symbol: Option<String>,
    /// The disposition: accept, reject, tempfail, discard, hold
    #[arg(long)]
    disposition: Option<String>,
    /// Text in the subject, as it stands in the message
    #[arg(long)]
    subject: Option<String>,
    /// Only this many days back
    #[arg(long)]
    days: Option<u64>,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// From the copy after this one on
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  millrace quarantine list --recipient bob@example.com --days 3
  millrace quarantine show 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace quarantine show --raw 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d > message.eml
  millrace quarantine delete 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d

A copy is unconfirmed until somebody told what was done with the message.

Exit status: 0 done; 1 there is no such copy; 2 the store cannot be read or written.";

const DAY: Duration = Duration::from_secs(86_400);

/// Runs the command.
pub(crate) fn run(args: QuarantineArgs) -> anyhow::Result<Exit> {
    let store = Quarantine::open(&args.store)
        .context("the store cannot be opened; name it with --store")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    match runtime.block_on(act(&store, args.action, args.format)) {
        Err(error) if matches!(error.downcast_ref(), Some(QuarantineError::Unknown(_))) => {
            eprintln!("millrace: {error}");
            Ok(Exit::Bad)
        }
        other => other.map(|()| Exit::Good),
    }
}

async fn act(store: &Quarantine, action: Action, format: Format) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    match action {
        Action::List(args) => list(store, args, format, &mut output).await?,
        Action::Show { id, raw: true } => {
            let copy = store.copy(&id).await?;
            std::io::stdout().lock().write_all(&copy.content)?;
        }
        Action::Show { id, raw: false } => show(store, &id, format, &mut output).await?,
        Action::Delete { ids } => {
            let who = std::env::var("SUDO_USER")
                .or_else(|_| std::env::var("USER"))
                .unwrap_or_else(|_| format!("uid {}", nix::unistd::getuid()));
            for id in &ids {
                store.delete(id, &who).await?;
            }
        }
        Action::Expire {
            days,
            entries,
            bytes,
        } => {
            let retention = Retention {
                age: days.map(|days| Duration::from_secs(days.saturating_mul(86_400))),
                entries,
                bytes,
            };
            let expired = store.expire(&retention).await?;
            output.line(&format!(
                "{} copies expired, {} bytes",
                expired.entries, expired.bytes
            ))?;
        }
        Action::Stats => {
            let stats = store.stats().await?;
            match format {
                Format::Json => output.json(&serde_json::json!({
                    "entries": stats.entries,
                    "bytes": stats.bytes,
                    "unconfirmed": stats.unconfirmed,
                    "oldest": stats.oldest.map(time),
                }))?,
                Format::Human => output.line(&format!(
                    "{} copies, {} bytes, {} unconfirmed; the oldest of {}",
                    stats.entries,
                    stats.bytes,
                    stats.unconfirmed,
                    stats.oldest.map_or_else(|| "never".to_owned(), time)
                ))?,
            }
        }
        Action::Mend => output.line(&format!("{} index records made", store.mend().await?))?,
    }
    output.flush()?;
    Ok(())
}

async fn list(
    store: &Quarantine,
    args: ListArgs,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<()> {
    let since = args.days.map(|days| {
        let age = u32::try_from(days).map_or(Duration::MAX, |days| DAY * days);
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_sub(age)
    });
    let filter = Filter {
        client: args.client,
        sender: args.sender,
        recipient: args.recipient,
        symbol: args.symbol,
        disposition: args.disposition,
        subject: args.subject,
        since: since.and_then(|since| u64::try_from(since.as_millis()).ok()),
        until: None,
    };
    let page = store
        .list(&filter, args.after.as_deref(), args.limit)
        .await?;
    for record in &page.records {
        match format {
            Format::Json => output.json(record)?,
            Format::Human => output.line(&line(record))?,
        }
    }
    if let (Format::Human, Some(next)) = (format, &page.next) {
        output.line(&format!("more: --after {next}"))?;
    }
    Ok(())
}

async fn show(
    store: &Quarantine,
    id: &str,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<()> {
    let record = store.record(id).await?;
    if format == Format::Json {
        output.json(&record)?;
        return Ok(());
    }
    let copy = store.copy(id).await?;
    output.line(&line(&record))?;
    let mut about = String::new();
    for finding in &copy.verdict.findings {
        let detail = printable(finding.detail.as_bytes());
        writeln!(about, "  {} {} {detail}", finding.symbol, finding.score)?;
    }
    if !record.removed.is_empty() {
        writeln!(about, "  taken from {}", safe(&record.removed.join(" ")))?;
    }
    output.line(&about)?;
    for line in copy.content.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        output.line(&printable(line))?;
    }
    Ok(())
}

/// A copy on one line.
fn line(record: &Record) -> String {
    let done = match &record.state {
        State::Unconfirmed => "unconfirmed".to_owned(),
        State::Settled {
            outcome,
            disposition,
        } => format!("{outcome} {disposition}"),
    };
    format!(
        "{}  {}  {}  {} ({done})  {} bytes  <{}> -> {}  {}  {}",
        record.id,
        time(record.time),
        safe(&record.client),
        safe(&record.disposition),
        record.size,
        safe(&record.sender),
        safe(&record.recipients.join(" ")),
        safe(&record.symbols.join(",")),
        safe(&record.subject),
    )
}

fn safe(text: &str) -> String {
    printable(text.as_bytes())
}

fn time(milliseconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds));
    time.map_or_else(
        || "never".to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}
