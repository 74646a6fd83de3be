use std::fs;

use millrace_tests::etcd::Etcd;
use millrace_tests::member::Member;
use millrace_tests::patience::until;
use millrace_tests::ran::millrace;

use crate::refusing;

#[test]
fn and_is_shown_both() {
    let etcd = Etcd::start_with_tls();
    let work = tempfile::tempdir().expect("a temp folder");
    let password = work.path().join("password");
    fs::write(&password, "quite-secret\n").expect("ours");
    for words in [
        &["user", "add", "root:root-secret"][..],
        &["role", "add", "root"],
        &["user", "grant-role", "root", "root"],
        &["role", "add", "millrace"],
        &[
            "role",
            "grant-permission",
            "millrace",
            "readwrite",
            "/millrace/",
            "--prefix",
        ],
        &["user", "add", "millrace:quite-secret"],
        &["user", "grant-role", "millrace", "millrace"],
        &["auth", "enable"],
    ] {
        etcd.ctl(words);
    }
    let section = etcd.section(&format!(
        "user = \"millrace\"\npassword_file = {password:?}\n"
    ));
    let file = work.path().join("etcd.toml");
    fs::write(&file, &section).expect("ours");
    let file = file.to_str().expect("a path of ours");
    let folder = refusing("a@blocked.example");
    let dir = folder.path().to_str().expect("a path of ours");

    let told = millrace([
        "policy", "publish", dir, "--config", file, "--wait", "0", "--format", "json",
    ])
    .expect(0)
    .json();
    let revision = told["publication"]["revision"]
        .as_str()
        .expect("a revision");
    let mut node = Member::launch("one", &section, "");
    node.wait_until_ready();
    node.wait_for_revision(revision);
    until("it is registered", || {
        millrace(["nodes", "--config", file]).code == 0
    });

    for (what, broken, told) in [
        (
            "no user",
            etcd.section(""),
            "set `user` and `password_file`",
        ),
        (
            "a wrong password",
            etcd.section(&format!("user = \"root\"\npassword_file = {password:?}\n")),
            "correct `user` or `password_file`",
        ),
        (
            "no certificate",
            section
                .lines()
                .filter(|line| !line.starts_with("certificate") && !line.starts_with("key"))
                .collect::<Vec<_>>()
                .join("\n"),
            "etcd cannot be reached",
        ),
        (
            "another authority",
            section.replace("ca.pem", "client.pem"),
            "certificate",
        ),
        (
            "a file that is not there",
            section.replace("ca.pem", "no.pem"),
            "no.pem cannot be read",
        ),
    ] {
        let file = work.path().join("broken.toml");
        fs::write(&file, broken).expect("ours");
        let ran = millrace(["nodes", "--config", file.to_str().expect("a path")]).expect(2);
        assert!(ran.stderr.contains(told), "{what}: {}", ran.stderr);
    }
}
