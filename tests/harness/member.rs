//! A node that is a member of a cluster: its policy comes from etcd, and it is registered there.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::{CallError, Revision, Transaction, Verdict};
use tempfile::TempDir;

use crate::admin;
use crate::etcd::Etcd;
use crate::patience::until;
use crate::ports::Port;
use crate::process::Process;
use crate::ran::millrace;
use crate::servers::binary;
use crate::transaction;

/// A running `mpd-node` in a cluster.
#[derive(Debug)]
pub struct Member {
    /// The process: for signals, and for what it logs.
    pub process: Process,
    listen: Port,
    admin: Port,
    name: String,
    configuration: PathBuf,
    folder: TempDir,
}

impl Member {
    /// Starts a node and waits until it is ready, which wants a published policy.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(name: &str, etcd: &Etcd) -> Self {
        let mut started = Self::launch(name, &etcd.section(""), "");
        started.wait_until_ready();
        started
    }

    /// Starts a node with this `[etcd]` table, and more in its file, without waiting.
    ///
    /// # Panics
    /// When the program cannot be started at all.
    pub fn launch(name: &str, etcd: &str, more: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("member-")
            .tempdir()
            .expect("a temp folder can be made");
        let (listen, admin) = (Port::reserve(), Port::reserve());
        let configuration = folder.path().join("mpd-node.toml");
        let text = format!(
            "name = {name:?}\nlisten = \"127.0.0.1:{listen}\"\nadmin = \"127.0.0.1:{}\"\n\
             advertise = \"http://127.0.0.1:{listen}\"\n{more}\n\
             [drain]\ngrace_seconds = 0\nbound_seconds = 5\n{etcd}\ncache = {:?}\nlease_seconds = 3\n",
            admin.number(),
            folder.path().join("cache"),
            listen = listen.number(),
        );
        fs::write(&configuration, text).expect("the temp folder is ours");
        let process = run(name, &configuration, &folder);
        Self {
            process,
            listen,
            admin,
            name: name.to_owned(),
            configuration,
            folder,
        }
    }

    /// Starts another process in place of the one that has ended, with the same file and folder, without waiting.
    ///
    /// # Panics
    /// When the program cannot be started at all.
    pub fn launch_again(&mut self) {
        self.process = run(&self.name, &self.configuration, &self.folder);
    }

    /// Waits until the admin port says that it is ready.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_until_ready(&mut self) {
        let port = self.admin.number();
        self.process.wait_for("readiness", |_| {
            matches!(admin::ask(port, "/readyz"), Some((200, _))).then_some(())
        });
    }

    /// Whether it is ready now.
    pub fn is_ready(&self) -> bool {
        matches!(admin::ask(self.admin.number(), "/readyz"), Some((200, _)))
    }

    /// Its address, as it is registered.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.listen.number())
    }

    /// Its gRPC port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.listen.number()
    }

    /// Its admin port on 127.0.0.1.
    pub fn admin_port(&self) -> u16 {
        self.admin.number()
    }

    /// Its configuration file.
    pub fn configuration(&self) -> &std::path::Path {
        &self.configuration
    }

    /// Waits until it judges by this revision.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for_revision(&self, revision: &str) {
        let wanted = format!("revision=\"{revision}\"");
        until(&format!("{} judges by {revision}", self.name), || {
            admin::ask(self.admin.number(), "/metrics")
                .is_some_and(|(_, text)| text.contains(&wanted))
        });
    }

    /// Has it judge a message from `sender`, under this revision or the one in force.
    ///
    /// # Errors
    /// As it answers.
    ///
    /// # Panics
    /// When the test has no memory for a runtime.
    pub fn judge(&self, sender: &str, revision: Option<&str>) -> Result<Verdict, CallError> {
        let transaction = Transaction {
            revision: revision.and_then(Revision::new),
            ..transaction::from(sender.as_bytes())
        };
        let content = Content::Memory(Bytes::from_static(b"Subject: x\r\n\r\nHello\r\n"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let client = Client::connect_lazy(&self.address()).expect("an address of ours");
            let options = CallOptions::deadline(Duration::from_secs(60));
            client
                .process(&Arc::new(transaction), &content, options)
                .await
        })
    }
}

fn run(name: &str, configuration: &std::path::Path, folder: &TempDir) -> Process {
    Process::start_with(name, folder.path(), &binary("mpd-node"), |command| {
        command.arg("--config").arg(configuration);
    })
}

/// Publishes a folder, without waiting for nodes, and gives the revision.
///
/// # Panics
/// When it is refused.
pub fn publish(folder: &std::path::Path, etcd: &Etcd) -> String {
    let folder = folder.to_str().expect("a path of ours");
    let urls = etcd.urls();
    let told = millrace([
        "policy", "publish", folder, "--etcd", &urls, "--wait", "0", "--format", "json",
    ])
    .expect(0)
    .json();
    let publication = &told["publication"];
    publication["revision"]
        .as_str()
        .unwrap_or_else(|| panic!("no revision: {told}"))
        .to_owned()
}
