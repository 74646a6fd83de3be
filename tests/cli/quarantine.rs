use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use millrace_proto::{Revision, Verdict};
use millrace_quarantine::Quarantine;
use millrace_tests::admin;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use millrace_tests::servers::binary;
use millrace_tests::sink::Sink;
use millrace_tests::transaction;
use tempfile::TempDir;

use crate::ran::{Ran, command, millrace};

struct Store {
    folder: TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temp folder can be made");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn keep(&self, sender: &[u8], content: &[u8]) -> String {
        let transaction = transaction::from(sender);
        let revision = Revision::new("abc").expect("a revision");
        let verdict = Verdict::accept(revision, "node".into());
        let store = Quarantine::open(self.path().to_str().expect("UTF-8")).expect("a store");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime
            .block_on(async {
                let content = Bytes::copy_from_slice(content);
                store.keep(&transaction, &verdict, content).await?;
                store.index_waiting().await;
                Ok::<_, millrace_quarantine::QuarantineError>(())
            })
            .expect("it is kept");
        transaction.id.to_string()
    }

    fn run(&self, words: &[&str]) -> Ran {
        millrace(self.words(words))
    }

    fn words<'a>(&self, words: &'a [&'a str]) -> Vec<std::ffi::OsString> {
        let own = ["quarantine", "--store"].map(Into::into);
        own.into_iter()
            .chain([self.path().into()])
            .chain(words.iter().map(Into::into))
            .collect()
    }

    fn raw(&self, words: &[&str]) -> Vec<u8> {
        let output = command(self.words(words)).output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }
}

/// A node that serves the store.
struct Node {
    _process: Process,
    listen: Port,
    _admin: Port,
}

impl Node {
    fn serving(store: &Store) -> Self {
        Self::start(store, true)
    }

    fn start(store: &Store, serve: bool) -> Self {
        Self::configured(store, "", serve)
    }

    fn configured(store: &Store, head: &str, serve: bool) -> Self {
        let file = store.folder.path().join("node.toml");
        let text = format!(
            "{head}\n[quarantine]\nstore = {:?}\nserve = {serve}\n",
            store.path()
        );
        fs::write(&file, text).expect("the file can be written");
        let (listen, admin) = (Port::reserve(), Port::reserve());
        let mut process = Process::start_with(
            "mpd-node",
            store.folder.path(),
            &binary("mpd-node"),
            |node| {
                node.arg("--config").arg(&file);
                node.arg("--listen")
                    .arg(format!("127.0.0.1:{}", listen.number()));
                node.arg("--admin")
                    .arg(format!("127.0.0.1:{}", admin.number()));
            },
        );
        let port = admin.number();
        process.wait_for("readiness", |_| {
            matches!(admin::ask(port, "/readyz"), Some((200, _))).then_some(())
        });
        Self {
            _process: process,
            listen,
            _admin: admin,
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listen.number())
    }
}

/// Nothing that a terminal obeys, and nothing that reorders text.
#[track_caller]
fn assert_harmless(text: &str) {
    let reorders = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let bad = |c: char| (c.is_control() && c != '\n') || reorders(c);
    assert!(!text.chars().any(bad), "{text:?}");
}

#[test]
fn hostile_mail_does_not_reach_the_terminal() {
    let store = Store::new();
    let long = "x".repeat(10_000);
    let hostile: &[&[u8]] = &[
        b"Subject: \x1b[31mred\x07\r\nX-\x1b]0;title\x07: y\r\n\r\n\x1b[2Jbody\x00\r\n",
        b"Subject: =?utf-8?B?G1szMW1yZWQ=?=\r\n\r\n",
        "Subject: \u{202e}gpj.exe\r\nContent-Type: text/\u{1b}x; name=\"\u{1b}[1m\"\r\n\r\n"
            .as_bytes(),
        b"Subject: \xff\xfe\x80\r\n\r\n\xff\r\n",
        "Subject: \u{9b}31m \u{2066}x\r\nX-\u{9d}: \u{200f}\r\n\r\n\u{9b}2J \u{2067}\r\n"
            .as_bytes(),
        b"Subject: =?utf-8?B?wpszMW0g4oGm?=\r\nFrom: \"\xc2\x9b\" <a@x.example>\r\n\r\n",
        format!("Subject: {long}\r\n\r\n{long}\r\n")
            .leak()
            .as_bytes(),
        b"",
    ];
    for content in hostile {
        let id = store.keep(b"a\x1b[31m@x.example", content);
        for words in [
            &["list"][..],
            &["show", &id],
            &["list", "--format", "json"],
            &["show", &id, "--format", "json"],
        ] {
            assert_harmless(&store.run(words).expect(0).stdout);
        }
        assert_eq!(&store.raw(&["show", "--raw", &id]), content);
    }
}

