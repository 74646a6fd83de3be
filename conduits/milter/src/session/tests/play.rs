//! A session against the mail server's side of the protocol.

use super::*;
use crate::mta::{Client, Flavour, Message, Mta, Received};

/// Plays messages from a mail server of ours to a session; what came in.
fn play(flavour: Flavour, wanted: Wanted, messages: &[Message]) -> Vec<Bytes> {
    let mut mta = Mta::new(flavour, Client::default());
    for message in messages {
        mta.send(message.clone());
    }
    mta.reconnect(Client::default());
    mta.send(messages[0].clone());
    mta.quit();
    let mut filter = Filter {
        session: Session::new(wanted),
        out: BytesMut::new(),
    };
    let mut seen = Vec::new();
    let mut finished = 0;
    let mut wire = BytesMut::new();
    loop {
        let more = mta.advance(&mut wire);
        filter.session.space().put_slice(&wire.split());
        while let Some(step) = filter.session.next_step(&mut filter.out).expect("sound") {
            assert_ne!(step.event, Event::Ignored);
            assert!(!step.withdrew);
            if step.event == Event::EndOfMessage {
                assert!(filter.session.queue_id().is_some() || flavour == Flavour::Minimal);
                seen.push(filter.session.content().take_whole());
                filter
                    .session
                    .finish(&verdict(Disposition::Accept), &mut filter.out)
                    .expect("due");
            } else if step.reply_due {
                filter.answer(&Answer::Continue);
            }
        }
        mta.space().put_slice(&filter.written());
        while let Some(received) = mta.receive().expect("our filter keeps the protocol") {
            if let Received::Finished(outcome) = received {
                assert!(outcome.is_accepted());
                finished += 1;
            }
        }
        if !more {
            break;
        }
    }
    assert_eq!(finished, messages.len() + 1);
    seen
}

#[test]
fn every_kind_of_mail_server_is_served_byte_for_byte() {
    let large = format!(
        "Subject: large\r\n\r\n{}",
        "0123456789abcde\r\n".repeat(20_000)
    );
    let texts = [
        "Subject: small\r\nX-Fold: a\r\n\tb\r\nX-Bare:c\r\n\r\nbody\r\n",
        "X-Empty:\r\n\r\n",
        &large,
    ];
    let messages = texts.map(|text| Message::parse(text.as_bytes()));
    let plan = Plan {
        revision: Revision::new("abc").expect("a revision"),
        stages: StageSet::EMPTY,
        macros: Vec::new(),
        size_limit: None,
        needs_body: true,
    };
    for flavour in [Flavour::Postfix, Flavour::Sendmail] {
        let seen = play(flavour, Wanted::from_plan(&plan), &messages);
        assert_eq!(seen[..3], texts, "{flavour:?}");
    }
    for flavour in [Flavour::Postfix, Flavour::Sendmail, Flavour::Minimal] {
        // Without leading blanks agreed on, a header always gets one.
        let seen = play(flavour, Wanted::EVERYTHING, &messages);
        assert_eq!(seen[2], texts[2], "{flavour:?}");
        assert!(seen[0].starts_with(b"Subject: small\r\nX-Fold: a\r\n\tb\r\nX-Bare: c\r\n\r\n"));
    }
}
