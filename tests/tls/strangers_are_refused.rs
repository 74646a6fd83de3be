use millrace_tests::admin;
use millrace_tests::certs::Certs;
use millrace_tests::servers::Gateway;

use crate::tier::{GATEWAY, NODE, gateway, gateway_with, launched, load, node};

const NODE_HERE: &str = "node-1.example,127.0.0.1";

#[test]
fn mail_passes_over_mutual_tls() {
    let certs = Certs::of(&[NODE_HERE, GATEWAY]);
    let node = node(&certs, "");
    let mut gateway = gateway(&certs, &node);
    gateway.wait_until_ready();
    let report = load(&gateway, &["--messages", "50", "--size", "100KiB"]);
    assert_eq!(report["dispositions"]["accept"], 50, "{report}");
    let (_, metrics) = admin::ask(node.admin_port(), "/metrics").expect("it answers");
    assert!(
        metrics.contains("millrace_tls_not_after_seconds{file=\"certificate\"}"),
        "{metrics}"
    );
}

/// Nobody judges for such a gateway, so that its mail is put off; both sides say why.
#[track_caller]
fn mail_is_put_off(
    gateway: &mut Gateway,
    node: &mut millrace_tests::servers::Node,
    words: &str,
    reason: &str,
) {
    let report = load(gateway, &["--messages", "3"]);
    assert_eq!(report["dispositions"]["tempfail"], 3, "{report}");
    gateway.process.wait_for_line(words);
    // Nobody has seen the messages: none is suspect, and each was tried wherever there was somebody to try.
    let (_, metrics) = admin::ask(gateway.admin_port(), "/metrics").expect("it answers");
    let failures: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("millrace_gateway_failures_total{"))
        .collect();
    assert!(
        matches!(failures[..], [row] if row.contains("kind=\"no-node\"") && row.ends_with(" 3")),
        "{failures:?}"
    );
    if !reason.is_empty() {
        node.process.wait_for_line(reason);
        let (_, metrics) = admin::ask(node.admin_port(), "/metrics").expect("it answers");
        let counted = format!("millrace_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    let (status, _) = admin::ask(gateway.admin_port(), "/readyz").expect("it answers");
    assert_eq!(status, 503);
}

#[test]
fn a_gateway_without_a_certificate_is_refused() {
    let certs = Certs::of(&[NODE_HERE]);
    let mut node = node(&certs, "");
    let tls = format!("[tls]\nca = '{}'\n", certs.file("ca.pem").display());
    let mut gateway = gateway_with(&tls, &node);
    let words = "received fatal alert: CertificateRequired";
    mail_is_put_off(&mut gateway, &mut node, words, "no-certificate");
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (certs, others) = (Certs::of(&[NODE_HERE]), Certs::of(&[GATEWAY]));
    let mut node = node(&certs, "");
    let tls = format!(
        "[tls]\ncertificate = '{}'\nkey = '{}'\nca = '{}'\n",
        others.file("gateway-1.example.pem").display(),
        others.file("gateway-1.example-key.pem").display(),
        certs.file("ca.pem").display()
    );
    let mut gateway = gateway_with(&tls, &node);
    let words = "received fatal alert: DecryptError";
    mail_is_put_off(&mut gateway, &mut node, words, "unknown-authority");
}

#[test]
fn a_node_of_another_authority_is_not_believed() {
    let (certs, others) = (Certs::of(&[NODE_HERE]), Certs::of(&[GATEWAY]));
    let mut node = node(&certs, "");
    let mut gateway = gateway(&others, &node);
    let words = "its certificate is from an authority that is not in `ca`";
    mail_is_put_off(&mut gateway, &mut node, words, "refused-by-peer");
}

#[test]
fn a_node_is_believed_only_under_its_name() {
    // Not for the address that it is asked for by.
    let certs = Certs::of(&[NODE, GATEWAY]);
    let mut node = node(&certs, "");
    let mut by_address = gateway(&certs, &node);
    let words = "its certificate is not for 127.0.0.1";
    mail_is_put_off(&mut by_address, &mut node, words, "");
    let tls = format!("{}server_name = '{NODE}'\n", certs.table(GATEWAY));
    let mut by_name = gateway_with(&tls, &node);
    by_name.wait_until_ready();
}

#[test]
fn plain_text_is_not_spoken_with_a_node_that_has_a_certificate() {
    let certs = Certs::of(&[NODE_HERE]);
    let mut node = node(&certs, "");
    let upstream = millrace_tests::servers::Upstream::Nodes(vec![node.port()]);
    let mut gateway = launched(&upstream, "");
    let words = "does not speak HTTP/2: is TLS wanted";
    mail_is_put_off(&mut gateway, &mut node, words, "no-tls");
}