#[test]
fn show_decodes_what_people_read() {
    let store = Store::new();
    let id = store.keep(
        b"alice@sender.example",
        b"From: =?utf-8?Q?J=C3=B6rg?= <j@x.example>\r\nX-Folded: one\r\n\ttwo\r\n   three\r\nSubject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello there\r\n--b\r\n\
          Content-Type: application/pdf; name=\"bill.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n",
    );
    let shown = store.run(&["show", &id]).expect(0).stdout;
    for wanted in [
        "From: J\u{f6}rg <j@x.example>",
        "Subject: Gr\u{fc}\u{df}e",
        "X-Folded: one two three\n",
        "multipart/mixed",
        "application/pdf  \"bill.pdf\"",
        "  Hello there",
    ] {
        assert!(shown.contains(wanted), "{wanted} is not in {shown}");
    }
    let found = store.run(&["list", "--subject", "GR\u{dc}\u{df}E", "--format", "json"]);
    assert_eq!(found.expect(0).json_lines().len(), 1);
    let none = store.run(&["list", "--subject", "other", "--format", "json"]);
    assert_eq!(none.expect(0).json_lines().len(), 0);
}

#[test]
fn a_node_serves_its_store() {
    let store = Store::new();
    let large = vec![b'x'; 30 << 20];
    let odd = b"Subject: a\r\n\r\nNUL \x00 and \xff\r\n".to_vec();
    let contents = [Vec::new(), odd, large];
    let ids = contents
        .iter()
        .map(|content| store.keep(b"a@x.example", content))
        .collect::<Vec<_>>();
    let node = Node::serving(&store);
    let url = node.url();
    for (id, content) in ids.iter().zip(&contents) {
        let got = store.raw(&["show", "--raw", id, "--server", &url]);
        assert!(&got == content, "{} of {} bytes", got.len(), content.len());
    }
    let here = store.run(&["list", "--format", "json"]).expect(0).stdout;
    let there = store.run(&["list", "--format", "json", "--server", &url]);
    assert_eq!(there.expect(0).stdout, here);
    let first = store
        .run(&["list", "--limit", "1", "--server", &url])
        .expect(0);
    assert!(
        first.stdout.contains(&format!("more: --after {}", ids[2])),
        "{}",
        first.stdout
    );

    store.run(&["delete", &ids[0], "--server", &url]).expect(0);
    let gone = store.run(&["show", &ids[0], "--server", &url]).expect(1);
    assert!(gone.stderr.contains("no kept copy"), "{}", gone.stderr);
    store.run(&["show", &ids[0]]).expect(1);
    let stats = store
        .run(&["stats", "--format", "json", "--server", &url])
        .expect(0);
    assert_eq!(stats.json()["entries"], 2);
    // Without keys it cannot release, and says so.
    let refused = store.run(&["release", &ids[1], "--server", &url]).expect(2);
    assert!(
        refused.stderr.contains("[stamp] keys"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_node_does_what_the_command_does_where_the_store_is() {
    let store = Store::new();
    let ids = [b"Alice@sender.example" as &[u8], b"bob@other.example"]
        .map(|sender| store.keep(sender, b"Subject: x\r\n\r\n"));
    let policy = store.folder.path().join("policy");
    millrace(["policy", "default", policy.to_str().expect("UTF-8")]).expect(0);
    let node = Node::configured(&store, &format!("policy = {policy:?}"), true);
    let url = node.url();
    let list = |name: &str| fs::read_to_string(policy.join("lists").join(name)).expect("a list");

    let put = store.run(&["allow", &ids[0], "--server", &url]).expect(0);
    assert_eq!(
        put.stdout,
        "Alice@sender.example is in lists/allowed-senders.txt\n"
    );
    assert!(list("allowed-senders.txt").contains("\nAlice@sender.example\n"));
    store
        .run(&["--server", &url, "block", &ids[1], "--domain"])
        .expect(0);
    assert!(list("blocked-senders.txt").contains("\nother.example\n"));
    for (words, told) in [
        (&["allow", &ids[0]][..], "already"),
        (
            &["allow", &ids[1], "--list", "lists/none.txt"],
            "cannot be read",
        ),
        (
            &["allow", &ids[1], "--list", "../policy.toml"],
            "cannot be read",
        ),
        (&["allow", &ids[1], "--policy", "/tmp"], "--policy"),
    ] {
        let refused = store.run(&[words, &["--server", &url]].concat()).expect(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }

    let twice = ["--server", &url, "allow", &ids[1], "--policy", "/tmp"];
    let refused = store.run(&twice).expect(2);
    assert!(
        refused.stderr.contains("leave --policy out"),
        "{}",
        refused.stderr
    );
    let refused = store.run(&["allow", &ids[1]]).expect(2);
    assert!(refused.stderr.contains("--policy"), "{}", refused.stderr);

    let gone = store
        .run(&["expire", "--entries", "1", "--server", &url])
        .expect(0);
    assert!(
        gone.stdout.starts_with("1 copies expired"),
        "{}",
        gone.stdout
    );
    let audit = store.run(&["audit", "--server", &url]).expect(0).stdout;
    assert_eq!(audit, store.run(&["audit"]).expect(0).stdout);
    let told: Vec<_> = audit
        .lines()
        .filter_map(|line| line.split("  ").nth(2))
        .collect();
    assert_eq!(told, ["allow", "block", "expire"]);
}

#[test]
fn a_node_without_a_policy_of_its_own_cannot_put_senders_on_lists() {
    let store = Store::new();
    let id = store.keep(b"a@x.example", b"\r\n");
    let node = Node::serving(&store);
    let refused = store
        .run(&["allow", &id, "--server", &node.url()])
        .expect(2);
    assert!(
        refused.stderr.contains("is no folder"),
        "{}",
        refused.stderr
    );
}

#[test]
fn releasing_twice_asks_first() {
    let store = Store::new();
    let id = store.keep(b"a@x.example", b"Subject: x\r\n\r\n");
    let keys = store.folder.path().join("keys");
    let keys = keys.to_str().expect("UTF-8");
    millrace(["quarantine", "key", keys]).expect(0);
    let sink = Sink::start();
    let via = format!("127.0.0.1:{}", sink.port());
    let words = ["release", &id, "--via", &via, "--keys", keys];
    store.run(&words).expect(0);
    assert_eq!(sink.count(), 1);
    // Nobody is there to be asked.
    let refused = store.run(&words).expect(1);
    assert!(
        refused.stderr.contains("released before"),
        "{}",
        refused.stderr
    );
    for (answer, code, sent) in [("n\n", 1, 1), ("\n", 1, 1), ("y\n", 0, 2)] {
        let line = store
            .words(&words)
            .iter()
            .map(|word| word.to_str().expect("UTF-8"))
            .collect::<Vec<_>>()
            .join(" ");
        let line = format!("{} {line}", binary("millrace").display());
        let mut asked = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts: it is of bsdutils");
        let mut stdin = asked.stdin.take().expect("stdin is piped");
        stdin.write_all(answer.as_bytes()).expect("script reads");
        let ended = asked.wait_with_output().expect("script ends");
        drop(stdin);
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(told.contains("Send it again? [y/N]"), "{told}");
        assert_eq!(ended.status.code(), Some(code), "{told}");
        assert_eq!(sink.count(), sent);
    }
    store.run(&[&words[..], &["--again"]].concat()).expect(0);
    assert_eq!(sink.count(), 3);
}

#[test]
fn a_node_that_was_not_told_to_does_not_serve_its_store() {
    let store = Store::new();
    store.keep(b"a@x.example", b"\r\n");
    let node = Node::start(&store, false);
    let refused = store.run(&["list", "--server", &node.url()]).expect(2);
    assert!(
        refused
            .stderr
            .contains("set serve = true under [quarantine]"),
        "{}",
        refused.stderr
    );
}

#[test]
fn slips_are_told_with_their_remedy() {
    let store = Store::new();
    let nothing = store.run(&["list"]).expect(2);
    assert!(nothing.stderr.contains("--store"), "{}", nothing.stderr);
    assert!(!store.path().exists(), "looking makes no store");

    let id = store.keep(b"a@x.example", b"\r\n");
    store.run(&["delete", &id]).expect(0);
    assert_eq!(store.run(&["list"]).expect(0).stdout, "no copies\n");
    for (server, told) in [
        ("127.0.0.1:7750", "write http://HOST:PORT"),
        (
            "https://127.0.0.1:7750",
            "name the authority's file with --ca",
        ),
        ("http://127.0.0.1:1", "--server http://127.0.0.1:1"),
    ] {
        let refused = store.run(&["list", "--server", server]).expect(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let keys = store.run(&["release", &id, "--keys", "/nowhere"]).expect(2);
    assert!(keys.stderr.contains("/nowhere"), "{}", keys.stderr);
}

#[test]
fn a_copys_sender_is_put_on_a_list_of_the_policy() {
    let store = Store::new();
    let id = store.keep(b"Alice@sender.example", b"Subject: x\r\n\r\n");
    let bounce = store.keep(b"", b"Subject: bounce\r\n\r\n");
    let glob = store.keep(b"*@sender.example", b"Subject: glob\r\n\r\n");
    let policy = store.folder.path().join("policy");
    let policy = policy.to_str().expect("UTF-8");
    millrace(["policy", "default", policy]).expect(0);
    let list = |name: &str| {
        fs::read_to_string(Path::new(policy).join("lists").join(name)).expect("a list")
    };

    store.run(&["allow", &id, "--policy", policy]).expect(0);
    let allowed = list("allowed-senders.txt");
    assert!(
        allowed.lines().any(|line| line == "Alice@sender.example"),
        "{allowed}"
    );
    assert!(
        allowed.starts_with("# Senders whose mail"),
        "comments are kept"
    );
    assert!(allowed.contains(&id), "the entry says why it is there");
    let twice = store.run(&["allow", &id, "--policy", policy]).expect(2);
    assert!(twice.stderr.contains("already"), "{}", twice.stderr);

    store
        .run(&["block", &id, "--domain", "--policy", policy])
        .expect(0);
    assert!(
        list("blocked-senders.txt")
            .lines()
            .any(|line| line == "sender.example")
    );
    millrace(["policy", "check", policy]).expect(0);

    fs::write(Path::new(policy).join("lists/idle.txt"), "").expect("a file");
    for (words, told) in [
        (
            &["allow", &id, "--policy", policy, "--list", "lists/idle.txt"][..],
            "no list of the policy reads",
        ),
        (
            &["allow", &id, "--policy", policy, "--list", "lists/none.txt"],
            "--list",
        ),
        (
            &["block", &bounce, "--policy", policy],
            "a bounce has no sender",
        ),
        (&["block", &glob, "--policy", policy], "by hand"),
    ] {
        let refused = store.run(words).expect(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    assert_eq!(
        fs::read_to_string(Path::new(policy).join("lists/idle.txt")).expect("a file"),
        ""
    );
}

#[test]
fn keys_are_made_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let file = folder.path().join("stamp.keys");
    let name = file.to_str().expect("UTF-8");
    for keys in 1..=2 {
        millrace(["quarantine", "key", name]).expect(0);
        assert_eq!(
            fs::read_to_string(&file).expect("keys").lines().count(),
            keys
        );
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).expect("our own file");
    let refused = millrace(["quarantine", "key", name]).expect(2);
    assert!(refused.stderr.contains("chmod o-rwx"), "{}", refused.stderr);
}
