//! Where the copies are: in a store that this process opens, or behind a node.

use std::path::Path;

use bytes::Bytes;
use millrace_proto::Verdict;
use millrace_proto::pb;
use millrace_proto::pb::quarantine_service_client::QuarantineServiceClient;
use millrace_quarantine::{
    Answer, Audit, Copy, Expired, Filter, KeyFileError, Page, Quarantine, QuarantineError, Record,
    Release, ReleaseError, Retention, StampKeys, Stats,
};
use millrace_runtime::tls::Connector;
use mpd_node::policy::{SenderListEdit, SenderListError};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::args::SenderArgs;

/// Where the copies are.
#[derive(Debug)]
pub(super) enum Source {
    /// Here.
    Store(Quarantine),
    /// Behind a node's gRPC port.
    Server(QuarantineServiceClient<Channel>),
}

/// A list of senders in a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SenderList {
    Allowed,
    Blocked,
}

/// What is on a list now.
#[derive(Debug)]
pub(super) struct Put {
    pub(super) entry: String,
    /// The list's file, below the policy's folder.
    pub(super) file: String,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error(transparent)]
    Store(#[from] QuarantineError),
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error(transparent)]
    Sender(#[from] SenderListError),
    #[error("name the policy's folder with --policy")]
    NoPolicy,
    #[error("with --server the policy is the server's: leave --policy out")]
    ItsPolicy,
    #[error("{0} is no server: write http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    #[error("https:// wants to know whom to believe: name the authority's file with --ca")]
    NoAuthority,
    #[error(
        "the server does not serve kept copies: set serve = true under [quarantine] in that node's file"
    )]
    NotServed,
    #[error("the server: {}", words(.0))]
    Server(Box<Status>),
    #[error("the server sent what is no copy: {0}")]
    Nonsense(String),
}

impl Source {
    pub(super) fn server(address: &str, connector: Connector) -> Result<Self, SourceError> {
        if address.starts_with("https://") && !connector.is_secure() {
            return Err(SourceError::NoAuthority);
        }
        // Without a scheme it would be found out at the first call, and said in no helpful words.
        let channel = millrace_client::channel(address, connector)
            .map_err(|_| SourceError::Address(address.to_owned()))?;
        Ok(Self::Server(QuarantineServiceClient::new(channel)))
    }

