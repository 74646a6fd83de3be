use std::process::{Command, Output};

use millrace_tests::certs::Certs;
use millrace_tests::servers::{Node, binary};

use crate::tier::{GATEWAY, gateway, load, node, peer};

const NODE_HERE: &str = "node-1.example,127.0.0.1";

#[test]
fn a_gateway_speaks_for_the_clients_of_its_row() {
    let certs = Certs::of(&[NODE_HERE, GATEWAY]);
    let node = node(&certs, &peer(GATEWAY, &["default"], &["process"]));
    let mut gateway = gateway(&certs, &node);
    gateway.wait_until_ready();
    let report = load(&gateway, &["--messages", "20"]);
    assert_eq!(report["dispositions"]["accept"], 20, "{report}");
}

#[test]
fn a_gateway_does_not_speak_for_others() {
    let certs = Certs::of(&[NODE_HERE, GATEWAY]);
    for row in [
        peer(GATEWAY, &["mx2"], &["process"]),
        peer("gateway-2.example", &["*"], &["process"]),
        peer(GATEWAY, &["*"], &["quarantine"]),
    ] {
        let mut node = node(&certs, &row);
        let mut gateway = gateway(&certs, &node);
        let report = load(&gateway, &["--messages", "3"]);
        assert_eq!(report["dispositions"]["tempfail"], 3, "{row}: {report}");
        gateway.process.wait_for_line("failed: denied");
        node.process.wait_for_line("gateway-1.example");
    }
}

#[test]
fn the_kept_copies_are_for_those_who_may() {
    let certs = Certs::of(&[NODE_HERE, GATEWAY, "admin.example"]);
    let store = tempfile::tempdir().expect("a temp folder can be made");
    let text = format!(
        "{}{}[quarantine]\nstore = '{}'\nserve = true\n",
        peer(GATEWAY, &["*"], &["process"]),
        peer("admin.example", &[], &["quarantine"]),
        store.path().display()
    );
    let node = node(&certs, &text);
    let listed = list(&certs, &node, Some("admin.example"));
    assert!(listed.status.success(), "{listed:?}");
    for (name, words) in [
        (Some(GATEWAY), "does not let it use the kept copies"),
        (None, "without --certificate, which the server may want"),
    ] {
        let refused = list(&certs, &node, name);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "{told}");
    }
}

fn list(certs: &Certs, node: &Node, name: Option<&str>) -> Output {
    let mut command = Command::new(binary("millrace"));
    command
        .args(["quarantine", "list", "--server"])
        .arg(format!("https://127.0.0.1:{}", node.port()))
        .arg("--ca")
        .arg(certs.file("ca.pem"));
    if let Some(name) = name {
        command
            .arg("--certificate")
            .arg(certs.file(&format!("{name}.pem")))
            .arg("--key")
            .arg(certs.file(&format!("{name}-key.pem")));
    }
    command.output().expect("millrace starts")
}
