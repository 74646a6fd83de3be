//! Nodes have folders of their own, and one of them was forgotten: mail is judged by one policy all the same.

use millrace_milter::mta::Message;
use millrace_tests::admin;
use millrace_tests::load::load;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::servers::{Gateway, Node, Upstream};

/// A policy that says in each message which one it is.
fn text(name: &str) -> String {
    format!("[[action]]\nname = \"mark\"\nwhen = \"1\"\nadd_header = \"X-Policy: {name}\"\n")
}

struct Tier {
    folders: Vec<PolicyFolder>,
    nodes: Vec<Node>,
}

impl Tier {
    /// Nodes in the order of their addresses, each with a policy of this name in a folder of its own.
    fn of(policies: &[&str]) -> Self {
        let (mut folders, mut nodes) = (Vec::new(), Vec::new());
        for _ in policies {
            let folder = PolicyFolder::of(&text("none yet"));
            nodes.push(Node::start(folder.path()));
            folders.push(folder);
        }
        let mut tier: Vec<_> = nodes.into_iter().zip(folders).collect();
        tier.sort_by_key(|(node, _)| format!("http://127.0.0.1:{}", node.port()));
        let (nodes, folders): (Vec<_>, Vec<_>) = tier.into_iter().unzip();
        let tier = Self { folders, nodes };
        for (place, policy) in policies.iter().enumerate() {
            tier.gives(place, policy);
        }
        tier
    }

    /// Gives a node another policy, and waits until it is in force.
    fn gives(&self, node: usize, policy: &str) {
        let revision = || {
            let (_, metrics) =
                admin::ask(self.nodes[node].admin_port(), "/metrics").expect("it answers");
            let line = metrics
                .lines()
                .find(|line| line.starts_with("millrace_node_policy_info{"));
            line.expect("a node has a policy").to_owned()
        };
        let before = revision();
        self.folders[node].replace(&text(policy));
        until("the folder is followed", || revision() != before);
    }

    fn gateway(&self, order: &[usize]) -> Gateway {
        let ports = order
            .iter()
            .map(|place| self.nodes[*place].port())
            .collect();
        let gateway = Gateway::start_with(&Upstream::Nodes(ports), &[], "");
        until("all nodes serve", || {
            admin::metric(gateway.admin_port(), "millrace_gateway_node_serving")
                == f64::from(u8::try_from(order.len()).expect("few"))
        });
        gateway
    }

    fn row(&self, gateway: &Gateway, metric: &str, node: usize, more: &str) -> f64 {
        let port = self.nodes[node].port();
        let row = format!("{metric}{{node=\"http://127.0.0.1:{port}\"{more}}}");
        admin::metric(gateway.admin_port(), &row)
    }

    fn differs(&self, gateway: &Gateway, node: usize) -> bool {
        self.row(gateway, "millrace_gateway_node_policy_differs", node, "") == 1.0
    }

    fn judged(&self, gateway: &Gateway, node: usize) -> f64 {
        self.row(
            gateway,
            "millrace_gateway_node_calls_total",
            node,
            ",result=\"ok\"",
        )
    }
}

/// By which policy this message was judged.
fn policy_of(gateway: &Gateway) -> String {
    let message = Message::parse(b"Subject: x\r\n\r\nHello\r\n");
    let mail = Sender::connect(gateway.port()).send(message);
    assert_eq!(mail.answer(), "accept");
    mail.added("X-Policy").concat()
}

#[test]
fn of_two_the_second_is_refused_by_all_gateways_until_it_has_the_same() {
    let mut tier = Tier::of(&["one", "two"]);
    let mut gateways = [tier.gateway(&[0, 1]), tier.gateway(&[1, 0])];
    for gateway in &mut gateways {
        until("it is known that they differ", || tier.differs(gateway, 1));
        until("all gateways judge by the same", || {
            policy_of(gateway) == "one"
        });
        let before = tier.judged(gateway, 1);
        let report = load(gateway.port(), &["--messages", "200", "--concurrency", "8"]);
        assert_eq!(report["dispositions"]["accept"], 200, "{report}");
        assert_eq!(tier.judged(gateway, 1), before, "it is not asked");
        assert!(!tier.differs(gateway, 0));
        let line = gateway
            .process
            .wait_for_line("another policy than most nodes, and is not asked");
        assert!(
            line.contains(&format!(":{}", tier.nodes[1].port())),
            "{line}"
        );
        assert_eq!(
            admin::metric(gateway.admin_port(), "millrace_gateway_failures_total"),
            0.0
        );
        let (status, _) = admin::ask(gateway.admin_port(), "/readyz").expect("it answers");
        assert_eq!(status, 200);
    }

    tier.gives(1, "one");
    for gateway in &gateways {
        until("they agree", || !tier.differs(gateway, 1));
    }
    tier.nodes[0].process.kill();
    for gateway in &gateways {
        assert_eq!(policy_of(gateway), "one");
        assert!(tier.judged(gateway, 1) > 0.0);
    }
}

#[test]
fn of_three_the_one_that_differs_is_refused_and_a_policy_spreads_as_soon_as_most_have_it() {
    let tier = Tier::of(&["new", "old", "old"]);
    let gateway = tier.gateway(&[0, 1, 2]);
    until("it is known that one differs", || tier.differs(&gateway, 0));
    until("most decide", || policy_of(&gateway) == "old");
    for _ in 0..50 {
        assert_eq!(policy_of(&gateway), "old");
    }
    tier.gives(1, "new");
    until("now they are in the minority", || tier.differs(&gateway, 2));
    until("most decide", || policy_of(&gateway) == "new");
    for _ in 0..50 {
        assert_eq!(policy_of(&gateway), "new");
    }
    until("both of them judge", || {
        assert_eq!(policy_of(&gateway), "new");
        tier.judged(&gateway, 0) > 0.0 && tier.judged(&gateway, 1) > 0.0
    });
    assert_eq!(
        admin::metric(gateway.admin_port(), "millrace_gateway_failures_total"),
        0.0
    );
}
