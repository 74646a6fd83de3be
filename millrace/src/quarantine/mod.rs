//! `millrace quarantine`: looks at kept copies, releases and deletes them.

mod senders;
mod show;
mod source;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use millrace_quarantine::{
    Filter, Limits, Quarantine, Record, Release, Retention, StampKeys, State,
};
use millrace_runtime::printable;

use crate::exit::Exit;
use crate::output::{Format, Output};
use crate::server_tls::ServerTlsArgs;
use senders::Entry;
use source::{Source, SourceError};

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
    /// A node that serves its store (`quarantine.serve = true`), instead of --store: http://HOST:PORT, or https:// with --ca
    #[arg(long, value_name = "URL", global = true)]
    server: Option<String>,
    #[command(flatten)]
    tls: ServerTlsArgs,
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
    /// Send copies on, with a stamp that keeps our filters from holding them again
    Release(ReleaseArgs),
    /// Put a copy's sender on the policy's list of allowed senders
    Allow(SenderArgs),
    /// Put a copy's sender on the policy's list of blocked senders
    Block(SenderArgs),
    /// Put a new key first into a file of keys for stamps; it is made when there is none
    Key {
        /// The file, as `stamp.keys` names it
        #[arg(default_value = KEYS)]
        file: PathBuf,
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
struct ReleaseArgs {
    /// Identifiers
    #[arg(required = true)]
    ids: Vec<String>,
    /// To these instead of those for whom it was kept
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// The next hop; with --server it is the node's
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:25",
        conflicts_with = "server"
    )]
    via: String,
    /// The file of keys for stamps, the same as the nodes have; with --server it is the node's
    #[arg(long, value_name = "FILE", default_value = KEYS, conflicts_with = "server")]
    keys: PathBuf,
    /// Days that the stamp holds
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..=365),
        conflicts_with = "server"
    )]
    valid: u32,
    /// Send again what was released before, without being asked
    #[arg(long)]
    again: bool,
}

#[derive(Debug, Args)]
struct SenderArgs {
    /// The copy's identifier
    id: String,
    /// The policy's folder
    #[arg(long, value_name = "DIR")]
    policy: PathBuf,
    /// The sender's whole domain
    #[arg(long)]
    domain: bool,
    /// The list, a file below the policy's folder [default: lists/allowed-senders.txt, lists/blocked-senders.txt]
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
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
    /// Text in the subject, decoded
    #[arg(long)]
    subject: Option<String>,
    /// Only this many days back
    #[arg(long)]
    days: Option<u64>,
    /// Only older than this: 2026-11-23T10:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<humantime::Timestamp>,
    /// How many
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// From the copy after this one on
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// Where keys are looked for.
const KEYS: &str = "/etc/millrace/stamp.keys";

const AFTER_HELP: &str = "\
Examples:
  millrace quarantine list --recipient bob@example.com --days 3
  millrace quarantine show 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace quarantine show --raw 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d > message.eml
  millrace quarantine release 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d --via 127.0.0.1:25
  millrace quarantine allow 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d --policy /etc/millrace/policy
  millrace quarantine delete 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace quarantine list --server http://127.0.0.1:7750 --format json
  millrace quarantine list --server https://node-1.mail.example:7750 --ca ca.pem --certificate me.pem --key me-key.pem

A copy is unconfirmed until somebody told what was done with the message.

Exit status: 0 done; 1 there is no such copy, it was released before, or the next hop did not take it for \
everybody; 2 wrong arguments, nobody knows whether the next hop took it, or the store, the server, the keys or the policy cannot be read or written.";

const DAY: Duration = Duration::from_secs(86_400);

/// Runs the command.
pub(crate) fn run(args: QuarantineArgs) -> anyhow::Result<Exit> {
    if let Action::Key { file } = &args.action {
        let id = StampKeys::add(file)?;
        let mut output = Output::stdout();
        output.line(&format!("key {id} is the first in {}", file.display()))?;
        output.flush()?;
        return Ok(Exit::Good);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    // A client of a server wants to be made within the runtime.
    let done = runtime.block_on(async {
        let source = match &args.server {
            Some(server) => Source::server(server, args.tls.connector()?)?,
            None => Source::Store(
                Quarantine::open_existing(&args.store).context("name the store with --store")?,
            ),
        };
        act(&source, args.action, args.format).await
    });
    match done {
        Err(error) if error.downcast_ref().is_some_and(SourceError::is_no) => {
            eprintln!("millrace: {}", printable(error.to_string().as_bytes()));
            Ok(Exit::Bad)
        }
        // Which of the servers.
        Err(error) => Err(match &args.server {
            Some(server) if server.starts_with("https://") && args.tls.is_anonymous() => error
                .context(format!(
                    "--server {server}, without --certificate, which the server may want"
                )),
            Some(server) => error.context(format!("--server {server}")),
            None => error,
        }),
        other => other,
    }
}

async fn act(source: &Source, action: Action, format: Format) -> anyhow::Result<Exit> {
    let mut output = Output::stdout();
    let mut exit = Exit::Good;
    match action {
        Action::List(args) => list(source, args, format, &mut output).await?,
        Action::Show { id, raw } => {
            let (record, copy) = source.get(&id).await?;
            if raw {
                std::io::stdout().lock().write_all(&copy.content)?;
            } else {
                show::show(&record, &copy, format, &mut output)?;
            }
        }
        Action::Release(args) => exit = release(source, &args, format, &mut output).await?,
        Action::Allow(args) => {
            put_sender(
                source,
                &args,
                "allow",
                "lists/allowed-senders.txt",
                &mut output,
            )
            .await?;
        }
        Action::Block(args) => {
            put_sender(
                source,
                &args,
                "block",
                "lists/blocked-senders.txt",
                &mut output,
            )
            .await?;
        }
        Action::Delete { ids } => {
            for id in &ids {
                source.delete(id, &who()).await?;
            }
        }
        Action::Expire {
            days,
            entries,
            bytes,
        } => {
            let retention = Retention::of_all(Limits {
                age: days.map(|days| Duration::from_secs(days.saturating_mul(86_400))),
                entries,
                bytes,
            });
            let expired = here(source, "expire")?.expire(&retention).await?;
            output.line(&format!(
                "{} copies expired, {} bytes",
                expired.entries, expired.bytes
            ))?;
        }
        Action::Stats => {
            let stats = source.stats().await?;
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
        Action::Mend => {
            let made = here(source, "mend")?.mend().await?;
            output.line(&format!("{made} index records made"))?;
        }
        // Before there was a store.
        Action::Key { .. } => {}
    }
    output.flush()?;
    Ok(exit)
}

/// What only whoever has the store can do.
fn here<'a>(source: &'a Source, action: &str) -> anyhow::Result<&'a Quarantine> {
    match source {
        Source::Store(store) => Ok(store),
        Source::Server(_) => bail!("{action} is not done over --server: do it where the store is"),
    }
}

fn who() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| format!("uid {}", nix::unistd::getuid()))
}

