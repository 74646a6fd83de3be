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