    pub(super) async fn list(
        &self,
        filter: Filter,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page, SourceError> {
        match self {
            Self::Store(store) => Ok(store.list(&filter, after.as_deref(), limit).await?),
            Self::Server(client) => {
                let request = pb::ListCopiesRequest {
                    after: after.unwrap_or_default(),
                    limit: u32::try_from(limit).unwrap_or(u32::MAX),
                    ..filter.into()
                };
                let page = client.clone().list_copies(request).await?.into_inner();
                Ok(Page {
                    records: page.records.into_iter().map(Into::into).collect(),
                    next: (!page.next.is_empty()).then_some(page.next),
                })
            }
        }
    }

    pub(super) async fn get(&self, id: &str) -> Result<(Record, Copy), SourceError> {
        match self {
            Self::Store(store) => Ok((store.record(id).await?, store.copy(id).await?)),
            Self::Server(client) => {
                let request = pb::GetCopyRequest { id: id.to_owned() };
                let mut frames = client.clone().get_copy(request).await?.into_inner();
                let mut head = None;
                let mut content = Vec::new();
                while let Some(frame) = frames.message().await? {
                    match frame.part {
                        Some(pb::get_copy_response::Part::Head(found)) => head = Some(found),
                        Some(pb::get_copy_response::Part::Content(bytes)) => {
                            content.extend_from_slice(&bytes);
                        }
                        None => {}
                    }
                }
                let nonsense = |problem: &str| SourceError::Nonsense(problem.to_owned());
                let head = head.ok_or_else(|| nonsense("it has no head"))?;
                let (Some(record), Some(transaction), Some(verdict)) =
                    (head.record, head.transaction, head.verdict)
                else {
                    return Err(nonsense("its head is not whole"));
                };
                let copy = Copy {
                    transaction: transaction.try_into().map_err(
                        |error: millrace_proto::InvalidMessage| nonsense(&error.to_string()),
                    )?,
                    verdict: Verdict::try_from(verdict)
                        .map_err(|error| nonsense(&error.to_string()))?,
                    content: Bytes::from(content),
                };
                Ok((record.into(), copy))
            }
        }
    }

    /// With a server, keys and next hop are the server's.
    pub(super) async fn release(
        &self,
        id: &str,
        release: &Release,
        keys: &Path,
    ) -> Result<Vec<Answer>, SourceError> {
        match self {
            Self::Store(store) => Ok(store.release(id, release, &StampKeys::load(keys)?).await?),
            Self::Server(client) => {
                let request = pb::ReleaseCopyRequest {
                    id: id.to_owned(),
                    recipients: release.recipients.clone(),
                    again: release.again,
                    who: release.who.clone(),
                };
                let response = client.clone().release_copy(request).await?.into_inner();
                Ok(response.answers.into_iter().map(Into::into).collect())
            }
        }
    }

    pub(super) async fn delete(&self, id: &str, who: &str) -> Result<(), SourceError> {
        match self {
            Self::Store(store) => Ok(store.delete(id, who).await?),
            Self::Server(client) => {
                let request = pb::DeleteCopyRequest {
                    id: id.to_owned(),
                    who: who.to_owned(),
                };
                client.clone().delete_copy(request).await?;
                Ok(())
            }
        }
    }

    pub(super) async fn stats(&self) -> Result<Stats, SourceError> {
        match self {
            Self::Store(store) => Ok(store.stats().await?),
            Self::Server(client) => {
                let counted = client
                    .clone()
                    .count_copies(pb::CountCopiesRequest {})
                    .await?;
                Ok(counted.into_inner().into())
            }
        }
    }

    pub(super) async fn expire(
        &self,
        who: &str,
        retention: &Retention,
    ) -> Result<Expired, SourceError> {
        match self {
            Self::Store(store) => Ok(store.expire_by_hand(who, retention).await?),
            Self::Server(client) => {
                let limits = &retention.all;
                let request = pb::ExpireCopiesRequest {
                    days: limits.age.map(|age| age.as_secs() / 86_400),
                    entries: limits.entries,
                    bytes: limits.bytes,
                    who: who.to_owned(),
                };
                let expired = client.clone().expire_copies(request).await?.into_inner();
                Ok(Expired {
                    entries: expired.entries,
                    bytes: expired.bytes,
                })
            }
        }
    }

    /// With a server, the policy is the server's.
    pub(super) async fn put_sender(
        &self,
        args: &SenderArgs,
        list: SenderList,
        who: &str,
    ) -> Result<Put, SourceError> {
        match self {
            Self::Store(store) => {
                let folder = args.policy.as_deref().ok_or(SourceError::NoPolicy)?;
                let record = store.record(&args.id).await?;
                let file = args.list.as_deref().unwrap_or(list.file());
                let edit = SenderListEdit {
                    folder,
                    list: file,
                    whole_domain: args.domain,
                    comment: &format!("{who}, because of kept copy {}", record.id),
                };
                let entry = edit.put(&record.sender)?;
                store
                    .note(who, list.action(), &args.id, &format!("{entry} in {file}"))
                    .await?;
                Ok(Put {
                    entry,
                    file: file.to_owned(),
                })
            }
            // Where --server stands before the command, clap does not see that the two exclude one another.
            Self::Server(_) if args.policy.is_some() => Err(SourceError::ItsPolicy),
            Self::Server(client) => {
                let list = match list {
                    SenderList::Allowed => pb::SenderList::Allowed,
                    SenderList::Blocked => pb::SenderList::Blocked,
                };
                let request = pb::PutSenderRequest {
                    id: args.id.clone(),
                    list: list.into(),
                    whole_domain: args.domain,
                    file: args.list.clone().unwrap_or_default(),
                    who: who.to_owned(),
                };
                let put = client.clone().put_sender(request).await?.into_inner();
                Ok(Put {
                    entry: put.entry,
                    file: put.file,
                })
            }
        }
    }

    /// The audit log of a day, `YYYYMMDD`.
    pub(super) async fn audit(&self, day: &str) -> Result<Vec<Audit>, SourceError> {
        match self {
            Self::Store(store) => Ok(store.audit_log(day).await?),
            Self::Server(client) => {
                let request = pb::ListAuditRequest {
                    day: day.to_owned(),
                };
                let log = client.clone().list_audit(request).await?.into_inner();
                Ok(log.entries.into_iter().map(Into::into).collect())
            }
        }
    }
}

impl SenderList {
    /// In the policy that is built in, and in those that begin with it.
    fn file(self) -> &'static str {
        match self {
            Self::Allowed => "lists/allowed-senders.txt",
            Self::Blocked => "lists/blocked-senders.txt",
        }
    }

    /// As the audit log names what was done.
    fn action(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Blocked => "block",
        }
    }
}

impl SourceError {
    /// Whether the answer is "no", rather than a failure: there is no such copy, it was released before, or the next
    /// hop refused it.
    pub(super) fn is_no(&self) -> bool {
        match self {
            Self::Store(error) | Self::Release(ReleaseError::Store(error)) => {
                matches!(error, QuarantineError::Unknown(_))
            }
            Self::Release(error) => !matches!(
                error,
                ReleaseError::InDoubt(_)
                    | ReleaseError::Encryption(_)
                    | ReleaseError::Unnoted(_)
                    | ReleaseError::Random(_)
            ),
            Self::Server(status) => matches!(
                status.code(),
                Code::NotFound | Code::AlreadyExists | Code::Aborted | Code::InvalidArgument
            ),
            Self::Keys(_)
            | Self::Sender(_)
            | Self::NoPolicy
            | Self::ItsPolicy
            | Self::Address(_)
            | Self::NoAuthority
            | Self::NotServed
            | Self::Nonsense(_) => false,
        }
    }

    /// Whether it was released before.
    pub(super) fn is_released(&self) -> bool {
        match self {
            Self::Release(error) => matches!(error, ReleaseError::Released { .. }),
            Self::Server(status) => status.code() == Code::AlreadyExists,
            _ => false,
        }
    }
}

/// What the server said; why it was not reached stands in the causes.
fn words(status: &Status) -> String {
    match status.code() {
        Code::Unavailable | Code::Unknown => millrace_runtime::told(status),
        _ => status.message().to_owned(),
    }
}

impl From<Status> for SourceError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unimplemented => Self::NotServed,
            _ => Self::Server(Box::new(status)),
        }
    }
}
