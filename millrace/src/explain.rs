//! `millrace explain`: finds a message's verdict in the logs, and says why.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use millrace_runtime::printable;
use millrace_runtime::verdict_log::{VerdictRecord, parse_line};

use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExplainArgs {
    /// The mail server's queue ID, as its own log has it, or Millrace's transaction ID
    #[arg(value_name = "QUEUE-ID|TRANSACTION-ID")]
    id: String,
    /// Logs to search, '-' for standard input [default: standard input]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    log: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const AFTER_HELP: &str = "\
Examples:
  journalctl -u millrace -o cat | millrace explain 4fQ8Xk2pQ9z1
  millrace explain 4fQ8Xk2pQ9z1 --log /var/log/millrace.log /var/log/millrace.log.1
  zcat /var/log/millrace.log.*.gz | millrace explain 01932f6e-5f0e-7c3a-9d7e-2f8f0a4b6c1d
  millrace explain 4fQ8Xk2pQ9z1 --log verdicts.json --format json | jq .symbols

Both log formats are understood, and lines with a prefix of syslog or the journal. A message may have
several lines: one for each stage that decided something, and one more each time it was sent again.

Exit status: 0 found; 1 not found; 2 a log cannot be read.";

/// A line longer than this is none of ours.
const MAX_LINE: u64 = 1 << 20;

/// Runs the command.
pub(crate) fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let logs = if args.log.is_empty() {
        if io::stdin().is_terminal() {
            bail!(
                "name the log with --log FILE, or pipe it in: journalctl -u millrace -o cat | millrace explain {}",
                printable(args.id.as_bytes())
            );
        }
        vec![PathBuf::from("-")]
    } else {
        args.log.clone()
    };
    let mut output = Output::stdout();
    let mut found = false;
    for log in &logs {
        let input: Box<dyn Read> = if log.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(log).with_context(|| log.display().to_string())?)
        };
        let mut input = BufReader::with_capacity(256 << 10, input);
        let mut line = Vec::new();
        while read_line(&mut input, &mut line).with_context(|| log.display().to_string())? {
            let Some(record) = verdict_of(&line, &args.id) else {
                continue;
            };
            match args.format {
                Format::Json => output.json(&record)?,
                Format::Human => {
                    if found {
                        output.line("")?;
                    }
                    output.text(&explanation(&record))?;
                }
            }
            found = true;
        }
    }
    output.flush()?;
    if !found && args.format == Format::Human {
        output.line(&format!(
            "no verdict on {} in {}",
            printable(args.id.as_bytes()),
            logs.iter()
                .map(|log| if log.as_os_str() == "-" {
                    "standard input".to_owned()
                } else {
                    log.display().to_string()
                })
                .collect::<Vec<_>>()
                .join(", ")
        ))?;
        output.flush()?;
    }
    Ok(if found { Exit::Good } else { Exit::Bad })
}

/// Reads a line; of one that is too long the rest comes as further lines. `false` at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    Ok(input.take(MAX_LINE).read_until(b'\n', line)? > 0)
}

fn verdict_of(line: &[u8], id: &str) -> Option<VerdictRecord> {
    // Most lines of a log are about other messages; parsing them all would take long.
    if !line
        .windows(id.len())
        .any(|window| window.eq_ignore_ascii_case(id.as_bytes()))
    {
        return None;
    }
    parse_line(&String::from_utf8_lossy(line)).filter(|record| {
        record.queue_id == id.as_bytes() || record.transaction_id.eq_ignore_ascii_case(id)
    })
}

/// What, why, by what, and what is missing.
fn explanation(record: &VerdictRecord) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = explain(record, &mut text);
    text
}

fn explain(record: &VerdictRecord, out: &mut String) -> std::fmt::Result {
    let shown = |bytes: &[u8]| printable(bytes);
    let safe = |text: &str| printable(text.as_bytes());
    let id = if record.queue_id.is_empty() {
        "(no queue ID)".to_owned()
    } else {
        shown(&record.queue_id)
    };
    writeln!(
        out,
        "{id}  {}  score {:.2} of {:.2}  at {}",
        safe(&record.disposition).to_uppercase(),
        record.score,
        record.threshold,
        safe(&record.timestamp)
    )?;
    if !record.reply.is_empty() {
        writeln!(out, "  reply        {}", shown(&record.reply))?;
    }
    let done = match record.outcome.as_str() {
        "" | "done" | "carried-out" => "carried out".to_owned(),
        other => format!("NOT carried out as decided: {}", safe(other)),
    };
    writeln!(out, "  done         {done}")?;
    if record.kept {
        let id = safe(&record.transaction_id);
        writeln!(out, "  kept         a copy: millrace quarantine show {id}")?;
    }
    writeln!(
        out,
        "  message      from <{}> to {}, {} bytes, decided at stage {}",
        shown(&record.sender),
        recipients(record),
        record.size,
        safe(&record.stage)
    )?;
    writeln!(
        out,
        "  came         from {} (HELO {}), client {}, {}, by {}",
        shown(&record.peer),
        if record.helo.is_empty() {
            "not said".to_owned()
        } else {
            shown(&record.helo)
        },
        safe(&record.client),
        safe(&record.direction),
        safe(&record.conduit)
    )?;
    writeln!(out, "  transaction  {}", safe(&record.transaction_id))?;
    writeln!(
        out,
        "  decided      by node {} under policy revision {} in {} µs",
        if record.node.is_empty() {
            "(none)".to_owned()
        } else {
            safe(&record.node)
        },
        if record.revision.is_empty() {
            "(none)".to_owned()
        } else {
            safe(&record.revision)
        },
        record.duration_us
    )?;
    if record.symbols.is_empty() {
        writeln!(out, "  findings     none")?;
    } else {
        writeln!(out, "  findings")?;
        let width = record
            .symbols
            .iter()
            .map(|symbol| symbol.name.len())
            .max()
            .unwrap_or(0);
        for symbol in &record.symbols {
            write!(
                out,
                "    {:+8.2}  {:<width$}",
                symbol.score,
                safe(&symbol.name)
            )?;
            if !symbol.detail.is_empty() {
                write!(out, "  {}", shown(&symbol.detail))?;
            }
            if !symbol.source.is_empty() {
                write!(out, "  [{}]", safe(&symbol.source))?;
            }
            writeln!(out)?;
        }
    }
    for check in &record.unscanned {
        writeln!(
            out,
            "  not checked  {}: {}",
            safe(&check.check),
            safe(&check.reason)
        )?;
    }
    for degradation in &record.degradations {
        writeln!(out, "  degraded     {}", safe(degradation))?;
    }
    Ok(())
}

fn recipients(record: &VerdictRecord) -> String {
    let named: Vec<_> = record
        .recipients
        .iter()
        .map(|address| format!("<{}>", printable(address)))
        .collect();
    let more = record.recipients_total.saturating_sub(named.len() as u64);
    match (named.is_empty(), more) {
        (true, 0) => "nobody yet".to_owned(),
        (true, more) => format!("{more} recipients"),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}
