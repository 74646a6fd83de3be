//! What stands against an installation, each with its remedy.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_client::once::Endpoint;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

use super::plan::Wanted;
use super::survey::{Kind, Seen, Survey};
use crate::config::{Config, FILE};

/// Something that is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem(pub(super) String);

/// What a file system is to have beyond the files themselves.
const SPACE: u64 = 1 << 20;
const FILES: u64 = 16;
const REACH: Duration = Duration::from_secs(1);

/// Whoever installs is root.
pub(super) fn root() -> Result<(), Problem> {
    if geteuid().is_root() {
        return Ok(());
    }
    problem("this changes owners and modes of qmail's programs: run it as root")
}

/// There is a qmail home, with a qmail-queue that is one.
pub(super) fn tree(survey: &Survey) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |text: String| problems.push(Problem(text));
    let (home, live) = (&survey.home, &survey.live);
    let path = live.path.display();
    match live.kind {
        Kind::Nothing => say(format!(
            "{path} is not there: --home names the qmail home, such as /var/qmail"
        )),
        Kind::Folder | Kind::Other => say(format!(
            "{path} is no file but a link or the like: put qmail's own program there first"
        )),
        Kind::Program if live.mode & 0o4000 == 0 => say(format!(
            "{path} has mode {:04o}, and no setuid bit: it is not qmail's, or cannot work (qmail's has 4711)",
            live.mode
        )),
        Kind::Program | Kind::Conduit => {}
    }
    if survey.saved.kind == Kind::Conduit || survey.orig.kind == Kind::Conduit {
        say(format!(
            "{} or {} is the conduit itself: put qmail's own program there",
            survey.saved.path.display(),
            survey.orig.path.display()
        ));
    }
    if live.kind == Kind::Conduit && survey.original().is_none() {
        say(format!(
            "{path} is millrace-qmail-queue already, and qmail's own is nowhere to be found: install it anew (as `make \
             setup` of qmail does), then run this again"
        ));
    }
    let queue = home.join("queue/pid");
    match (survey.original(), Seen::look(queue.clone())) {
        (_, Ok(folder)) if folder.kind != Kind::Folder => say(format!(
            "{} is not there: this is no qmail home, or one without a queue",
            queue.display()
        )),
        (Some(original), Ok(folder)) if folder.owner != original.owner => say(format!(
            "{} belongs to user {}, and the queue to user {}: it would not work as it is",
            original.path.display(),
            original.owner,
            folder.owner
        )),
        (Some(original), _) if original.owner == 0 => say(format!(
            "{} belongs to root: qmail's own belongs to qmailq",
            original.path.display()
        )),
        (_, Err(error)) => say(error.to_string()),
        _ => {}
    }
    problems
}

/// The program is the conduit, and another file than those of the installation.
pub(super) fn program(survey: &Survey, program: &Seen) -> Option<Problem> {
    let path = program.path.display();
    let own = [&survey.live, &survey.orig, &survey.saved];
    if own
        .iter()
        .any(|seen| seen.kind != Kind::Nothing && seen.inode == program.inode)
    {
        return Some(Problem(format!(
            "{path} is part of the installation: it cannot be installed over itself; --program names another copy"
        )));
    }
    match program.kind {
        Kind::Conduit if program.mode & 0o111 != 0 => None,
        Kind::Conduit => Some(Problem(format!("{path} is not executable"))),
        Kind::Nothing => Some(Problem(format!(
            "{path} is not there: --program names millrace-qmail-queue, as `make qmail` builds it"
        ))),
        Kind::Program | Kind::Folder | Kind::Other => {
            Some(Problem(format!("{path} is not millrace-qmail-queue")))
        }
    }
}

