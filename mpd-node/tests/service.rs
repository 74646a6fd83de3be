//! The node's gRPC side as its callers see it, over a loopback port.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use millrace_client::{CallOptions, Client, Content};
use millrace_proto::pb::processing_service_client::ProcessingServiceClient;
use millrace_proto::{
    CallError, ClientName, ConduitKind, Connection, Direction, Disposition, Envelope, LineEnding,
    Outcome, OutcomeKind, Path as MailPath, Peer, Revision, ScreenRequest, Settlement, Stage,
    Transaction, TransactionId, pb,
};
use millrace_quarantine::{Quarantine, State};
use millrace_runtime::admin::{Admin, Readiness};
use millrace_runtime::grpc::ConnectionAge;
use millrace_runtime::lifecycle::{Drain, DrainLimits, Drained, Shutdown};
use millrace_runtime::metrics::Metrics;
use millrace_runtime::tls::Links;
use mpd_node::service::Server;
use mpd_node::{Node, NodeConfig, QuarantineConfig};
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

/// A node on a port of its own.
struct Served {
    address: SocketAddr,
    shutdown: Shutdown,
    ending: JoinHandle<Drained>,
    serving: JoinHandle<Result<(), mpd_node::service::ServeError>>,
}

impl Served {
    async fn with(config: NodeConfig) -> Self {
        let node = Node::start(&config, &Metrics::new("test")).unwrap();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), node, &Links::plain())
            .await
            .unwrap();
        let address = server.local_addr().unwrap();
        let (drain, shutdown) = (Drain::new(), Shutdown::new());
        let serving = tokio::spawn(server.serve(drain.clone(), ConnectionAge::ENDLESS));
        let wish = shutdown.clone();
        let ending = tokio::spawn(async move {
            let limits = DrainLimits {
                grace: Duration::from_millis(200),
                bound: Duration::from_secs(20),
            };
            drain.run(&wish, &Readiness::default(), limits).await
        });
        Self {
            address,
            shutdown,
            ending,
            serving,
        }
    }

    async fn start() -> Self {
        Self::with(NodeConfig::default()).await
    }

    fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.uri())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    fn client(&self) -> Client {
        Client::connect_lazy(&self.uri()).unwrap()
    }
}

fn options() -> CallOptions {
    CallOptions::deadline(Duration::from_secs(20))
}

fn client_name() -> ClientName {
    "mx".parse().unwrap()
}

fn transaction() -> Transaction {
    Transaction {
        id: TransactionId::new(),
        conduit: ConduitKind::Milter,
        client: client_name(),
        direction: Direction::Inbound,
        capabilities: ConduitKind::Milter.capabilities(),
        connection: Connection {
            peer: Peer::Ip("192.0.2.1:2525".parse().unwrap()),
            helo: Some(Bytes::from_static(b"mail.example.com")),
            ..Connection::default()
        },
        envelope: Envelope {
            sender: Some(MailPath::new("alice@example.com")),
            recipients: vec![MailPath::new("bob@example.net")],
        },
        queue_id: Some(Bytes::from_static(b"4QID")),
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: None,
    }
}

fn message(body: &str) -> Bytes {
    format!(
        "From: alice@example.com\r\nTo: bob@example.net\r\nSubject: hello\r\n\
         Date: Sun, 22 Nov 2026 20:00:00 +0000\r\nMessage-Id: <1@example.com>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n{body}\r\n"
    )
    .into()
}

async fn judge(client: &Client, body: &str) -> Result<millrace_proto::Verdict, CallError> {
    client
        .process(&transaction(), &Content::Memory(message(body)), options())
        .await
}

#[tokio::test]
async fn a_message_is_judged_and_the_verdict_explained() {
    let served = Served::start().await;
    let client = served.client();

    let clean = judge(&client, "Shall we meet on Tuesday?").await.unwrap();
    assert_eq!(clean.disposition, Disposition::Accept, "{clean:?}");

    let spam = judge(&client, GTUBE).await.unwrap();
    assert_eq!(spam.disposition, Disposition::Reject);
    let reply = spam.reply.unwrap();
    assert!(reply.is_permanent(), "{reply}");
    let gtube = spam
        .findings
        .iter()
        .find(|finding| &*finding.symbol == "GTUBE")
        .unwrap();
    assert!(gtube.policy_line.is_some());
    assert!(spam.score >= spam.threshold);
}

