//! What `millrace-qmail-queue` costs, against (a) qmail-queue alone and (b) the least that a program before it can do:
//! a C program that takes message and envelope in and executes it. CPU time of the children, and time to the exit
//! code; by turns in one run, the queue in memory, the gateway on loopback answering at once.
//!
//! `MILLRACE_QMAIL_QUEUE` names the program: the static one, which `make bench-qmail` builds.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support/gateway.rs"]
mod gateway;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support/tls.rs"]
mod tls;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use gateway::{Gateway, accept};
use tonic::transport::server::TcpIncoming;

/// A way for a message into the queue.
struct Way {
    name: &'static str,
    home: PathBuf,
    costs: Vec<Cost>,
}

#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    took: Duration,
}

const ENVELOPE: &[u8] = b"Fa@example.org\0Tb@example.org\0\0";
/// Messages of one turn.
const TURN: usize = 20;

fn main() {
    let rounds: usize = std::env::var("ROUNDS").map_or(30, |text| text.parse().unwrap());
    let conduit = std::env::var_os("MILLRACE_QMAIL_QUEUE").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_millrace-qmail-queue")),
        PathBuf::from,
    );
    let folder = tempfile::Builder::new()
        .prefix("bench-qmail-")
        .tempdir_in(Path::new("/dev/shm"))
        .expect("/dev/shm");
    let queue = compiled(folder.path(), "tests/support/qmail-queue.c");
    let floor = compiled(folder.path(), "../../bench/floor/pass-through.c");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let socket = folder.path().join("gateway.sock");
    let gateway = || Gateway::new(|_| Ok(accept())).forgetting();
    let tcp = {
        let _inside = runtime.enter();
        let unix = tokio::net::UnixListener::bind(&socket).unwrap();
        let tcp = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let tcp = tcp.with_nodelay(Some(true));
        let address = tcp.local_addr().unwrap();
        let unix = tokio_stream::wrappers::UnixListenerStream::new(unix);
        runtime.spawn(gateway().server().serve_with_incoming(unix));
        runtime.spawn(gateway().server().serve_with_incoming(tcp));
        address
    };
    let authority = tls::Authority::new();
    let secured = tls::serve(gateway(), &runtime, &["127.0.0.1"], &authority, None);
    let ca = folder.path().join("ca.pem");
    fs::write(&ca, authority.pem()).unwrap();

    let alone = home(folder.path(), "alone", &queue, None, "");
    let floor = home(folder.path(), "floor", &queue, Some(&floor), "");
    let through = |name, gateway: &str, tls: &str| {
        let text = format!(
            "gateways = ['{gateway}']\nlog = '/dev/null'\n{tls}[network]\nusers = [0]\n[bounce]\nusers = []\n"
        );
        home(folder.path(), name, &queue, Some(&conduit), &text)
    };
    let unix = through("unix", &format!("unix://{}", socket.display()), "");
    let tcp = through("tcp", &format!("http://{tcp}"), "");
    let trust = format!("[tls]\nca = '{}'\n", ca.display());
    let tls = through("tls", &format!("https://{secured}"), &trust);
    let mut ways = [
        ("qmail-queue", alone),
        ("pass-through", floor),
        ("unix", unix),
        ("tcp", tcp),
        ("tls", tls),
    ]
    .map(|(name, home)| Way {
        name,
        home,
        costs: Vec::new(),
    });

    // As under `softlimit -m 8000000`: mail of any size passes.
    let large = message(30 << 20);
    for way in &ways[2..] {
        way.call(&large, Some("--as=8000000"));
    }

    println!(
        "| message | way | CPU ms | to the pass-through | median ms | more than the pass-through ms |"
    );
    println!("|---|---|---:|---:|---:|---:|");
    for (size, name) in [(4 << 10, "4 KiB"), (1 << 20, "1 MiB")] {
        let message = message(size);
        for way in &mut ways {
            way.costs.clear();
            way.turn(&message, 1);
        }
        for way in &mut ways {
            way.costs.clear();
        }
        for _ in 0..rounds {
            for way in &mut ways {
                way.turn(&message, TURN);
            }
        }
        let floor = (ways[1].cpu(), ways[1].median());
        for way in &ways {
            let (cpu, took) = (way.cpu(), way.median());
            println!(
                "| {name} | {} | {:.3} | {:.2} | {:.3} | {:+.3} |",
                way.name,
                cpu * 1e3,
                cpu / floor.0,
                took * 1e3,
                (took - floor.1) * 1e3,
            );
        }
    }
}

