//! The program itself: what it is told, and what it says when that is not enough.

use std::path::Path;

use assert_cmd::Command;

fn gateway(arguments: &[&str]) -> (bool, String) {
    let output = Command::cargo_bin("conduit-gateway")
        .unwrap()
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn it_refuses_to_start_when_something_is_missing_and_says_what() {
    for (arguments, expected) in [
        (
            &["--milter", "tcp://127.0.0.1:0"][..],
            "there is nobody to judge mail: give --embedded",
        ),
        (
            &["--milter", "tcp://127.0.0.1:0"],
            "or [etcd] in --config, where nodes are registered",
        ),
        (&["--embedded"], "no mail server can connect: give --milter"),
        (
            &[
                "--milter",
                "tcp://127.0.0.1:0",
                "--embedded",
                "--node",
                "http://x:1",
            ],
            "exclude each other",
        ),
        (
            &["--milter", "inet:8891", "--embedded"],
            "say from which with --allow",
        ),
        (
            &["--milter", "8891", "--embedded"],
            "'8891' is not a listener's address: it has no scheme",
        ),
        (
            &["--milter", "tcp://127.0.0.1:0", "--node", "127.0.0.1:7750"],
            "is not the address of a node",
        ),
        (
            &[
                "--milter",
                "tcp://127.0.0.1:0",
                "--node",
                "http://127.0.0.1:1",
                "--policy",
                "/x",
            ],
            "a policy folder without --embedded is read by nobody",
        ),
        (
            &[
                "--milter",
                "tcp://127.0.0.1:0",
                "--node",
                "https://127.0.0.1:1",
            ],
            "name the authority to believe with `ca` under [tls]",
        ),
        (
            &["--config", "/no/such.toml"],
            "/no/such.toml: cannot be read",
        ),
    ] {
        let mut all = vec!["--check"];
        all.extend(arguments);
        let (ok, text) = gateway(&all);
        assert!(!ok && text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_missing_for_tls_is_told() {
    for (text, expected) in [
        (
            "[[conduit]]\nclient = 'a'\nlisten = ['tcp://127.0.0.1:1']\ntls = true\n",
            "client a has tls = true, and there is no certificate",
        ),
        (
            "[tls]\ncertificate = '/no/such.pem'\n",
            "key `tls.key`: a certificate without its key",
        ),
        (
            "[tls]\nca = '/no/such.pem'\n",
            "/no/such.pem: cannot be read",
        ),
        (
            "[[peer]]\nname = 'x'\nclients = ['a']\n",
            "nobody is asked for a certificate",
        ),
        ("[[peer]]\nname = 'x'\nmay = ['all']\n", "unknown value"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, format!("embedded = true\n{text}")).unwrap();
        let file = file.to_str().unwrap();
        let (ok, told) = gateway(&["--check", "--milter=tcp://127.0.0.1:0", "--config", file]);
        assert!(!ok && told.contains(expected), "{text}: {told}");
    }
}

/// What `--check` says of a file with one listener and this in it.
fn checked(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let listener = "[[client]]\nname = 'mx'\nlisten = ['tcp://127.0.0.1:0']\n";
    std::fs::write(&file, format!("{text}\n{listener}")).unwrap();
    gateway(&["--check", "--config", file.to_str().unwrap()])
}

#[test]
fn nodes_may_be_found_in_etcd_alone_or_besides_others_and_so_may_the_policy_of_an_embedded_one() {
    let etcd = "[etcd]\nendpoints = ['http://192.0.2.21:2379', 'http://192.0.2.22:2379']\n";
    for (text, said) in [
        (etcd.to_owned(), "ok\n"),
        (format!("nodes = ['http://192.0.2.1:7750']\n{etcd}"), "ok\n"),
        (
            format!("embedded = true\n{etcd}"),
            "ok: the policy is the one that is published in etcd\n",
        ),
    ] {
        assert_eq!(checked(&text), (true, said.to_owned()), "{text}");
    }
    let (ok, text) = checked(&format!("embedded = true\npolicy = '/p'\n{etcd}"));
    assert!(!ok && text.contains("there are two policies"), "{text}");
}

#[test]
fn what_is_wrong_with_etcd_is_told_with_its_place_and_a_remedy() {
    for (text, place, words) in [
        (
            "endpoints = ['127.0.0.1:2379']",
            "gateway.toml:2:",
            "`etcd.endpoints`",
        ),
        (
            "endpoints = ['https://a:2379']",
            "gateway.toml:2:",
            "name the certificate of the authority",
        ),
        (
            "endpoints = ['http://a:2379']\npasswort_file = 'x'",
            "gateway.toml:3:",
            "password_file",
        ),
        (
            "endpoints = ['http://a:2379']\nuser = 'gateway'",
            "gateway.toml:3:",
            "add `password_file`",
        ),
    ] {
        let (ok, told) = checked(&format!("[etcd]\n{text}"));
        for part in [place, words] {
            assert!(!ok && told.contains(part), "{text}: {part}: {told}");
        }
    }
    // All that is wrong is told at once.
    let (_, told) = checked("nodes = ['x']\n[etcd]\nendpoints = []\n[limits]\nconnections = 0");
    for key in ["`nodes`", "`etcd.endpoints`", "`limits.connections`"] {
        assert!(told.contains(key), "{key}: {told}");
    }
}

#[test]
fn flags_alone_are_enough() {
    let (ok, text) = gateway(&[
        "--check",
        "--milter",
        "inet:8891@127.0.0.1",
        "--node",
        "http://127.0.0.1:7750",
    ]);
    assert!(ok, "{text}");
}

#[test]
fn the_shipped_examples_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("gateway") && name.ends_with(".toml") {
            let (ok, text) = gateway(&["--check", "--config", path.to_str().unwrap()]);
            assert!(ok, "{name}: {text}");
            seen += 1;
        }
    }
    assert!(seen >= 2, "there are examples");
}
