//! Our own servers, started as an administrator starts them: the binaries, their flags, a file.
//!
//! The binaries are those of the build that the test belongs to, or those in the folder
//! `MILLRACE_BIN_DIR`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::admin;
use crate::ports::Port;
use crate::process::Process;

/// Finds one of our binaries.
///
/// # Panics
/// When it is not built, saying how to build it.
pub fn binary(name: &str) -> PathBuf {
    let folder = env::var_os("MILLRACE_BIN_DIR").map_or_else(
        || {
            let test = env::current_exe().expect("a program knows its own path");
            // The test lies in TARGET/PROFILE/deps, the binaries in TARGET/PROFILE.
            test.ancestors()
                .nth(2)
                .expect("tests are run from the build's target folder")
                .to_owned()
        },
        PathBuf::from,
    );
    let found = folder.join(name);
    assert!(
        found.is_file(),
        "{} is not there: build it with `cargo build -p {name}`, or name its folder in MILLRACE_BIN_DIR",
        found.display()
    );
    found
}

/// Where a gateway has its judgement from.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// In the same process, with this policy folder; `None` for the built-in policy.
    Embedded(Option<PathBuf>),
    /// From nodes at these ports of 127.0.0.1.
    Nodes(Vec<u16>),
    /// As the configuration file says.
    Configured,
}

/// A running `conduit-gateway` with a milter port on 127.0.0.1.
#[derive(Debug)]
pub struct Gateway {
    /// The process: for signals, and for what it logs.
    pub process: Process,
    milter: Port,
    admin: Port,
    configuration: String,
    folder: TempDir,
}

impl Gateway {
    /// Starts a gateway and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(upstream: &Upstream) -> Self {
        Self::start_with(upstream, &[], "")
    }

    /// As [`Gateway::start`], with these flags too, and a configuration file of this text unless
    /// it is empty.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(upstream: &Upstream, flags: &[&str], configuration: &str) -> Self {
        let mut started = Self::launch(upstream, flags, configuration);
        started.wait_until_ready();
        started
    }

    /// As [`Gateway::start_with`], without waiting.
    ///
    /// # Panics
    /// When the program cannot be started at all.
    pub fn launch(upstream: &Upstream, flags: &[&str], configuration: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gateway-")
            .tempdir()
            .expect("a temp folder can be made");
        let (milter, admin) = (Port::reserve(), Port::reserve());
        let process = run(
            upstream,
            flags,
            configuration,
            &milter,
            &admin,
            folder.path(),
        );
        Self {
            process,
            milter,
            admin,
            configuration: configuration.to_owned(),
            folder,
        }
    }

    /// Starts another process in place of the one that has ended, on the same ports and with the same file.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again(&mut self, upstream: &Upstream) {
        self.launch_again(upstream);
        self.wait_until_ready();
    }

    /// As [`Gateway::start_again`], without waiting.
    ///
    /// # Panics
    /// When the program cannot be started at all.
    pub fn launch_again(&mut self, upstream: &Upstream) {
        self.process = run(
            upstream,
            &[],
            &self.configuration,
            &self.milter,
            &self.admin,
            self.folder.path(),
        );
    }

    /// Waits until the admin port says that it is ready.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_until_ready(&mut self) {
        let port = self.admin.number();
        self.process.wait_for("readiness", |_| is_ready(port));
    }

    /// Its milter port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.milter.number()
    }

    /// Its admin port on 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin.number()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

/// A running `mpd-node`.
#[derive(Debug)]
pub struct Node {
    /// The process: for signals, and for what it logs.
    pub process: Process,
    listen: Port,
    admin: Port,
    policy: PathBuf,
    configuration: String,
    folder: TempDir,
}

