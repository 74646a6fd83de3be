//! The failure table: every kind of failure, and everything that can be done about it.

use std::time::Duration;

use conduit_gateway::{Config, FailureAction, FailureKind, FailureRow, FailureTable, Upstream};
use millrace_milter::Response;
use millrace_milter::mta::Flavour;
use millrace_proto::CallError;

use crate::support::{MailServer, Script, ScriptedNode, TestGateway, config_with, message, until};

/// Makes a message fail in this way.
async fn failing(kind: FailureKind, table: FailureTable) -> (Option<ScriptedNode>, TestGateway) {
    let config = |change: &dyn Fn(&mut Config)| {
        config_with(|config, client| {
            config.failures = table.clone();
            client.deadline = Duration::from_secs(1);
            client.message_size = (kind == FailureKind::Oversize).then_some(100);
            change(config);
        })
    };
    let answering = async |error: CallError| {
        let node = ScriptedNode::start(Script::failing(error)).await;
        let gateway = TestGateway::before(&node, config(&|_| {})).await;
        (Some(node), gateway)
    };
    match kind {
        FailureKind::NoNode => {
            let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", free.local_addr().unwrap());
            drop(free);
            let upstream = Upstream::nodes([address.as_str()]).unwrap();
            (None, TestGateway::start(upstream, config(&|_| {})).await)
        }
        FailureKind::Deadline => {
            let node =
                ScriptedNode::start(Script::default().slowly(Duration::from_secs(600))).await;
            let gateway = TestGateway::before(&node, config(&|_| {})).await;
            (Some(node), gateway)
        }
        FailureKind::Oversize => {
            let node = ScriptedNode::start(Script::default()).await;
            let gateway = TestGateway::before(&node, config(&|_| {})).await;
            (Some(node), gateway)
        }
        FailureKind::Spool => {
            let node = ScriptedNode::start(Script::default()).await;
            let config = config(&|config| {
                config.limits.spool_above = 1;
                config.limits.spool_folder = "/no/such/folder".into();
            });
            let gateway = TestGateway::before(&node, config).await;
            (Some(node), gateway)
        }
        FailureKind::Overload => answering(CallError::Overloaded("full".into())).await,
        FailureKind::Malformed => answering(CallError::Malformed("odd".into())).await,
        FailureKind::PolicyMissing => answering(CallError::NoPolicy("none".into())).await,
        FailureKind::UnknownRevision => {
            answering(CallError::UnknownRevision("abc123".into())).await
        }
        FailureKind::Denied => answering(CallError::Denied("not you".into())).await,
        FailureKind::Store => answering(CallError::Store("full".into())).await,
        FailureKind::Internal => answering(CallError::Internal("oh".into())).await,
        FailureKind::Suspect => answering(CallError::Suspect("two were lost".into())).await,
    }
}

fn row(kind: FailureKind, action: FailureAction) -> FailureTable {
    FailureTable::new(vec![FailureRow {
        client: None,
        direction: None,
        kinds: vec![kind],
        action,
    }])
}

#[tokio::test]
async fn every_kind_of_failure_is_answered_as_the_table_says() {
    for kind in FailureKind::ALL {
        for action in [
            FailureAction::Tempfail,
            FailureAction::Reject,
            FailureAction::AcceptAndStamp,
            FailureAction::Hold,
        ] {
            let (_node, gateway) = failing(kind, row(kind, action)).await;
            let mail = gateway
                .connect()
                .await
                .send(message(&"x".repeat(200)))
                .await
                .unwrap();
            let (answer, stamp) = (mail.answer(), mail.inserted("X-Millrace-Unscanned"));
            let held = mail
                .outcome
                .held()
                .map(|reason| String::from_utf8_lossy(reason).into_owned());
            let case = format!("{kind} {action}: {answer} {stamp:?} {held:?}");
            // What was to be kept is not refused without its copy.
            let done = match (kind, action) {
                (FailureKind::Store, FailureAction::Reject) => FailureAction::Tempfail,
                _ => action,
            };
            match done {
                FailureAction::Tempfail => assert!(answer.starts_with("451 4."), "{case}"),
                FailureAction::Reject => assert!(answer.starts_with("55"), "{case}"),
                FailureAction::AcceptAndStamp | FailureAction::Hold => {
                    assert_eq!(answer, "accept", "{case}");
                }
            }
            let told = match done {
                FailureAction::Tempfail | FailureAction::Reject => {
                    assert!(answer.contains("; transaction 0"), "{case}");
                    Some(answer.clone())
                }
                FailureAction::AcceptAndStamp => stamp.first().cloned(),
                FailureAction::Hold => held.clone(),
            };
            assert!(told.unwrap().contains(kind.name()), "{case}");
            assert_eq!(
                stamp.is_empty(),
                done != FailureAction::AcceptAndStamp,
                "{case}"
            );
            assert_eq!(held.is_some(), done == FailureAction::Hold, "{case}");
            let counted = format!(
                "millrace_gateway_failures_total{{client=\"default\",kind=\"{kind}\",action=\"{done}\"}}"
            );
            assert_eq!(gateway.metric(&counted).await, 1.0, "{case}");
        }
    }
}

