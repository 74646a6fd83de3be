//! The complaint: an error of the backend reaches the sender with the wrong SMTP class, so that a
//! fault of an hour bounces mail, or spam is retried for days.
//!
//! Here: one mapping has them all. Whatever a node fails with, mail is put off, with the kind of
//! failure; whatever a verdict says, the class of the reply is that of its disposition.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use millrace_milter::Response;
use millrace_proto::pb::processing_service_server::{ProcessingService, ProcessingServiceServer};
use millrace_proto::{Disposition, Plan, Revision, StageSet, Verdict, pb};
use millrace_tests::milter::Sender;
use millrace_tests::scripted_node::{Script, ScriptedNode, accept};
use millrace_tests::servers::{Gateway, Upstream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response as Reply, Status, Streaming};

use crate::support::ordinary;

/// A node that fails every message with the code that is set.
struct Failing(Arc<Mutex<Code>>);

#[tonic::async_trait]
impl ProcessingService for Failing {
    type WatchPlanStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchPlanResponse, Status>> + Send>>;

    async fn watch_plan(
        &self,
        _: Request<pb::WatchPlanRequest>,
    ) -> Result<Reply<Self::WatchPlanStream>, Status> {
        let plan = Plan {
            revision: Revision::new("abc").expect("it is hexadecimal"),
            stages: StageSet::default(),
            macros: Vec::new(),
            size_limit: None,
            needs_body: true,
        };
        let plan = pb::WatchPlanResponse {
            plan: Some(plan.into()),
        };
        let plans = tokio_stream::once(Ok(plan)).chain(tokio_stream::pending());
        Ok(Reply::new(Box::pin(plans)))
    }

    async fn screen(
        &self,
        _: Request<pb::ScreenRequest>,
    ) -> Result<Reply<pb::ScreenResponse>, Status> {
        Err(self.status())
    }

    async fn process(
        &self,
        _: Request<Streaming<pb::ProcessRequest>>,
    ) -> Result<Reply<pb::ProcessResponse>, Status> {
        Err(self.status())
    }

    async fn settle(
        &self,
        _: Request<pb::SettleRequest>,
    ) -> Result<Reply<pb::SettleResponse>, Status> {
        Ok(Reply::new(pb::SettleResponse {}))
    }
}

impl Failing {
    fn status(&self) -> Status {
        Status::new(
            *self.0.lock().expect("no one panics with it"),
            "as the test wants it",
        )
    }
}

#[test]
fn every_status_of_a_node() {
    let code = Arc::new(Mutex::new(Code::Unknown));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let service = ProcessingServiceServer::new(Failing(Arc::clone(&code)));
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let gateway = Gateway::start(&Upstream::Nodes(vec![port]));
    let mut server = Sender::connect(gateway.port());
    for number in 1..=16 {
        let failure = Code::from_i32(number);
        *code.lock().expect("no one panics with it") = failure;
        let answer = server.send(ordinary()).answer();
        let (class, kind) = match failure {
            Code::InvalidArgument => ("451 4.3.0 ", "malformed"),
            Code::FailedPrecondition => ("451 4.3.0 ", "policy-missing"),
            Code::ResourceExhausted => ("451 4.3.2 ", "overload"),
            Code::PermissionDenied => ("451 4.3.0 ", "denied"),
            Code::DeadlineExceeded => ("451 4.3.0 ", "deadline"),
            Code::Unavailable | Code::Unknown | Code::Cancelled => ("451 4.3.0 ", "no-node"),
            // The node's own limit of size: it will be no smaller at the next try.
            Code::OutOfRange => ("552 5.3.4 ", "oversize"),
            _ => ("451 4.3.0 ", "internal"),
        };
        assert!(
            answer.starts_with(class) && answer.contains(&format!("({kind}; ")),
            "{failure:?}: {answer}"
        );
    }
}

#[test]
fn every_disposition_with_and_without_a_reply() {
    for (disposition, reply, expected) in [
        (Disposition::Accept, None, "accept"),
        (Disposition::Reject, None, "5"),
        (Disposition::Reject, Some((550, "5.7.1")), "550 5.7.1 "),
        (Disposition::Reject, Some((451, "4.7.1")), "5"),
        (Disposition::Tempfail, None, "4"),
        (Disposition::Tempfail, Some((452, "4.3.1")), "452 4.3.1 "),
        (Disposition::Tempfail, Some((550, "5.7.1")), "4"),
        (Disposition::Discard, None, "Discard"),
        (Disposition::Hold, None, "accept"),
    ] {
        let reply = reply.map(|(code, enhanced)| {
            millrace_proto::Reply::new(code, Some(enhanced), "the test's").expect("a reply")
        });
        let case = format!("{disposition:?} {reply:?}");
        let node = ScriptedNode::start(Script::giving(Verdict {
            disposition,
            reply,
            ..accept()
        }));
        let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
        let mail = Sender::connect(gateway.port()).send(ordinary());
        let answer = match &mail.outcome.answer {
            Some(Response::Reject) => "5".to_owned(),
            Some(Response::Tempfail) => "4".to_owned(),
            _ => mail.answer(),
        };
        assert!(answer.starts_with(expected), "{case}: {answer}");
        assert_eq!(
            mail.outcome.held().is_some(),
            disposition == Disposition::Hold,
            "{case}"
        );
    }
}
