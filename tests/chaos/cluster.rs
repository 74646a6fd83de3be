//! Three nodes and two gateways, which share a policy and find each other in an etcd of three members, and what can
//! happen to all of them.

use std::time::{Duration, Instant};

use fastrand::Rng;
use millrace_tests::etcd::Etcd;
use millrace_tests::member::{self, Member};
use millrace_tests::policy::PolicyFolder;
use millrace_tests::process::Process;
use millrace_tests::servers::{Gateway, Upstream, binary};
use millrace_tests::traffic;
use tempfile::TempDir;

pub(crate) struct Cluster {
    policy: PolicyFolder,
    policies: u32,
    etcd: Etcd,
    /// The member of etcd that is down, and until when.
    etcd_trouble: Option<(usize, Instant)>,
    nodes: Vec<Troubled<Member>>,
    gateways: Vec<Troubled<Gateway>>,
}

/// A server, and when what befell it is over.
struct Troubled<T> {
    server: T,
    trouble: Option<(Trouble, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Killed,
    Stopped,
}

/// Messages that `millrace load` sends beside.
pub(crate) struct Load {
    process: Process,
    _folder: TempDir,
}

/// How long a server is dead or stopped.
const TROUBLE: std::ops::Range<u64> = 100..2500;

impl Cluster {
    pub(crate) fn start() -> Self {
        let policy = PolicyFolder::of(traffic::POLICY);
        let etcd = Etcd::start_three();
        member::publish(policy.path(), &etcd);
        let nodes = ["one", "two", "three"].map(|name| Member::start(name, &etcd));
        let section = etcd.section("");
        let gateways = [(); 2].map(|()| Gateway::start_with(&Upstream::Configured, &[], &section));
        Self {
            policy,
            policies: 0,
            etcd,
            etcd_trouble: None,
            nodes: nodes.into_iter().map(Troubled::new).collect(),
            gateways: gateways.into_iter().map(Troubled::new).collect(),
        }
    }

    /// The gateways' milter ports.
    pub(crate) fn milters(&self) -> impl Iterator<Item = u16> {
        self.gateways.iter().map(|gateway| gateway.server.port())
    }

    /// Load beside that of SMTP, on the first gateway: each of its messages is answered or counted as an error.
    pub(crate) fn load(&self, seconds: u64) -> Load {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        let milter = format!("127.0.0.1:{}", self.gateways[0].server.port());
        let seconds = seconds.to_string();
        let flags = [
            "load",
            "--milter",
            &milter,
            "--concurrency",
            "4",
            "--rate",
            "100",
            "--seconds",
            &seconds,
        ];
        let process = Process::start("millrace-load", folder.path(), &binary("millrace"), flags);
        Load {
            process,
            _folder: folder,
        }
    }

    /// What is over ends, and something new begins.
    pub(crate) fn something_happens(&mut self, rng: &mut Rng) -> String {
        self.what_is_over_ends(false);
        let for_long = Duration::from_millis(rng.u64(TROUBLE));
        let (node, gateway) = (
            rng.usize(..self.nodes.len()),
            rng.usize(..self.gateways.len()),
        );
        match rng.u8(..12) {
            0..4 => self.nodes[node].suffers(Trouble::Killed, for_long, &format!("node {node}")),
            4..7 => self.nodes[node].suffers(Trouble::Stopped, for_long, &format!("node {node}")),
            7 => {
                let name = format!("gateway {gateway}");
                self.gateways[gateway].suffers(Trouble::Killed, for_long, &name)
            }
            8 => {
                let name = format!("gateway {gateway}");
                self.gateways[gateway].suffers(Trouble::Stopped, for_long, &name)
            }
            9 | 10 => self.etcd_suffers(rng, for_long),
            _ => {
                self.policies += 1;
                let text = format!("{}\n# change {}\n", traffic::POLICY, self.policies);
                self.policy.replace(&text);
                member::publish(self.policy.path(), &self.etcd);
                format!("policy {} is published", self.policies)
            }
        }
    }

    /// A member of etcd is killed, the one that leads as often as not: two stay, which is enough.
    fn etcd_suffers(&mut self, rng: &mut Rng, for_long: Duration) -> String {
        if self.etcd_trouble.is_some() {
            return "etcd has trouble enough".to_owned();
        }
        let member = if rng.bool() {
            self.etcd.leader()
        } else {
            rng.usize(..3)
        };
        self.etcd.kill(member);
        self.etcd_trouble = Some((member, Instant::now() + for_long));
        format!("member {member} of etcd is killed for {for_long:?}")
    }

    /// Everything ends that was wrong.
    pub(crate) fn recovers(&mut self) {
        self.what_is_over_ends(true);
        for gateway in &mut self.gateways {
            gateway.server.wait_until_ready();
        }
    }

    fn what_is_over_ends(&mut self, all: bool) {
        let over = |(_, end): &mut (usize, Instant)| all || *end <= Instant::now();
        if self.etcd_trouble.take_if(over).is_some() {
            self.etcd.start_again();
        }
        for node in &mut self.nodes {
            match node.over(all) {
                Some(Trouble::Killed) => {
                    node.server.launch_again();
                    node.server.wait_until_ready();
                }
                Some(Trouble::Stopped) => node.server.process.resume(),
                None => {}
            }
        }
        for gateway in &mut self.gateways {
            match gateway.over(all) {
                // Not until it is ready: no node may be there just now.
                Some(Trouble::Killed) => gateway.server.launch_again(&Upstream::Configured),
                Some(Trouble::Stopped) => gateway.server.process.resume(),
                None => {}
            }
        }
    }
}

impl<T> Troubled<T> {
    fn new(server: T) -> Self {
        Self {
            server,
            trouble: None,
        }
    }

    fn over(&mut self, all: bool) -> Option<Trouble> {
        self.trouble
            .take_if(|(_, end)| all || *end <= Instant::now())
            .map(|(trouble, _)| trouble)
    }
}

impl<T: HasProcess> Troubled<T> {
    fn suffers(&mut self, trouble: Trouble, for_long: Duration, name: &str) -> String {
        if self.trouble.is_some() {
            return format!("{name} has trouble enough");
        }
        self.trouble = Some((trouble, Instant::now() + for_long));
        match trouble {
            Trouble::Killed => self.server.process().kill(),
            Trouble::Stopped => self.server.process().freeze(),
        }
        format!("{name} is {trouble:?} for {for_long:?}").to_lowercase()
    }
}

trait HasProcess {
    fn process(&mut self) -> &mut Process;
}

impl HasProcess for Member {
    fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl HasProcess for Gateway {
    fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Load {
    /// What it counted.
    pub(crate) fn report(mut self) -> String {
        self.process.wait();
        let output = self.process.output();
        let told = output.lines().filter(|line| {
            line.contains(" messages of ")
                || line.starts_with("outcomes")
                || line.starts_with("error")
        });
        told.map(|line| format!("\n  {line}")).collect()
    }
}
