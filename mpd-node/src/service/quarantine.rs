//! The kept copies over gRPC: what people and their programs look at and release.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use millrace_proto::pb;
use millrace_proto::pb::quarantine_service_server::QuarantineService;
use millrace_quarantine::{
    Filter, Limits, Quarantine, QuarantineError, Release, ReleaseError, Retention,
};
use millrace_runtime::grpc::Arrived;
use millrace_runtime::tls::{Peers, TlsPeer};
use tonic::{Request, Response, Status};

use crate::node::Node;
use crate::policy::SenderListEdit;

/// The contract's service of kept copies.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    node: Node,
    peers: Arc<Peers>,
}

/// Bytes of content in one frame.
const FRAME: usize = 64 << 10;
const DEFAULT_PAGE: usize = 50;
const LONGEST_PAGE: usize = 1000;

impl Copies {
    pub(super) fn new(node: Node, peers: Arc<Peers>) -> Self {
        Self { node, peers }
    }

    /// The store, for whoever may use it: every method goes through here.
    #[allow(clippy::result_large_err)]
    fn store<T>(&self, request: &Request<T>) -> Result<&Quarantine, Status> {
        let peer = request.extensions().get::<Arrived<TlsPeer>>();
        let peer = peer.map(|arrived| &arrived.peer);
        let names = peer.and_then(|peer| peer.names.as_ref());
        self.peers.may_use_copies(names).map_err(|denied| {
            let address = peer.and_then(|peer| peer.address);
            let address = address.map(tracing::field::display);
            tracing::warn!(peer = address, %denied, "refused");
            Status::permission_denied(denied.to_string())
        })?;
        self.node
            .kept()
            .ok_or_else(|| Status::unimplemented("this node has no store for kept copies"))
    }
}

#[tonic::async_trait]
impl QuarantineService for Copies {
    type GetCopyStream =
        Pin<Box<dyn Stream<Item = Result<pb::GetCopyResponse, Status>> + Send + 'static>>;