#[tokio::test]
async fn large_content_comes_in_pieces_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_policy(
        folder.path(),
        "[limits]\ntext_bytes = \"16 MiB\"\n\
         [[rule]]\nsymbol = \"LAST_LINE\"\ntarget = \"body\"\npattern = 'the end'\nscore = 1.0\n",
    );
    let served = Served::with(NodeConfig {
        policy: Some(folder.path().into()),
        ..NodeConfig::default()
    })
    .await;
    let client = served.client();
    let filler = format!("{}\r\n", "x".repeat(70)).repeat(70_000);
    let content = message(&format!("{filler}\r\nthe end"));

    let file = tempfile::tempfile().unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &content, 0).unwrap();
    let spooled = Content::Spooled {
        file: Arc::new(file),
        length: content.len() as u64,
    };
    for content in [Content::Memory(content.clone()), spooled] {
        let verdict = client
            .process(&transaction(), &content, options())
            .await
            .unwrap();
        let symbols: Vec<_> = verdict
            .findings
            .iter()
            .map(|finding| &*finding.symbol)
            .collect();
        assert!(symbols.contains(&"LAST_LINE"), "{symbols:?}");
    }
}

#[tokio::test]
async fn screening_answers_before_there_is_a_message() {
    let served = Served::start().await;
    let request = ScreenRequest {
        transaction: transaction(),
        stage: Stage::Rcpt,
    };
    let verdict = served.client().screen(&request, options()).await.unwrap();
    assert_eq!(verdict.disposition, Disposition::Accept);
}

#[tokio::test]
async fn a_pinned_revision_that_is_not_here_is_said_so() {
    let served = Served::start().await;
    let mut pinned = transaction();
    pinned.revision = Revision::new("00ff");
    let error = served
        .client()
        .process(&pinned, &Content::Memory(message("hello")), options())
        .await
        .unwrap_err();
    assert_eq!(error, CallError::UnknownRevision("00ff".into()));
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_and_the_node_goes_on() {
    let served = Served::start().await;
    let mut raw = ProcessingServiceClient::connect(served.uri())
        .await
        .unwrap();
    let whole = pb::ProcessRequest {
        transaction: Some(transaction().into()),
        content: message("hello"),
        overloaded: false,
    };
    let no_transaction = pb::ProcessRequest {
        transaction: None,
        ..whole.clone()
    };
    let mut no_client = whole.clone();
    no_client.transaction.as_mut().unwrap().client = String::new();
    for (frames, problem) in [
        (vec![], "the call has no frame"),
        (vec![no_transaction], "the first frame has no transaction"),
        (
            vec![whole.clone(), whole.clone()],
            "a second transaction in one call",
        ),
        (vec![no_client], "is not a client name"),
    ] {
        let status = raw
            .process(futures_util::stream::iter(frames))
            .await
            .unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
        assert!(status.message().contains(problem), "{status}");
    }
    assert!(judge(&served.client(), "still there").await.is_ok());
}

#[tokio::test]
async fn memory_for_content_is_bounded_and_comes_back() {
    let served = Served::with(NodeConfig {
        memory: 64 << 10,
        ..NodeConfig::default()
    })
    .await;
    let client = served.client();
    let large = Content::Memory(message(&"x".repeat(200 << 10)));
    for _ in 0..3 {
        let error = client
            .process(&transaction(), &large, options())
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Overloaded(_)), "{error}");
    }
    for _ in 0..20 {
        judge(&client, "small").await.unwrap();
    }
}

#[tokio::test]
async fn a_message_over_the_policys_limit_is_refused_in_pieces_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_policy(folder.path(), "size_limit = \"1 KiB\"\n");
    let served = Served::with(NodeConfig {
        policy: Some(folder.path().into()),
        ..NodeConfig::default()
    })
    .await;
    for size in [2 << 10, 200 << 10] {
        let error = judge(&served.client(), &"x".repeat(size))
            .await
            .unwrap_err();
        assert_eq!(error, CallError::TooLarge { limit: 1024 });
    }
}

