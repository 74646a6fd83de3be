//! Screening: what can be refused before there is a message is refused there, and only where the plan says.

use millrace_proto::{CallError, Disposition, Stage, Verdict};

use crate::support::{
    Script, ScriptedNode, TestGateway, accept, config, message, path, refuse, until,
};

#[tokio::test]
async fn a_refusal_is_given_at_its_stage() {
    for (stage, letter) in [
        (Stage::Connect, b'C'),
        (Stage::Helo, b'H'),
        (Stage::Mail, b'M'),
        (Stage::Data, b'T'),
    ] {
        for (verdict, expected) in [
            (refuse(554, "Go away."), "554 Go away."),
            (refuse(450, "Not now."), "450 Not now."),
        ] {
            let node =
                ScriptedNode::start(Script::screening(&[stage], move |_, _| Ok(verdict.clone())))
                    .await;
            let gateway = TestGateway::before(&node, config()).await;
            let mail = gateway
                .connect()
                .await
                .send(message("x\r\n"))
                .await
                .unwrap();
            assert_eq!(
                (mail.outcome.at, mail.answer()),
                (letter, expected.to_owned()),
                "{stage}"
            );
            assert_eq!(node.seen(|seen| seen.judged.len()), 0);
        }
    }
}

#[tokio::test]
async fn a_refused_recipient_is_refused_alone() {
    let script = Script::screening(&[Stage::Rcpt], |_, transaction| {
        let last = transaction.envelope.recipients.last().unwrap();
        Ok(if last.address.starts_with(b"bad") {
            refuse(550, "Nobody.")
        } else {
            accept()
        })
    });
    let node = ScriptedNode::start(script).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mut mail = message("x\r\n");
    mail.recipients = ["<a@x.example>", "<bad@x.example>", "<b@x.example>"]
        .map(|address| path(address, &[]))
        .into();
    let mail = gateway.connect().await.send(mail).await.unwrap();
    assert_eq!(mail.answer(), "accept");
    assert_eq!(mail.refused(), [(1, "550 Nobody.".to_owned())]);
    node.seen(|seen| {
        let recipients: Vec<_> = seen.judged[0]
            .0
            .envelope
            .recipients
            .iter()
            .map(|to| to.address.clone())
            .collect();
        assert_eq!(recipients, ["a@x.example", "b@x.example"]);
        assert_eq!(
            seen.judged[0].0.id, seen.screened[0].1.id,
            "one transaction"
        );
    });
}

#[tokio::test]
async fn stages_that_the_plan_does_not_name_are_not_asked_about() {
    let script = Script::screening(&[Stage::Helo, Stage::Rcpt], |_, _| Ok(accept()));
    let node = ScriptedNode::start(script).await;
    let gateway = TestGateway::before(&node, config()).await;
    gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    let stages: Vec<Stage> =
        node.seen(|seen| seen.screened.iter().map(|(stage, _)| *stage).collect());
    assert_eq!(stages, [Stage::Helo, Stage::Rcpt]);
}

#[tokio::test]
async fn what_a_stage_has_no_answer_for_is_left_to_the_message() {
    let script = Script::screening(&[Stage::Connect, Stage::Mail], |stage, _| {
        let disposition = if stage == Stage::Connect {
            Disposition::Discard
        } else {
            Disposition::Hold
        };
        Ok(Verdict {
            disposition,
            ..accept()
        })
    });
    let node = ScriptedNode::start(script).await;
    let gateway = TestGateway::before(&node, config()).await;
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
    assert_eq!(node.seen(|seen| seen.judged.len()), 1);
}

#[tokio::test]
async fn a_discard_at_a_recipient_ends_the_message() {
    let script = Script::screening(&[Stage::Rcpt], |_, _| {
        Ok(Verdict {
            disposition: Disposition::Discard,
            ..accept()
        })
    });
    let node = ScriptedNode::start(script).await;
    let gateway = TestGateway::before(&node, config()).await;
    let mail = gateway
        .connect()
        .await
        .send(message("x\r\n"))
        .await
        .unwrap();
    assert_eq!(
        (mail.outcome.at, mail.answer()),
        (b'R', "Discard".to_owned())
    );
    until("a settlement", async || node.settled() == ["done discard"]).await;
}

#[tokio::test]
async fn a_failure_while_screening_is_a_temporary_refusal_with_its_reason() {
    for stage in [Stage::Connect, Stage::Mail, Stage::Rcpt] {
        let script = Script::screening(&[stage], |_, _| Err(CallError::Internal("oh".into())));
        let node = ScriptedNode::start(script).await;
        let gateway = TestGateway::before(&node, config()).await;
        let mail = gateway
            .connect()
            .await
            .send(message("x\r\n"))
            .await
            .unwrap();
        assert!(
            mail.answer()
                .starts_with("451 4.3.0 Try again later: the mail filter failed (internal;"),
            "{mail:?}"
        );
    }
}
