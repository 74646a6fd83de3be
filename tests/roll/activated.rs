//! A gateway on a socket that somebody else holds open, as systemd does: while one process follows another, mail
//! servers wait, and nobody is refused.

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;

use millrace_tests::admin;
use millrace_tests::etcd::Etcd;
use millrace_tests::patience::until;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;
use tempfile::TempDir;

/// The socket, and the process that serves it now.
pub(crate) struct Activated {
    pub(crate) process: Process,
    listener: TcpListener,
    arguments: Vec<String>,
    admin: Port,
    folder: TempDir,
}

impl Activated {
    /// Starts a gateway of the nodes that are registered there.
    pub(crate) fn start(etcd: &Etcd) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let admin = Port::reserve();
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let file = folder.path().join("gateway.toml");
        let text = format!(
            "[drain]\ngrace_seconds = 1\nbound_seconds = 60\n{}",
            etcd.section("")
        );
        std::fs::write(&file, text).expect("the temp folder is ours");
        let arguments = vec![
            "--milter=systemd:milter".to_owned(),
            format!("--admin=127.0.0.1:{}", admin.number()),
            format!("--config={}", file.display()),
        ];
        let process = run(&listener, &arguments, &admin, &folder);
        Self {
            process,
            listener,
            arguments,
            admin,
            folder,
        }
    }

    /// Ends the process, and starts the next one when it is gone, as `systemctl restart` does.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.terminate().success());
        self.process = run(&self.listener, &self.arguments, &self.admin, &self.folder);
    }

    /// Waits until the health of so many nodes serves.
    pub(crate) fn has(&self, nodes: f64) {
        until("the nodes serve", || {
            admin::metric(self.admin.number(), "millrace_gateway_node_serving") == nodes
        });
    }

    /// Where mail servers connect.
    pub(crate) fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .expect("a bound socket has an address")
            .port()
    }
}

fn run(listener: &TcpListener, arguments: &[String], admin: &Port, folder: &TempDir) -> Process {
    let name = "conduit-gateway";
    // As its standard input: no other child of the test inherits it, and holds it open.
    let socket = listener.try_clone().expect("a socket can be copied");
    let mut process = Process::start_with(name, folder.path(), &binary(name), |command| {
        command
            .args(arguments)
            .stdin(OwnedFd::from(socket))
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "milter")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .env_remove("LISTEN_PID");
    });
    process.wait_for("readiness", |_| {
        matches!(admin::ask(admin.number(), "/readyz"), Some((200, _))).then_some(())
    });
    process
}
