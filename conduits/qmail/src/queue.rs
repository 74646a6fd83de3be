//! `millrace-qmail-queue`: from descriptors 0 and 1 to an exit code, or to the real qmail-queue in this very process.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use millrace_proto::{
    CallError, ConduitKind, Edit, Envelope as Addresses, LineEnding, Path as MailPath, Reply,
    Transaction, TransactionId,
};
use nix::unistd::{alarm, dup2_stderr, dup2_stdin, dup2_stdout, getuid};

use crate::caller::{self, Caller, CallerKind};
use crate::carry::Carried;
use crate::config::{Config, OnFailure};
use crate::edit::{apply, changes_message, edited_envelope};
use crate::envelope::Envelope;
use crate::exit::{ErrorDescriptor, ErrorDescriptors, Exit, one_line};
use crate::judge::judge;
use crate::log::Log;
use crate::memory_file::MemoryFile;
use crate::received::Received;
use crate::trust;

const PROGRAM: &str = "millrace-qmail-queue";
/// `DEATH` of `qmail-queue.c`: a caller that hangs for a day is given up.
const DEATH_SECONDS: u32 = 86_400;
/// The process that became the real qmail-queue; a conduit that finds its own number there was installed as the real
/// one, and would go round for ever.
pub(crate) const GUARD: &str = "MILLRACE_QMAIL_QUEUE_PID";
const UNSCANNED_HEADER: &[u8] = b"X-Millrace-Unscanned";

/// One call of qmail-queue.
struct Call {
    config: Config,
    log: Log,
    caller: Caller,
    error_descriptor: Option<ErrorDescriptor>,
    message: MemoryFile,
    envelope: Envelope,
    id: TransactionId,
    stderr: Option<File>,
}

/// Runs the program. Comes back only where the real qmail-queue was not executed.
#[must_use]
pub fn run() -> Exit {
    alarm::set(DEATH_SECONDS);
    let error_descriptors = ErrorDescriptors::find();
    let stderr = silence();
    let home = home();
    // Both are read whole before anything is decided: a caller that cannot write says 451, whatever we say.
    let read = MemoryFile::new("message").and_then(|mut message| {
        io::copy(&mut input(io::stdin())?, message.file_mut())?;
        let mut envelope = Vec::new();
        input(io::stdout())?.read_to_end(&mut envelope)?;
        Ok((message, envelope))
    });
    let config = Config::load(&home);
    let log = match config.as_ref().map(|config| config.log.as_deref()) {
        Ok(Some(path)) => Log::file(PROGRAM, path),
        Ok(None) | Err(_) => Log::syslog(PROGRAM),
    };
    report_panics();
    let (message, envelope) = match read {
        Ok(read) => read,
        Err(error) => {
            log.line(format_args!("cannot read what is to be queued: {error}"));
            return Exit::Read;
        }
    };
    let envelope = match Envelope::parse(&envelope.into()) {
        Ok(envelope) => envelope,
        Err(error) => {
            log.line(error);
            return error.into();
        }
    };
    let uid = getuid().as_raw();
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            log.line(&error);
            // A bounce that is put off comes again every two minutes, and holds all others up.
            let without = Config::without_file(&home);
            if without.users.kind(uid) != CallerKind::Bounce {
                return Exit::Config;
            }
            without
        }
    };
    if let Err(problem) = trust::lent(&home) {
        log.line(problem);
        return Exit::Config;
    }
    if let Err(problem) = guard(&config.queue) {
        log.line(format_args!("{}: {problem}", config.queue.display()));
        return Exit::Bug;
    }
    let beginning = beginning(message.file());
    let caller = Caller::new(uid, &config.users, caller::variable, &beginning);
    let call = Call {
        error_descriptor: error_descriptors.of(caller.kind),
        config,
        log,
        caller,
        message,
        envelope,
        id: TransactionId::new(),
        stderr,
    };
    call.answer()
}

impl Call {
    fn answer(self) -> Exit {
        let carried = self.carried();
        if carried != Carried::Queue(Vec::new()) {
            self.log.line(format_args!(
                "transaction {}: {}",
                self.id,
                describe(&carried)
            ));
        }
        match carried {
            Carried::Queue(edits) => self.queue(&edits),
            Carried::Drop => Exit::Done,
            Carried::Refuse(reply) => self.refuse('D', reply.as_ref(), Exit::Refused),
            Carried::Defer(reply) => self.refuse('Z', reply.as_ref(), Exit::Deferred),
        }
    }

    fn carried(&self) -> Carried {
        let kind = self.caller.kind;
        let judged = judge(
            &self.config.gateways,
            &self.transaction(),
            self.message.file(),
            self.config.deadline(kind),
            |gateway, error| {
                let id = self.id;
                self.log.line(format_args!(
                    "transaction {id}: no verdict from {gateway}: {error}"
                ));
            },
        );
        match judged {
            Ok(verdict) => Carried::from_verdict(verdict, kind),
            Err(error) => self.without_verdict(&error),
        }
    }

    fn without_verdict(&self, error: &CallError) -> Carried {
        let reply = |code, enhanced| {
            let text = format!(
                "the mail filter gave no verdict ({}; transaction {})",
                error.kind(),
                self.id
            );
            Reply::sanitised(code, Some(enhanced), &text).ok()
        };
        match self.config.on_failure(self.caller.kind) {
            OnFailure::Tempfail => Carried::Defer(reply(451, "4.3.0")),
            OnFailure::Reject => Carried::Refuse(reply(554, "5.3.0")),
            OnFailure::AcceptAndStamp => Carried::Queue(vec![Edit::InsertHeader {
                name: Bytes::from_static(UNSCANNED_HEADER),
                value: format!("{}; transaction {}", error.kind(), self.id).into(),
            }]),
        }
    }

