//! `millrace certs`: a private authority, and certificates for servers and conduits.

mod issue;
mod subject;

use std::io::{BufRead, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Format, Output};

use issue::Authority;
use subject::Subject;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CertsArgs {
    /// Whom to make a certificate for: its name, then other names and addresses of it
    #[arg(required = true, value_name = "NAME[,NAME|ADDRESS|URI]...")]
    subjects: Vec<Subject>,
    /// The folder of the authority and of what it signs
    #[arg(long, value_name = "DIR", default_value = "certs")]
    out: PathBuf,
    /// How long the certificates are good, in days
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// How long a new authority is good, in days
    #[arg(long, value_name = "DAYS", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    ca_days: u32,
    /// Replace certificates that are there, without asking; the authority always stays
    #[arg(long)]
    force: bool,
    /// The form of the output
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

const AFTER_HELP: &str = "\
Examples:
  millrace certs node-1.mail.example,192.0.2.11 gateway-1.mail.example mx1.mail.example
  millrace certs --out /etc/millrace/certs --days 90 node-2.mail.example,192.0.2.12

The first call makes an authority: DIR/ca.pem, which everybody gets, and DIR/ca-key.pem, which stays here: whoever has
it can make certificates that are believed. Later calls use it. Each NAME gets DIR/NAME.pem and DIR/NAME-key.pem, good
for a server and for a client; what to write into its configuration is printed. Keys are readable by their owner alone.

A certificate that is there is replaced after a question, or with --force. Servers take a replaced file up by
themselves, so that this is all there is to a renewal.

Exit status: 0 made; 1 something was there and was left as it is; 2 wrong arguments, or a file cannot be read or written.";

/// What was made for one name.
#[derive(Debug, Serialize)]
struct Made<'a> {
    name: &'a str,
    certificate: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    /// `false` when it was there, and was left.
    made: bool,
}

/// Runs the command.
pub(crate) fn run(args: &CertsArgs) -> anyhow::Result<Exit> {
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("{} cannot be made", args.out.display()))?;
    let folder = args
        .out
        .canonicalize()
        .with_context(|| format!("{} cannot be used", args.out.display()))?;
    let now = SystemTime::now();
    let authority = Authority::open_or_make(&folder, days(args.ca_days), now)?;
    if let Some(end) = authority.ends_before(now + days(args.days)) {
        bail!(
            "the authority in {} ends {end}, before the certificates would: give fewer --days, or make another \
             authority in another --out",
            folder.display()
        );
    }
    let mut all = Vec::new();
    for subject in &args.subjects {
        let (certificate, key) = subject.files(&folder);
        let there = [&certificate, &key].into_iter().find(|file| file.exists());
        let made = match there {
            Some(file) if !args.force => replace(file)?,
            _ => true,
        };
        if made {
            authority.issue(subject, days(args.days), now, &certificate, &key)?;
        }
        all.push(Made {
            name: subject.name(),
            certificate,
            key,
            ca: folder.join(issue::CA),
            made,
        });
    }
    let mut output = Output::stdout();
    match args.format {
        Format::Json => output.pretty_json(&all)?,
        Format::Human => tell(&mut output, &folder, authority.is_new(), &all)?,
    }
    output.flush()?;
    Ok(match all.iter().all(|one| one.made) {
        true => Exit::Good,
        false => Exit::Bad,
    })
}

fn tell(output: &mut Output, folder: &Path, new: bool, all: &[Made<'_>]) -> anyhow::Result<()> {
    let key = folder.join(issue::CA_KEY);
    if new {
        output.line(&format!(
            "A new authority. Everybody gets {}; keep {} where nobody else comes.",
            folder.join(issue::CA).display(),
            key.display()
        ))?;
    }
    for one in all {
        if !one.made {
            output.line(&format!(
                "\n# {}: left as it is; replace it with --force",
                one.name
            ))?;
            continue;
        }
        output.line(&format!(
            "\n# {}: into the file of its --config\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"",
            one.name,
            one.certificate.display(),
            one.key.display(),
            one.ca.display()
        ))?;
        output.line(&format!(
            "# and into the files of the servers that {0} connects to, to say what it may do:\n# [[peer]]\n# name = \"{0}\"\n# clients = [\"default\"]\n# may = [\"process\"]",
            one.name
        ))?;
    }
    output.line(
        "\n# The servers' addresses then begin with https://, and have one of the names above for a host.",
    )?;
    Ok(())
}

/// Asks whether a file may be replaced; where there is nobody to ask, it may not.
fn replace(file: &Path) -> anyhow::Result<bool> {
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{} is there. Replace it? [y/N] ", file.display())?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}
