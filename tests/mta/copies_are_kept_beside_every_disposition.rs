use std::fs;

use millrace_tests::message;
use millrace_tests::mta::Kind;
use millrace_tests::with_both;

use crate::kept::Kept;
use crate::same::assert_same;

with_both!(
    what_is_refused_is_kept,
    what_is_put_off_is_kept_once_however_often_it_comes,
    what_is_discarded_is_kept,
    what_is_delivered_is_kept_for_audit,
    what_the_mail_server_holds_is_kept_beside,
    what_is_held_in_the_store_is_not_in_the_mail_servers_hold,
    nothing_is_kept_for_those_who_keep_nothing,
    what_cannot_be_kept_is_put_off,
    every_byte_comes_back,
);

/// A policy that does this to everything.
fn policy(done: &str) -> String {
    format!("[[action]]\nname = \"all\"\ndo = \"{done}\"\n")
}

fn keeping(kind: Kind, done: &str) -> Kept {
    Kept::start(kind, &format!("keep = \"{done}\"\n{}", policy(done)))
}

/// The only copy: what was decided, what was done, and the bytes.
#[track_caller]
fn assert_kept(kept: &Kept, decided: &str, done: &str, content: &[u8]) {
    let copy = kept.settled();
    assert_eq!(copy["disposition"], decided, "{copy}");
    assert_eq!(copy["state"]["outcome"], "done", "{copy}");
    assert_eq!(copy["state"]["disposition"], done, "{copy}");
    assert_same(&kept.raw(&copy), content);
    kept.route.assert_no_complaints();
}

fn what_is_refused_is_kept(kind: Kind) {
    let kept = keeping(kind, "reject");
    let content = message::simple("refused");
    kept.route.send(&content).expect(550);
    assert_eq!(kept.route.sink.count(), 0);
    assert_kept(&kept, "reject", "reject", &content);
}

fn what_is_put_off_is_kept_once_however_often_it_comes(kind: Kind) {
    let kept = keeping(kind, "tempfail");
    let content = message::simple("later");
    for _ in 0..2 {
        kept.route.send(&content).expect(451);
    }
    assert_eq!(kept.route.sink.count(), 0);
    assert_kept(&kept, "tempfail", "tempfail", &content);
}

fn what_is_discarded_is_kept(kind: Kind) {
    let kept = keeping(kind, "discard");
    let content = message::simple("dropped");
    kept.route.send(&content).expect(250);
    assert_kept(&kept, "discard", "discard", &content);
    assert_eq!((kept.route.sink.count(), kept.route.mta.queued()), (0, 0));
}

fn what_is_delivered_is_kept_for_audit(kind: Kind) {
    let marked = "[[action]]\nname = \"mark\"\nadd_header = \"X-Seen: yes\"\n";
    let kept = Kept::start(kind, &format!("keep = \"accept\"\n{marked}"));
    let content = message::simple("delivered");
    kept.route.send(&content).expect(250);
    assert_eq!(kept.route.sink.only().fields_named("X-Seen").len(), 1);
    // As it came, not as it was changed.
    assert_kept(&kept, "accept", "accept", &content);
}

fn what_the_mail_server_holds_is_kept_beside(kind: Kind) {
    let kept = keeping(kind, "hold");
    let content = message::simple("held");
    kept.route.send(&content).expect(250);
    assert_eq!(kept.route.mta.held().len(), 1);
    assert_eq!(kept.route.sink.count(), 0);
    assert_kept(&kept, "hold", "hold", &content);
}

fn what_is_held_in_the_store_is_not_in_the_mail_servers_hold(kind: Kind) {
    let reason = "reason = \"ask the postmaster\"\n";
    let kept = Kept::start(
        kind,
        &format!("hold = \"store\"\n{}{reason}", policy("hold")),
    );
    let content = message::simple("held");
    kept.route.send(&content).expect(250);
    assert_kept(&kept, "hold", "discard", &content);
    assert_eq!(
        (kept.route.mta.held().len(), kept.route.mta.queued()),
        (0, 0)
    );
    let copy = kept.settled();
    assert_eq!(copy["reason"], "ask the postmaster", "{copy}");
    let found = kept.run(&["list", "--disposition", "hold", "--format", "json"]);
    assert_eq!(found.lines().count(), 1);

    kept.release(&copy, &[]);
    let arrived = kept.route.sink.only();
    assert_same(
        &arrived.without(&["Received", "X-Millrace-Stamp"]),
        &content,
    );
}

fn nothing_is_kept_for_those_who_keep_nothing(kind: Kind) {
    let private = "[[override]]\nrecipient_domain = \"private.example\"\nkeep = \"nothing\"\n";
    let kept = Kept::start(
        kind,
        &format!("keep = \"reject\"\n{private}{}", policy("reject")),
    );
    let content = message::simple("refused");
    kept.send_to(&["a@private.example"], &content).expect(550);
    assert_eq!(kept.copies(), Vec::<serde_json::Value>::new());
    kept.send_to(&["a@private.example", "b@dest.example"], &content)
        .expect(550);
    let copy = kept.settled();
    assert_eq!(copy["kept_for"], serde_json::json!(["b@dest.example"]));
    kept.release(&copy, &[]);
    assert_eq!(kept.route.sink.only().recipients(), ["b@dest.example"]);
}

fn what_cannot_be_kept_is_put_off(kind: Kind) {
    let kept = keeping(kind, "reject");
    let content = message::simple("refused");
    let (store, away) = (kept.store(), kept.store().with_file_name("away"));
    fs::rename(&store, &away).expect("the store is ours");
    fs::write(&store, "in its place").expect("the temp folder is ours");
    let reply = kept.route.send(&content).expect(451);
    assert!(reply.text().contains("(store; transaction"), "{reply:?}");

    fs::remove_file(&store).expect("the temp folder is ours");
    fs::rename(&away, &store).expect("the store is ours");
    kept.route.send(&content).expect(550);
    assert_kept(&kept, "reject", "reject", &content);
}

fn every_byte_comes_back(kind: Kind) {
    let kept = keeping(kind, "reject");
    let mut odd = message::simple("odd");
    odd.extend_from_slice(b"8-bit: \xff\xfe\xe4, a tab\tand a dot:\r\n.\r\n..\r\n");
    let empty = format!("{}Subject: no body\r\n\r\n", message::HEADER).into_bytes();
    let large = message::of_size(5 << 20);
    for (n, content) in [odd, empty, large].iter().enumerate() {
        kept.route.send(content).expect(550);
        let copies = kept.copies();
        assert_eq!(copies.len(), n + 1);
        assert_same(&kept.raw(&copies[0]), content);
    }
}
