//! What is kept, of what and for whom, and where held mail waits.

use super::*;

const REFUSE_TWO: &str = "
    [[action]]\nname = 'refuse'\nrecipient_domain = ['strict.example', 'private.example']\ndo = 'reject'\n";

fn kept(text: &str, recipients: &[&str]) -> Verdict {
    let transaction = transaction("a@sender.example", recipients);
    judged_with(&policy(text), &transaction, PLAIN, Keeping::Available)
}

/// Disposition, whether and for whom a copy is kept.
fn told(verdict: &Verdict) -> (Disposition, bool, &[u32]) {
    (verdict.disposition, verdict.keep, &verdict.kept_for)
}

#[test]
fn the_policy_keeps_what_ends_as_it_says() {
    let actions = "[[action]]\nname = 'r'\nrecipient_domain = 'strict.example'\ndo = 'reject'\n";
    for (keep, strict, other) in [
        ("", false, false),
        ("keep = 'reject'", true, false),
        ("keep = ['accept', 'discard']", false, true),
        (
            "keep = ['accept', 'reject', 'tempfail', 'discard', 'hold']",
            true,
            true,
        ),
        ("keep = 'nothing'", false, false),
    ] {
        let text = format!("{keep}\n{actions}");
        let refused = kept(&text, &["a@strict.example"]);
        assert_eq!(
            told(&refused),
            (Disposition::Reject, strict, &[][..]),
            "{keep}"
        );
        let accepted = kept(&text, &["a@other.example"]);
        assert_eq!(
            told(&accepted),
            (Disposition::Accept, other, &[][..]),
            "{keep}"
        );
    }
}

#[test]
fn an_override_says_what_is_kept_of_one_client_or_recipient_domain() {
    let text = "
        keep = 'reject'\n
        [[override]]\nclient = 'mx'\nrecipient_domain = 'strict.example'\nkeep = ['discard']\n
        [[override]]\nrecipient_domain = 'private.example'\nkeep = 'nothing'\n
        [[override]]\nclient = 'other'\nkeep = 'nothing'\n
        [[action]]\nname = 'audit'\nwhen = '__HELLO'\nkeep = true\n
        [[action]]\nname = 'refuse'\ndo = 'reject'\n
        [[rule]]\nsymbol = '__HELLO'\nheader = 'X-Hello'\n";
    for (recipient, keeps) in [
        ("a@here.example", true),
        ("a@strict.example", false),
        ("a@private.example", false),
    ] {
        assert_eq!(kept(text, &[recipient]).keep, keeps, "{recipient}");
    }
    // What an action asks for comes beside, but not where nothing is kept.
    let asked = format!("X-Hello: yes\r\n{PLAIN}");
    for (recipient, keeps) in [("a@strict.example", true), ("a@private.example", false)] {
        let transaction = transaction("a@sender.example", &[recipient]);
        let verdict = judged_with(&policy(text), &transaction, &asked, Keeping::Available);
        assert_eq!(
            (verdict.keep, verdict.degradations),
            (keeps, vec![]),
            "{recipient}"
        );
    }
}

#[test]
fn a_copy_is_for_those_that_keep_one() {
    let text = format!(
        "keep = 'reject'\n[[override]]\nrecipient_domain = 'private.example'\nkeep = 'nothing'\n{REFUSE_TWO}"
    );
    let both = kept(&text, &["a@private.example", "b@strict.example"]);
    assert_eq!(told(&both), (Disposition::Reject, true, &[1][..]));

    // Taken off with a copy, where others have the mail.
    let one = kept(
        &text,
        &["a@here.example", "b@strict.example", "c@strict.example"],
    );
    assert_eq!(told(&one), (Disposition::Accept, true, &[1, 2][..]));
    assert_eq!(one.kept_as, Some(Disposition::Reject));
    let removals = [1, 2].map(|index| Edit::DeleteRecipient { index });
    assert_eq!(one.edits, removals);

    // Where nothing may be kept, the sender is told.
    let aloud = kept(&text, &["a@here.example", "b@private.example"]);
    assert_eq!(told(&aloud), (Disposition::Reject, false, &[][..]));
    assert_eq!(aloud.degradations[0].wanted, "recipients-differ");
}

#[test]
fn a_discard_is_the_policys_own_where_nothing_is_kept() {
    let text = "
        [[override]]\nrecipient_domain = 'private.example'\nkeep = 'nothing'\n
        [[action]]\nname = 'drop'\ndo = 'discard'\nkeep = true\n";
    let private = kept(text, &["a@private.example"]);
    assert_eq!(told(&private), (Disposition::Discard, false, &[][..]));
    let both = kept(text, &["a@private.example", "b@here.example"]);
    assert_eq!(told(&both), (Disposition::Discard, true, &[1][..]));
}

#[test]
fn a_hold_waits_where_the_policy_says() {
    let held = (Disposition::Hold, false);
    let stored = (Disposition::Discard, true);
    for (text, recipients, wanted) in [
        ("", &["a@here.example"][..], held),
        ("hold = 'mta'", &["a@here.example"], held),
        ("hold = 'store'", &["a@here.example"], stored),
        (
            "[[override]]\nclient = 'mx'\nhold = 'store'",
            &["a@here.example"],
            stored,
        ),
        (
            "[[override]]\nclient = 'other'\nhold = 'store'",
            &["a@here.example"],
            held,
        ),
        // In the mail server's own, unless all are to be in the store.
        (
            "[[override]]\nrecipient_domain = 'b.example'\nhold = 'store'",
            &["a@here.example", "b@b.example"],
            held,
        ),
        (
            "hold = 'store'\n[[override]]\nkeep = 'nothing'",
            &["a@here.example"],
            held,
        ),
    ] {
        let text = format!("{text}\n[[action]]\nname = 'hold'\ndo = 'hold'\nreason = 'odd'\n");
        let verdict = kept(&text, recipients);
        assert_eq!((verdict.disposition, verdict.keep), wanted, "{text}");
        assert_eq!(verdict.hold_reason, "odd");
        let kept_as = (wanted == stored).then_some(Disposition::Hold);
        assert_eq!(verdict.kept_as, kept_as, "{text}");
    }
    let of_action = "hold = 'store'\n[[action]]\nname = 'hold'\ndo = 'hold'\nhold = 'mta'\n";
    assert_eq!(
        kept(of_action, &["a@here.example"]).disposition,
        Disposition::Hold
    );
    let of_list = "hold = 'store'\n[[list]]\nsymbol = 'L'\nmatch = 'peer'\nentries = ['192.0.2.1']\naction = 'hold'\n";
    assert_eq!(
        kept(of_list, &["a@here.example"]).kept_as,
        Some(Disposition::Hold)
    );
}
