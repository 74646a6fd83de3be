use std::path::Path;

use millrace_tests::patience::until;
use millrace_tests::process::Process;

fn alive(process_id: &str) -> bool {
    Path::new("/proc").join(process_id).join("cmdline").exists()
}

#[test]
fn children_do_not_outlive_their_guard() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let mut shell = Process::start(
        "shell",
        folder.path(),
        Path::new("/bin/sh"),
        ["-c", "sleep 1000 & echo grandchild $!; wait"],
    );
    let line = shell.wait_for_line("grandchild");
    let grandchild = line
        .split(' ')
        .nth(1)
        .expect("the shell names it")
        .to_owned();
    let child = shell.id().to_string();
    assert!(alive(&child) && alive(&grandchild));
    drop(shell);
    assert!(!alive(&child));
    until("the grandchild is gone", || !alive(&grandchild));
}

#[test]
fn children_end_at_a_signal_and_say_how() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let mut shell = Process::start(
        "shell",
        folder.path(),
        Path::new("/bin/sh"),
        [
            "-c",
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        ],
    );
    shell.wait_for_line("ready");
    assert_eq!(shell.terminate().code(), Some(7));
}

/// A test process that is killed cannot tidy up: one is played here by this very program, started
/// again as a child to run nothing but the ignored test below.
#[test]
fn children_do_not_outlive_a_killed_test() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let myself = std::env::current_exe().expect("a program knows its path");
    let mut test = std::process::Command::new(myself)
        .args([
            "--ignored",
            "--exact",
            "children_do_not_outlive_their_guard::starts_a_child_and_hangs",
        ])
        .env("MILLRACE_TEST_NOTE", folder.path().join("note"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the test program starts");
    let mut child = String::new();
    until("the child runs", || {
        child = std::fs::read_to_string(folder.path().join("note")).unwrap_or_default();
        child.ends_with('\n')
    });
    let child = child.trim();
    assert!(alive(child));
    test.kill().expect("it runs");
    test.wait().expect("it is our child");
    until("its child is gone", || !alive(child));
}

#[test]
#[ignore = "played by children_do_not_outlive_a_killed_test"]
fn starts_a_child_and_hangs() {
    let Some(note) = std::env::var_os("MILLRACE_TEST_NOTE") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temp folder");
    let child = Process::start("sleep", folder.path(), Path::new("/bin/sleep"), ["1000"]);
    std::fs::write(note, format!("{}\n", child.id())).expect("the note can be written");
    std::thread::park();
}
