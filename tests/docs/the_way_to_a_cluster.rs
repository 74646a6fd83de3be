//! `docs/cluster.md` from beginning to end, in one shell, on a machine that has nothing else on its ports: a network
//! namespace. All that it starts ends with the shell.

use millrace_tests::packages;

use crate::guide::{commands, follow};

#[test]
fn leads_from_one_machine_to_three_nodes_two_gateways_and_three_members_of_etcd() {
    packages::require_root("network namespaces are for root");
    packages::require(&["bash", "curl", "etcd", "etcdctl", "ip", "unshare"]);
    let blocks = commands("cluster.md");
    assert!(blocks.len() > 10, "{blocks:?}");

    let mut script = "set -euo pipefail\nip link set lo up\n".to_owned();
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("echo '--- block {number}'\n{block}"));
    }
    script.push_str("echo '--- followed to the end'\n");

    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let mut shell = follow(folder.path(), &script, |_| {});
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