impl Node {
    /// Starts a node with this policy folder and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(policy: &Path) -> Self {
        Self::start_with(policy, "")
    }

    /// As [`Node::start`], with a configuration file of this text unless it is empty.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_with(policy: &Path, configuration: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("node-")
            .tempdir()
            .expect("a temp folder can be made");
        let (listen, admin) = (Port::reserve(), Port::reserve());
        let process = run_node(policy, configuration, &listen, &admin, folder.path());
        Self {
            process,
            listen,
            admin,
            policy: policy.to_owned(),
            configuration: configuration.to_owned(),
            folder,
        }
    }

    /// Starts another process in place of the one that has ended, on the same ports.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start_again(&mut self) {
        self.process = run_node(
            &self.policy,
            &self.configuration,
            &self.listen,
            &self.admin,
            self.folder.path(),
        );
    }

    /// Its gRPC port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.listen.number()
    }

    /// Its admin port on 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin.number()
    }
}

/// A running `millrace up`.
#[derive(Debug)]
pub struct Up {
    /// The process: for signals, and for what it prints.
    pub process: Process,
    milter: Port,
    _grpc: Port,
    _admin: Port,
    _folder: TempDir,
}

impl Up {
    /// Starts it with the policy that is built in, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("up-")
            .tempdir()
            .expect("a temp folder can be made");
        let (milter, grpc, admin) = (Port::reserve(), Port::reserve(), Port::reserve());
        let mut process =
            Process::start_with("millrace", folder.path(), &binary("millrace"), |command| {
                command
                    .arg("up")
                    .arg("--milter")
                    .arg(format!("tcp://127.0.0.1:{}", milter.number()))
                    .arg("--listen")
                    .arg(format!("127.0.0.1:{}", grpc.number()))
                    .arg("--admin")
                    .arg(format!("127.0.0.1:{}", admin.number()));
            });
        let admin_port = admin.number();
        process.wait_for("readiness", |_| is_ready(admin_port));
        Self {
            process,
            milter,
            _grpc: grpc,
            _admin: admin,
            _folder: folder,
        }
    }

    /// Its milter port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.milter.number()
    }
}

fn is_ready(admin: u16) -> Option<()> {
    matches!(admin::ask(admin, "/readyz"), Some((200, _))).then_some(())
}

fn run_node(
    policy: &Path,
    configuration: &str,
    listen: &Port,
    admin: &Port,
    folder: &Path,
) -> Process {
    let mut process = Process::start_with("mpd-node", folder, &binary("mpd-node"), |command| {
        command
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", listen.number()))
            .arg("--admin")
            .arg(format!("127.0.0.1:{}", admin.number()))
            .arg("--policy")
            .arg(policy);
        if !configuration.is_empty() {
            let file = folder.join("node.toml");
            fs::write(&file, configuration).expect("the configuration can be written");
            command.arg("--config").arg(file);
        }
    });
    process.wait_for("readiness", |_| is_ready(admin.number()));
    process
}

fn run(
    upstream: &Upstream,
    flags: &[&str],
    configuration: &str,
    milter: &Port,
    admin: &Port,
    folder: &Path,
) -> Process {
    Process::start_with(
        "conduit-gateway",
        folder,
        &binary("conduit-gateway"),
        |command| {
            command
                .arg("--milter")
                .arg(format!("tcp://127.0.0.1:{}", milter.number()))
                .arg("--admin")
                .arg(format!("127.0.0.1:{}", admin.number()));
            match upstream {
                Upstream::Embedded(policy) => {
                    command.arg("--embedded");
                    if let Some(policy) = policy {
                        command.arg("--policy").arg(policy);
                    }
                }
                Upstream::Configured => {}
                Upstream::Nodes(ports) => {
                    for port in ports {
                        command
                            .arg("--node")
                            .arg(format!("http://127.0.0.1:{port}"));
                    }
                }
            }
            if !configuration.is_empty() {
                let file = folder.join("gateway.toml");
                fs::write(&file, configuration).expect("the configuration can be written");
                command.arg("--config").arg(file);
            }
            command.args(flags);
        },
    )
}
