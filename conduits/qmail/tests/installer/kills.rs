//! Killed before each system call that changes something: there is always a qmail-queue that works, and running it
//! again, or undoing it, mends.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use crate::tree::Tree;

/// All by which the installer changes anything.
const CHANGES: [&str; 11] = [
    "mkdir",
    "linkat",
    "rename",
    "unlink",
    "rmdir",
    "fchown",
    "fchmod",
    "chown",
    "chmod",
    "fsync",
    "copy_file_range",
];
/// More calls of one kind than it makes.
const MANY: u32 = 40;

/// Runs the installer and kills it as it enters its n-th call of this kind; whether it came so far.
fn killed(tree: &Tree, words: &[&str], call: &str, n: u32) -> bool {
    let installer = tree.installer(words);
    let status = Command::new("strace")
        .args(["-qq", "-f", "-o", "/dev/null", "-e"])
        .arg(format!("trace={call}"))
        .arg("-e")
        .arg(format!("inject={call}:signal=KILL:when={n}"))
        .arg(installer.get_program())
        .args(installer.get_args())
        .output()
        .expect("strace (Debian package strace)")
        .status;
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

#[test]
fn an_installation_that_is_killed_at_any_step_leaves_a_qmail_queue_and_is_mended() {
    let tree = Tree::new();
    let (before, mut kills) = (tree.listing(), 0);
    for call in CHANGES {
        for n in 1..MANY {
            if !killed(&tree, &["install"], call, n) {
                tree.run(&["uninstall"]);
                break;
            }
            kills += 1;
            works(&tree, &format!("install-{call}-{n}"));
            if n % 2 == 0 {
                tree.run(&["install"]);
                assert_eq!(tree.tried(&["status"]).0, 0, "{call} {n}");
                works(&tree, &format!("mended-{call}-{n}"));
            }
            tree.run(&["uninstall"]);
            assert_eq!(tree.listing(), before, "{call} {n}");
        }
    }
    assert!(kills > 15, "{kills} kills");
}

#[test]
fn an_undoing_that_is_killed_at_any_step_leaves_a_qmail_queue_and_is_mended() {
    let tree = Tree::new();
    let (before, mut kills) = (tree.listing(), 0);
    for call in CHANGES {
        for n in 1..MANY {
            tree.run(&["install"]);
            if !killed(&tree, &["uninstall"], call, n) {
                assert_eq!(tree.listing(), before, "{call} {n}");
                break;
            }
            kills += 1;
            works(&tree, &format!("uninstall-{call}-{n}"));
            if n % 2 == 0 {
                tree.run(&["install"]);
                assert_eq!(tree.tried(&["status"]).0, 0, "{call} {n}");
            }
            tree.run(&["uninstall"]);
            assert_eq!(tree.listing(), before, "{call} {n}");
        }
    }
    assert!(kills > 8, "{kills} kills");
}

fn works(tree: &Tree, id: &str) {
    let count = tree.noted().len();
    assert_eq!(tree.call("bin/qmail-queue", id).unwrap(), 0, "{id}");
    assert_eq!(tree.noted().len(), count + 1, "{id}");
}
