//! What lists do, at each stage and for whom.

use super::*;

#[test]
fn lists_at_each_stage() {
    // match, entry, the stage at which it is refused
    for (subject, entry, stage) in [
        ("peer", "192.0.2.0/24", Stage::Connect),
        ("ptr", ".sender.example", Stage::Connect),
        ("helo", "helo.sender.example", Stage::Helo),
        ("envelope_sender", "*@sender.example", Stage::Mail),
        ("recipient", "bob@here.example", Stage::Rcpt),
        ("from_header", "alice@*", Stage::EndOfMessage),
    ] {
        let text = format!(
            "[[list]]\nsymbol = 'L'\nmatch = '{subject}'\nentries = ['{entry}']\naction = 'reject'\nreply = '550 5.7.1 Not {{value}}'\n"
        );
        let policy = policy(&text);
        let transaction = transaction("a@Sender.Example", &["Bob@here.example"]);
        let planned: Vec<Stage> = policy
            .plan(&transaction.client, transaction.direction)
            .stages
            .iter()
            .collect();
        let expected: Vec<Stage> = Some(stage)
            .into_iter()
            .filter(|stage| *stage != Stage::EndOfMessage)
            .collect();
        assert_eq!(planned, expected, "{subject}");
        for at in [
            Stage::Connect,
            Stage::Helo,
            Stage::Mail,
            Stage::Rcpt,
            Stage::Data,
        ] {
            let verdict = screened(&text, &transaction, at);
            let refused = at >= stage;
            assert_eq!(
                verdict.disposition == Disposition::Reject,
                refused,
                "{subject} at {at}"
            );
            if refused {
                assert!(
                    reply(&verdict).starts_with("550 5.7.1 Not "),
                    "{}",
                    reply(&verdict)
                );
                assert_eq!(symbols(&verdict), ["L"]);
            }
        }
        let verdict = judged(&policy, &transaction, PLAIN);
        assert_eq!(verdict.disposition, Disposition::Reject, "{subject}");
        assert!(
            verdict.findings[0].detail.ends_with("(policy.toml:4)"),
            "{}",
            verdict.findings[0].detail
        );
        assert!(
            !reply(&verdict).contains("policy.toml"),
            "{}",
            reply(&verdict)
        );
    }
}

#[test]
fn a_refusal_can_wait_for_a_later_stage() {
    let text = "[[list]]\nsymbol = 'L'\nmatch = 'peer'\nentries = ['192.0.2.1']\naction = 'reject'\nstage = 'rcpt'\n";
    let transaction = transaction("a@sender.example", &["bob@here.example"]);
    for (stage, disposition) in [
        (Stage::Connect, Disposition::Accept),
        (Stage::Mail, Disposition::Accept),
        (Stage::Rcpt, Disposition::Reject),
    ] {
        assert_eq!(
            screened(text, &transaction, stage).disposition,
            disposition,
            "{stage}"
        );
    }
}

#[test]
fn what_is_allowed_is_not_refused_and_does_not_score() {
    let text = "
        [[list]]\nsymbol = 'BAD'\nmatch = 'peer'\nentries = ['192.0.2.1']\naction = 'reject'\nstage = 'mail'\n
        [[list]]\nsymbol = 'GOOD'\nmatch = 'envelope_sender'\nentries = ['sender.example']\naction = 'allow'\n
        [[rule]]\nsymbol = 'HELLO'\nheader = 'Subject'\npattern = 'hello'\nscore = 50\n
        [[action]]\nname = 'a'\nscore_at_least = 5\ndo = 'discard'\n
        [[action]]\nname = 'b'\nwhen = 'HELLO && ALLOWED'\nadd_header = 'X-Allowed: {scores}'\n";
    let good = transaction("a@sender.example", &["bob@here.example"]);
    assert_eq!(
        screened(text, &good, Stage::Mail).disposition,
        Disposition::Accept
    );
    let verdict = judged(&policy(text), &good, PLAIN);
    assert_eq!(
        (verdict.disposition, verdict.score),
        (Disposition::Accept, 0.0)
    );
    assert_eq!(
        verdict.edits,
        [header("X-Allowed", "BAD=0.0, GOOD=0.0, HELLO=0.0")]
    );
    let other = transaction("a@other.example", &["bob@here.example"]);
    assert_eq!(
        screened(text, &other, Stage::Mail).disposition,
        Disposition::Reject
    );
    assert_eq!(
        judged(&policy(text), &other, PLAIN).disposition,
        Disposition::Reject
    );
}

#[test]
fn a_list_may_only_score_and_only_for_some() {
    let text = "
        [[list]]\nsymbol = 'L'\nmatch = ['from_header', 'envelope_sender']\nentries = ['sender.example']\nscore = 3\ndirection = 'inbound'\n";
    let mut transaction = transaction("a@other.example", &["bob@here.example"]);
    assert_eq!(judged(&policy(text), &transaction, PLAIN).score, 3.0);
    transaction.direction = Direction::Outbound;
    assert_eq!(judged(&policy(text), &transaction, PLAIN).score, 0.0);
}

#[test]
fn behind_relays_of_ours_the_true_client_counts() {
    let text = "trusted_networks = ['192.0.2.0/24', '10.0.0.0/8']\n
        [[list]]\nsymbol = 'IP'\nmatch = 'peer'\nentries = ['203.0.113.9']\naction = 'reject'\n
        [[list]]\nsymbol = 'HELO'\nmatch = 'helo'\nentries = ['evil.example']\nscore = 1\n
        [[list]]\nsymbol = 'PTR'\nmatch = 'ptr'\nentries = ['.pool.example']\nscore = 1\n
        [[list]]\nsymbol = 'RELAY'\nmatch = 'peer'\nentries = ['192.0.2.1']\nscore = 1\n";
    let relayed = format!(
        "Received: from in.here.example (in.here.example [10.0.0.5])\r\n\tby mx (Postfix) with ESMTP id 1\r\n\
         Received: from evil.example (dsl-9.pool.example [203.0.113.9])\r\n\tby in.here.example (Postfix) with SMTP id 2\r\n\
         Received: from forged (forged [198.51.100.1]) by evil.example\r\n{PLAIN}"
    );
    let transaction = transaction("a@sender.example", &["bob@here.example"]);
    let verdict = judged(&policy(text), &transaction, &relayed);
    assert_eq!(symbols(&verdict), ["IP", "HELO", "PTR"]);
    assert_eq!(verdict.disposition, Disposition::Reject);
    assert_eq!(
        symbols(&judged(&policy(text), &transaction, PLAIN)),
        ["RELAY"],
        "nobody else is named"
    );
    assert_eq!(
        screened(text, &transaction, Stage::Connect).findings,
        [],
        "not known yet"
    );
}
