use millrace_tests::admin;
use millrace_tests::load::load;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

/// One message at a time, and eight at once that want to be judged: most have to wait.
#[test]
fn a_message_that_waited_is_judged_without_them_and_the_verdict_says_so() {
    let policy = PolicyFolder::of("[check.mime]\noptional = true\n");
    let node = Node::start(policy.path());
    let gateway = Gateway::start_with(
        &Upstream::Nodes(vec![node.port()]),
        &[],
        "[limits]\nin_flight = 1\nbrownout_milliseconds = 1\n",
    );
    let report = load(
        gateway.port(),
        &["--messages", "300", "--concurrency", "8", "--size", "64KiB"],
    );
    assert_eq!(report["dispositions"]["accept"], 300, "{report}");
    assert!(gateway.log().contains("unscanned=mime{overload}"));
    let (_, metrics) = admin::ask(node.admin_port(), "/metrics").expect("it answers");
    let counted = metrics
        .lines()
        .find_map(|line| line.strip_prefix("millrace_node_unscanned_total{check=\"mime\"} "))
        .map_or(0, |count| count.parse::<u64>().expect("a count"));
    assert!(
        (1..300).contains(&counted),
        "{counted}: who did not wait is scanned"
    );
}
