//! Recipients for whom the policy differs.

use super::*;

const PER_RECIPIENT: &str = "
    [thresholds]\nmark = 1\nreject = 10\n
    [[rule]]\nsymbol = 'HELLO'\nheader = 'Subject'\npattern = 'hello'\nscore = 5\n
    [[override]]\nrecipient_domain = ['strict.example', '.strict.example']\nthresholds = { reject = 4 }\n
    [[override]]\nrecipient_domain = 'plain.example'\nwithout = 'mark'\n
    [[action]]\nname = 'refuse'\nscore_at_least = 'reject'\ndo = 'reject'\nreply = '550 5.7.1 spam {threshold}'\n
    [[action]]\nname = 'mark'\nscore_at_least = 'mark'\nadd_header = 'X-Spam: yes'\n
    [[action]]\nname = 'all'\nadd_header = 'X-Seen: yes'\n";

#[test]
fn recipients_may_differ() {
    let outcome = |extra: &str, recipients: &[&str]| {
        let policy = policy(&format!("{extra}\n{PER_RECIPIENT}"));
        judged(&policy, &transaction("a@sender.example", recipients), PLAIN)
    };
    // All alike: no difference to be seen.
    let strict = outcome("", &["a@strict.example", "b@x.strict.example"]);
    assert_eq!(
        (strict.disposition, reply(&strict).as_str()),
        (Disposition::Reject, "550 5.7.1 spam 4.0")
    );
    assert!(strict.degradations.is_empty());
    let mild = outcome("", &["a@mild.example"]);
    assert_eq!(
        mild.edits,
        [header("X-Spam", "yes"), header("X-Seen", "yes")]
    );

    // Some refuse, and there is nowhere to keep a copy: the message is refused, and the sender is told.
    let mixed = outcome("", &["a@mild.example", "b@strict.example"]);
    assert_eq!(mixed.disposition, Disposition::Reject);
    assert_eq!(mixed.degradations[0].wanted, "recipients-differ");

    // Edits: what all have, unless the policy joins them.
    let recipients = ["a@plain.example", "b@mild.example"];
    assert_eq!(outcome("", &recipients).edits, [header("X-Seen", "yes")]);
    let joined = outcome("union_of_edits = true", &recipients);
    assert_eq!(
        joined.edits,
        [header("X-Seen", "yes"), header("X-Spam", "yes")]
    );
}

#[test]
fn a_recipient_is_refused_at_rcpt_and_the_others_are_not() {
    let text = "
        [[list]]\nsymbol = 'L'\nmatch = 'envelope_sender'\nentries = ['sender.example']\naction = 'reject'\nrecipient_domain = 'strict.example'\n
        [[list]]\nsymbol = 'GONE'\nmatch = 'recipient'\nentries = ['gone@here.example']\naction = 'reject'\nreply = '550 5.1.1 {value} has left'\n";
    for (recipients, refused) in [
        (&["a@strict.example"][..], true),
        (&["a@strict.example", "b@here.example"], false),
        (&["b@here.example", "a@strict.example"], true),
        (&["b@here.example", "gone@here.example"], true),
        (&["gone@here.example", "b@here.example"], false),
    ] {
        let transaction = transaction("a@sender.example", recipients);
        let verdict = screened(text, &transaction, Stage::Rcpt);
        assert_eq!(
            verdict.disposition == Disposition::Reject,
            refused,
            "{recipients:?}"
        );
        assert_eq!(
            screened(text, &transaction, Stage::Mail).disposition,
            Disposition::Accept
        );
    }
    let gone = screened(
        text,
        &transaction("x@y.example", &["gone@here.example"]),
        Stage::Rcpt,
    );
    assert_eq!(reply(&gone), "550 5.1.1 gone@here.example has left");
}

#[test]
fn a_redirect_is_for_those_recipients_that_it_is_for() {
    let text =
        "[[action]]\nname = 'r'\nrecipient_domain = 'old.example'\nredirect = 'all@new.example'\n";
    let transaction = transaction(
        "a@x.example",
        &["a@old.example", "b@here.example", "c@old.example"],
    );
    let verdict = judged(&policy(text), &transaction, PLAIN);
    assert_eq!(
        verdict.edits,
        [
            Edit::DeleteRecipient { index: 0 },
            Edit::DeleteRecipient { index: 2 },
            Edit::AddRecipient {
                address: Bytes::from_static(b"all@new.example")
            },
        ]
    );
}
