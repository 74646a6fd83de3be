//! Real etcd: one member, or three.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::packages;
use crate::patience::until;
use crate::ports::Port;
use crate::process::Process;

/// A running etcd cluster; its data goes when this is dropped.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    tls: Option<Tls>,
    folder: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    client: Port,
    peer: Port,
    process: Option<Process>,
}

/// Certificates of an etcd that speaks TLS to its clients, and wants theirs. All PEM.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The authority's certificate.
    pub authority: PathBuf,
    /// The members' certificate.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// A client's certificate.
    pub client: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

impl Etcd {
    /// Starts one member.
    ///
    /// # Panics
    /// When it does not come to serve.
    pub fn start() -> Self {
        Self::with(1, false)
    }

    /// Starts three members.
    ///
    /// # Panics
    /// When they do not come to serve.
    pub fn start_three() -> Self {
        Self::with(3, false)
    }

    /// Starts one member that speaks TLS and wants certificates of its clients.
    ///
    /// # Panics
    /// When it does not come to serve.
    pub fn start_with_tls() -> Self {
        Self::with(1, true)
    }

    fn with(count: usize, tls: bool) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("etcd-")
            .tempdir()
            .expect("a temp folder can be made");
        let members = (0..count)
            .map(|n| Member {
                name: format!("etcd{n}"),
                client: Port::reserve(),
                peer: Port::reserve(),
                process: None,
            })
            .collect();
        let mut made = Self {
            members,
            tls: tls.then(|| Tls::make(folder.path())),
            folder,
        };
        for n in 0..count {
            made.launch(n);
        }
        made.wait_until_serving();
        made
    }

    /// The URLs of the members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| format!("{}://127.0.0.1:{}", self.scheme(), member.client.number()))
            .collect()
    }

    /// The URLs with commas, as for `--etcd`.
    pub fn urls(&self) -> String {
        self.endpoints().join(",")
    }

    /// The certificates, where there are some.
    ///
    /// # Panics
    /// When it was started without.
    pub fn tls(&self) -> &Tls {
        self.tls.as_ref().expect("etcd was started with TLS")
    }

    /// An `[etcd]` table for a configuration file, with this in it as well.
    pub fn section(&self, more: &str) -> String {
        let mut text = format!("[etcd]\nendpoints = {:?}\n", self.endpoints());
        if let Some(tls) = &self.tls {
            text.push_str(&format!(
                "ca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
                tls.authority, tls.client, tls.client_key
            ));
        }
        text.push_str(more);
        text
    }

    /// Runs `etcdctl` against all members, and gives what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn ctl(&self, words: &[&str]) -> String {
        let mut command = self.ctl_command();
        String::from_utf8_lossy(&crate::process::run(command.args(words))).into_owned()
    }

    /// Kills a member (SIGKILL).
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self, n: usize) {
        let mut process = self.members[n].process.take().expect("the member runs");
        process.kill();
    }

    /// Kills all members.
    pub fn kill_all(&mut self) {
        for member in &mut self.members {
            if let Some(mut process) = member.process.take() {
                process.kill();
            }
        }
    }

    /// Freezes a member: it accepts connections, and answers nothing.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self, n: usize) {
        let process = self.members[n].process.as_ref().expect("the member runs");
        process.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen member go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resume(&self, n: usize) {
        let process = self.members[n].process.as_ref().expect("the member runs");
        process.signal(Signal::SIGCONT);
    }

    /// Starts the members that do not run, with the data that they had.
    ///
    /// # Panics
    /// When they do not come to serve.
    pub fn start_again(&mut self) {
        for n in 0..self.members.len() {
            if self.members[n].process.is_none() {
                self.launch(n);
            }
        }
        self.wait_until_serving();
    }

    /// The number of the member that leads.
    ///
    /// # Panics
    /// When none does.
    pub fn leader(&self) -> usize {
        crate::patience::poll(|| {
            (0..self.members.len()).find(|n| {
                self.members[*n].process.is_some() && {
                    let status = self.status(*n);
                    status.is_some_and(|status| {
                        status["Status"]["leader"].as_u64().is_some_and(|leader| {
                            leader != 0
                                && Some(leader) == status["Status"]["header"]["member_id"].as_u64()
                        })
                    })
                }
            })
        })
        .expect("a member leads")
    }

    /// Has another running member lead.
    ///
    /// # Panics
    /// When none can.
    pub fn move_leader(&self) {
        let leader = self.leader();
        let other = (0..self.members.len())
            .find(|n| *n != leader && self.members[*n].process.is_some())
            .expect("another member runs");
        let id = self.status(other).expect("it answers")["Status"]["header"]["member_id"]
            .as_u64()
            .expect("a member has a number");
        let mut command = self.ctl_command_at(&[leader]);
        crate::process::run(command.args(["move-leader", &format!("{id:x}")]));
    }

    /// Compacts the history up to now.
    ///
    /// # Panics
    /// When etcd does not.
    pub fn compact(&self) {
        let at = (0..self.members.len())
            .find_map(|n| self.status(n))
            .expect("a member answers")["Status"]["header"]["revision"]
            .as_u64()
            .expect("a revision");
        self.ctl(&["compact", &at.to_string()]);
    }

    fn status(&self, n: usize) -> Option<serde_json::Value> {
        let mut command = self.ctl_command_at(&[n]);
        let output = command
            .args(["endpoint", "status", "-w", "json"])
            .output()
            .expect("etcdctl starts");
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(list.get(0)?.clone())
    }

    fn ctl_command(&self) -> Command {
        let all: Vec<usize> = (0..self.members.len()).collect();
        self.ctl_command_at(&all)
    }

    fn ctl_command_at(&self, members: &[usize]) -> Command {
        let endpoints = self.endpoints();
        let asked: Vec<&str> = members.iter().map(|n| endpoints[*n].as_str()).collect();
        let mut command = Command::new(packages::program("etcdctl"));
        command
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(asked.join(","))
            .args(["--dial-timeout", "2s", "--command-timeout", "20s"]);
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.authority);
            command.arg("--cert").arg(&tls.client);
            command.arg("--key").arg(&tls.client_key);
        }
        command
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    fn launch(&mut self, n: usize) {
        let cluster: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer.number()))
            .collect();
        let scheme = self.scheme();
        let member = &self.members[n];
        let client = format!("{scheme}://127.0.0.1:{}", member.client.number());
        let peer = format!("http://127.0.0.1:{}", member.peer.number());
        let data = self.folder.path().join(&member.name);
        let process = Process::start_with(
            &member.name,
            self.folder.path(),
            &packages::program("etcd"),
            |command| {
                command.args(["--name", &member.name]);
                command.arg("--data-dir").arg(&data);
                command.args(["--listen-client-urls", &client]);
                command.args(["--advertise-client-urls", &client]);
                command.args(["--listen-peer-urls", &peer]);
                command.args(["--initial-advertise-peer-urls", &peer]);
                command.args(["--initial-cluster", &cluster.join(",")]);
                // A busy machine is not to start an election.
                command.args(["--heartbeat-interval", "200", "--election-timeout", "2000"]);
                if let Some(tls) = &self.tls {
                    command.arg("--cert-file").arg(&tls.server);
                    command.arg("--key-file").arg(&tls.server_key);
                    command.arg("--trusted-ca-file").arg(&tls.authority);
                    command.arg("--client-cert-auth");
                }
            },
        );
        self.members[n].process = Some(process);
    }

    fn wait_until_serving(&mut self) {
        for n in 0..self.members.len() {
            let port = self.members[n].client.number();
            let process = self.members[n].process.as_mut().expect("it was started");
            process.wait_for_port(port);
        }
        until("etcd answers", || {
            let mut command = self.ctl_command();
            // Of no user: whether authentication is on is no matter here.
            let answer = command.args(["endpoint", "status"]).output();
            answer.is_ok_and(|output| output.status.success())
                && (0..self.members.len()).all(|n| {
                    self.status(n)
                        .is_some_and(|status| status["Status"]["leader"].as_u64().unwrap_or(0) != 0)
                })
        });
    }
}

