//! Stored mail, judged by two policies.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::{StreamExt, stream};
use millrace_proto::{ClientName, Direction};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::printable;
use mpd_node::{Difference, Node, NodeConfig, SymbolChange};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Side;
use crate::exit::Exit;
use crate::mail::{Found, Sources};
use crate::output::{Format, Output};
use crate::scan::{Circumstances, Progress};

/// What was found of one message.
struct Compared {
    file: String,
    size: usize,
    result: Result<Option<Difference>, String>,
}

/// What was found of all.
#[derive(Default)]
struct Summary {
    messages: u64,
    failed: u64,
    /// Come to the same by another way.
    otherwise: u64,
    /// From and to, by number.
    changes: BTreeMap<(&'static str, &'static str), u64>,
    /// Symbols that made messages change, by number.
    symbols: BTreeMap<String, u64>,
}

/// Judges and tells.
pub(super) async fn run(
    before: &Side,
    after: &Side,
    paths: &[PathBuf],
    all: bool,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let sources = Sources::new(paths)?;
    let node = |side: &Side, name: &str| {
        Node::judging_by(
            side.policy.clone(),
            &NodeConfig::default(),
            &Metrics::new(name),
        )
    };
    let nodes = (node(before, "before")?, node(after, "after")?);
    let circumstances = Arc::new(Circumstances {
        client: "default".parse::<ClientName>().context("a name")?,
        direction: Direction::Inbound,
        sender: None,
        recipients: Vec::new(),
        ip: None,
        helo: None,
    });
    let jobs = 2 * std::thread::available_parallelism().map_or(1, usize::from);
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
    let tasks = found.map(|found| {
        let (nodes, circumstances) = (nodes.clone(), circumstances.clone());
        tokio::spawn(async move { compare(&nodes.0, &nodes.1, &circumstances, found).await })
    });
    let mut compared = Box::pin(tasks.buffered(jobs));
    let progress = Progress::new(paths);
    let mut summary = Summary::default();
    while let Some(one) = compared.next().await {
        let one = one.context("a message's task failed")?;
        let told = summary.count(&one) || (all && !matches!(one.result, Ok(None)));
        if told {
            progress.aside(|| match format {
                Format::Human => output.text(&one.told()),
                Format::Json => output.json(&one.as_json()),
            })?;
        }
        progress.advance(one.size);
    }
    progress.finish();
    match format {
        Format::Human => output.text(&summary.told())?,
        Format::Json => output.json(&json!({ "summary": summary.as_json() }))?,
    }
    Ok(match (summary.failed, summary.changes.is_empty()) {
        (1.., _) => Exit::Partial,
        (0, true) => Exit::Good,
        (0, false) => Exit::Bad,
    })
}

async fn compare(
    before: &Node,
    after: &Node,
    circumstances: &Circumstances,
    found: Found,
) -> Compared {
    let mut file = printable(found.path.as_os_str().as_bytes());
    if let Some(number) = found.number {
        file.push_str(&format!(" #{number}"));
    }
    let content = match found.content {
        Ok(content) => content,
        Err(error) => {
            return Compared {
                file,
                size: 0,
                result: Err(format!("cannot be read: {error}")),
            };
        }
    };
    let size = content.len();
    let transaction = Arc::new(circumstances.transaction(&content, found.sender));
    let first = before.process(transaction.clone(), content.clone()).await;
    let second = after.process(transaction, content).await;
    let result = first
        .and_then(|first| Ok(Difference::between(&first, &second?)))
        .map_err(|error| error.to_string());
    Compared { file, size, result }
}

impl Compared {
    fn told(&self) -> String {
        let difference = match &self.result {
            Ok(Some(difference)) => difference,
            Ok(None) => return String::new(),
            Err(error) => return format!("{}: {}\n", self.file, printable(error.as_bytes())),
        };
        let (before, after) = (&difference.before, &difference.after);
        let mut text = format!(
            "{}: {} > {}, score {} of {} > {} of {}\n",
            self.file,
            before.disposition,
            after.disposition,
            rounded(before.score),
            before.threshold,
            rounded(after.score),
            after.threshold
        );
        if difference.symbols.is_empty() {
            text.push_str("    by other thresholds or actions, with the same findings\n");
        }
        for changed in &difference.symbols {
            text.push_str(&printable(
                format!("    {changed}{}", line_of(changed)).as_bytes(),
            ));
            text.push('\n');
        }
        text
    }

    fn as_json(&self) -> Value {
        let difference = match &self.result {
            Ok(Some(difference)) => difference,
            Ok(None) => return json!({ "file": self.file }),
            Err(error) => return json!({ "file": self.file, "error": error }),
        };
        let outcome = |outcome: &mpd_node::Outcome| {
            json!({
                "disposition": outcome.disposition.name(),
                "keep": outcome.keep,
                "score": rounded(outcome.score),
                "threshold": outcome.threshold,
            })
        };
        let symbols: Vec<Value> = difference
            .symbols
            .iter()
            .map(|changed| {
                json!({
                    "symbol": &*changed.symbol,
                    "before": changed.before,
                    "after": changed.after,
                    "policy_line": changed.line.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        json!({
            "file": self.file,
            "changes": difference.acts(),
            "before": outcome(&difference.before),
            "after": outcome(&difference.after),
            "symbols": symbols,
        })
    }
}

impl Summary {
    /// Whether something else becomes of the message, or it could not be judged.
    fn count(&mut self, one: &Compared) -> bool {
        self.messages += 1;
        let difference = match &one.result {
            Err(_) => {
                self.failed += 1;
                return true;
            }
            Ok(None) => return false,
            Ok(Some(difference)) => difference,
        };
        if !difference.acts() {
            self.otherwise += 1;
            return false;
        }
        let (from, to) = (difference.before.disposition, difference.after.disposition);
        *self.changes.entry((from.name(), to.name())).or_default() += 1;
        for changed in &difference.symbols {
            *self.symbols.entry(changed.symbol.to_string()).or_default() += 1;
        }
        true
    }

    fn changed(&self) -> u64 {
        self.changes.values().sum()
    }

    /// The symbols that made most messages change.
    fn by_symbol(&self) -> Vec<(&String, &u64)> {
        let mut list: Vec<_> = self.symbols.iter().collect();
        list.sort_by(|a, b| b.1.cmp(a.1));
        list.truncate(20);
        list
    }

    fn told(&self) -> String {
        let mut text = format!(
            "{} messages: {} change their disposition, {} come to the same by another way, {} could not be judged\n",
            self.messages,
            self.changed(),
            self.otherwise,
            self.failed
        );
        for ((from, to), count) in &self.changes {
            text.push_str(&format!("  {count:>8}  {from} > {to}\n"));
        }
        for (symbol, count) in self.by_symbol() {
            text.push_str(&format!(
                "  {count:>8}  with {}\n",
                printable(symbol.as_bytes())
            ));
        }
        text
    }

    fn as_json(&self) -> Value {
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|((from, to), count)| json!({ "from": from, "to": to, "messages": count }))
            .collect();
        json!({
            "messages": self.messages,
            "changed": self.changed(),
            "otherwise": self.otherwise,
            "failed": self.failed,
            "changes": changes,
            "symbols": self.symbols,
        })
    }
}

fn line_of(changed: &SymbolChange) -> String {
    changed
        .line
        .as_ref()
        .map_or_else(String::new, |line| format!(" ({line})"))
}

/// Sums of decimal fractions, without their dust.
fn rounded(score: f64) -> f64 {
    (score * 1000.0).round() / 1000.0
}
