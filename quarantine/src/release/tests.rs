//! Releasing to a next hop that answers as the test wants.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::thread::JoinHandle;

use bytes::Bytes;
use millrace_proto::{
    Capabilities, ConduitKind, Connection, Direction, Envelope, LineEnding, Path, Revision,
    Transaction, TransactionId, Verdict,
};

use super::*;
use crate::stamp::Stamped;

struct Fixture {
    folder: tempfile::TempDir,
    store: Quarantine,
    keys: StampKeys,
}

/// The commands, and the content as it came over the wire.
type Heard = (Vec<String>, Vec<u8>);

/// How the next hop answers.
#[derive(Clone, Copy, Default)]
struct Hop {
    refused: Option<&'static str>,
    message: Option<&'static str>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Quarantine::open(folder.path().join("store").to_str().unwrap()).unwrap();
        let path = folder.path().join("keys");
        StampKeys::add(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let keys = StampKeys::load(&path).unwrap();
        Self {
            folder,
            store,
            keys,
        }
    }

    async fn kept(&self, sender: &str, recipients: &[&str], content: &[u8]) -> String {
        let transaction = Transaction {
            id: TransactionId::new(),
            conduit: ConduitKind::Milter,
            client: "mx".parse().unwrap(),
            direction: Direction::Inbound,
            capabilities: Capabilities::ALL,
            connection: Connection::default(),
            envelope: Envelope {
                sender: Some(Path::new(sender.to_owned())),
                recipients: recipients
                    .iter()
                    .map(|one| Path::new((*one).to_owned()))
                    .collect(),
            },
            queue_id: None,
            macros: Vec::new(),
            line_ending: LineEnding::Crlf,
            revision: None,
        };
        let verdict = Verdict::accept(Revision::new("0123456789abcdef").unwrap(), "node".into());
        self.store
            .keep(&transaction, &verdict, Bytes::copy_from_slice(content))
            .await
            .unwrap();
        transaction.id.to_string()
    }

    async fn release(&self, id: &str, release: &Release) -> Result<Vec<Answer>, ReleaseError> {
        self.store.release(id, release, &self.keys).await
    }

    async fn audit(&self) -> Vec<(String, String)> {
        let day = when::day(when::now());
        let log = self.store.audit_log(&day).await.unwrap();
        log.into_iter()
            .map(|one| (one.action, one.detail))
            .collect()
    }
}

impl Hop {
    /// Serves one connection; the commands, and the content as it came over the wire.
    fn serve(self) -> (String, JoinHandle<Heard>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || self.talk(&listener.accept().unwrap().0));
        (address, thread)
    }

    fn talk(self, stream: &TcpStream) -> Heard {
        let (mut reader, mut writer) = (BufReader::new(stream), stream);
        let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).unwrap();
        let (mut commands, mut content) = (Vec::new(), Vec::new());
        say("220 hop");
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return (commands, content);
            }
            let line = line.trim_end().to_owned();
            match &line[..4] {
                "EHLO" => say("250-hop\r\n250-8BITMIME\r\n250 SMTPUTF8"),
                "RCPT" if self.refused.is_some_and(|one| line.contains(one)) => {
                    say("550 5.1.1 no such user");
                }
                "DATA" => {
                    say("354 go on");
                    while !content.ends_with(b"\r\n.\r\n") {
                        if reader.read_until(b'\n', &mut content).unwrap() == 0 {
                            break;
                        }
                    }
                    match self.message {
                        Some("") => return (commands, content),
                        Some(reply) => say(reply),
                        None => say("250 2.0.0 queued as 4XQ1"),
                    }
                }
                "QUIT" => say("221 bye"),
                _ => say("250 ok"),
            }
            commands.push(line);
        }
    }
}

fn release(via: &str) -> Release {
    Release {
        via: via.to_owned(),
        who: "tester".to_owned(),
        ..Release::default()
    }
}