impl Tls {
    fn make(folder: &Path) -> Self {
        let authority = folder.join("ca.pem");
        let openssl = |arguments: &[&str]| {
            crate::process::run(
                Command::new(packages::program("openssl"))
                    .args(arguments)
                    .current_dir(folder),
            );
        };
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let mut words = vec![
            "req",
            "-x509",
            "-days",
            "2",
            "-subj",
            "/CN=Test CA",
            "-keyout",
            "ca-key.pem",
            "-out",
            "ca.pem",
        ];
        words.extend(key);
        openssl(&words);
        for (name, usage) in [
            ("server", "serverAuth,clientAuth"),
            ("client", "clientAuth"),
        ] {
            let request = format!("{name}.csr");
            let extensions = format!("{name}.ext");
            let subject = format!("/CN={name}");
            let (certificate, secret) = (format!("{name}.pem"), format!("{name}-key.pem"));
            fs::write(
                folder.join(&extensions),
                format!("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={usage}\n"),
            )
            .expect("the temp folder is ours");
            let mut words = vec![
                "req", "-new", "-subj", &subject, "-keyout", &secret, "-out", &request,
            ];
            words.extend(key);
            openssl(&words);
            openssl(&[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &request,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca-key.pem",
                "-CAcreateserial",
                "-extfile",
                &extensions,
                "-out",
                &certificate,
            ]);
        }
        Self {
            authority,
            server: folder.join("server.pem"),
            server_key: folder.join("server-key.pem"),
            client: folder.join("client.pem"),
            client_key: folder.join("client-key.pem"),
        }
    }
}
