use std::time::{SystemTime, UNIX_EPOCH};

use millrace_quarantine::StampKeys;
use millrace_tests::certificate::Certificate;
use millrace_tests::message;
use millrace_tests::mta::{Kind, Mta, Wanted};
use millrace_tests::sink::Sink;
use millrace_tests::with_both;

use crate::kept::{Kept, id};
use crate::same::assert_same;

with_both!(
    refused_mail_is_released_through_the_filter_that_refused_it,
    a_stamp_does_not_help_another_message_or_other_people,
    a_forged_stamp_and_one_of_another_key_are_refused,
    a_stamp_holds_until_it_expires,
    the_next_hop_is_reached_over_tls_where_that_is_asked_for,
);

const REFUSE_ALL: &str = "[[action]]\nname = \"all\"\ndo = \"reject\"\nkeep = true\n";

fn refused_mail_is_released_through_the_filter_that_refused_it(kind: Kind) {
    let kept = Kept::start(kind, REFUSE_ALL);
    let content = message::with_attachment("a.txt", "text/plain", b"attached");
    let reply = kept.route.send(&content);
    assert!(reply.code >= 500, "{reply:?}");
    let copies = kept.copies();
    assert_eq!(copies.len(), 1);
    let told = kept.release(&copies[0], &[]);
    assert!(told.contains("<rcpt@dest.example>  sent"), "{told}");

    let arrived = kept.route.sink.only();
    assert_eq!(arrived.sender(), "sender@origin.example");
    assert_eq!(arrived.recipients(), ["rcpt@dest.example"]);
    assert_same(
        &arrived.without(&["Received", "X-Millrace-Stamp"]),
        &content,
    );
    // The next filter on the way finds it too.
    assert_eq!(arrived.fields_named("X-Millrace-Stamp").len(), 1);
    let copies = kept.copies();
    assert_eq!(copies.len(), 1, "it was not kept again");
    assert!(copies[0]["released"].is_u64(), "{}", copies[0]);
    let audit = kept.run(&["audit"]);
    assert!(audit.contains("  release  "), "{audit}");
    kept.route.assert_no_complaints();
}

fn a_stamp_does_not_help_another_message_or_other_people(kind: Kind) {
    let kept = Kept::start(kind, REFUSE_ALL);
    let content = message::simple("once");
    kept.route.send(&content);
    kept.release(&kept.copies()[0], &[]);
    let stamped = kept.route.sink.only().without(&["Received"]);
    let text = String::from_utf8(stamped.clone()).expect("the test's message is ASCII");
    let changed = text.replace("this is a test", "buy my goods").into_bytes();
    assert_ne!(changed, stamped);
    for (recipient, content) in [
        ("other@dest.example", &stamped),
        ("rcpt@dest.example", &changed),
    ] {
        assert_refused(&kept, recipient, content);
    }
    assert_eq!(kept.route.sink.count(), 1);
}

