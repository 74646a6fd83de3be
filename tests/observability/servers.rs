//! A gateway and a node behind it, as two processes, told what to log and where to send traces.

use std::fs;
use std::path::{Path, PathBuf};

use millrace_tests::admin;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::{Gateway, Upstream, binary};
use tempfile::TempDir;

/// Gateway → gRPC → node.
pub(crate) struct Servers {
    pub(crate) gateway: Gateway,
    pub(crate) node: Process,
    node_admin: Port,
    _grpc: Port,
    folder: TempDir,
}

/// What a test wants told.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// `log.format`.
    pub(crate) json: bool,
    /// `otlp.endpoint`.
    pub(crate) otlp: Option<String>,
}

impl Servers {
    /// Starts both and waits until they are ready.
    pub(crate) fn start(told: &Told) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let (grpc, node_admin) = (Port::reserve(), Port::reserve());
        let node = format!(
            "listen = '127.0.0.1:{}'\nadmin = '127.0.0.1:{}'\nname = 'node-1'\n{}",
            grpc.number(),
            node_admin.number(),
            told.sections(&folder.path().join("node.log")),
        );
        let file = folder.path().join("node.toml");
        fs::write(&file, node).expect("the temp folder can be written");
        let arguments = ["--config".as_ref(), file.as_os_str()];
        let mut node = Process::start("mpd-node", folder.path(), &binary("mpd-node"), arguments);
        node.wait_for("readiness", |_| {
            matches!(admin::ask(node_admin.number(), "/readyz"), Some((200, _))).then_some(())
        });
        let gateway = Gateway::start_with(
            &Upstream::Nodes(vec![grpc.number()]),
            &[],
            &told.sections(&folder.path().join("gateway.log")),
        );
        Self {
            gateway,
            node,
            node_admin,
            _grpc: grpc,
            folder,
        }
    }

    /// The gateway's admin port, then the node's.
    pub(crate) fn admin_ports(&self) -> [u16; 2] {
        [self.gateway.admin_port(), self.node_admin.number()]
    }

    /// The gateway's metrics, then the node's.
    pub(crate) fn metrics(&self) -> [String; 2] {
        self.admin_ports().map(|port| {
            let (status, body) = admin::ask(port, "/metrics").expect("the admin port answers");
            assert_eq!(status, 200, "{body}");
            body
        })
    }

    /// The gateway's log, which has the verdicts.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    /// The lines of verdicts so far.
    pub(crate) fn verdict_lines(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains("millrace::verdict"))
            .map(str::to_owned)
            .collect()
    }
}

impl Told {
    fn sections(&self, log: &Path) -> String {
        let format = if self.json { "json" } else { "human" };
        let endpoint = self
            .otlp
            .as_ref()
            .map_or_else(String::new, |endpoint| format!("endpoint = '{endpoint}'"));
        format!(
            "[drain]\ngrace_seconds = 0\n\
             [log]\nformat = '{format}'\nfile = '{}'\n\
             [otlp]\n{endpoint}\n",
            log.display()
        )
    }
}
