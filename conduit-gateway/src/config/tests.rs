use std::path::Path;

use millrace_runtime::config::parse;

use super::*;
use crate::failure::{FailureAction, FailureKind};

fn resolve(text: &str) -> Result<Config, String> {
    let file = Path::new("gateway.toml");
    let section: Section = parse(file, text).map_err(|error| error.to_string())?;
    section
        .resolve(&Origin::new(file, text))
        .map_err(|errors| errors.to_string())
}

#[test]
fn everything_that_can_be_said_is_understood() {
    let config = resolve(
        r#"
[limits]
connections = 5000
memory_mib = 64
spool_above_kib = 256
spool_mib = 100
spool_folder = "/tmp"

[time]
idle_seconds = 60
progress_seconds = 3

[[client]]
name = "mx-in"
listen = ["tcp://127.0.0.1:8891", "unix:/run/millrace/mx.sock", "systemd:mx"]
direction = "inbound"
mta = "postfix"
socket_mode = "0600"
socket_group = "root"
connections = 100
memory_mib = 32
message_size_kib = 1024
deadline_seconds = 300

[[client]]
name = "submission"
listen = ["inet:8892@0.0.0.0"]
direction = "outbound"
allow = ["192.0.2.0/24", "2001:db8::1"]

[[failure]]
client = "submission"
kinds = ["no-node", "deadline"]
action = "accept-and-stamp"

[[failure]]
direction = "outbound"
action = "hold"
"#,
    )
    .expect("a good file");
    let [mx, submission] = &config.clients[..] else {
        panic!("two clients")
    };
    assert_eq!(mx.listen.len(), 3);
    assert_eq!(
        (mx.mta, mx.socket_mode, mx.connections),
        (Mta::Postfix, 0o600, 100)
    );
    assert_eq!((mx.memory, mx.message_size), (32 << 20, Some(1 << 20)));
    assert_eq!(mx.deadline, Duration::from_secs(300));
    assert_eq!(
        (submission.connections, submission.memory),
        (5000, 64 << 20)
    );
    assert_eq!(submission.allow.len(), 2);
    assert_eq!(
        (config.limits.spool_above, config.limits.spool),
        (256 << 10, 100 << 20)
    );
    assert_eq!(config.times.progress, Duration::from_secs(3));
    let action =
        |client: &ClientConfig, kind| config.failures.action(&client.name, client.direction, kind);
    assert_eq!(
        action(submission, FailureKind::NoNode),
        FailureAction::AcceptAndStamp
    );
    assert_eq!(
        action(submission, FailureKind::Overload),
        FailureAction::Hold
    );
    assert_eq!(action(mx, FailureKind::NoNode), FailureAction::Tempfail);
}