    fn transaction(&self) -> Transaction {
        let mut capabilities = ConduitKind::QmailQueue.capabilities();
        capabilities.reply_text = self.error_descriptor.is_some();
        if self.caller.kind == CallerKind::Bounce {
            capabilities.reject = false;
            capabilities.tempfail = false;
        }
        Transaction {
            id: self.id,
            conduit: ConduitKind::QmailQueue,
            client: self.config.client.clone(),
            direction: self.caller.direction,
            capabilities,
            connection: self.caller.connection.clone(),
            envelope: Addresses {
                sender: Some(path(&self.envelope.sender)),
                recipients: self.envelope.recipients.iter().map(path).collect(),
            },
            queue_id: None,
            macros: Vec::new(),
            line_ending: LineEnding::Lf,
            revision: None,
        }
    }

    fn refuse(&self, letter: char, reply: Option<&Reply>, otherwise: Exit) -> Exit {
        match (self.error_descriptor, reply) {
            (Some(descriptor), Some(reply))
                if descriptor.tell(letter, &one_line(reply)).is_ok() =>
            {
                Exit::Custom
            }
            _ => otherwise,
        }
    }

    /// Becomes the real qmail-queue, with what it is to queue on its descriptors 0 and 1. There is no process between
    /// it and the caller: what it has committed, nobody can deny by being killed.
    fn queue(self, edits: &[Edit]) -> Exit {
        let prepared = self.prepared(edits).and_then(|(message, envelope)| {
            dup2_stdin(message.file().as_fd())?;
            dup2_stdout(envelope.file().as_fd())?;
            if let Some(stderr) = &self.stderr {
                dup2_stderr(stderr)?;
            }
            Ok(())
        });
        if let Err(error) = prepared {
            self.log
                .line(format_args!("cannot write what is to be queued: {error}"));
            return Exit::Write;
        }
        let error = Command::new(&self.config.queue)
            .env(GUARD, std::process::id().to_string())
            .exec();
        self.log.line(format_args!(
            "cannot execute {}: {error}",
            self.config.queue.display()
        ));
        Exit::Exec
    }

    fn prepared(&self, edits: &[Edit]) -> io::Result<(MemoryFile, MemoryFile)> {
        let mut message = MemoryFile(self.message.file().try_clone()?);
        if edits.iter().any(changes_message) {
            let mut edited = MemoryFile::new("edited")?;
            let mut original = message.file();
            io::Seek::rewind(&mut original)?;
            let mut to = io::BufWriter::with_capacity(32 << 10, edited.file_mut());
            apply(edits, original, &mut to)?;
            io::Write::flush(&mut to)?;
            drop(to);
            message = edited;
        }
        let envelope = edited_envelope(&self.envelope, edits).encode();
        let mut envelope = MemoryFile::with("envelope", &envelope)?;
        message.seal()?;
        envelope.seal()?;
        Ok((message, envelope))
    }
}

fn path(address: &Bytes) -> MailPath {
    MailPath {
        address: address.clone(),
        parameters: Vec::new(),
    }
}

fn describe(carried: &Carried) -> String {
    let reply = |reply: &Option<Reply>| reply.as_ref().map(ToString::to_string).unwrap_or_default();
    match carried {
        Carried::Queue(edits) => {
            let names: Vec<_> = edits.iter().map(Edit::name).collect();
            format!("queued with {}", names.join(", "))
        }
        Carried::Drop => "dropped".to_owned(),
        Carried::Refuse(text) => format!("refused: {}", reply(text)),
        Carried::Defer(text) => format!("put off: {}", reply(text)),
    }
}

/// Nothing of ours, nor of the language's runtime, is to write to the caller's descriptor 2. What it was comes back.
fn silence() -> Option<File> {
    let null = null().ok()?;
    let saved = io::stderr().as_fd().try_clone_to_owned().ok()?;
    dup2_stderr(&null).ok()?;
    Some(saved.into())
}

/// The null device, also on those of the descriptors 0 to 2 that the caller has closed: no file of ours is to be
/// there.
fn null() -> io::Result<File> {
    loop {
        let null = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(null);
        }
        let _: RawFd = null.into_raw_fd();
    }
}

fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        Log::syslog(PROGRAM).line(format_args!("a fault of ours: {panic}"));
    }));
}

/// A descriptor of the caller's, as a file of our own.
fn input(standard: impl AsFd) -> io::Result<File> {
    Ok(standard.as_fd().try_clone_to_owned()?.into())
}

fn beginning(message: &File) -> Vec<u8> {
    let mut bytes = vec![0; Received::LONGEST];
    let length = message.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

/// The qmail home: where this program is in `bin`; the working directory, which callers have there, when it is not.
fn home() -> PathBuf {
    let home = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.parent()?.to_owned()))
        .filter(|home| home.join("control").is_dir());
    home.unwrap_or_else(|| PathBuf::from("."))
}

fn guard(queue: &Path) -> Result<(), &'static str> {
    if std::env::var(GUARD).is_ok_and(|pid| pid == std::process::id().to_string()) {
        return Err("this is millrace-qmail-queue itself, and not the real qmail-queue");
    }
    let same = |a: &fs::Metadata, b: &fs::Metadata| a.ino() == b.ino() && a.dev() == b.dev();
    let own = std::env::current_exe().and_then(fs::metadata);
    match (own, fs::metadata(queue)) {
        (Ok(own), Ok(real)) if same(&own, &real) => {
            Err("this is millrace-qmail-queue itself, and not the real qmail-queue")
        }
        (_, Err(_)) => Err("the real qmail-queue is not there"),
        _ => Ok(()),
    }
}
