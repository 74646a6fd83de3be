//! The command line: install, status, uninstall.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use super::flavour::Flavour;
use super::plan::{self, Wanted};
use super::survey::{CONDUIT_MODE, ORIG_MODE};
use super::{Impossible, Kind, Problem, Seen, State, Step, Survey, checks};
use crate::config::FILE;

pub(super) const PROGRAM: &str = "millrace-qmail-install";
const AFTER_HELP: &str = "\
Exit codes:
    0  done; for status: installed, and all is as it is to be
    1  refused, or failed: what is wrong is said, and running it again goes on from there
    2  the command line is wrong
    3  status: not installed
    4  status: half installed, or changed since; install again, or uninstall, mends it

The original qmail-queue is kept under a second name in bin/qmail-queue.saved, which only root can enter. Being killed at
any step leaves a qmail-queue in place that works.";

/// Puts millrace-qmail-queue in front of qmail-queue, and takes it away again.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = AFTER_HELP)]
struct Options {
    /// The qmail home
    #[arg(long, value_name = "DIR", global = true, default_value = "/var/qmail")]
    home: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the tree, then put the conduit in place; mend or upgrade what is there
    Install {
        /// The conduit [default: millrace-qmail-queue beside this program]
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// The group of the conduit alone, by name or number; nobody may be in it
        #[arg(long, value_name = "GROUP", default_value = "millrace-qmail")]
        group: String,
        /// Check, and say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what is there
    Status {
        /// Form of the output
        #[arg(long, value_enum, default_value_t = Format::Human)]
        format: Format,
    },
    /// Put the original back as it was, and remove what is ours; the configuration stays
    Uninstall {
        /// How long to wait for calls of the conduit that are under way
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
        /// Say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Why nothing, or no more, was done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", list(.0))]
    Refused(Vec<Problem>),
    #[error(transparent)]
    Impossible(#[from] Impossible),
    #[error("another installation is under way in {}", .0.display())]
    Busy(PathBuf),
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(vec![problem])
    }
}

/// Runs the program; its exit code.
#[must_use]
pub fn run() -> u8 {
    let options = Options::parse();
    let home = options.home;
    let done = match options.action {
        Action::Install {
            program,
            group,
            dry_run,
        } => install(&home, program, &group, dry_run),
        Action::Status { format } => status(&home, format),
        Action::Uninstall { wait, dry_run } => uninstall(&home, Duration::from_secs(wait), dry_run),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("{PROGRAM}: {failure}");
        1
    })
}

fn install(
    home: &Path,
    program: Option<PathBuf>,
    group: &str,
    dry_run: bool,
) -> Result<u8, Failure> {
    checks::root()?;
    let home = &whole(home)?;
    let _lock = lock(home)?;
    let survey = Survey::new(home)?;
    let program = match program {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("millrace-qmail-queue"),
    };
    let program = Seen::look(program)?;
    let mut problems = checks::tree(&survey);
    problems.extend(checks::program(&survey, &program));
    let original = survey
        .original()
        .filter(|_| survey.live.kind == Kind::Program);
    let group = checks::group(group, original).map_err(|problem| problems.push(problem));
    let configured = checks::configuration(home).map_err(|problem| problems.push(problem));
    let (Ok(group), Ok((config, secrets))) = (group, configured) else {
        return Err(Failure::Refused(problems));
    };
    let wanted = Wanted {
        program,
        group,
        secrets,
        configuration: home.join(FILE),
        log: config.log,
    };
    problems.extend(checks::file_system(&survey, &wanted));
    if !problems.is_empty() {
        return Err(Failure::Refused(problems));
    }
    say(format_args!(
        "{}: {}",
        home.display(),
        Flavour::of(home).name()
    ));
    for gateway in checks::unreachable(home) {
        say(format_args!(
            "note: nobody takes connections at {gateway} now; without a gateway the failure rules decide"
        ));
    }
    carry_out(&plan::install(&survey, &wanted)?, dry_run)?;
    Ok(0)
}

fn uninstall(home: &Path, patience: Duration, dry_run: bool) -> Result<u8, Failure> {
    checks::root()?;
    let home = &whole(home)?;
    let _lock = lock(home)?;
    let survey = Survey::new(home)?;
    if survey.state() == State::Absent {
        say(format_args!("{}: not installed", home.display()));
        return Ok(0);
    }
    carry_out(&plan::uninstall(&survey, patience)?, dry_run)?;
    Ok(0)
}

fn carry_out(steps: &[Step], dry_run: bool) -> io::Result<()> {
    if steps.is_empty() {
        say("nothing to do");
    }
    for step in steps {
        if dry_run {
            say(format_args!("would {step}"));
            continue;
        }
        step.run()?;
        say(format_args!("done: {step}"));
    }
    Ok(())
}

fn status(home: &Path, format: Format) -> Result<u8, Failure> {
    checks::root()?;
    let home = &whole(home)?;
    let survey = Survey::new(home)?;
    let state = survey.state();
    let mut problems: Vec<String> = checks::tree(&survey)
        .into_iter()
        .map(|Problem(text)| text)
        .collect();
    if state != State::Absent {
        problems.extend(differences(&survey));
        problems.extend(checks::configuration(home).err().map(|Problem(text)| text));
    }
    let state = match state {
        State::Installed if !problems.is_empty() => State::Incomplete,
        state => state,
    };
    let report = Report {
        home: home.display().to_string(),
        state: match state {
            State::Absent => "not-installed",
            State::Installed => "installed",
            State::Incomplete => "incomplete",
        },
        qmail: Flavour::of(home).name(),
        files: [&survey.live, &survey.orig, &survey.saved]
            .into_iter()
            .filter(|seen| seen.kind != Kind::Nothing)
            .map(Entry::from)
            .collect(),
        problems,
    };
    match format {
        Format::Json => say(serde_json::to_string_pretty(&report).map_err(io::Error::other)?),
        Format::Human => report.print(),
    }
    Ok(match state {
        State::Installed => 0,
        State::Absent => 3,
        State::Incomplete => 4,
    })
}

/// What is not as an installation leaves it.
fn differences(survey: &Survey) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |seen: &Seen, kind: Kind, mode: u32| {
        let path = seen.path.display();
        if seen.kind == Kind::Nothing {
            found.push(format!("{path} is missing"));
        } else if seen.kind != kind {
            found.push(format!(
                "{path} is {}",
                match seen.kind {
                    Kind::Conduit => "the conduit",
                    Kind::Program => "not the conduit (was qmail installed anew?)",
                    Kind::Nothing | Kind::Folder | Kind::Other => "no program",
                }
            ));
        } else if seen.mode != mode {
            found.push(format!("{path} has mode {:04o}, not {mode:04o}", seen.mode));
        }
    };
    compare(&survey.live, Kind::Conduit, CONDUIT_MODE);
    compare(&survey.orig, Kind::Program, ORIG_MODE);
    compare(&survey.saved, Kind::Program, survey.saved.mode);
    if survey.orig.kind == Kind::Program && survey.saved.kind == Kind::Program {
        if !survey.orig.same_content(&survey.saved) {
            found.push("the copy that the conduit executes is not that of the original".to_owned());
        }
        if survey.orig.group != survey.live.group {
            found
                .push("the conduit and the copy that it executes have different groups".to_owned());
        }
    }
    let left = survey.leftovers.iter();
    found.extend(left.map(|path| format!("{} was left behind", path.display())));
    found
}

