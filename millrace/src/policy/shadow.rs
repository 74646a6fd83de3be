//! `millrace policy shadow`: has a candidate judge beside the policy in force.

use std::path::Path;

use clap::Args;
use millrace_cluster::policy::{PolicyError, Published};
use mpd_node::policy::Policy;
use serde_json::json;

use super::told;
use crate::cluster::{EtcdArgs, who};
use crate::exit::Exit;
use crate::output::{Format, Output};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ShadowArgs {
    /// A folder, a published revision, or 'off'; without one, what is tried now is told
    #[arg(value_name = "DIR|REVISION|off")]
    candidate: Option<String>,
    #[command(flatten)]
    etcd: EtcdArgs,
    /// The share of messages that it judges too, such as 10% or 0.1
    #[arg(long, value_parser = share, default_value = "10%")]
    share: f64,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  millrace policy shadow ./policy --share 25% --etcd http://127.0.0.1:2379
  millrace policy shadow --etcd http://127.0.0.1:2379
  millrace policy shadow off --etcd http://127.0.0.1:2379

The candidate decides nothing and keeps nothing. What it would make different is counted by each node
(millrace_node_shadow_*) and logged (target millrace::shadow). A folder is compiled first, and its content is
stored in etcd without being put in force.

Exit status: 0 done, or a candidate is tried; 1 it has mistakes, there is no such revision, or none is tried;
2 etcd or the folder cannot be had.";

/// A share of all messages.
fn share(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is no share: write 10%, or 0.1");
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0,
        None => text.parse().map_err(|_| wrong())?,
    };
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err(wrong())
    }
}

/// Runs the command.
pub(super) async fn run(args: ShadowArgs, output: &mut Output) -> anyhow::Result<Exit> {
    let published = Published::new(args.etcd.open()?);
    let Some(candidate) = &args.candidate else {
        return tell(&published, args.format, output).await;
    };
    if candidate == "off" {
        published.set_shadow(None).await?;
        match args.format {
            Format::Human => output.line("no candidate is tried any more")?,
            Format::Json => output.pretty_json(&json!({ "candidate": null }))?,
        }
        return Ok(Exit::Good);
    }
    let folder = Path::new(candidate);
    let revision = if folder.is_dir() {
        match Policy::load_with_files(folder) {
            Ok((_, files)) => published.store(&files).await?,
            Err(errors) => {
                match args.format {
                    Format::Human => output.line(&format!("{errors}\nnot tried"))?,
                    Format::Json => output.pretty_json(&json!({ "errors": errors }))?,
                }
                return Ok(Exit::Bad);
            }
        }
    } else {
        match published.find(candidate).await {
            Ok(found) => match found.revision() {
                Some(revision) => revision,
                None => anyhow::bail!("'{}' is no revision", found.revision),
            },
            Err(
                error
                @ (PolicyError::Unknown(_) | PolicyError::Ambiguous(_) | PolicyError::Nothing),
            ) => {
                output.line(&format!("{error}; nor is it a folder"))?;
                return Ok(Exit::Bad);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let by = who();
    published
        .set_shadow(Some((&revision, args.share, &by)))
        .await?;
    tell(&published, args.format, output).await
}

async fn tell(published: &Published, format: Format, output: &mut Output) -> anyhow::Result<Exit> {
    let trial = published.heads().await?.shadow;
    match (&trial, format) {
        (_, Format::Json) => output.pretty_json(&json!({ "candidate": trial }))?,
        (None, Format::Human) => output.line("no candidate is tried")?,
        (Some(trial), Format::Human) => output.line(&format!(
            "{} judges {} % of the messages beside the policy in force, since {} ({})",
            told::short(&trial.revision),
            trial.share * 100.0,
            trial.at,
            trial.by
        ))?,
    }
    Ok(if trial.is_some() {
        Exit::Good
    } else {
        Exit::Bad
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_percentage_or_a_fraction() {
        assert_eq!(share("10%"), Ok(0.1));
        assert_eq!(share("1"), Ok(1.0));
        for bad in ["", "ten", "101%", "-1", "1.1", "nan"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
