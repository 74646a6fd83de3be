//! Messages, verdicts and stores, for all of these tests.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use millrace_proto::{
    Capabilities, ClientName, ConduitKind, Connection, Direction, Disposition, Edit, Envelope,
    Finding, LineEnding, Outcome, OutcomeKind, Path as MailPath, Revision, Settlement, Transaction,
    TransactionId, Verdict,
};
use millrace_quarantine::{Filter, Quarantine, Record, S3};
use millrace_tests::s3::S3 as Server;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _};

pub(crate) const NOW: u64 = 1_795_386_060_000;
pub(crate) const DAY: u64 = 86_400_000;

/// An identifier of a certain time.
pub(crate) fn id(milliseconds: u64) -> TransactionId {
    let mut bytes = *TransactionId::new().as_bytes();
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    TransactionId::from_bytes(bytes)
}

pub(crate) fn milliseconds(id: TransactionId) -> u64 {
    id.as_bytes()[..6]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

pub(crate) fn transaction(id: TransactionId) -> Transaction {
    Transaction {
        id,
        conduit: ConduitKind::Milter,
        client: "mx".parse::<ClientName>().unwrap(),
        direction: Direction::Inbound,
        capabilities: Capabilities::ALL,
        connection: Connection::default(),
        envelope: Envelope {
            sender: Some(MailPath::new("alice@sender.example")),
            recipients: vec![
                MailPath::new("bob@here.example"),
                MailPath::new(&b"\xff\0b@here.example"[..]),
            ],
        },
        queue_id: Some(Bytes::from_static(b"4Q")),
        macros: Vec::new(),
        line_ending: LineEnding::Crlf,
        revision: Revision::new("abc"),
    }
}

pub(crate) fn verdict(disposition: Disposition) -> Verdict {
    Verdict {
        disposition,
        keep: true,
        score: 12.5,
        findings: vec![Finding {
            symbol: "GTUBE".into(),
            score: 12.5,
            detail: "body".to_owned(),
            policy_line: None,
        }],
        edits: vec![Edit::DeleteRecipient { index: 0 }],
        kept_for: vec![0],
        ..Verdict::accept(Revision::new("abc").unwrap(), "node-1".into())
    }
}

pub(crate) fn message(subject: &str) -> Bytes {
    format!("From: a@b\r\nSubject: {subject}\r\n\r\ntext\r\n").into()
}

pub(crate) fn settlement(transaction: TransactionId) -> Settlement {
    Settlement {
        transaction,
        client: "mx".parse().unwrap(),
        queue_id: Some(Bytes::from_static(b"4Z")),
        revision: None,
        outcome: Outcome {
            kind: OutcomeKind::Done,
            disposition: Disposition::Reject,
        },
        kept: true,
    }
}

/// A place that a store is in.
pub(crate) struct Place {
    open: Box<dyn Fn() -> Quarantine + Send + Sync>,
    objects: Arc<dyn ObjectStore>,
    folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("file://{}", folder.path().display());
        Self {
            open: Box::new(move || Quarantine::open(&address).unwrap()),
            objects: Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
            folder: Some(folder),
        }
    }

    pub(crate) fn memory() -> Self {
        Self::of(Arc::new(InMemory::new()))
    }

    /// In a server's bucket, apart from the others.
    pub(crate) fn bucket(server: &Server, prefix: &str) -> Self {
        let (address, endpoint) = (format!("s3://{}/{prefix}", Server::BUCKET), server.url());
        let s3 = S3 {
            endpoint: Some(endpoint.clone()),
            region: Some("eu-central-1".to_owned()),
            access_key_id: Some("who".to_owned()),
            secret_access_key: Some("hush".to_owned().into()),
        };
        let open = move || Quarantine::open_with(&address, &s3).unwrap();
        // This also says which TLS there is.
        open();
        let bucket = AmazonS3Builder::new()
            .with_bucket_name(Server::BUCKET)
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_access_key_id("who")
            .with_secret_access_key("hush")
            .build()
            .unwrap();
        Self {
            open: Box::new(open),
            objects: Arc::new(PrefixStore::new(bucket, prefix)),
            folder: None,
        }
    }

    fn of(objects: Arc<dyn ObjectStore>) -> Self {
        let own = objects.clone();
        Self {
            open: Box::new(move || Quarantine::on(own.clone())),
            objects,
            folder: None,
        }
    }

    /// The store, as another process would have it.
    pub(crate) fn open(&self) -> Quarantine {
        (self.open)()
    }

    /// Where the folder is, if it is one.
    pub(crate) fn path(&self) -> Option<&std::path::Path> {
        self.folder.as_ref().map(tempfile::TempDir::path)
    }

    /// The names of all objects that begin so.
    pub(crate) async fn names(&self, beginning: &str) -> Vec<String> {
        let listed = self.objects.list(None).try_collect::<Vec<_>>().await;
        let mut names: Vec<String> = listed
            .unwrap()
            .into_iter()
            .map(|one| one.location.to_string())
            .filter(|name| name.starts_with(beginning))
            .collect();
        names.sort_unstable();
        names
    }

    pub(crate) async fn read(&self, name: &str) -> Bytes {
        let found = self.objects.get(&Path::from(name)).await.unwrap();
        found.bytes().await.unwrap()
    }

    pub(crate) async fn write(&self, name: &str, bytes: impl Into<Bytes>) {
        let payload = bytes.into().into();
        self.objects.put(&Path::from(name), payload).await.unwrap();
    }

    pub(crate) async fn remove(&self, beginning: &str) {
        for name in self.names(beginning).await {
            self.objects.delete(&Path::from(name)).await.unwrap();
        }
    }
}

pub(crate) async fn all(store: &Quarantine) -> Vec<Record> {
    let page = store.list(&Filter::default(), None, usize::MAX).await;
    page.unwrap().records
}