const MESSAGE: &[u8] = b"From: a@x.example\r\nSubject: x\r\n\r\n.dots\r\nand 8-bit \xe4\r\n";

#[tokio::test]
async fn a_copy_is_sent_on_with_a_stamp_and_says_so() {
    let fixture = Fixture::new();
    let id = fixture
        .kept("a@x.example", &["bob@y.example", "eve@y.example"], MESSAGE)
        .await;
    let (via, hop) = Hop::default().serve();
    let answers = fixture.release(&id, &release(&via)).await.unwrap();
    let (commands, content) = hop.join().unwrap();
    assert_eq!(
        commands[1..4],
        [
            "MAIL FROM:<a@x.example> BODY=8BITMIME",
            "RCPT TO:<bob@y.example>",
            "RCPT TO:<eve@y.example>"
        ]
    );
    assert!(
        answers
            .iter()
            .all(|one| one.accepted && one.reply.contains("queued as 4XQ1"))
    );
    // Undo what SMTP does, and the message is the one that was kept, below its stamp.
    let content = content.strip_suffix(b".\r\n").unwrap();
    let at = content
        .windows(5)
        .position(|window| window == b"From:")
        .unwrap();
    let below = String::from_utf8_lossy(&content[at..]).replace("\r\n..", "\r\n.");
    assert_eq!(below, String::from_utf8_lossy(MESSAGE));
    let now = when::now() / 1000;
    let to = [&b"bob@y.example"[..]];
    let plain = [&content[..at], MESSAGE].concat();
    assert!(matches!(
        fixture.keys.look(&plain, &to, now),
        Stamped::Released { .. }
    ));
    assert!(fixture.store.record(&id).await.unwrap().released.is_some());
    let audit = fixture.audit().await;
    assert_eq!(audit[0].0, "release");
    assert!(audit[0].1.contains("bob@y.example"), "{audit:?}");
}

