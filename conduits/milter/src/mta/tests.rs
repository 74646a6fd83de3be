use bytes::BufMut;

use super::*;
use crate::command::RawPath;
use crate::negotiate::Wanted;

fn reply(mta: &mut Mta, response: &Response) -> Result<Received, MtaError> {
    let mut wire = BytesMut::new();
    response.encode(&mut wire);
    mta.space().put_slice(&wire);
    Ok(mta.receive()?.expect("a whole frame"))
}

/// Letters of all frames that the mail server writes until it waits.
fn letters(mta: &mut Mta) -> String {
    let mut out = BytesMut::new();
    mta.advance(&mut out);
    let mut decoder = FrameDecoder::new(1 << 20);
    decoder.space().put_slice(&out);
    let mut letters = String::new();
    while let Some(frame) = decoder.next_frame().expect("frames") {
        letters.push(char::from(frame.command));
    }
    letters
}

fn message(recipients: usize) -> Message {
    let mut message = Message::parse(b"Subject: hi\r\n\r\nbody\r\n");
    message.recipients = vec![RawPath::new("<b@y>"); recipients];
    message
}

/// A mail server that has negotiated and waits at the message.
fn negotiated(flavour: Flavour, steps: Steps) -> Mta {
    let mut mta = Mta::new(flavour, Client::default());
    assert_eq!(letters(&mut mta), "O");
    let wanted = Wanted {
        steps,
        ..Wanted::EVERYTHING
    };
    let response = wanted
        .agree(&flavour.offer())
        .expect("agreement")
        .response();
    assert_eq!(reply(&mut mta, &response), Ok(Received::Negotiated));
    mta
}

#[test]
fn all_frames_that_need_no_reply_go_out_together() {
    for (flavour, expected) in [
        (Flavour::Postfix, "DCDHDMDRDTDLDNDBDE"),
        (Flavour::Sendmail, "DCDHDMDRTLNBDE"),
    ] {
        let mut mta = negotiated(flavour, Steps(0xff080));
        mta.send(message(1));
        assert_eq!(letters(&mut mta), expected, "{flavour:?}");
    }
    let mut mta = negotiated(Flavour::Minimal, Steps::NONE);
    mta.send(message(1));
    assert_eq!(letters(&mut mta), "C");
    assert_eq!(letters(&mut mta), "", "it waits");
    assert_eq!(reply(&mut mta, &Response::Continue), Ok(Received::Continue));
    assert_eq!(letters(&mut mta), "H");
}

#[test]
fn steps_that_are_switched_off_are_not_sent() {
    let off = Steps::NO_HELO | Steps::NO_DATA | Steps::NO_END_OF_HEADERS | Steps::NO_BODY;
    let mut mta = negotiated(Flavour::Sendmail, Steps(0xff080) | off);
    mta.send(message(2));
    assert_eq!(letters(&mut mta), "DCDMDRDRLDE");
}

#[test]
fn the_end_of_a_message_is_told_with_its_edits() {
    let mut mta = negotiated(Flavour::Postfix, Steps(0xff080));
    mta.send(message(1));
    mta.send(message(1));
    letters(&mut mta);
    let edit = Response::Quarantine("spam".into());
    assert_eq!(reply(&mut mta, &Response::Progress), Ok(Received::Progress));
    assert_eq!(reply(&mut mta, &edit), Ok(Received::Edit));
    let Ok(Received::Finished(outcome)) = reply(&mut mta, &Response::Accept) else {
        panic!("not finished");
    };
    assert!(outcome.is_accepted());
    assert_eq!(outcome.held(), Some(&"spam".into()));
    assert_eq!(outcome.at, b'E');
    assert!(
        letters(&mut mta).starts_with("ADM"),
        "Postfix aborts, then the next message"
    );
}

#[test]
fn refused_recipients_are_listed_and_with_the_last_the_message_is_over() {
    let mut mta = negotiated(Flavour::Sendmail, Steps(0xff080 & !0x8000));
    mta.send(message(2));
    mta.send(message(2));
    assert_eq!(letters(&mut mta), "DCDHDMDR");
    assert_eq!(reply(&mut mta, &Response::Reject), Ok(Received::Continue));
    assert_eq!(letters(&mut mta), "DR");
    let Ok(Received::Finished(outcome)) = reply(&mut mta, &Response::Tempfail) else {
        panic!("not finished");
    };
    assert_eq!(outcome.refused.len(), 2);
    assert!(!outcome.is_accepted());
    assert_eq!(letters(&mut mta), "ADMDR");
    assert_eq!(reply(&mut mta, &Response::Continue), Ok(Received::Continue));
    letters(&mut mta);
    assert_eq!(reply(&mut mta, &Response::Reject), Ok(Received::Continue));
    assert_eq!(letters(&mut mta), "TLNBDE", "one recipient is left");
}

#[test]
fn a_filter_that_breaks_the_protocol_is_found_out() {
    let steps = Steps(0xff080);
    let header = Response::AddHeader {
        name: "X".into(),
        value: "y".into(),
    };
    // Before the message, nothing is due.
    let mut mta = negotiated(Flavour::Postfix, steps);
    assert_eq!(
        reply(&mut mta, &Response::Continue),
        Err(MtaError::NotDue('c'))
    );
    // At CONNECT.
    for response in [
        Response::Discard,
        Response::Progress,
        Response::Skip,
        header.clone(),
    ] {
        let mut mta = negotiated(Flavour::Postfix, Steps::NONE);
        mta.send(message(1));
        letters(&mut mta);
        let found = reply(&mut mta, &response);
        assert!(
            matches!(found, Err(MtaError::OutOfPlace { .. })),
            "{response:?}"
        );
    }
    // Bits that were not offered.
    let mut mta = Mta::new(Flavour::Minimal, Client::default());
    letters(&mut mta);
    let response = Response::Negotiate {
        version: 6,
        actions: Actions::ALL,
        steps: Steps::ALL,
        macros: Vec::new(),
    };
    assert!(matches!(
        reply(&mut mta, &response),
        Err(MtaError::NotOffered { .. })
    ));
    // An edit that was not asked for.
    let mut mta = Mta::new(Flavour::Postfix, Client::default());
    letters(&mut mta);
    let response = Response::Negotiate {
        version: 6,
        actions: Actions::NONE,
        steps,
        macros: Vec::new(),
    };
    reply(&mut mta, &response).expect("sound");
    mta.send(message(1));
    letters(&mut mta);
    assert_eq!(reply(&mut mta, &header), Err(MtaError::NotAgreed('h')));
}

#[test]
fn a_refused_connection_ends_at_once() {
    let mut mta = negotiated(Flavour::Sendmail, Steps::NONE);
    mta.send(message(1));
    letters(&mut mta);
    let received = reply(&mut mta, &Response::Reject);
    assert!(matches!(received, Ok(Received::Finished(outcome)) if outcome.at == b'C'));
    assert_eq!(letters(&mut mta), "Q");
}
