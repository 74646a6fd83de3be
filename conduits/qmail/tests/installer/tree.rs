//! A qmail home that this project did not make: as `make setup` of qmail does (`hier.c`), with a qmail-queue of C.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

pub const QMAILQ: u32 = 7794;
pub const QMAIL: u32 = 7790;
pub const GROUP: u32 = 7788;
pub const USER: u32 = 7799;

/// A qmail home.
pub struct Tree {
    folder: tempfile::TempDir,
}

/// All that is to be as it was: inode, mode, owner, group of each file of `bin`.
pub type Listing = BTreeMap<PathBuf, (u64, u32, u32, u32)>;

impl Tree {
    pub fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test must run as root: a qmail-queue is setuid"
        );
        let folder = tempfile::tempdir().unwrap();
        let tree = Self { folder };
        mode(tree.home(), 0o755);
        for (name, owner, bits) in [
            ("bin", 0, 0o755),
            ("control", 0, 0o755),
            ("man", 0, 0o755),
            ("man/man8", 0, 0o755),
            ("queue", QMAILQ, 0o750),
            ("queue/pid", QMAILQ, 0o700),
            ("queue/intd", QMAILQ, 0o700),
            ("queue/todo", QMAILQ, 0o750),
            ("queue/mess", QMAILQ, 0o750),
        ] {
            let path = tree.path(name);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(owner), Some(QMAIL)).unwrap();
            mode(&path, bits);
        }
        let queue = tree.path("bin/qmail-queue");
        fs::copy(queue_program(), &queue).unwrap();
        chown(&queue, Some(QMAILQ), Some(QMAIL)).unwrap();
        mode(&queue, 0o4711);
        fs::write(tree.path("bin/qmail-smtpd"), "..QMAILQUEUE..").unwrap();
        // Nobody answers there: users' mail passes with a header that says so.
        let text =
            "gateways = ['http://127.0.0.1:1']\n[network]\nusers = []\n[bounce]\nusers = []\n";
        fs::write(tree.path("control/millrace.toml"), text).unwrap();
        tree
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the installer; `program` is the conduit where it is `install`.
    pub fn installer(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-qmail-install"));
        command.args(["--home", self.home().to_str().unwrap()]);
        command.args(words);
        if words[0] == "install" {
            command.args(["--group", &GROUP.to_string(), "--program"]);
            command.arg(conduit());
        }
        command
    }

    /// Runs it to a good end.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.installer(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Its exit code and all that it said.
    pub fn tried(&self, words: &[&str]) -> (i32, String) {
        said(&self.installer(words).output().unwrap())
    }

    pub fn listing(&self) -> Listing {
        let mut found = Listing::new();
        list(&self.path("bin"), &mut found);
        found
    }

    /// Hands a message in by that name, as a user; the exit code.
    pub fn call(&self, program: &str, id: &str) -> std::io::Result<i32> {
        call(&self.path(program), USER, id)
    }

    /// The first lines of the messages that the queue took.
    pub fn noted(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("queue/noted")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

pub fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output.status.code().unwrap_or(-1), text)
}

pub fn mode(path: impl AsRef<Path>, bits: u32) {
    fs::set_permissions(path, Permissions::from_mode(bits)).unwrap();
}

/// As `qmail.c` does: the message, then the envelope.
pub fn call(program: &Path, uid: u32, id: &str) -> std::io::Result<i32> {
    let (from, mut to) = std::io::pipe()?;
    let mut child = Command::new(program)
        .uid(uid)
        .gid(uid)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(from)
        .stderr(Stdio::null())
        .spawn()?;
    let mut message = child.stdin.take().unwrap();
    // Whoever does not read says so by its exit code.
    let _ = message.write_all(format!("X-Id: {id}\n\nbody\n").as_bytes());
    drop(message);
    let _ = to.write_all(b"Fa@example.org\0Tb@example.org\0\0");
    drop(to);
    Ok(child.wait()?.code().unwrap_or(-1))
}

fn list(folder: &Path, found: &mut Listing) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let seen = path.symlink_metadata().unwrap();
        found.insert(
            path.clone(),
            (seen.ino(), seen.mode(), seen.uid(), seen.gid()),
        );
        if seen.is_dir() {
            list(&path, found);
        }
    }
}

/// The conduit, without what only debuggers read: it is copied many times.
pub fn conduit() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("millrace-qmail-queue");
        let status = Command::new("strip")
            .arg("-o")
            .arg(&program)
            .arg(env!("CARGO_BIN_EXE_millrace-qmail-queue"))
            .status();
        assert!(status.expect("strip (Debian package binutils)").success());
        (folder, program)
    });
    program
}

fn queue_program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qmail-queue");
        let status = Command::new("cc")
            .arg("-o")
            .arg(&program)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/installer/qmail-queue.c"
            ))
            .status();
        assert!(status.expect("cc (Debian package gcc)").success());
        (folder, program)
    });
    program
}