async fn release(
    source: &Source,
    args: &ReleaseArgs,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut request = Release {
        via: args.via.clone(),
        recipients: args.to.clone(),
        who: who(),
        again: args.again,
        hello: host_name(),
        valid: DAY * args.valid,
        ..Release::default()
    };
    let mut exit = Exit::Good;
    for id in &args.ids {
        request.again = args.again;
        let mut answers = source.release(id, &request, &args.keys).await;
        if let Err(error) = &answers
            && error.is_released()
            && confirmed(&error.to_string())
        {
            request.again = true;
            answers = source.release(id, &request, &args.keys).await;
        }
        for answer in answers? {
            if !answer.accepted {
                exit = Exit::Bad;
            }
            match format {
                Format::Json => output.json(&serde_json::json!({"id": id, "answer": answer}))?,
                Format::Human => output.line(&format!(
                    "{id}  <{}>  {}  {}",
                    safe(&answer.recipient),
                    if answer.accepted { "sent" } else { "refused" },
                    safe(&answer.reply)
                ))?,
            }
        }
        // What was sent is told, whatever becomes of the next one.
        output.flush()?;
    }
    Ok(exit)
}

/// Asks, where there is somebody to ask.
fn confirmed(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    eprint!("{} Send it again? [y/N] ", safe(question));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn host_name() -> String {
    nix::sys::utsname::uname()
        .ok()
        .and_then(|names| names.nodename().to_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

async fn put_sender(
    source: &Source,
    args: &SenderArgs,
    action: &str,
    list: &str,
    output: &mut Output,
) -> anyhow::Result<()> {
    let store = here(source, action)?;
    let record = store.record(&args.id).await.map_err(SourceError::from)?;
    let who = who();
    let entry = Entry {
        policy: &args.policy,
        list: args.list.as_deref().unwrap_or(Path::new(list)),
        domain: args.domain,
        who: &who,
    };
    let put = entry.put(&record)?;
    let file = entry.list.display();
    store
        .note(&who, action, &args.id, &format!("{put} in {file}"))
        .await?;
    output.line(&format!("{put} is in {file}"))?;
    Ok(())
}

async fn list(
    source: &Source,
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
        until: args.until.and_then(|until| {
            let since = SystemTime::from(until).duration_since(UNIX_EPOCH).ok()?;
            u64::try_from(since.as_millis()).ok()
        }),
    };
    let page = source.list(filter, args.after, args.limit).await?;
    for record in &page.records {
        match format {
            Format::Json => output.json(record)?,
            Format::Human => output.line(&line(record))?,
        }
    }
    if format == Format::Human && page.records.is_empty() {
        output.line("no copies")?;
    }
    if let (Format::Human, Some(next)) = (format, &page.next) {
        output.line(&format!("more: --after {next}"))?;
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
    let released = match record.released {
        Some(_) => ", released",
        None => "",
    };
    format!(
        "{}  {}  {}  {} ({done}{released})  {} bytes  <{}> -> {}  {}  {}",
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