#[test]
fn what_is_wrong_is_named_with_line_key_and_remedy() {
    const CLIENT: &str = "[[client]]\nname = \"mx\"\nlisten = [\"tcp://127.0.0.1:1\"]\n";
    for (text, expected) in [
        (
            "[[client]]\nname = \"m x\"\nlisten = [\"tcp://127.0.0.1:1\"]",
            "gateway.toml:2:8: key `client[0].name`: 'm x' is not a client name",
        ),
        (
            "[[client]]\nname = \"mx\"\nlisten = [\"http://x\"]",
            "gateway.toml:3:11: key `client[0].listen`: 'http://x' is not a listener's address: unknown scheme; \
             write tcp://",
        ),
        (
            "[[client]]\nname = \"mx\"\nlisten = []",
            "key `client[0].listen`: nobody can connect; list at least",
        ),
        (
            "[[client]]\nname = \"mx\"\nlisten = [\"inet:8891\"]",
            "tcp://0.0.0.0:8891 can be reached from other machines, and `allow` does not say from which; list",
        ),
        ("[[client]]\nname = \"mx\"", "listen"),
        (&format!("{CLIENT}listne = 3"), "listne"),
        (
            &format!("{CLIENT}mta = \"exim\""),
            "gateway.toml:4:7: key `client[0].mta`: 'exim' is no kind of",
        ),
        (
            &format!("{CLIENT}direction = \"up\""),
            "key `client[0].direction`: 'up' is not a direction",
        ),
        (
            &format!("{CLIENT}allow = [\"home\"]"),
            "key `client[0].allow`: 'home' is no network; write",
        ),
        (
            &format!("{CLIENT}socket_mode = \"999\""),
            "key `client[0].socket_mode`: '999' is no mode; write",
        ),
        (
            &format!("{CLIENT}socket_group = \"nosuchgroup\""),
            "there is no group 'nosuchgroup'; name",
        ),
        (
            &format!("{CLIENT}deadline_seconds = 271"),
            "271 is out of range; write a number from 1 to below 271",
        ),
        (
            &format!("{CLIENT}{CLIENT}"),
            "gateway.toml:5:8: key `client[1].name`: a client named mx was there",
        ),
        (
            &format!("{CLIENT}{CLIENT}"),
            "tcp://127.0.0.1:1 is listened on twice; take one",
        ),
        (
            "[limits]\nmemory_mib = 0",
            "key `limits.memory_mib`: 0 is out of range; write a number from 1",
        ),
        (
            "[limits]\nspool_folder = \"/no/such\"",
            "/no/such is no folder; make the folder",
        ),
        ("[limits]\nmemory = 3", "memory"),
        (
            "[limits]\nin_flight = 0",
            "key `limits.in_flight`: 0 is out of range; write a number from 1",
        ),
        (
            "[limits]\nqueue_messages = 0",
            "key `limits.queue_messages`: 0 is out of range",
        ),
        (
            "[limits]\nqueue_seconds = 0",
            "key `limits.queue_seconds`: 0 is out of range",
        ),
        (
            "[limits]\nbrownout_milliseconds = 0",
            "key `limits.brownout_milliseconds`: 0 is out of range",
        ),
        (
            &format!("{CLIENT}weight = 0"),
            "key `client[0].weight`: 0 is out of range; write a number from 1 to below 1001",
        ),
        (&format!("{CLIENT}tls = true"), "tls"),
        (
            "[time]\nprogress_seconds = 10",
            "10 is out of range; write a number from 1 to below 10",
        ),
        (
            "[[failure]]\naction = \"later\"",
            "key `failure[0].action`: 'later' is not an action: tempfail,",
        ),
        (
            "[[failure]]\naction = \"hold\"\nkinds = [\"x\"]",
            "'x' is not a kind of failure: no-node, deadline,",
        ),
        (
            "[[failure]]\naction = \"hold\"\nclient = \"mx\"",
            "there is no client named mx; name a client",
        ),
        (
            "[[failure]]\naction = \"reject\"\nkinds = [\"no-node\", \"store\"]",
            "a refusal would lose it",
        ),
        ("[[failure]]\nkinds = []", "action"),
    ] {
        let error = resolve(text).expect_err(text);
        assert!(
            error.contains(expected),
            "{text}\n→ {error}\nlacks {expected}"
        );
        assert!(error.starts_with("gateway.toml:"), "{error}");
    }
}

