//! `millrace policy default|check|explain`: what is done with a folder alone.

use std::path::Path;
use std::sync::Arc;

use millrace_runtime::printable;
use mpd_node::policy::Policy;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{Format, Output};

pub(super) fn write_default(dir: &Path, output: &mut Output) -> anyhow::Result<Exit> {
    Policy::write_default(dir)?;
    let shown = dir.display();
    output.line(&format!(
        "The default policy is in {shown}. Begin with {shown}/policy.toml; then:\n  \
         millrace policy check {shown}\n  millrace up --policy {shown}"
    ))?;
    Ok(Exit::Good)
}

pub(super) fn check(dir: &Path, format: Format, output: &mut Output) -> anyhow::Result<Exit> {
    if !dir.is_dir() {
        anyhow::bail!("{} is no folder", dir.display());
    }
    match (Policy::load(dir), format) {
        (Ok(policy), Format::Human) => {
            output.text(&format!("ok: {}", policy.describe()))?;
            Ok(Exit::Good)
        }
        (Ok(policy), Format::Json) => {
            output.pretty_json(
                &json!({ "ok": true, "revision": policy.revision().as_str(), "errors": [] }),
            )?;
            Ok(Exit::Good)
        }
        (Err(errors), Format::Human) => {
            output.line(&errors.to_string())?;
            Ok(Exit::Bad)
        }
        (Err(errors), Format::Json) => {
            output.pretty_json(&json!({ "ok": false, "errors": errors }))?;
            Ok(Exit::Bad)
        }
    }
}

pub(super) fn explain(
    what: &str,
    dir: Option<&Path>,
    format: Format,
    output: &mut Output,
) -> anyhow::Result<Exit> {
    let policy: Arc<Policy> = match dir {
        Some(dir) => Policy::load(dir)?,
        None => Policy::builtin()?,
    };
    let text = policy.explain(what);
    match (&text, format) {
        (_, Format::Json) => output.pretty_json(&json!({
            "what": printable(what.as_bytes()),
            "revision": policy.revision().as_str(),
            "explanation": text,
        }))?,
        (Some(text), Format::Human) => output.text(text)?,
        (None, Format::Human) => {
            output.line(&format!(
                "the policy has no symbol or line {}",
                printable(what.as_bytes())
            ))?;
        }
    }
    Ok(if text.is_some() {
        Exit::Good
    } else {
        Exit::Bad
    })
}
