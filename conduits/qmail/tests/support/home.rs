//! A qmail home, set up as qmail's own: programs by their users, a setuid qmail-queue with a queue that only it can write.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millrace_proto::{CallError, Keeping, Transaction, Verdict};
use tokio_stream::wrappers::UnixListenerStream;

use super::gateway::Gateway;
use super::programs;

/// Whom the test plays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Caller {
    /// qmail-smtpd.
    Network,
    /// qmail-send.
    Bounce,
    /// qmail-inject.
    Local,
    /// qmail-local, for a `&forward` line.
    Forward,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    pub code: Option<i32>,
    /// On the error descriptor.
    pub text: String,
    /// On descriptors that are the caller's own.
    pub spilt: Vec<String>,
}

/// A qmail home.
pub struct Home {
    folder: tempfile::TempDir,
    endpoint: String,
    gateway: Option<Gateway>,
    calls: AtomicUsize,
    _runtime: Option<tokio::runtime::Runtime>,
}

const QMAILD: u32 = 7791;
const QMAILQ: u32 = 7794;
const QMAILS: u32 = 7796;
const USER: u32 = 7799;
/// A hang is one after this.
const PATIENCE: Duration = Duration::from_secs(60);

impl Caller {
    fn uid(self) -> u32 {
        match self {
            Self::Network => QMAILD,
            Self::Bounce => QMAILS,
            Self::Local | Self::Forward => USER,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Network => "smtpd",
            Self::Bounce => "send",
            Self::Local => "inject",
            Self::Forward => "local",
        }
    }
}

impl Home {
    pub fn giving(verdict: Verdict) -> Self {
        Self::answering(move |_| Ok(verdict.clone()))
    }

    /// Where copies can be kept, or not.
    pub fn keeping(keeping: Keeping, verdict: Verdict) -> Self {
        Self::judging(Gateway::new(move |_| Ok(verdict.clone())).keeping(keeping))
    }

    pub fn answering(
        answer: impl Fn(&Transaction) -> Result<Verdict, CallError> + Send + Sync + 'static,
    ) -> Self {
        Self::judging(Gateway::new(answer))
    }

