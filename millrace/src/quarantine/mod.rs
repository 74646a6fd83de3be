//! `millrace quarantine`: looks at kept copies, releases and deletes them.

mod args;
mod release;
mod show;
mod source;

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use millrace_quarantine::{Audit, Filter, Limits, Quarantine, Record, Retention, StampKeys, State};
use millrace_runtime::printable;

use crate::exit::Exit;
use crate::output::{Format, Output};
pub(crate) use args::QuarantineArgs;
use args::{Action, ListArgs, SenderArgs};
use release::release;
use source::{SenderList, Source, SourceError};

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
            put_sender(source, &args, SenderList::Allowed, &mut output).await?;
        }
        Action::Block(args) => {
            put_sender(source, &args, SenderList::Blocked, &mut output).await?;
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
            let expired = source.expire(&who(), &retention).await?;
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
        Action::Audit { days } => audit(source, days, format, &mut output).await?,
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

async fn put_sender(
    source: &Source,
    args: &SenderArgs,
    list: SenderList,
    output: &mut Output,
) -> anyhow::Result<()> {
    let put = source.put_sender(args, list, &who()).await?;
    output.line(&format!("{} is in {}", safe(&put.entry), safe(&put.file)))?;
    Ok(())
}

/// From the oldest day to today.
async fn audit(
    source: &Source,
    days: u32,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<()> {
    let now = SystemTime::now();
    for back in (0..days).rev() {
        let day = now.checked_sub(DAY * back).unwrap_or(UNIX_EPOCH);
        let day = humantime::format_rfc3339_seconds(day).to_string();
        for entry in source.audit(&day[..10].replace('-', "")).await? {
            let Audit {
                who, action, id, ..
            } = &entry;
            match format {
                Format::Json => output.json(&entry)?,
                Format::Human => output.line(&format!(
                    "{}  {}  {}  {}  {}",
                    time(entry.time),
                    safe(who),
                    safe(action),
                    safe(id),
                    safe(&entry.detail)
                ))?,
            }
        }
    }
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
    let recipients = match &record.kept_for {
        all if all.is_empty() => &record.recipients,
        some => some,
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
        safe(&recipients.join(" ")),
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