fn a_forged_stamp_and_one_of_another_key_are_refused(kind: Kind) {
    let kept = Kept::start(kind, REFUSE_ALL);
    kept.route.send(&message::simple("once"));
    let other = kept.keys().with_file_name("other");
    let other = other.to_str().expect("UTF-8");
    kept.run(&["key", other]);
    let via = format!("127.0.0.1:{}", kept.route.mta.port());
    let copy = id(&kept.copies()[0]).to_owned();
    let refused = kept.output(&["release", &copy, "--via", &via, "--keys", other]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert_eq!(kept.route.sink.count(), 0);
    assert!(
        kept.copies().iter().all(|copy| copy["released"].is_null()),
        "a release that fails leaves the copy as it was"
    );

    let oldest = kept.copies().pop().expect("a copy");
    kept.release(&oldest, &[]);
    let stamped = kept.route.sink.only().without(&["Received"]);
    let text = String::from_utf8(stamped).expect("the test's message is ASCII");
    // Its expiry is put off by whoever has no key.
    let from = text.find("x=").expect("the stamp has an expiry") + 2;
    let forged = format!("{}9{}", &text[..from], &text[from + 1..]);
    assert_ne!(forged, text);
    assert_refused(&kept, "rcpt@dest.example", forged.as_bytes());
    assert_eq!(kept.route.sink.count(), 1);
}

fn a_stamp_holds_until_it_expires(kind: Kind) {
    let kept = Kept::start(kind, REFUSE_ALL);
    let content = message::simple("in time");
    let keys = StampKeys::load(&kept.keys()).expect("keys");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    let stamped = |expires: u64| {
        let stamp = keys
            .stamp(&content, &[b"rcpt@dest.example"], expires)
            .expect("random numbers")
            .replace('\n', "\r\n");
        [
            format!("X-Millrace-Stamp: {stamp}\r\n").as_bytes(),
            &content,
        ]
        .concat()
    };
    assert_refused(&kept, "rcpt@dest.example", &stamped(now.as_secs() - 1));
    kept.send_to(&["rcpt@dest.example"], &stamped(now.as_secs() + 3600))
        .expect(250);
    assert_eq!(kept.route.sink.only().recipients(), ["rcpt@dest.example"]);
    assert_eq!(kept.copies().len(), 1, "it was not kept");
}

#[track_caller]
fn assert_refused(kept: &Kept, recipient: &str, content: &[u8]) {
    let reply = kept.send_to(&[recipient], content);
    assert!(reply.code >= 500, "{reply:?}");
    let newest = &kept.copies()[0];
    let symbols = newest["symbols"].as_array().expect("symbols");
    assert!(symbols.iter().any(|one| one == "STAMP_REFUSED"), "{newest}");
}

fn the_next_hop_is_reached_over_tls_where_that_is_asked_for(kind: Kind) {
    let kept = Kept::start(kind, REFUSE_ALL);
    kept.route.send(&message::simple("over TLS"));
    let copy = id(&kept.copies()[0]).to_owned();
    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let made = Certificate::make(folder.path());
    let stranger = tempfile::tempdir().expect("a temp folder can be made");
    let strangers = Certificate::make(stranger.path());
    let sink = Sink::start();
    let plain = Mta::start(kind, &sink, &Wanted::default());
    let wanted = match kind {
        Kind::Postfix => Wanted::default()
            .starttls()
            .configured(&format!(
                "smtpd_tls_cert_file = {}",
                made.certificate.display()
            ))
            .configured(&format!("smtpd_tls_key_file = {}", made.key.display())),
        Kind::Sendmail => Wanted::default()
            .starttls()
            .configured(&format!(
                "define(`confSERVER_CERT', `{}')dnl",
                made.certificate.display()
            ))
            .configured(&format!(
                "define(`confSERVER_KEY', `{}')dnl",
                made.key.display()
            )),
    };
    let secured = Mta::start(kind, &sink, &wanted);
    let keys = kept.keys();
    let (keys, ca) = (
        keys.to_str().expect("UTF-8"),
        made.certificate.to_str().expect("UTF-8"),
    );
    let other = strangers.certificate.to_str().expect("UTF-8");
    let release = |via: u16, further: &[&str]| {
        let via = format!("127.0.0.1:{via}");
        let own = [
            "release", &copy, "--via", &via, "--keys", keys, "--again", "--tls",
        ];
        kept.output(&[&own, further].concat())
    };
    for (via, further, told) in [
        (plain.port(), &["required"][..], "STARTTLS is not offered"),
        (secured.port(), &["required"], "certificate"),
        (
            secured.port(),
            &["required", "--tls-ca", other],
            "certificate",
        ),
        (
            secured.port(),
            &["opportunistic", "--tls-ca", other],
            "certificate",
        ),
    ] {
        let refused = release(via, further);
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{further:?}: {text}");
        assert!(text.contains(told), "{further:?}: {text}");
    }
    assert_eq!(sink.count(), 0);
    for (via, further, encrypted) in [
        (plain.port(), &["opportunistic"][..], false),
        (secured.port(), &["none"], false),
        (secured.port(), &["opportunistic"], true),
        (secured.port(), &["required", "--tls-ca", ca], true),
    ] {
        let before = sink.count();
        let sent = release(via, further);
        let text = String::from_utf8_lossy(&sent.stderr);
        assert!(sent.status.success(), "{further:?}: {text}");
        let arrived = sink.wait_for(before + 1).remove(before);
        // ESMTPS is ESMTP with STARTTLS (RFC 3848).
        let trace = arrived.fields_named("Received").join("\n");
        assert_eq!(trace.contains("with ESMTPS"), encrypted, "{trace}");
    }
}