#[tokio::test]
async fn a_mail_server_that_cannot_hold_is_told_to_try_again() {
    let (_node, gateway) = failing(
        FailureKind::Internal,
        row(FailureKind::Internal, FailureAction::Hold),
    )
    .await;
    let mut server = MailServer::connect_as(gateway.address(), Flavour::Minimal).await;
    let mail = server.send(message("x\r\n")).await.unwrap();
    let held = mail.outcome.held().is_some();
    assert!(held || mail.answer().starts_with('4'), "{mail:?}");
}

#[tokio::test]
async fn a_failure_is_told_to_the_node() {
    let (node, gateway) = failing(FailureKind::Internal, FailureTable::default()).await;
    gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    let node = node.unwrap();
    until("a settlement", async || {
        node.settled() == ["failed tempfail"]
    })
    .await;
}

#[tokio::test]
async fn a_declared_size_above_the_limit_is_refused_at_mail() {
    for (limit_of, action, expected) in [
        (
            "client",
            None,
            "552 5.3.4 Message refused: the message is too large",
        ),
        (
            "policy",
            None,
            "552 5.3.4 Message refused: the message is too large",
        ),
        (
            "client",
            Some(FailureAction::Tempfail),
            "451 4.3.4 Try again later: the message is too large",
        ),
    ] {
        let script = Script {
            size_limit: (limit_of == "policy").then_some(100),
            ..Script::default()
        };
        let node = ScriptedNode::start(script).await;
        let config = config_with(|config, client| {
            client.message_size = (limit_of == "client").then_some(100);
            if let Some(action) = action {
                config.failures = row(FailureKind::Oversize, action);
            }
        });
        let gateway = TestGateway::before(&node, config).await;
        let mut large = message("x\r\n");
        large.sender = crate::support::path("<a@example.org>", &["SIZE=101"]);
        let mut server = gateway.connect().await;
        let mail = server.send(large.clone()).await.unwrap();
        assert_eq!(mail.outcome.at, b'M');
        assert!(mail.answer().starts_with(expected), "{}", mail.answer());
        large.sender = crate::support::path("<a@example.org>", &["SIZE=100"]);
        let mail = server.send(large).await.unwrap();
        assert_eq!(mail.answer(), "accept", "the connection goes on");
        assert_eq!(node.seen(|seen| seen.judged.len()), 1);
    }
}

#[tokio::test]
async fn what_grows_above_the_limit_is_refused_at_its_end_and_the_next_message_passes() {
    let node = ScriptedNode::start(Script::default()).await;
    let config = config_with(|_, client| client.message_size = Some(200_000));
    let gateway = TestGateway::before(&node, config).await;
    let mut server = gateway.connect().await;
    let mail = server.send(message(&"x".repeat(3_000_000))).await.unwrap();
    assert_eq!(mail.outcome.at, b'E');
    assert!(mail.answer().starts_with("552 5.3.4 "), "{}", mail.answer());
    let mail = server.send(message("x\r\n")).await.unwrap();
    assert_eq!(mail.answer(), "accept");
    assert!(
        !mail
            .outcome
            .edits
            .iter()
            .any(|edit| matches!(edit, Response::Quarantine(_)))
    );
    assert_eq!(node.seen(|seen| seen.judged.len()), 1);
}
