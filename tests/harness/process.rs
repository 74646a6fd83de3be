//! Child processes that never outlive their test.
//!
//! Each child leads a process group of its own, which is killed whole when its guard is dropped.
//! Should the test process itself be killed, a watcher beside the child does it: a shell that reads
//! from a pipe which only the test process holds open. (The kernel's own means, PR_SET_PDEATHSIG, is
//! undone by every daemon that changes its user, as Postfix's master does.)

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::patience::{PATIENCE, poll};

/// A running child and all of its descendants; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    watcher: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `program` with `arguments`; both of its outputs go to the file `folder/NAME.out`.
    ///
    /// # Panics
    /// When it cannot be started at all. A program that starts and fails is seen by what waits for it.
    pub fn start<S: AsRef<std::ffi::OsStr>>(
        name: &str,
        folder: &Path,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::start_with(name, folder, program, |command| {
            command.args(arguments);
        })
    }

    /// As [`Process::start`], with a hand on the command: arguments, environment.
    ///
    /// # Panics
    /// When it cannot be started at all.
    pub fn start_with(
        name: &str,
        folder: &Path,
        program: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let output = free_name(folder, name);
        let log = File::create(&output).expect("the child's output file can be made");
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .process_group(0);
        prepare(&mut command);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process ID is an i32"));
        let watcher = watch(pid);
        Self {
            name: name.to_owned(),
            child,
            pid,
            watcher,
            output,
        }
    }

    /// The child's process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the child has written so far, to either output.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Waits for a line of output that holds `text`, and gives the line.
    ///
    /// # Panics
    /// When the child ends or [`PATIENCE`] is over without one.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        self.wait_for(&format!("a line with {text:?}"), |process| {
            let output = process.output();
            output
                .lines()
                .find(|line| line.contains(text))
                .map(str::to_owned)
        })
    }

    /// Waits until something accepts connections on this port of 127.0.0.1.
    ///
    /// # Panics
    /// When the child ends or [`PATIENCE`] is over before.
    pub fn wait_for_port(&mut self, port: u16) {
        self.wait_for(&format!("port {port} to open"), |_| {
            TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        });
    }

    /// Waits until `look` gives something.
    ///
    /// # Panics
    /// When the child ends or [`PATIENCE`] is over before.
    pub fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let found = poll(|| {
            if let Some(found) = look(self) {
                return Some(Some(found));
            }
            self.ended().map(|_| None)
        });
        match found {
            Some(Some(found)) => found,
            Some(None) => panic!(
                "{} ended before {what}; it said:\n{}",
                self.name,
                self.output()
            ),
            None => panic!(
                "{}: waited {PATIENCE:?} in vain for {what}; it said:\n{}",
                self.name,
                self.output()
            ),
        }
    }

    /// How the child ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for the child's end.
    ///
    /// # Panics
    /// When it has not ended after [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        poll(|| self.ended()).unwrap_or_else(|| {
            panic!(
                "{} has not ended after {PATIENCE:?}; it said:\n{}",
                self.name,
                self.output()
            )
        })
    }

    /// Sends a signal to the child alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        // A child that has just ended cannot be told anything more, which is as good.
        let _ = kill(self.pid, signal);
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// As [`Process::wait`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }

    /// Sends SIGKILL to the whole group and waits for the child's end.
    pub fn kill(&mut self) {
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Freezes the whole group (SIGSTOP), until [`Process::resume`].
    pub fn freeze(&self) {
        let _ = killpg(self.pid, Signal::SIGSTOP);
    }

    /// Lets a frozen group go on (SIGCONT).
    pub fn resume(&self) {
        let _ = killpg(self.pid, Signal::SIGCONT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher goes first: once the child is reaped, its number may become another's.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        self.kill();
        if thread::panicking() {
            eprintln!("--- {} said:\n{}---", self.name, self.output());
        }
    }
}

/// Runs a program to its end and gives what it wrote to its standard output.
///
/// # Panics
/// When it fails, with what it said.
pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed, {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn free_name(folder: &Path, name: &str) -> PathBuf {
    (0..)
        .map(|turn| {
            folder.join(if turn == 0 {
                format!("{name}.out")
            } else {
                format!("{name}.{turn}.out")
            })
        })
        .find(|candidate| !candidate.exists())
        .expect("some name is free")
}

/// Starts the watcher that kills the process group when this process is gone.
fn watch(group: Pid) -> Child {
    Command::new("/bin/sh")
        .args(["-c", "read -r never; kill -s KILL -- \"-$1\"", "watcher"])
        .arg(group.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("the shell starts")
}
