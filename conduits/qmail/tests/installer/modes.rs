//! What an installation leaves, and what undoing it does.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use crate::tree::{GROUP, QMAIL, QMAILQ, Tree, USER, call, mode};

fn seen(tree: &Tree, name: &str) -> (u32, u32, u32) {
    let found = fs::symlink_metadata(tree.path(name)).unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

#[test]
fn undoing_restores_inode_mode_and_owner() {
    let tree = Tree::new();
    let before = tree.listing();
    tree.run(&["install"]);
    assert_ne!(tree.listing(), before);
    tree.run(&["uninstall"]);
    assert_eq!(tree.listing(), before);
    assert_eq!(tree.call("bin/qmail-queue", "1").unwrap(), 0);
    assert_eq!(tree.noted(), ["X-Id: 1"]);
}

#[test]
fn fact_9_users_cannot_go_around_the_conduit() {
    let tree = Tree::new();
    tree.run(&["install"]);
    assert_eq!(seen(&tree, "bin/qmail-queue"), (0, GROUP, 0o2711));
    assert_eq!(seen(&tree, "bin/qmail-queue.orig"), (QMAILQ, GROUP, 0o4710));
    assert_eq!(seen(&tree, "bin/qmail-queue.saved").2, 0o700);
    assert_eq!(
        seen(&tree, "bin/qmail-queue.saved/qmail-queue"),
        (QMAILQ, QMAIL, 0o4711)
    );
    assert_eq!(tree.call("bin/qmail-queue", "through").unwrap(), 0);
    for around in ["bin/qmail-queue.orig", "bin/qmail-queue.saved/qmail-queue"] {
        let error = tree.call(around, "around").unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::PermissionDenied,
            "{around}"
        );
    }
    let noted = tree.noted();
    assert_eq!(noted, ["through X-Id: through"]);
}

#[test]
fn fact_10_the_conduit_reads_its_key_and_users_do_not() {
    let tree = Tree::new();
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    for (name, pem) in [
        ("ca.pem", certified.cert.pem()),
        ("key.pem", certified.signing_key.serialize_pem()),
    ] {
        fs::write(tree.path("control").join(name), pem).unwrap();
    }
    let text = format!(
        "gateways = ['https://127.0.0.1:1']\nlog = '{}'\n[network]\nusers = []\n[bounce]\nusers = []\n\
         [tls]\nca = 'control/ca.pem'\ncertificate = 'control/ca.pem'\nkey = 'control/key.pem'\n",
        tree.path("log").display()
    );
    fs::write(tree.path("control/millrace.toml"), text).unwrap();
    tree.run(&["install"]);
    assert_eq!(seen(&tree, "log"), (0, GROUP, 0o660));
    assert_eq!(seen(&tree, "control/millrace.toml"), (0, GROUP, 0o644));
    assert_eq!(seen(&tree, "control/key.pem"), (0, GROUP, 0o640));
    let by_user = std::process::Command::new("cat")
        .arg(tree.path("control/key.pem"))
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    assert!(!by_user.status.success() && by_user.stdout.is_empty());
    // A key that it could not read would be a mistake in its configuration, and code 55.
    assert_eq!(tree.call("bin/qmail-queue", "1").unwrap(), 0);
    assert_eq!(tree.noted(), ["through X-Id: 1"]);
    let lines = fs::read_to_string(tree.path("log")).unwrap();
    assert!(
        lines.contains("no verdict from"),
        "the conduit logs by its group: {lines}"
    );
}

#[test]
fn a_users_own_copy_of_the_tree_is_no_way_around() {
    let tree = Tree::new();
    tree.run(&["install"]);
    // A second name of the conduit, in a home whose file is the user's: its rights are not lent to that file.
    let own = tree.path("own");
    fs::create_dir_all(own.join("bin")).unwrap();
    fs::create_dir_all(own.join("control")).unwrap();
    let text = format!(
        "gateways = ['http://127.0.0.1:1']\nqueue = '{}'\n",
        tree.path("bin/qmail-queue.orig").display()
    );
    fs::write(own.join("control/millrace.toml"), text).unwrap();
    std::os::unix::fs::chown(own.join("control/millrace.toml"), Some(USER), Some(USER)).unwrap();
    fs::hard_link(tree.path("bin/qmail-queue"), own.join("bin/qmail-queue")).unwrap();
    let code = call(&own.join("bin/qmail-queue"), USER, "around").unwrap();
    assert_eq!((code, tree.noted().len()), (55, 0));
}