    async fn list_copies(
        &self,
        request: Request<pb::ListCopiesRequest>,
    ) -> Result<Response<pb::ListCopiesResponse>, Status> {
        let store = self.store(&request)?;
        let request = request.into_inner();
        let limit = match request.limit as usize {
            0 => DEFAULT_PAGE,
            limit => limit.min(LONGEST_PAGE),
        };
        let after = (!request.after.is_empty()).then_some(request.after.as_str());
        let page = store
            .list(&Filter::from(&request), after, limit)
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(pb::ListCopiesResponse {
            records: page.records.into_iter().map(Into::into).collect(),
            next: page.next.unwrap_or_default(),
        }))
    }

    async fn get_copy(
        &self,
        request: Request<pb::GetCopyRequest>,
    ) -> Result<Response<Self::GetCopyStream>, Status> {
        let store = self.store(&request)?;
        let id = request.into_inner().id;
        let record = store.record(&id).await.map_err(|error| status(&error))?;
        let copy = store.copy(&id).await.map_err(|error| status(&error))?;
        let head = pb::CopyHead {
            record: Some(record.into()),
            transaction: Some(copy.transaction.into()),
            verdict: Some(copy.verdict.into()),
        };
        let head = stream::iter([pb::get_copy_response::Part::Head(head)]);
        let content = stream::unfold(copy.content, |mut content| async move {
            let frame = content.split_to(content.len().min(FRAME));
            (!frame.is_empty()).then_some((pb::get_copy_response::Part::Content(frame), content))
        });
        let frames = head
            .chain(content)
            .map(|part| Ok(pb::GetCopyResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(frames)))
    }

    async fn release_copy(
        &self,
        request: Request<pb::ReleaseCopyRequest>,
    ) -> Result<Response<pb::ReleaseCopyResponse>, Status> {
        let store = self.store(&request)?;
        let who = who(&request, &request.get_ref().who);
        let request = request.into_inner();
        let keys = self.node.stamp_keys().ok_or_else(|| {
            Status::failed_precondition(
                "this node has no keys for stamps: name them with [stamp] keys",
            )
        })?;
        let release = Release {
            recipients: request.recipients,
            who,
            again: request.again,
            ..self.node.release().clone()
        };
        let answers = store
            .release(&request.id, &release, &keys)
            .await
            .map_err(|error| refusal(&error))?;
        Ok(Response::new(pb::ReleaseCopyResponse {
            answers: answers.into_iter().map(Into::into).collect(),
        }))
    }

    async fn delete_copy(
        &self,
        request: Request<pb::DeleteCopyRequest>,
    ) -> Result<Response<pb::DeleteCopyResponse>, Status> {
        let who = who(&request, &request.get_ref().who);
        self.store(&request)?
            .delete(&request.get_ref().id, &who)
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(pb::DeleteCopyResponse {}))
    }

    async fn count_copies(
        &self,
        request: Request<pb::CountCopiesRequest>,
    ) -> Result<Response<pb::CountCopiesResponse>, Status> {
        let stats = self
            .store(&request)?
            .stats()
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(stats.into()))
    }

    async fn expire_copies(
        &self,
        request: Request<pb::ExpireCopiesRequest>,
    ) -> Result<Response<pb::ExpireCopiesResponse>, Status> {
        let store = self.store(&request)?;
        let who = who(&request, &request.get_ref().who);
        let request = request.into_inner();
        let limits = Limits {
            age: request
                .days
                .map(|days| Duration::from_secs(days.saturating_mul(86_400))),
            entries: request.entries,
            bytes: request.bytes,
        };
        let expired = store
            .expire_by_hand(&who, &Retention::of_all(limits))
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(pb::ExpireCopiesResponse {
            entries: expired.entries,
            bytes: expired.bytes,
        }))
    }

    async fn put_sender(
        &self,
        request: Request<pb::PutSenderRequest>,
    ) -> Result<Response<pb::PutSenderResponse>, Status> {
        let store = self.store(&request)?;
        let who = who(&request, &request.get_ref().who);
        let request = request.into_inner();
        let (action, list) = match request.list() {
            pb::SenderList::Allowed => ("allow", "lists/allowed-senders.txt"),
            pb::SenderList::Blocked => ("block", "lists/blocked-senders.txt"),
            pb::SenderList::Unspecified => {
                return Err(Status::invalid_argument(
                    "say which list: allowed or blocked",
                ));
            }
        };
        let Some(folder) = self.node.policy_folder().map(ToOwned::to_owned) else {
            return Err(Status::failed_precondition(
                "this node's policy is no folder that it could write: change the lists where the policy comes from",
            ));
        };
        let record = store
            .record(&request.id)
            .await
            .map_err(|error| status(&error))?;
        let file = match request.file.is_empty() {
            true => list.to_owned(),
            false => request.file,
        };
        let comment = format!("{who}, because of kept copy {}", record.id);
        let list = file.clone();
        // Compiles the policy, twice.
        let put = tokio::task::spawn_blocking(move || {
            let edit = SenderListEdit {
                folder: &folder,
                list: &list,
                whole_domain: request.whole_domain,
                comment: &comment,
            };
            edit.put(&record.sender)
        });
        let entry = put
            .await
            .map_err(|_| Status::internal("the list could not be changed"))?
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        self.node.reload();
        store
            .note(&who, action, &request.id, &format!("{entry} in {file}"))
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(pb::PutSenderResponse { entry, file }))
    }

    async fn list_audit(
        &self,
        request: Request<pb::ListAuditRequest>,
    ) -> Result<Response<pb::ListAuditResponse>, Status> {
        let store = self.store(&request)?;
        let day = request.into_inner().day;
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Status::invalid_argument("a day is YYYYMMDD"));
        }
        let log = store
            .audit_log(&day)
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(pb::ListAuditResponse {
            entries: log.into_iter().map(Into::into).collect(),
        }))
    }
}

/// Who asks, by what he says, by his certificate and by where he is.
fn who<T>(request: &Request<T>, told: &str) -> String {
    let peer = request.extensions().get::<Arrived<TlsPeer>>();
    let peer = peer.map(|arrived| &arrived.peer);
    let names = peer.and_then(|peer| peer.names.as_ref());
    match (peer.and_then(|peer| peer.address), names) {
        (Some(address), Some(names)) => format!("{told} ({names}, {address})"),
        (Some(address), None) => format!("{told} ({address})"),
        (None, _) => told.to_owned(),
    }
}

fn status(error: &QuarantineError) -> Status {
    match error {
        QuarantineError::Unknown(_) => Status::not_found(error.to_string()),
        QuarantineError::Busy => Status::failed_precondition(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}

fn refusal(error: &ReleaseError) -> Status {
    let text = error.to_string();
    match error {
        ReleaseError::Store(error) => status(error),
        ReleaseError::Released { .. } => Status::already_exists(text),
        ReleaseError::Address(_) | ReleaseError::Nobody(_) => Status::invalid_argument(text),
        ReleaseError::Encryption(_) => Status::failed_precondition(text),
        ReleaseError::InDoubt(_) => Status::unknown(text),
        ReleaseError::Unnoted(_) => Status::data_loss(text),
        _ => Status::aborted(text),
    }
}
