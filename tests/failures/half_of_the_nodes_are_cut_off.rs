use std::path::Path;

use millrace_tests::hosts::{Host, Hosts};
use millrace_tests::mta::Wanted;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::postfix::Postfix;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;
use millrace_tests::sink::Sink;
use millrace_tests::traffic::{self, Traffic};
use tempfile::TempDir;

const MAIL: usize = 0;
const GATEWAY: usize = 1;
const NODES: [usize; 4] = [2, 3, 4, 5];

/// Mail server, gateway and four nodes are hosts of their own. Two of the nodes lose their network, without a word to
/// anybody, and get it back.
#[test]
fn and_mail_flows_over_the_others() {
    let hosts = Hosts::new(6);
    let policy = PolicyFolder::of(traffic::POLICY);
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let _nodes = NODES.map(|number| node(hosts.host(number), &policy, &folder));
    let _gateway = gateway(&hosts, &folder);
    let at_home = hosts.host(MAIL);
    let milter = format!(
        "smtpd_milters = inet:{}:8891",
        hosts.host(GATEWAY).address()
    );
    let (_postfix, sink, traffic) = at_home.within(|| {
        let sink = Sink::start();
        let wanted = Wanted::default()
            .configured(&milter)
            .configured("milter_default_action = tempfail");
        let postfix = Postfix::start(sink.port(), &wanted);
        let traffic = Traffic::start(&[postfix.port()], 4);
        (postfix, sink, traffic)
    });
    traffic.flows(20);
    hosts.cut(NODES[0]);
    hosts.cut(NODES[1]);
    traffic.flows(60);
    hosts.mend(NODES[0]);
    hosts.mend(NODES[1]);
    traffic.flows(20);
    let count = traffic.end(&sink);
    println!("{count}");
    count.nobody_notices();
}

fn node(host: &Host, policy: &PolicyFolder, folder: &TempDir) -> Process {
    let listen = format!("{}:7750", host.address());
    let policy = policy.path().to_string_lossy().into_owned();
    let flags = ["--listen", &listen, "--policy", &policy];
    serve(host, "mpd-node", folder.path(), &flags)
}

fn gateway(hosts: &Hosts, folder: &TempDir) -> Process {
    let host = hosts.host(GATEWAY);
    let milter = format!("tcp://{}:8891", host.address());
    let mut flags = vec!["--milter", &milter, "--allow", "10.77.0.0/24"];
    let nodes = NODES.map(|number| format!("http://{}:7750", hosts.host(number).address()));
    for node in &nodes {
        flags.extend(["--node", node]);
    }
    serve(host, "conduit-gateway", folder.path(), &flags)
}

fn serve(host: &Host, program: &str, folder: &Path, flags: &[&str]) -> Process {
    host.within(|| {
        let mut process = Process::start(program, folder, &binary(program), flags);
        process.wait_for_line("serving");
        process
    })
}
