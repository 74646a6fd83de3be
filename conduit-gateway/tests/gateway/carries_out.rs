//! A verdict is carried out exactly, told to the node, and the message reaches the node byte for byte.

use bytes::Bytes;
use millrace_milter::Response;
use millrace_milter::mta::{Client, Flavour};
use millrace_proto::{Disposition, Edit, Peer, Verdict};

use crate::support::{
    MailServer, Script, ScriptedNode, TestGateway, accept, config, config_with, message, refuse,
    until,
};

#[tokio::test]
async fn the_node_sees_the_message_byte_for_byte_and_who_sent_it() {
    let node = ScriptedNode::start(Script::default()).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mail = gateway
        .connect()
        .await
        .send(message("hello\r\n"))
        .await
        .unwrap();
    assert_eq!(mail.answer(), "accept");
    node.seen(|seen| {
        let (transaction, content) = &seen.judged[0];
        assert_eq!(
            String::from_utf8_lossy(content),
            "From: a@example.org\r\nSubject:  two blanks\r\n\r\nhello\r\n"
        );
        assert_eq!(transaction.client.as_str(), "default");
        assert_eq!(
            transaction.envelope.sender.as_ref().unwrap().address,
            "sender@example.org"
        );
        assert_eq!(
            transaction.envelope.recipients[0].address,
            "recipient@example.net"
        );
        assert_eq!(
            transaction.connection.helo.as_deref(),
            Some(&b"client.example"[..])
        );
        assert!(matches!(transaction.connection.peer, Peer::Ip(_)));
        assert_eq!(transaction.revision.as_ref().unwrap().as_str(), "abc123");
        assert!(transaction.queue_id.is_some() && transaction.capabilities.hold);
    });
    until("a settlement", async || node.settled() == ["done accept"]).await;
}

#[tokio::test]
async fn every_disposition_and_edit_is_carried_out() {
    let insert = Edit::InsertHeader {
        name: Bytes::from("X-Seen"),
        value: Bytes::from("yes"),
    };
    for (verdict, answer, disposition) in [
        (accept(), "accept".to_owned(), "accept"),
        (refuse(550, "No."), "550 No.".to_owned(), "reject"),
        (refuse(451, "Later."), "451 Later.".to_owned(), "tempfail"),
        (
            Verdict {
                disposition: Disposition::Discard,
                ..accept()
            },
            "Discard".to_owned(),
            "discard",
        ),
        (
            Verdict {
                disposition: Disposition::Hold,
                hold_reason: "odd".into(),
                ..accept()
            },
            "accept".to_owned(),
            "hold",
        ),
        (
            Verdict {
                edits: vec![insert.clone()],
                ..accept()
            },
            "accept".to_owned(),
            "accept",
        ),
    ] {
        let edits = verdict.edits.len();
        let node = ScriptedNode::start(Script::giving(verdict)).await;
        let gateway = TestGateway::before(&node, config()).await;
        let mail = gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap();
        assert_eq!(mail.answer(), answer);
        assert_eq!(mail.inserted("X-Seen").len(), edits);
        let held = mail
            .outcome
            .edits
            .iter()
            .any(|edit| matches!(edit, Response::Quarantine(_)));
        assert_eq!(held, disposition == "hold");
        let done = format!("done {disposition}");
        until("a settlement", async || node.settled() == [done.clone()]).await;
        let counted = format!(
            "millrace_gateway_verdicts_total{{client=\"default\",stage=\"end-of-message\",disposition=\"{disposition}\"}}"
        );
        assert_eq!(gateway.metric(&counted).await, 1.0);
    }
}

#[tokio::test]
async fn messages_and_smtp_connections_follow_each_other_on_one_milter_connection() {
    for flavour in [Flavour::Postfix, Flavour::Sendmail, Flavour::Minimal] {
        let node = ScriptedNode::start(Script::default()).await;
        let gateway = TestGateway::before(&node, config()).await;
        let mut server = MailServer::connect_as(gateway.address(), flavour).await;
        for n in 0..3 {
            let mail = server.send(message(&format!("{n}\r\n"))).await.unwrap();
            assert_eq!(mail.answer(), "accept", "{flavour:?}");
        }
        server.mta.reconnect(Client {
            helo: Bytes::from("other.example"),
            ..Client::default()
        });
        assert_eq!(
            server.send(message("3\r\n")).await.unwrap().answer(),
            "accept",
            "{flavour:?}"
        );
        node.seen(|seen| {
            assert_eq!(seen.judged.len(), 4);
            assert_eq!(
                seen.judged[3].0.connection.helo.as_deref(),
                Some(&b"other.example"[..])
            );
            assert!(seen.judged[3].1.ends_with(b"\r\n\r\n3\r\n"));
        });
        server.mta.quit();
        server.advance().await;
        server.closed().await;
        until("no connection is left", async || {
            gateway
                .metric("millrace_gateway_connections{client=\"default\"}")
                .await
                == 0.0
        })
        .await;
    }
}

#[tokio::test]
async fn a_mail_server_on_a_unix_socket_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let node = ScriptedNode::start(Script::default()).await;
    let path = folder.path().join("milter.sock");
    let config = config_with(|_, client| {
        client.listen = vec![format!("unix:{}", path.display()).parse().unwrap()];
    });
    let gateway = TestGateway::before(&node, config).await;
    assert_eq!(
        gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap()
            .answer(),
        "accept"
    );
}
