//! A filter under attack: its processes, and what must hold of them after each message.

use std::fs;

use bytes::Bytes;
use millrace_milter::mta::Message;
use millrace_tests::milter::Sender;
use millrace_tests::patience::until;
use millrace_tests::policy::PolicyFolder;
use millrace_tests::process::Process;
use millrace_tests::servers::{Gateway, Node, Upstream};
use millrace_tests::verdicts;
use serde_json::Value;

/// Memory that each process is back below after each attack, in MiB. A debug build at rest has
/// about 30; glibc keeps part of what a large message took.
const MEMORY_MIB: u64 = 256;

/// A gateway, and who judges for it.
pub(crate) struct Attacked {
    pub(crate) gateway: Gateway,
    node: Option<(Node, PolicyFolder)>,
}

/// Judges what limits say, and nothing else; refuses nothing.
const POLICY: &str = r#"
size_limit = "150 MiB"
[scores]
LIMIT_HEADERS = 1.0
LIMIT_HEADER_BYTES = 1.0
LIMIT_HEADER_LINE = 1.0
LIMIT_MIME_DEPTH = 1.0
LIMIT_MIME_PARTS = 1.0
LIMIT_DECODED_BYTES = 1.0
LIMIT_TEXT = 1.0
LIMIT_URIS = 1.0
LIMIT_ARCHIVE_DEPTH = 1.0
LIMIT_ARCHIVE_ENTRIES = 1.0
LIMIT_ARCHIVE_RATIO = 1.0
LIMIT_ARCHIVE_BYTES = 1.0
HEADER_NUL = 1.0
HEADER_8BIT = 1.0
HEADER_BAD_NAME = 1.0
BODY_NUL = 1.0
MIME_BAD_BASE64 = 1.0
MIME_NO_BOUNDARY_END = 1.0
[[rule]]
symbol = "NEVER"
target = "body"
pattern = 'what never occurs'
score = 1.0
[[attachment]]
symbol = "PROGRAM"
extensions = ["exe"]
in_archives = true
score = 1.0
"#;

impl Attacked {
    /// A gateway that judges by the built-in policy.
    pub(crate) fn embedded() -> Self {
        Self::over(&Upstream::Embedded(None), None)
    }

    /// A gateway with a node behind it, by a policy that tells each limit.
    pub(crate) fn through_a_node() -> Self {
        let policy = PolicyFolder::of(POLICY);
        let node = Node::start(policy.path());
        let upstream = Upstream::Nodes(vec![node.port()]);
        Self::over(&upstream, Some((node, policy)))
    }

    fn over(upstream: &Upstream, node: Option<(Node, PolicyFolder)>) -> Self {
        Self {
            gateway: Gateway::start_with(upstream, &["--log-format", "json"], ""),
            node,
        }
    }

    /// Both ways of judging, one after the other.
    pub(crate) fn both_ways(attack: impl Fn(&mut Self)) {
        for mut attacked in [Self::embedded(), Self::through_a_node()] {
            attack(&mut attacked);
        }
    }

    /// Sends a message, insists on an answer, and on the filter's health afterwards; gives the
    /// verdict as it is logged.
    #[track_caller]
    pub(crate) fn survives(&mut self, what: &str, message: Message) -> Value {
        let before = verdicts::logged(&self.gateway).len();
        let mail = Sender::connect(self.gateway.port()).send(message);
        assert_eq!(mail.outcome.at, b'E', "{what}: {}", mail.answer());
        let verdict = verdicts::nth(&self.gateway, before);
        let outcome = verdict["outcome"].as_str().unwrap_or_default();
        assert_eq!(outcome, "carried-out", "{what}: {verdict}");
        self.is_well(what);
        verdict
    }

    /// Sends a message on which this limit or defect is to be found.
    #[track_caller]
    pub(crate) fn finds(&mut self, symbol: &str, what: &str, message: Message) -> Value {
        let verdict = self.survives(what, message);
        let found = verdicts::symbols(&verdict);
        assert!(found.contains(&symbol), "{what}: {verdict}");
        verdict
    }

    /// An ordinary message passes, nothing has panicked, and memory is back below its bound.
    #[track_caller]
    pub(crate) fn is_well(&mut self, after: &str) {
        let ordinary = Message::parse(&millrace_tests::message::simple("ordinary"));
        let before = verdicts::logged(&self.gateway).len();
        let mail = Sender::connect(self.gateway.port()).send(ordinary);
        assert_eq!(mail.answer(), "accept", "an ordinary message after {after}");
        let _ = verdicts::nth(&self.gateway, before);
        let node = self.node.as_mut().map(|(node, _)| &mut node.process);
        for process in [Some(&mut self.gateway.process), node]
            .into_iter()
            .flatten()
        {
            assert!(process.ended().is_none(), "after {after}");
            let output = process.output();
            assert!(!output.contains("panicked"), "after {after}: {output}");
            until(&format!("less than {MEMORY_MIB} MiB after {after}"), || {
                resident_mib(process) < MEMORY_MIB
            });
        }
    }
}

/// The process's memory, in MiB.
pub(crate) fn resident_mib(process: &Process) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the process lives");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("Linux tells it");
    let kib: u64 = line
        .trim_end_matches("kB")
        .trim()
        .parse()
        .expect("a number");
    kib >> 10
}

/// A message of these headers (values with their leading blank) and this body.
pub(crate) fn raw(headers: Vec<(Bytes, Bytes)>, body: impl Into<Bytes>) -> Message {
    Message {
        headers,
        body: body.into(),
        ..Message::parse(b"")
    }
}

/// A message with this Content-Type and body.
pub(crate) fn typed(content_type: &str, body: impl Into<Bytes>) -> Message {
    let header =
        |name: &'static str, value: &str| (Bytes::from(name), Bytes::from(format!(" {value}")));
    let headers = vec![
        header("From", "<a@b.example>"),
        header("Subject", "hostile"),
        header("MIME-Version", "1.0"),
        header("Content-Type", content_type),
    ];
    raw(headers, body)
}