/// The file system takes what is to be written, and lets setuid programs be such.
pub(super) fn file_system(survey: &Survey, wanted: &Wanted) -> Vec<Problem> {
    let bin = survey.home.join("bin");
    let system = match statvfs(&bin) {
        Ok(system) => system,
        Err(error) => return vec![Problem(format!("{}: {error}", bin.display()))],
    };
    let mut problems = Vec::new();
    let at = bin.display();
    if system.flags().contains(FsFlags::ST_NOSUID) {
        problems.push(Problem(format!(
            "{at} is on a file system that is mounted nosuid: no qmail-queue can work there"
        )));
    }
    if system.flags().contains(FsFlags::ST_RDONLY) {
        problems.push(Problem(format!(
            "{at} is on a file system that is read-only"
        )));
    }
    let original = survey.original().map_or(0, |original| original.size);
    let needed = wanted.program.size + original + SPACE;
    let free = system.blocks_available() * system.fragment_size();
    if free < needed {
        problems.push(Problem(format!(
            "{at} has {free} bytes left, and {needed} are needed: make room"
        )));
    }
    // Some file systems have no fixed number of files, and say 0 of 0.
    if system.files() > 0 && system.files_available() < FILES {
        problems.push(Problem(format!("{at} has hardly a file left: make room")));
    }
    problems
}

/// The number of the group, which nobody is in: whoever is could go around the conduit, and read its key.
pub(super) fn group(name: &str, original: Option<&Seen>) -> Result<u32, Problem> {
    let line = lines("/etc/group").find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let known = fields.first() == Some(&name) || fields.get(2) == Some(&name);
        known.then(|| {
            let gid = fields.get(2).and_then(|gid| gid.parse().ok());
            (gid, fields.get(3).unwrap_or(&"").to_string())
        })
    });
    let (gid, members) = match (line, name.parse()) {
        (Some((Some(gid), members)), _) => (gid, members),
        (_, Ok(number)) => (number, String::new()),
        _ => {
            return problem(format!(
                "there is no group '{name}': make it with `groupadd --system {name}`, and put nobody into it"
            ));
        }
    };
    if !members.is_empty() {
        return problem(format!(
            "the group '{name}' has members ({members}), who could go around the filter: choose another, or take them out"
        ));
    }
    let user = lines("/etc/passwd").find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(3)?.parse() == Ok(gid)).then(|| fields[0].to_owned())
    });
    if let Some(user) = user {
        return problem(format!(
            "the group '{name}' is the user {user}'s own, who could go around the filter: choose another"
        ));
    }
    if gid == 0 || original.is_some_and(|original| original.group == gid) {
        return problem(format!(
            "the group '{name}' is in use for other things: choose one of its own"
        ));
    }
    Ok(gid)
}

/// The configuration is one, since with a mistake in it all mail would be put off; what of its files concerns us.
pub(super) fn configuration(home: &Path) -> Result<(Config, Vec<PathBuf>), Problem> {
    let config = Config::load(home).map_err(|error| {
        Problem(format!(
            "{error}: mail would be put off; docs/qmail.md says what the file is to have"
        ))
    })?;
    if config.queue != home.join("bin/qmail-queue.orig") {
        return problem(format!(
            "{}: `queue` is {}; take the key away, this installation has it at bin/qmail-queue.orig",
            home.join(FILE).display(),
            config.queue.display()
        ));
    }
    let text = fs::read_to_string(home.join(FILE)).unwrap_or_default();
    let document: toml::Table = text.parse().unwrap_or_default();
    let key = document
        .get("tls")
        .and_then(|tls| tls.get("key"))
        .and_then(|key| key.as_str());
    let secrets = key.map(|key| home.join(key)).into_iter().collect();
    Ok((config, secrets))
}

/// Gateways of a configuration's text that take no connection now: a hint, for they may come later.
pub(super) fn unreachable(home: &Path) -> Vec<String> {
    let text = fs::read_to_string(home.join(FILE)).unwrap_or_default();
    let document: toml::Table = text.parse().unwrap_or_default();
    let gateways = document.get("gateways").and_then(|list| list.as_array());
    let names = gateways
        .into_iter()
        .flatten()
        .filter_map(|one| one.as_str());
    names
        .filter(|name| {
            let reached = match name.parse() {
                Ok(Endpoint::Unix(path)) => UnixStream::connect(path).is_ok(),
                _ => name
                    .rsplit("//")
                    .next()
                    .and_then(|address| address.trim_end_matches('/').parse().ok())
                    .is_some_and(|address| TcpStream::connect_timeout(&address, REACH).is_ok()),
            };
            !reached
        })
        .map(str::to_owned)
        .collect()
}

fn lines(path: &str) -> impl Iterator<Item = String> {
    let file = fs::File::open(path).ok().map(BufReader::new);
    file.into_iter()
        .flat_map(|file| file.lines().map_while(Result::ok))
}

fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(text.into()))
}