    fn judging(gateway: Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gateway.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::UnixListener::bind(&socket).unwrap()
        };
        fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
        runtime.spawn(
            gateway
                .clone()
                .server()
                .serve_with_incoming(UnixListenerStream::new(listener)),
        );
        let endpoint = format!("'unix://{}'", socket.display());
        Self::new(folder, endpoint, Some(gateway), Some(runtime), "")
    }

    /// Port 1 is nobody's.
    pub fn without_gateway(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::new(folder, "'http://127.0.0.1:1'".into(), None, None, rules)
    }

    /// With gateways of the test's own, as they stand in the configuration.
    pub fn before(endpoints: &str, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::new(folder, endpoints.to_owned(), None, None, rules)
    }

    fn new(
        folder: tempfile::TempDir,
        endpoint: String,
        gateway: Option<Gateway>,
        runtime: Option<tokio::runtime::Runtime>,
        rules: &str,
    ) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test must run as root: callers have users of their own"
        );
        let home = Self {
            folder,
            endpoint,
            gateway,
            calls: AtomicUsize::new(0),
            _runtime: runtime,
        };
        fs::set_permissions(home.folder.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["bin", "control", "calls"] {
            fs::create_dir(home.path(name)).unwrap();
        }
        home.make_queue();
        fs::write(home.path("log"), "").unwrap();
        fs::set_permissions(home.path("log"), Permissions::from_mode(0o666)).unwrap();
        let conduit = home.path("bin/qmail-queue");
        // A link where one is possible: it is large.
        let built = env!("CARGO_BIN_EXE_millrace-qmail-queue");
        if fs::hard_link(built, &conduit).is_err() {
            fs::copy(built, conduit).unwrap();
        }
        home.install_real();
        home.configure(&home.rules(&home.endpoint, rules));
        home
    }

    /// `gateways`, the log, who is who, and rules of the test's own.
    fn rules(&self, endpoints: &str, rules: &str) -> String {
        let mut text = format!(
            "gateways = [{endpoints}]\nlog = '{}'\n{rules}\n",
            self.path("log").display()
        );
        for (table, uid) in [("[network]\n", QMAILD), ("[bounce]\n", QMAILS)] {
            let users = format!("users = [{uid}]\n");
            match text.find(table) {
                Some(at) => text.insert_str(at + table.len(), &users),
                None => text.push_str(&format!("{table}{users}")),
            }
        }
        text
    }

    fn install_real(&self) {
        let real = self.path("bin/qmail-queue.orig");
        fs::copy(programs::queue(), &real).unwrap();
        chown(&real, Some(QMAILQ), Some(QMAILQ)).unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o4711)).unwrap();
    }

    fn make_queue(&self) {
        for name in [
            "queue",
            "queue/pid",
            "queue/mess",
            "queue/intd",
            "queue/todo",
        ] {
            let folder = self.path(name);
            fs::create_dir(&folder).unwrap();
            chown(&folder, Some(QMAILQ), Some(QMAILQ)).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The gateway, as it stands in the configuration.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The whole configuration.
    pub fn configure(&self, text: &str) {
        fs::write(self.path("control/millrace.toml"), text).unwrap();
    }

    /// Rules beside the home's own gateway.
    pub fn rule(&self, rules: &str) {
        self.configure(&self.rules(&self.endpoint, rules));
    }

    /// A gateway that is gone before the one that is there.
    pub fn configure_second(&self) {
        let both = format!("'http://127.0.0.1:1', {}", self.endpoint);
        self.configure(&self.rules(&both, ""));
    }

    pub fn real_exits_with(&self, code: u8) {
        fs::write(self.path("control/exit"), code.to_string()).unwrap();
    }

    /// The real qmail-queue stops at this step (`qmail-queue.c`) from now on; at none when it is empty.
    pub fn real_stops_at(&self, step: &str) {
        fs::write(self.path("control/stop"), step).unwrap();
        let _ = fs::remove_file(self.path("queue/stopped"));
    }

    /// Waits until the real qmail-queue stands at its step.
    pub fn wait_until_stopped(&self) {
        self.until("the real qmail-queue stops", || {
            self.path("queue/stopped").exists()
        });
    }

    pub fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !condition() {
            assert!(
                Instant::now() < end,
                "it never came: {what}; log: {}",
                self.log()
            );
            #[allow(clippy::disallowed_methods)] // a test's own thread
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The conduit is gone: the bare qmail-queue stands there.
    pub fn uninstall(&self) {
        let bare = self.path("bin/qmail-queue");
        fs::remove_file(&bare).unwrap();
        fs::rename(self.path("bin/qmail-queue.orig"), bare).unwrap();
    }

    pub fn install_over_itself(&self, copied: bool) {
        let (own, real) = (
            self.path("bin/qmail-queue"),
            self.path("bin/qmail-queue.orig"),
        );
        fs::remove_file(&real).unwrap();
        if copied {
            fs::copy(own, real).unwrap();
        } else {
            fs::hard_link(own, real).unwrap();
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    pub fn asked(&self) -> Vec<(Transaction, Vec<u8>)> {
        self.gateway().asked()
    }

    /// Messages and envelopes that are queued, without what the real qmail-queue adds: its Received line on top, uid
    /// and pid before the envelope.
    pub fn queued(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = fs::read_dir(self.path("queue/todo")).unwrap();
        entries
            .map(|entry| {
                let name = entry.unwrap().file_name();
                let message = fs::read(self.path("queue/mess").join(&name)).unwrap();
                let envelope = fs::read(self.path("queue/todo").join(&name)).unwrap();
                (without_received(&message), without_ids(&envelope))
            })
            .collect()
    }

    /// How many messages are queued.
    pub fn count(&self) -> usize {
        fs::read_dir(self.path("queue/todo")).unwrap().count()
    }

    /// Files in all folders of the queue, of unfinished messages as well.
    pub fn files(&self) -> usize {
        ["pid", "mess", "intd", "todo"]
            .iter()
            .map(|name| fs::read_dir(self.path("queue").join(name)).unwrap().count())
            .sum()
    }

    pub fn empty(&self) {
        fs::remove_dir_all(self.path("queue")).unwrap();
        self.make_queue();
    }

    /// Calls it as `qmail.c` does: the whole message to descriptor 0, then the envelope to 1. The exit code.
    pub fn call(&self, caller: Caller, message: &[u8], envelope: &[u8]) -> i32 {
        let called = self.called(caller, 0, message, envelope);
        assert_eq!(called.spilt, [""; 0], "{caller:?}");
        called.code.unwrap()
    }

    /// The same, by a caller that takes text on this descriptor, and what came on it.
    pub fn call_with_error_descriptor(
        &self,
        number: u32,
        message: &[u8],
        envelope: &[u8],
    ) -> (i32, String) {
        let called = self.called(Caller::Network, number, message, envelope);
        (called.code.unwrap(), called.text)
    }

    /// Plays a caller.
    pub fn called(
        &self,
        caller: Caller,
        error_descriptor: u32,
        message: &[u8],
        envelope: &[u8],
    ) -> Called {
        self.called_by(caller, error_descriptor, message, envelope, |_| {})
    }

    /// Plays a caller, in an environment of the test's own.
    pub fn called_by(
        &self,
        caller: Caller,
        error_descriptor: u32,
        message: &[u8],
        envelope: &[u8],
        prepare: impl FnOnce(&mut Command),
    ) -> Called {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str, bytes: &[u8]| {
            let path = self.path(&format!("calls/{number}.{kind}"));
            fs::write(&path, bytes).unwrap();
            path
        };
        let mut command = Command::new(programs::caller());
        command
            .args([caller.kind(), &caller.uid().to_string()])
            .arg(self.folder.path())
            .arg("bin/qmail-queue")
            .arg(file("message", message))
            .arg(file("envelope", envelope))
            .arg(error_descriptor.to_string());
        environment(&mut command, caller);
        prepare(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = said.lines();
        let (how, rest) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .unwrap_or_else(|| panic!("the caller says {output:?}"));
        let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
        Called {
            code: (how == "exit").then(|| number.parse().unwrap()),
            text: text.to_owned(),
            spilt: lines.map(str::to_owned).collect(),
        }
    }

    /// Starts it and gives both pipes to the test: message, envelope.
    pub fn start(&self, caller: Caller) -> (Child, ChildStdin, std::io::PipeWriter) {
        let (from, to) = std::io::pipe().unwrap();
        let mut command = Command::new(self.path("bin/qmail-queue"));
        environment(&mut command, caller);
        let mut child = command
            .current_dir(self.folder.path())
            .uid(caller.uid())
            .gid(caller.uid())
            .stdin(Stdio::piped())
            .stdout(Stdio::from(from))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let message = child.stdin.take().unwrap();
        (child, message, to)
    }

    /// Starts it, and gives it everything.
    pub fn start_whole(&self, caller: Caller, message: &[u8], envelope: &[u8]) -> Child {
        let (child, mut to, mut addresses) = self.start(caller);
        let _ = to.write_all(message);
        drop(to);
        let _ = addresses.write_all(envelope);
        child
    }
}

/// As tcpserver and qmail's programs leave it.
fn environment(command: &mut Command, caller: Caller) {
    command.env_clear().env("PATH", "/usr/bin:/bin");
    match caller {
        Caller::Network | Caller::Local => {
            // A user can set these as well.
            command
                .env("PROTO", "TCP")
                .env("TCPLOCALIP", "127.0.0.1")
                .env("TCPLOCALPORT", "25")
                .env("TCPREMOTEIP", "198.51.100.7")
                .env("TCPREMOTEPORT", "40000")
                .env("TCPREMOTEHOST", "client.example");
        }
        Caller::Bounce => {}
        Caller::Forward => {
            command
                .env("SENDER", "a@example.org")
                .env("RECIPIENT", "b@example.org")
                .env("USER", "b")
                .env("HOME", "/");
        }
    }
}

fn without_received(message: &[u8]) -> Vec<u8> {
    let end = message.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    assert!(
        message.starts_with(b"Received: (qmail "),
        "qmail-queue's own line stands on top"
    );
    message[end..].to_vec()
}

fn without_ids(envelope: &[u8]) -> Vec<u8> {
    let mut pieces = envelope.splitn(3, |&byte| byte == 0);
    let (uid, pid) = (pieces.next().unwrap(), pieces.next().unwrap());
    assert!(uid.starts_with(b"u") && pid.starts_with(b"p"));
    let mut rest = pieces.next().unwrap().to_vec();
    rest.push(0);
    rest
}