#[derive(Debug, Serialize)]
struct Report {
    home: String,
    state: &'static str,
    qmail: &'static str,
    files: Vec<Entry>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    is: &'static str,
    inode: u64,
    owner: u32,
    group: u32,
    mode: String,
    bytes: u64,
}

impl From<&Seen> for Entry {
    fn from(seen: &Seen) -> Self {
        Self {
            path: seen.path.display().to_string(),
            is: match seen.kind {
                Kind::Conduit => "millrace-qmail-queue",
                Kind::Program => "qmail-queue",
                Kind::Nothing | Kind::Folder | Kind::Other => "neither",
            },
            inode: seen.inode.1,
            owner: seen.owner,
            group: seen.group,
            mode: format!("{:04o}", seen.mode),
            bytes: seen.size,
        }
    }
}

impl Report {
    fn print(&self) {
        say(format_args!(
            "{}: {}, {}",
            self.home, self.state, self.qmail
        ));
        for file in &self.files {
            say(format_args!(
                "  {}  {} {}:{}  {}",
                file.path, file.mode, file.owner, file.group, file.is
            ));
        }
        for problem in &self.problems {
            say(format_args!("  problem: {problem}"));
        }
    }
}

/// Whoever reads it may have gone, as `head` does: what is under way is not for him alone.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Without links on the way: running programs are known by their whole path.
fn whole(home: &Path) -> io::Result<PathBuf> {
    home.canonicalize().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}; --home names the qmail home", home.display()),
        )
    })
}

/// One at a time; the kernel takes the lock back when the process ends, however it does.
fn lock(home: &Path) -> Result<Flock<File>, Failure> {
    let bin = home.join("bin");
    let folder = File::open(&bin)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", bin.display())))?;
    Flock::lock(folder, FlockArg::LockExclusiveNonblock).map_err(|_| Failure::Busy(bin))
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<&str> = problems.iter().map(|Problem(text)| text.as_str()).collect();
    format!("nothing was done:\n  {}", lines.join("\n  "))
}