#[tokio::test]
async fn plans_follow_the_policy() {
    let folder = tempfile::tempdir().unwrap();
    write_policy(folder.path(), "size_limit = \"1 MiB\"\n");
    let served = Served::with(NodeConfig {
        policy: Some(folder.path().into()),
        ..NodeConfig::default()
    })
    .await;
    let mut plans = Box::pin(
        served
            .client()
            .watch_plan(&client_name(), Direction::Inbound)
            .await
            .unwrap(),
    );
    let first = plans.next().await.unwrap().unwrap();
    assert_eq!(first.size_limit, Some(1 << 20));
    write_policy(folder.path(), "size_limit = \"2 MiB\"\n");
    let second = tokio::time::timeout(Duration::from_secs(30), plans.next())
        .await
        .unwrap();
    let second = second.unwrap().unwrap();
    assert_eq!(second.size_limit, Some(2 << 20));
    assert_ne!(second.revision, first.revision);
}

#[tokio::test]
async fn a_settlement_is_taken() {
    let served = Served::start().await;
    let settlement = Settlement {
        transaction: TransactionId::new(),
        client: client_name(),
        queue_id: None,
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Accept,
        },
        kept: false,
    };
    served.client().settle(settlement, options()).await.unwrap();
}

#[tokio::test]
async fn health_is_told_and_goes_first_when_the_node_ends() {
    let served = Served::start().await;
    let mut health = HealthClient::new(served.channel().await);
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let mut statuses = health.watch(request).await.unwrap().into_inner();
    let first = statuses.next().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);

    served.shutdown.request();
    let second = statuses.next().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
    // Still accepting: who balances over nodes needs time to notice.
    judge(&served.client(), "in the grace period")
        .await
        .unwrap();
    drop((statuses, health));

    assert_eq!(served.ending.await.unwrap(), Drained::Clean);
    served.serving.await.unwrap().unwrap();
    let error = judge(
        &Client::connect_lazy(&format!("http://{}", served.address)).unwrap(),
        "late",
    )
    .await;
    assert!(matches!(error, Err(CallError::Unavailable(_))), "{error:?}");
}

#[tokio::test]
async fn reflection_names_the_service() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let served = Served::start().await;
    let channel = served.channel().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(futures_util::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .next()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert!(
        names.contains(&"millrace.mpd.v1.ProcessingService".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"grpc.health.v1.Health".to_owned()),
        "{names:?}"
    );
}

/// Writes as an editor does: whole, then renamed.
fn write_policy(folder: &Path, text: &str) {
    let new = folder.join("policy.toml.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join("policy.toml")).unwrap();
}

fn keeping(folder: &Path, policy: &str) -> NodeConfig {
    let written = folder.join("policy");
    std::fs::create_dir_all(&written).unwrap();
    std::fs::write(written.join("policy.toml"), policy).unwrap();
    NodeConfig {
        policy: Some(written),
        quarantine: QuarantineConfig {
            store: Some(folder.join("kept").display().to_string()),
            ..QuarantineConfig::default()
        },
        ..NodeConfig::default()
    }
}

const REFUSE_AND_KEEP: &str = "[[action]]\nname = 'all'\ndo = 'reject'\nkeep = true\n";

#[tokio::test]
async fn a_refused_message_is_kept_and_settled() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::with(keeping(folder.path(), REFUSE_AND_KEEP)).await;
    let client = served.client();
    let transaction = transaction();
    let content = message("keep me");
    let verdict = client
        .process(&transaction, &Content::Memory(content.clone()), options())
        .await
        .unwrap();
    assert_eq!(
        (verdict.disposition, verdict.keep),
        (Disposition::Reject, true)
    );

    let store = Quarantine::open(folder.path().join("kept").to_str().unwrap()).unwrap();
    let id = transaction.id.to_string();
    // The node lists it in a moment; the copy itself is there.
    assert_eq!(store.mend().await.unwrap(), 1);
    assert_eq!(store.record(&id).await.unwrap().state, State::Unconfirmed);
    let copy = store.copy(&id).await.unwrap();
    assert_eq!((&copy.content, &copy.verdict), (&content, &verdict));

    let settlement = Settlement {
        transaction: transaction.id,
        client: client_name(),
        queue_id: None,
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    };
    client.settle(settlement, options()).await.unwrap();
    let settled = async {
        while store.record(&id).await.unwrap().state == State::Unconfirmed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled)
        .await
        .unwrap();
}

