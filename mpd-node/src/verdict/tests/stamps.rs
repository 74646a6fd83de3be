//! Messages with a stamp of ours.

use millrace_quarantine::StampProblem;

use super::*;

const OWN: &str = "own_headers = ['X-Millrace-*']\n";
const OWN_AND_REFUSE: &str =
    "own_headers = ['X-Millrace-*']\n[[action]]\nname = 'all'\ndo = 'reject'\nkeep = true\n";

fn with_stamp(text: &str, stamped: &Stamped) -> Verdict {
    let policy = policy(text);
    let content = format!("X-Millrace-Stamp: v=1\r\nX-Millrace-Score: 0\r\n{PLAIN}");
    let message = Message::parse(Bytes::from(content), policy.limits());
    let transaction = transaction("a@sender.example", &["bob@here.example"]);
    let node = Arc::from("node-1");
    judge(
        &policy,
        &node,
        &transaction,
        &message,
        Keeping::Available,
        stamped,
        false,
    )
}

fn deleted(verdict: &Verdict) -> Vec<&[u8]> {
    let names = verdict.edits.iter().map(|edit| match edit {
        Edit::DeleteHeader { name, .. } => &**name,
        other => panic!("{other:?}"),
    });
    names.collect()
}

#[test]
fn a_released_message_is_accepted_and_keeps_its_stamp() {
    let verdict = with_stamp(
        OWN_AND_REFUSE,
        &Stamped::Released {
            key: "k1".to_owned(),
        },
    );
    assert_eq!(verdict.disposition, Disposition::Accept);
    assert!(!verdict.keep);
    assert_eq!(symbols(&verdict), ["RELEASED"]);
    assert_eq!(deleted(&verdict), [b"X-Millrace-Score"]);
}

#[test]
fn a_stamp_that_says_nothing_is_a_finding_and_goes() {
    let stamped = Stamped::Refused(StampProblem::Expired);
    let verdict = with_stamp(OWN_AND_REFUSE, &stamped);
    assert_eq!(
        (verdict.disposition, verdict.keep),
        (Disposition::Reject, true)
    );
    assert_eq!(symbols(&verdict), ["STAMP_REFUSED"]);
    assert_eq!(verdict.findings[0].detail, "expired");
    // Where the message goes on, it goes on without.
    for text in [OWN, ""] {
        let verdict = with_stamp(text, &stamped);
        assert_eq!(verdict.disposition, Disposition::Accept);
        assert!(deleted(&verdict).contains(&&b"X-Millrace-Stamp"[..]));
    }
    assert_eq!(
        deleted(&with_stamp(OWN, &stamped)),
        [&b"X-Millrace-Stamp"[..], b"X-Millrace-Score"]
    );
}
