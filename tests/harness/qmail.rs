//! A qmail home: `millrace-qmail-queue` before a qmail-queue that follows the real one step by step
//! (`conduits/qmail/tests/support/qmail-queue.c`), and mailfront's servers as its callers. No qmail is packaged.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::packages;
use crate::ports::Port;
use crate::process::{Process, run};
use crate::servers::binary;

/// A qmail home.
#[derive(Debug)]
pub struct QmailHome {
    folder: TempDir,
}

/// A running tcpserver with one of mailfront's servers behind it.
#[derive(Debug)]
pub struct Front {
    _process: Process,
    port: Port,
}

/// As whom mail from the network is handed in.
const QMAILD: u32 = 7791;
/// Who runs the tests: to become another user takes a fork, and of a large process that is dear.
const ROOT: u32 = 0;
const QMAILQ: u32 = 7794;

impl QmailHome {
    /// One whose qmail-queue is the real one, with nothing before it.
    ///
    /// # Panics
    /// When it cannot be made: the test must run as root.
    pub fn bare() -> Self {
        Self::bare_in(&std::env::temp_dir())
    }

    fn bare_in(place: &Path) -> Self {
        packages::require_root("qmail's programs have users of their own");
        let folder = tempfile::Builder::new()
            .prefix("qmail-")
            .tempdir_in(place)
            .expect("a temp folder can be made");
        let home = Self { folder };
        set_mode(home.folder.path(), 0o755);
        for name in ["bin", "control", "queue"] {
            fs::create_dir(home.path(name)).expect("a folder can be made");
        }
        for name in ["", "pid", "mess", "intd", "todo"] {
            let folder = home.path("queue").join(name);
            fs::create_dir_all(&folder).expect("a folder can be made");
            chown(&folder, Some(QMAILQ), Some(QMAILQ)).expect("root changes owners");
            set_mode(&folder, 0o700);
        }
        home.install(qmail_queue(), "bin/qmail-queue", 0o4711);
        chown(home.path("bin/qmail-queue"), Some(QMAILQ), Some(QMAILQ))
            .expect("root changes owners");
        set_mode(&home.path("bin/qmail-queue"), 0o4711);
        home
    }

    /// One with `millrace-qmail-queue` installed, asking these gateways.
    ///
    /// # Panics
    /// As [`QmailHome::bare`].
    pub fn before(gateways: &[String]) -> Self {
        Self::bare().with_conduit(gateways)
    }

    /// The same, with its queue in memory, for many messages: qmail-queue syncs each file. Root hands them in, for
    /// there is no setuid in `/dev/shm`.
    ///
    /// # Panics
    /// As [`QmailHome::bare`].
    pub fn in_memory_before(gateways: &[String]) -> Self {
        Self::bare_in(Path::new("/dev/shm")).with_conduit(gateways)
    }

    fn with_conduit(self, gateways: &[String]) -> Self {
        fs::rename(
            self.path("bin/qmail-queue"),
            self.path("bin/qmail-queue.orig"),
        )
        .expect("a file can be renamed");
        self.install(&binary("millrace-qmail-queue"), "bin/qmail-queue", 0o755);
        let log = self.path("log");
        fs::write(&log, "").expect("the log can be made");
        set_mode(&log, 0o666);
        let text = format!(
            "gateways = {gateways:?}\nlog = {log:?}\n[network]\nusers = [{QMAILD}, {ROOT}]\n[bounce]\nusers = []\n"
        );
        fs::write(self.path("control/millrace.toml"), text).expect("the file can be written");
        self
    }

    fn install(&self, program: &Path, name: &str, mode: u32) {
        let to = self.path(name);
        fs::copy(program, &to).expect("a program can be copied");
        set_mode(&to, mode);
    }

    /// A file or folder of the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `millrace-qmail-queue` has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Messages that are queued, each with its envelope, without the Received line that qmail-queue puts on top.
    ///
    /// # Panics
    /// When the queue is not as qmail-queue leaves it.
    pub fn queued(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        fs::read_dir(self.path("queue/todo"))
            .expect("the queue is there")
            .map(|entry| {
                let name = entry.expect("the queue can be read").file_name();
                let read = |folder: &str| {
                    fs::read(self.path(folder).join(&name)).expect("a queue file can be read")
                };
                let (message, envelope) = (read("queue/mess"), read("queue/todo"));
                let line = message
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .expect("qmail-queue writes a line");
                assert!(message.starts_with(b"Received: (qmail "));
                (message[line + 1..].to_vec(), envelope)
            })
            .collect()
    }

    /// How many messages are queued.
    ///
    /// # Panics
    /// When the queue cannot be read.
    pub fn count(&self) -> usize {
        fs::read_dir(self.path("queue/todo"))
            .expect("the queue is there")
            .count()
    }

    /// Hands a message in as qmail-smtpd does, but for the user. The exit code; `None` after a signal.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn hand_in(&self, message: &[u8], envelope: &[u8]) -> Option<i32> {
        let (from, mut to) = std::io::pipe().expect("a pipe can be made");
        let mut child = Command::new(self.path("bin/qmail-queue"))
            .current_dir(self.folder.path())
            .env("TCPREMOTEIP", "198.51.100.7")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(from))
            .stderr(Stdio::null())
            .spawn()
            .expect("qmail-queue starts");
        let mut stdin = child.stdin.take().expect("it was asked for");
        // One that does not read says why with its exit code.
        let _ = stdin.write_all(message);
        drop(stdin);
        let _ = to.write_all(envelope);
        drop(to);
        child.wait().expect("it can be waited for").code()
    }

    /// Starts tcpserver with a server of mailfront's: `smtpfront-qmail`, `qmqpfront-qmail`.
    ///
    /// # Panics
    /// When it does not come to listen.
    pub fn serve(&self, front: &str) -> Front {
        self.serve_with(front, &[])
    }

    /// The same, with more in its environment.
    ///
    /// # Panics
    /// As [`QmailHome::serve`].
    pub fn serve_with(&self, front: &str, environment: &[(&str, &str)]) -> Front {
        let (tcpserver, front_path) = (packages::program("tcpserver"), packages::program(front));
        let port = Port::reserve();
        let mut process = Process::start_with(front, self.folder.path(), &tcpserver, |command| {
            command
                .args(["-v", "-H", "-R", "-l", "h"])
                .args(["-u", &QMAILD.to_string(), "-g", &QMAILD.to_string()])
                .args(["127.0.0.1", &port.number().to_string()])
                .arg(front_path)
                .env("RELAYCLIENT", "")
                .env("QMAILHOME", self.folder.path())
                .env("QMAILQUEUE", self.path("bin/qmail-queue"))
                .envs(environment.iter().copied());
        });
        process.wait_for_port(port.number());
        Front {
            _process: process,
            port,
        }
    }
}

impl Front {
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root changes modes");
}

fn qmail_queue() -> &'static Path {
    static PROGRAM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let program = folder.path().join("qmail-queue");
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../conduits/qmail/tests/support/qmail-queue.c"
        );
        run(Command::new(packages::program("cc"))
            .args(["-O1", "-o"])
            .arg(&program)
            .arg(source));
        (folder, program)
    });
    program
}
