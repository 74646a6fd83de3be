//! `millrace-dot-qmail`: from one delivery of qmail-local to an exit code.
//!
//! The message is qmail's queue file itself, so nothing can be changed in it; there is no SMTP client left to refuse
//! to. The program says whether qmail-local goes on with the next line, stops there, bounces, or tries again later.

mod answer;
mod delivery;
mod maildir;
mod options;
mod origin;

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use millrace_client::once::Endpoint;
use millrace_proto::{
    ClientName, ConduitKind, Envelope, LineEnding, Path as MailPath, Transaction, TransactionId,
    Verdict,
};
use nix::unistd::alarm;

use self::answer::{Answer, modifications};
use self::delivery::Delivery;
use self::options::Options;
use self::origin::Origin;
use crate::caller;
use crate::config::{self, Config};
use crate::exit::one_line;
use crate::judge::{Gateways, judge};
use crate::log::Log;
use crate::memory_file::MemoryFile;

const PROGRAM: &str = "millrace-dot-qmail";
/// Where qmail lives, unless the program lies in another one's `bin`.
const HOME: &str = "/var/qmail";
/// So much after its deadline the program is ended by a signal, which qmail-local takes for a temporary failure.
const GRACE: u32 = 5;
/// Of what qmail-local's log is told, and the bounce.
const LONGEST_WORDS: usize = 500;

/// How the program ends (`qmail-command.8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DotExit {
    /// qmail-local goes on with the next line.
    Next,
    /// Done: the lines after this one are skipped.
    Stop,
    /// The sender gets a bounce.
    Bounce,
    /// qmail tries the delivery again later, for a week.
    Later,
}

/// One delivery.
struct Run {
    options: Options,
    log: Log,
    id: TransactionId,
    begun: Instant,
}

impl DotExit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Next => 0,
            Self::Stop => 99,
            Self::Bounce => 100,
            Self::Later => 111,
        }
    }
}

/// Runs the program.
#[must_use]
pub fn run() -> DotExit {
    // What the language's runtime says of a fault would be in the bounce.
    std::panic::set_hook(Box::new(|panic| {
        Log::syslog(PROGRAM).line(format_args!("a fault of ours: {panic}"));
    }));
    let begun = Instant::now();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(asked) if !asked.use_stderr() => {
            let _ = asked.print();
            return DotExit::Next;
        }
        Err(mistake) => {
            let mistake = mistake.to_string();
            let (what, _usage) = mistake.split_once("\n\n").unwrap_or((&mistake, ""));
            let words: Vec<&str> = what.split_whitespace().collect();
            say(words.join(" ").trim_start_matches("error: "));
            return DotExit::Later;
        }
    };
    alarm::set(u32::from(options.deadline).saturating_add(GRACE));
    let log = match &options.log {
        Some(path) => Log::file(PROGRAM, path),
        None => Log::syslog(PROGRAM),
    };
    let id = TransactionId::new();
    let run = Run {
        options,
        log,
        id,
        begun,
    };
    match run.delivered() {
        Ok(exit) => exit,
        Err(problem) => {
            run.log.line(format_args!("transaction {id}: {problem}"));
            say(problem);
            DotExit::Later
        }
    }
}

impl Run {
    fn delivered(&self) -> Result<DotExit, String> {
        let delivery = Delivery::new(caller::variable).map_err(|error| error.to_string())?;
        let message = message().map_err(|error| format!("cannot read the message: {error}"))?;
        let (gateways, client) = self.gateways()?;
        let transaction = self.transaction(&delivery, &message, client);
        let deadline = Duration::from_secs(self.options.deadline.into());
        let left = deadline.saturating_sub(self.begun.elapsed());
        let verdict = judge(&gateways, &transaction, &message, left, |gateway, error| {
            let id = self.id;
            self.log.line(format_args!(
                "transaction {id}: no verdict from {gateway}: {error}"
            ));
        })
        .map_err(|error| {
            let kind = error.kind();
            format!("the mail filter gave no verdict ({kind}); the delivery is tried again")
        })?;
        self.carry_out(&verdict, &delivery, &message)
    }