#[test]
fn installing_again_mends_and_upgrades_without_touching_the_original() {
    let tree = Tree::new();
    let before = tree.listing();
    tree.run(&["install"]);
    assert!(tree.run(&["install"]).contains("nothing to do"));
    let installed = tree.listing();
    mode(tree.path("bin/qmail-queue.orig"), 0o4711);
    mode(tree.path("bin/qmail-queue"), 0o755);
    assert_eq!(tree.tried(&["status"]).0, 4);
    tree.run(&["install"]);
    assert_eq!(tree.tried(&["status"]).0, 0);
    let kept = tree.path("bin/qmail-queue.saved/qmail-queue");
    assert_eq!(tree.listing()[&kept], installed[&kept]);
    tree.run(&["uninstall"]);
    assert_eq!(tree.listing(), before);
}

#[test]
fn a_newer_qmail_in_place_of_the_conduit_becomes_the_original() {
    let tree = Tree::new();
    tree.run(&["install"]);
    // `make setup` writes qmail's own program over whatever is there.
    let live = tree.path("bin/qmail-queue");
    let newer = [
        fs::read(tree.path("bin/qmail-queue.orig")).unwrap(),
        b"newer".to_vec(),
    ]
    .concat();
    fs::remove_file(&live).unwrap();
    fs::write(&live, &newer).unwrap();
    std::os::unix::fs::chown(&live, Some(QMAILQ), Some(QMAIL)).unwrap();
    mode(&live, 0o4711);
    let inode = fs::metadata(&live).unwrap().ino();
    let (code, text) = tree.tried(&["status"]);
    assert_eq!(code, 4);
    assert!(text.contains("was qmail installed anew?"), "{text}");
    tree.run(&["install"]);
    assert_eq!(fs::read(tree.path("bin/qmail-queue.orig")).unwrap(), newer);
    assert_eq!(tree.call("bin/qmail-queue", "1").unwrap(), 0);
    tree.run(&["uninstall"]);
    assert_eq!(fs::metadata(&live).unwrap().ino(), inode);
}

#[test]
fn an_installation_made_by_hand_is_taken_over_and_undone() {
    let tree = Tree::new();
    let before = tree.listing();
    let (live, orig) = (
        tree.path("bin/qmail-queue"),
        tree.path("bin/qmail-queue.orig"),
    );
    fs::rename(&live, &orig).unwrap();
    fs::copy(crate::tree::conduit(), &live).unwrap();
    tree.run(&["install"]);
    assert_eq!(tree.tried(&["status"]).0, 0);
    assert_eq!(seen(&tree, "bin/qmail-queue.orig").2, 0o4710);
    tree.run(&["uninstall"]);
    assert_eq!(tree.listing(), before);
}

#[test]
fn uninstalling_waits_for_the_calls_under_way() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let tree = Tree::new();
    tree.run(&["install"]);
    let (from, mut envelope) = std::io::pipe().unwrap();
    let mut under_way = Command::new(tree.path("bin/qmail-queue"))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(from)
        .spawn()
        .unwrap();
    let (code, text) = tree.tried(&["uninstall", "--wait", "0"]);
    assert_eq!(code, 1);
    assert!(text.contains("run uninstall again"), "{text}");
    assert_eq!(tree.call("bin/qmail-queue", "direct").unwrap(), 0);
    let mut message = under_way.stdin.take().unwrap();
    message.write_all(b"X-Id: late\n\n").unwrap();
    drop(message);
    envelope.write_all(b"Fa\0Tb\0\0").unwrap();
    drop(envelope);
    assert_eq!(under_way.wait().unwrap().code(), Some(0));
    tree.run(&["uninstall"]);
    assert_eq!(tree.tried(&["status"]).0, 3);
    assert_eq!(tree.noted().len(), 2);
}
