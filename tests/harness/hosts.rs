//! Several hosts on one machine: network namespaces on a bridge of their own, gone with their guards.
//!
//! A namespace has no name: it lives as long as a process in it, and the harness's processes end with the test even if
//! that is killed. Traffic of one host cannot reach another, or the machine, but over the bridge.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

use crate::packages;
use crate::patience::until;
use crate::process::{Process, run};

/// Hosts that reach each other over one bridge.
#[derive(Debug)]
pub struct Hosts {
    hosts: Vec<Host>,
    switch: Namespace,
    _folder: TempDir,
}

/// One host: `eth0` with an address of its own, and loopback.
#[derive(Debug)]
pub struct Host {
    address: Ipv4Addr,
    namespace: Namespace,
}

#[derive(Debug)]
struct Namespace {
    holder: Process,
}

impl Hosts {
    /// Makes this many hosts, with addresses from 10.77.0.1 on.
    ///
    /// # Panics
    /// When we are not root, or the system has no namespaces.
    pub fn new(count: u8) -> Self {
        packages::require_root("network namespaces are for root");
        packages::require(&["ip", "nsenter", "unshare"]);
        let folder = tempfile::Builder::new()
            .prefix("hosts-")
            .tempdir()
            .expect("a temp folder can be made");
        let switch = Namespace::new("switch", folder.path());
        switch.ip("link add br0 type bridge");
        switch.ip("link set br0 up");
        let hosts = (0..count)
            .map(|number| {
                let namespace = Namespace::new(&format!("host-{number}"), folder.path());
                let address = Ipv4Addr::new(10, 77, 0, number + 1);
                let pid = namespace.holder.id();
                switch.ip(&format!(
                    "link add port{number} type veth peer name eth0 netns {pid}"
                ));
                switch.ip(&format!("link set port{number} master br0 up"));
                namespace.ip("link set lo up");
                namespace.ip(&format!("addr add {address}/24 dev eth0"));
                namespace.ip("link set eth0 up");
                Host { address, namespace }
            })
            .collect();
        Self {
            hosts,
            switch,
            _folder: folder,
        }
    }

    /// A host, counted from 0.
    pub fn host(&self, number: usize) -> &Host {
        &self.hosts[number]
    }

    /// Pulls a host's plug: nothing goes to it or comes from it, and nobody is told.
    pub fn cut(&self, number: usize) {
        self.switch.ip(&format!("link set port{number} down"));
    }

    /// Puts the plug back.
    pub fn mend(&self, number: usize) {
        self.switch.ip(&format!("link set port{number} up"));
    }
}

impl Host {
    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Does something on this host: sockets, processes and threads that are made there belong to it, for good.
    ///
    /// # Panics
    /// When the work does.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.namespace.holder.id());
        let namespace = File::open(path).expect("the host is there");
        let done = thread::scope(|scope| {
            let worker = scope.spawn(move || {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                work()
            });
            worker.join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Namespace {
    fn new(name: &str, folder: &Path) -> Self {
        let unshare = packages::program("unshare");
        let holder = Process::start(name, folder, &unshare, ["--net", "sleep", "infinity"]);
        let (own, path) = ("/proc/self/ns/net", format!("/proc/{}/ns/net", holder.id()));
        let own = fs::read_link(own).expect("a process has namespaces");
        until("a namespace of its own", || {
            fs::read_link(&path).is_ok_and(|theirs| theirs != own)
        });
        Self { holder }
    }

    /// Runs `ip` in it.
    fn ip(&self, arguments: &str) {
        run(Command::new(packages::program("nsenter"))
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg(packages::program("ip"))
            .args(arguments.split(' ')));
    }
}