impl Way {
    fn turn(&mut self, message: &[u8], count: usize) {
        for _ in 0..count {
            let before = cpu();
            let begun = Instant::now();
            self.call(message, None);
            self.costs.push(Cost {
                took: begun.elapsed(),
                cpu: cpu() - before,
            });
        }
        for name in ["mess", "intd", "todo"] {
            let folder = self.home.join("queue").join(name);
            for entry in fs::read_dir(folder).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
        }
    }

    fn call(&self, message: &[u8], limit: Option<&str>) {
        let (from, mut to) = std::io::pipe().unwrap();
        let program = self.home.join("bin/qmail-queue");
        let mut command = match limit {
            None => Command::new(program),
            Some(limit) => {
                let mut command = Command::new("prlimit");
                command.arg(limit).arg(program);
                command
            }
        };
        let mut child = command
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TCPREMOTEIP", "198.51.100.7")
            .stdin(Stdio::piped())
            .stdout(Stdio::from(from))
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(message).unwrap();
        drop(stdin);
        to.write_all(ENVELOPE).unwrap();
        drop(to);
        let status = child.wait().unwrap();
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// Median, in seconds.
    fn cpu(&self) -> f64 {
        let mut each: Vec<_> = self.costs.iter().map(|cost| cost.cpu).collect();
        median(&mut each)
    }

    fn median(&self) -> f64 {
        let mut each: Vec<_> = self.costs.iter().map(|cost| cost.took).collect();
        median(&mut each)
    }
}

fn median(each: &mut [Duration]) -> f64 {
    each.sort_unstable();
    each[each.len() / 2].as_secs_f64()
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let time = |time: TimeVal| {
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap())
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap())
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn message(size: usize) -> Vec<u8> {
    let mut message =
        b"Received: from client.example (HELO me) (198.51.100.7)\n  by us with SMTP; 1 Jan 2026 00:00:00 -0000\nSubject: x\n\n"
            .to_vec();
    let line = b"The quick brown fox jumps over the lazy dog, and again, and again, once.\n";
    while message.len() < size {
        message.extend_from_slice(line);
    }
    message
}

/// A qmail home whose qmail-queue is the front, before the real one; the real one where there is no front.
fn home(
    folder: &Path,
    name: &str,
    queue: &Path,
    front: Option<&Path>,
    configuration: &str,
) -> PathBuf {
    let home = folder.join(name);
    for name in [
        "bin",
        "control",
        "queue/pid",
        "queue/mess",
        "queue/intd",
        "queue/todo",
    ] {
        fs::create_dir_all(home.join(name)).unwrap();
    }
    fs::write(home.join("control/millrace.toml"), configuration).unwrap();
    match front {
        None => drop(fs::copy(queue, home.join("bin/qmail-queue")).unwrap()),
        Some(front) => {
            fs::copy(queue, home.join("bin/qmail-queue.orig")).unwrap();
            fs::copy(front, home.join("bin/qmail-queue")).unwrap();
        }
    }
    home
}

fn compiled(folder: &Path, source: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let program = folder.join(source.file_stem().unwrap());
    let status = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&program)
        .arg(&source)
        .status();
    assert!(status.expect("cc (Debian package gcc)").success());
    program
}