#[tokio::test]
async fn releasing_twice_must_be_meant() {
    let fixture = Fixture::new();
    let id = fixture.kept("", &["bob@y.example"], MESSAGE).await;
    for again in [false, true] {
        let (via, hop) = Hop::default().serve();
        let release = Release {
            again,
            ..release(&via)
        };
        fixture.release(&id, &release).await.unwrap();
        hop.join().unwrap();
        let refused = fixture
            .release(
                &id,
                &Release {
                    again: false,
                    ..release
                },
            )
            .await;
        assert!(
            matches!(refused, Err(ReleaseError::Released { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_the_next_hop_does_not_take_stays_as_it_was() {
    for (hop, told) in [
        (
            Hop {
                message: Some("554 5.7.1 no spam here"),
                ..Hop::default()
            },
            "no spam here",
        ),
        (
            Hop {
                message: Some("451 4.3.0 later"),
                ..Hop::default()
            },
            "later",
        ),
        (
            Hop {
                message: Some(""),
                ..Hop::default()
            },
            "it may have it",
        ),
    ] {
        let fixture = Fixture::new();
        let id = fixture
            .kept("a@x.example", &["bob@y.example"], MESSAGE)
            .await;
        let before = fixture.store.record(&id).await.unwrap();
        let (via, thread) = hop.serve();
        let error = fixture
            .release(&id, &release(&via))
            .await
            .unwrap_err()
            .to_string();
        thread.join().unwrap();
        assert!(error.contains(told), "{error}");
        assert_eq!(fixture.store.record(&id).await.unwrap(), before);
        assert_eq!(fixture.store.copy(&id).await.unwrap().content, MESSAGE);
        assert_eq!(fixture.audit().await[0].0, "release failed");
    }
}

#[tokio::test]
async fn a_next_hop_that_is_away_costs_nothing() {
    let fixture = Fixture::new();
    let id = fixture
        .kept("a@x.example", &["bob@y.example"], MESSAGE)
        .await;
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = fixture
        .release(&id, &release(&gone.to_string()))
        .await
        .unwrap_err();
    assert!(matches!(error, ReleaseError::Refused(_)), "{error}");
    assert_eq!(fixture.store.record(&id).await.unwrap().released, None);
}

#[tokio::test]
async fn each_recipient_has_its_own_answer() {
    let fixture = Fixture::new();
    let id = fixture
        .kept("a@x.example", &["bob@y.example", "eve@y.example"], MESSAGE)
        .await;
    let (via, hop) = Hop {
        refused: Some("eve"),
        ..Hop::default()
    }
    .serve();
    let answers = fixture.release(&id, &release(&via)).await.unwrap();
    hop.join().unwrap();
    let accepted: Vec<bool> = answers.iter().map(|one| one.accepted).collect();
    assert_eq!(accepted, [true, false]);
    assert!(answers[1].reply.contains("no such user"), "{answers:?}");

    // Nobody at all: then it is not released.
    let id = fixture
        .kept("b@x.example", &["eve@y.example"], MESSAGE)
        .await;
    let (via, hop) = Hop {
        refused: Some("eve"),
        ..Hop::default()
    }
    .serve();
    let answers = fixture.release(&id, &release(&via)).await.unwrap();
    hop.join().unwrap();
    assert!(!answers[0].accepted);
    assert_eq!(fixture.store.record(&id).await.unwrap().released, None);
}

#[tokio::test]
async fn other_recipients_can_be_named_and_no_command_can_be_smuggled() {
    let fixture = Fixture::new();
    let id = fixture.kept("a@x.example", &["bob@y.example"], b"").await;
    let (via, hop) = Hop::default().serve();
    let to = Release {
        recipients: vec!["j\u{f6}rg@z.example".to_owned()],
        ..release(&via)
    };
    fixture.release(&id, &to).await.unwrap();
    let (commands, _) = hop.join().unwrap();
    assert_eq!(commands[1], "MAIL FROM:<a@x.example> SMTPUTF8");
    assert_eq!(commands[2], "RCPT TO:<j\u{f6}rg@z.example>");

    for bad in ["a@b>\r\nRCPT TO:<c@d", "a b@c", "\u{fffd}@x", "a@b\n"] {
        let to = Release {
            recipients: vec![bad.to_owned()],
            again: true,
            ..release("127.0.0.1:1")
        };
        let refused = fixture.release(&id, &to).await;
        assert!(
            matches!(refused, Err(ReleaseError::Address(_))),
            "{refused:?}"
        );
    }
    drop(fixture.folder);
}

#[test]
fn bare_line_feeds_do_not_reach_the_wire() {
    for (content, sent) in [
        (&b""[..], &b""[..]),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\n.\nMAIL FROM:<x>\r\n", b"a\r\n.\r\nMAIL FROM:<x>\r\n"),
        (b"no end", b"no end\r\n"),
        (b"\n\r\n\n", b"\r\n\r\n\r\n"),
    ] {
        assert_eq!(&*line_endings::with_crlf(content), sent);
    }
}

#[tokio::test]
async fn a_copy_that_was_sent_and_could_not_be_noted_says_so() {
    let fixture = Fixture::new();
    let id = fixture
        .kept("a@x.example", &["bob@y.example"], MESSAGE)
        .await;
    // Where the note would go there is no folder to be.
    std::fs::write(fixture.folder.path().join("store/audit"), "").unwrap();
    let (via, hop) = Hop::default().serve();
    let error = fixture.release(&id, &release(&via)).await.unwrap_err();
    let (_, content) = hop.join().unwrap();
    assert!(!content.is_empty());
    assert!(matches!(error, ReleaseError::Unnoted(_)), "{error}");
    let again = fixture.release(&id, &release(&via)).await;
    assert!(
        matches!(again, Err(ReleaseError::Released { .. })),
        "{again:?}"
    );
}
