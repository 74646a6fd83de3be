//! `docs/cluster.md` from beginning to end, in one shell, on a machine that has nothing else on its ports: a network
//! namespace. All that it starts ends with the shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use millrace_tests::packages;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;

/// What people are told to type, in order.
fn commands(guide: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in guide.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn leads_from_one_machine_to_three_nodes_two_gateways_and_three_members_of_etcd() {
    packages::require_root("network namespaces are for root");
    packages::require(&["bash", "curl", "etcd", "etcdctl", "ip", "unshare"]);
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cluster.md");
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let blocks = commands(&guide);
    assert!(blocks.len() > 10, "{blocks:?}");

    let mut script = "set -euo pipefail\nip link set lo up\n".to_owned();
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '--- block {number}'\n{block}"));
    }
    script.push_str("echo '--- followed to the end'\n");

    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let programs = binary("millrace");
    let programs = programs.parent().expect("a program is in a folder");
    for name in ["mpd-node", "conduit-gateway"] {
        binary(name);
    }
    let path = std::env::var("PATH").expect("there is a PATH");
    fs::write(folder.path().join("guide.sh"), script).expect("the temp folder is ours");
    let unshare = packages::program("unshare");
    let mut shell =
        Process::start_with("guide", folder.path(), &unshare, |command: &mut Command| {
            // Its process is the first of a namespace: all others end with it.
            command
                .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
                .args(["bash", "guide.sh"])
                .env("PATH", format!("{}:{path}", programs.display()));
        });
    for number in 0..blocks.len() {
        shell.wait_for_line(&format!("--- block {number}"));
    }
    shell.wait_for_line("--- followed to the end");
    let said = shell.output();

    // What the guide says of its loads: nothing but accepted, and some of it.
    let outcomes: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("outcomes"))
        .collect();
    assert_eq!(outcomes.len(), 7, "{said}");
    for outcome in outcomes {
        let words: Vec<_> = outcome.split_whitespace().collect();
        let [_, count, "accept"] = words[..] else {
            panic!("{outcome}: {said}");
        };
        assert!(
            count.parse::<u32>().is_ok_and(|count| count > 100),
            "{outcome}"
        );
    }
    assert!(!said.contains("\nerror"), "{said}");
}
