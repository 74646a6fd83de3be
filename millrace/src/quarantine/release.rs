//! Sends copies on, and asks before one goes again.

use std::io::IsTerminal as _;

use millrace_quarantine::Release;

use super::args::ReleaseArgs;
use super::source::Source;
use super::{DAY, safe, who};
use crate::exit::Exit;
use crate::output::{Format, Output};

pub(super) async fn release(
    source: &Source,
    args: &ReleaseArgs,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let mut request = Release {
        via: args.via.clone(),
        tls: args.tls,
        authorities: args.tls_ca.clone(),
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