#[tokio::test]
async fn without_a_durable_copy_there_is_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::with(keeping(folder.path(), REFUSE_AND_KEEP)).await;
    std::fs::write(folder.path().join("kept/entries"), "in the way").unwrap();
    let error = judge(&served.client(), "keep me").await.unwrap_err();
    assert!(matches!(error, CallError::Store(_)), "{error}");
    std::fs::remove_file(folder.path().join("kept/entries")).unwrap();
    assert!(judge(&served.client(), "keep me").await.unwrap().keep);
}

#[tokio::test]
async fn what_nobody_carries_out_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::with(keeping(folder.path(), REFUSE_AND_KEEP)).await;
    let scanned = Transaction {
        conduit: ConduitKind::Scan,
        ..transaction()
    };
    let content = Content::Memory(message("keep me"));
    served
        .client()
        .process(&scanned, &content, options())
        .await
        .unwrap();
    let store = Quarantine::open(folder.path().join("kept").to_str().unwrap()).unwrap();
    assert_eq!(store.mend().await.unwrap(), 0);
    assert_eq!(store.stats().await.unwrap().entries, 0);
}

#[tokio::test]
async fn without_a_store_a_discard_that_keeps_is_deferred() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "[[action]]\nname = 'all'\ndo = 'discard'\nkeep = true\n";
    let config = NodeConfig {
        quarantine: QuarantineConfig::default(),
        ..keeping(folder.path(), policy)
    };
    let served = Served::with(config).await;
    let verdict = judge(&served.client(), "keep me").await.unwrap();
    assert_eq!(
        (verdict.disposition, verdict.keep),
        (Disposition::Tempfail, false)
    );
    assert_eq!(verdict.degradations[0].wanted, "keep");
}

#[tokio::test]
async fn metrics_name_the_revision_in_force_and_say_when_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_policy(folder.path(), "size_limit = \"1 MiB\"\n");
    let metrics = Metrics::new("test");
    let config = NodeConfig {
        policy: Some(folder.path().into()),
        ..NodeConfig::default()
    };
    let node = Node::start(&config, &metrics).unwrap();
    let admin = Admin::bind(
        "127.0.0.1:0".parse().unwrap(),
        "test",
        metrics,
        Readiness::default(),
    )
    .await
    .unwrap();
    let address = admin.local_addr();
    tokio::spawn(admin.serve(tokio_util::sync::CancellationToken::new()));
    let revision = format!(
        "millrace_node_policy_info{{revision=\"{}\"}} 1",
        node.revision()
    );
    let first = scrape(address).await;
    assert!(first.contains(&revision), "{first}");
    assert!(first.contains("millrace_node_policy_refused 0"), "{first}");

    write_policy(folder.path(), "size_limit = \"nonsense\"\n");
    node.reload();
    let refused = async {
        while !scrape(address)
            .await
            .contains("millrace_node_policy_refused 1")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused)
        .await
        .unwrap();
    assert!(scrape(address).await.contains(&revision));
}

async fn scrape(address: SocketAddr) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_node_that_keeps_copies_wants_messages_whole() {
    let folder = tempfile::tempdir().unwrap();
    let keeping = keeping(folder.path(), REFUSE_AND_KEEP);
    let not_keeping = NodeConfig {
        quarantine: QuarantineConfig::default(),
        ..keeping.clone()
    };
    for (config, whole) in [(keeping, true), (not_keeping, false)] {
        let metrics = millrace_runtime::metrics::Metrics::new("test");
        let node = Node::start(&config, &metrics).unwrap();
        let plan = node.watch_plan(&client_name(), Direction::Inbound);
        assert_eq!(plan.current().needs_body, whole);
    }
}
