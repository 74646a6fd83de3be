//! `millrace policy show`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use millrace_cluster::policy::{PolicyError, PolicyFiles, Publication, Published};
use millrace_runtime::printable;
use serde_json::json;

use super::told;
use crate::cluster::EtcdArgs;
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ShowArgs {
    /// Which: current, previous, a number of the history (#7), or the beginning of a revision
    #[arg(default_value = "current")]
    revision: String,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// Write its files into this folder, to change and publish them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print this file of it, and nothing else
    #[arg(long, value_name = "NAME", conflicts_with_all = ["out", "format"])]
    file: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace policy show --etcd http://127.0.0.1:2379
  millrace policy show previous --file policy.toml --etcd http://127.0.0.1:2379
  millrace policy show current --out ./policy --etcd http://127.0.0.1:2379

Nothing is overwritten by --out. Exit status: 0 shown; 1 there is no such revision, or it was pruned; 2 etcd
cannot be asked, or a file cannot be written.";

/// Runs the command.
pub(super) async fn run(args: ShowArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let published = Published::new(args.etcd.open()?);
    let (publication, files) = match fetch(&published, &args.revision).await {
        Ok(fetched) => fetched,
        Err(
            error @ (PolicyError::Unknown(_)
            | PolicyError::Ambiguous(_)
            | PolicyError::Missing(_)
            | PolicyError::Nothing),
        ) => {
            match args.format {
                Format::Human => output.line(&error.to_string())?,
                Format::Json => output.pretty_json(&json!({ "problem": error.to_string() }))?,
            }
            return Ok(Exit::Bad);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(name) = &args.file {
        let Some(text) = files.get(name) else {
            output.line(&format!(
                "{} has no file {}",
                told::short(&publication.revision),
                printable(name.as_bytes())
            ))?;
            return Ok(Exit::Bad);
        };
        output.text(text)?;
        return Ok(Exit::Good);
    }
    if let Some(folder) = &args.out {
        write(folder, &files)?;
        told::mark(folder, &publication.revision)
            .with_context(|| format!("{} cannot be written", folder.display()))?;
    }
    match args.format {
        Format::Json => {
            let mut told = told::as_json(&publication);
            let list: Vec<_> = files
                .iter()
                .map(|(name, text)| json!({ "name": name, "bytes": text.len() }))
                .collect();
            told["contents"] = json!(list);
            output.pretty_json(&told)?;
        }
        Format::Human => {
            output.line(&told::line(&publication))?;
            output.line(&format!("revision {}", publication.revision))?;
            if let Some(parent) = &publication.parent {
                output.line(&format!("in place of {}", told::short(parent)))?;
            }
            for (name, text) in &files {
                output.line(&format!(
                    "  {:>10}  {}",
                    told::bytes(text.len() as u64),
                    printable(name.as_bytes())
                ))?;
            }
            if let Some(folder) = &args.out {
                let shown = folder.display();
                output.line(&format!(
                    "written to {shown}; when you have changed it: millrace policy publish {shown}"
                ))?;
            }
        }
    }
    Ok(Exit::Good)
}

/// A publication and its files.
pub(super) async fn fetch(
    published: &Published,
    meant: &str,
) -> Result<(Publication, PolicyFiles), PolicyError> {
    let publication = published.find(meant).await?;
    let missing =
        || PolicyError::Missing(format!("revision {}", told::short(&publication.revision)));
    let revision = publication.revision().ok_or_else(missing)?;
    let manifest = published.manifest(&revision).await?.ok_or_else(missing)?;
    let files = published.files(&manifest, |_| None).await?;
    Ok((publication, files))
}

fn write(folder: &Path, files: &PolicyFiles) -> anyhow::Result<()> {
    if let Some(there) = files
        .keys()
        .map(|name| folder.join(name))
        .find(|path| path.symlink_metadata().is_ok())
    {
        bail!(
            "{} exists; nothing was written: name another folder, or move it away",
            there.display()
        );
    }
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, text.as_bytes()))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