#[test]
fn a_qmqp_listener_has_an_allow_list_and_somewhere_to_pass_mail_on_to() {
    const QMQP: &str = "[[qmqp]]\nclient = \"q\"\nlisten = [\"tcp://127.0.0.1:628\"]\n";
    const ALLOW: &str = "allow = [\"127.0.0.1\"]\n";
    let config = resolve(&format!(
        "{QMQP}{ALLOW}downstream = [\"192.0.2.1\", \"192.0.2.2:6280\", \"2001:db8::1\", \"[2001:db8::1]:1\"]"
    ))
    .expect("it is sound");
    let client = &config.clients[0];
    assert_eq!(client.deadline, Duration::from_secs(30));
    let Protocol::Qmqp(qmqp) = &client.protocol else {
        panic!("QMQP")
    };
    let servers: Vec<_> = qmqp.downstream.iter().map(ToString::to_string).collect();
    assert_eq!(
        servers,
        [
            "192.0.2.1:628",
            "192.0.2.2:6280",
            "[2001:db8::1]:628",
            "[2001:db8::1]:1"
        ]
    );
    assert!(qmqp.believe_received);
    for (text, expected) in [
        (
            format!("{QMQP}downstream = [\"192.0.2.1\"]"),
            "gateway.toml:3:11: key `qmqp[0].listen`: QMQP knows no authentication, and `allow` does not say who",
        ),
        (
            format!("{QMQP}{ALLOW}downstream = []"),
            "key `qmqp[0].downstream`: there is no server that the mail could be passed on to; list",
        ),
        (
            format!("{QMQP}{ALLOW}downstream = [\"mx.example\"]"),
            "key `qmqp[0].downstream`: 'mx.example' is no IP address of a server; write",
        ),
        (
            format!("{QMQP}{ALLOW}downstream = [\"192.0.2.1\"]\ndeadline_seconds = 46"),
            "46 is out of range; write a number from 1 to below 46",
        ),
        (format!("{QMQP}{ALLOW}"), "downstream"),
    ] {
        let error = resolve(&text).expect_err(&text);
        assert!(error.contains(expected), "{text}\n→ {error}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let error =
        resolve("[limits]\nmemory_mib = 0\n[time]\nidle_seconds = 0").expect_err("two errors");
    assert_eq!(error.lines().count(), 2, "{error}");
}

fn load(text: &str) -> Result<Remote, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let (_, _, remote) = Document::load(&file).map_err(|errors| errors.to_string())?;
    Ok(remote)
}

#[test]
fn where_nodes_are_and_how_they_are_asked_is_understood() {
    let remote = load(
        r#"
nodes = ["http://192.0.2.11:7750", "dns://mpd-node.mail.example:7750"]

[discovery]
name_servers = ["192.0.2.53", "[2001:db8::53]:5353"]
refresh_seconds = 1

[upstream]
hedge_after_ms = 200
hedge_percent = 0
retry_percent = 50
calls_per_node = 64
"#,
    )
    .expect("a good file");
    assert_eq!(remote.nodes.len(), 2);
    let servers: Vec<_> = remote
        .dns
        .name_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    assert_eq!(remote.dns.longest, Duration::from_secs(1));
    assert!(remote.dns.shortest <= remote.dns.longest);
    let upstream = remote.upstream;
    assert_eq!(upstream.hedge_after, Duration::from_millis(200));
    assert!(upstream.hedge_share.abs() < 1e-6 && (upstream.retry_share - 0.5).abs() < 1e-6);
    assert_eq!(upstream.calls_per_node, 64);
}

#[test]
fn a_node_that_cannot_be_asked_is_named_with_line_and_remedy() {
    for (text, expected) in [
        (
            "nodes = [\n\"http://192.0.2.1:7750\",\n\"192.0.2.2:7750\"]",
            "gateway.toml:3:1: key `nodes`: '192.0.2.2:7750' is not the address of a node: ",
        ),
        (
            "nodes = [\"dns://mpd-node\"]",
            "the port is missing; write http://192.0.2.11:7750 for one node, or dns://NAME:7750",
        ),
        (
            "[discovery]\nname_servers = [\"ns\"]",
            "key `discovery.name_servers`: 'ns' is not the address of a name server; write an IP",
        ),
        (
            "[discovery]\nrefresh_seconds = 0",
            "key `discovery.refresh_seconds`: 0 is out of range; write a number from 1",
        ),
        ("[discovery]\nnameservers = []", "nameservers"),
        (
            "[upstream]\nhedge_percent = 101",
            "key `upstream.hedge_percent`: 101 is out of range; write a number from 0 to below 101",
        ),
        ("[upstream]\nhedge = 1", "hedge"),
        (
            "nodes = [\"x\"]\n[limits]\nmemory_mib = 0",
            "gateway.toml:3:14: key `limits.memory_mib`",
        ),
    ] {
        let error = load(text).expect_err(text);
        assert!(
            error.contains(expected),
            "{text}\n→ {error}\nlacks {expected}"
        );
    }
    let both = load("nodes = [\"x\"]\n[limits]\nmemory_mib = 0").expect_err("two errors");
    assert_eq!(both.lines().count(), 2, "{both}");
}