    fn carry_out(
        &self,
        verdict: &Verdict,
        delivery: &Delivery,
        message: &File,
    ) -> Result<DotExit, String> {
        let answer = Answer::new(verdict, self.options.refusal());
        let dropped = modifications(verdict);
        if !dropped.is_empty() {
            self.log.line(format_args!(
                "transaction {}: {} modifications dropped: {}",
                self.id,
                dropped.len(),
                dropped.join(", ")
            ));
        }
        if answer != Answer::Deliver {
            self.log
                .line(format_args!("transaction {}: {answer}", self.id));
        }
        Ok(match answer {
            Answer::Deliver | Answer::DeliverRefused => DotExit::Next,
            Answer::Drop | Answer::Kept => DotExit::Stop,
            Answer::File => {
                let folder = self.options.maildir.as_deref().unwrap_or(Path::new("."));
                let mut head = delivery.lines();
                head.extend(maildir::headers(verdict, self.id));
                maildir::file(folder, &head, message).map_err(|error| {
                    format!(
                        "cannot file the message in the maildir {}: {error}",
                        folder.display()
                    )
                })?;
                DotExit::Stop
            }
            Answer::Bounce(reply) => {
                say(one_line(&reply));
                DotExit::Bounce
            }
            Answer::Later(why) => {
                say(why);
                DotExit::Later
            }
        })
    }

    /// Whom to ask, and as whom: the options, else qmail's own file.
    fn gateways(&self) -> Result<(Gateways, ClientName), String> {
        let named = self.options.client.clone();
        if !self.options.gateways.is_empty() {
            let client = match named {
                Some(client) => client,
                None => "qmail".parse().map_err(|error| format!("{error}"))?,
            };
            if self.options.gateways.iter().any(Endpoint::is_tls) {
                return Err(format!(
                    "--gateway https:// has nowhere to say whom to believe: leave it out, and write a [tls] table in {}",
                    config::FILE
                ));
            }
            let gateways = Gateways {
                endpoints: self.options.gateways.clone(),
                tls: None,
            };
            return Ok((gateways, client));
        }
        let home = self.options.home.clone().unwrap_or_else(home);
        let config = Config::load(&home).map_err(|error| format!("{error}; or name --gateway"))?;
        Ok((config.gateways, named.unwrap_or(config.client)))
    }

    fn transaction(&self, delivery: &Delivery, message: &File, client: ClientName) -> Transaction {
        let mut beginning = vec![0; origin::LONGEST];
        let length = message.read_at(&mut beginning, 0).unwrap_or(0);
        let origin = Origin::read(&beginning[..length]);
        let path = |address: &bytes::Bytes| MailPath {
            address: address.clone(),
            parameters: Vec::new(),
        };
        Transaction {
            id: self.id,
            conduit: ConduitKind::DotQmail,
            client,
            direction: origin.direction,
            capabilities: self.options.refusal().capabilities(),
            connection: origin.connection,
            envelope: Envelope {
                sender: Some(path(&delivery.sender)),
                recipients: vec![path(&delivery.recipient)],
            },
            queue_id: None,
            macros: Vec::new(),
            line_ending: LineEnding::Lf,
            revision: None,
        }
    }
}

/// The message: qmail's queue file, opened once more, since its offset is qmail-local's as well; a copy of what comes
/// through a pipe.
fn message() -> io::Result<File> {
    let stdin: File = io::stdin().as_fd().try_clone_to_owned()?.into();
    if stdin.metadata()?.is_file() {
        return Ok(File::open("/proc/self/fd/0").unwrap_or(stdin));
    }
    let mut copy = MemoryFile::new("message")?;
    let mut from = stdin;
    io::copy(&mut from, copy.file_mut())?;
    Ok(copy.0)
}

/// The qmail home whose `bin` this program is in, else the usual one.
fn home() -> PathBuf {
    let home = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.parent()?.to_owned()))
        .filter(|home| home.join("control").is_dir());
    home.unwrap_or_else(|| PathBuf::from(HOME))
}

/// One line for qmail-local, which puts it into its log and, after [`DotExit::Bounce`], into the bounce.
fn say(words: impl Display) {
    let words: String = words
        .to_string()
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .take(LONGEST_WORDS)
        .collect();
    eprintln!("{words}");
}
