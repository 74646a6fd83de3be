//! Replays what a real Sendmail said, and holds our side to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use millrace_milter::mta::{Flavour, Message, apply_to_headers};
use millrace_milter::{
    Actions, Answer, Event, Frame, MacroStage, Response, Session, Steps, Wanted,
};
use millrace_proto::Reply;

use transcript::{Delivered, Line, Transcript};

#[path = "golden/transcript.rs"]
mod transcript;

/// Scenarios in which the mail server shows the filter something else than it
/// delivers, with the reason.
const DELIVERED_OTHERWISE: [(&str, &str); 8] = [
    ("nosteps", "the filter had headers and body switched off"),
    (
        "longhdr",
        "an added header line of 3000 bytes arrives with 2303",
    ),
    ("headers", "Sendmail wraps To anew"),
    ("leadspc", "Sendmail wraps To anew"),
    (
        "std-hdrs",
        "Sendmail adds Date, From and Message-Id, which it does not show",
    ),
    (
        "crlf-hdr",
        "Sendmail doubles the CR of a fold in an added header",
    ),
    ("nul-edit", "Sendmail cuts or drops edits with a NUL"),
    ("nohdr", "Sendmail adds headers to a message with none"),
];

/// What one scenario showed.
#[derive(Default)]
struct Replay {
    replies_compared: usize,
    messages: Vec<Seen>,
}

/// A message as our session saw it, with the recorded filter's edits.
struct Seen {
    /// `None` where the recorded filter had MAIL and RCPT switched off.
    envelope: Option<(Bytes, BTreeSet<Bytes>)>,
    content: Bytes,
    edits: Vec<Response>,
    leading_space: bool,
    skipped: bool,
}

#[test]
fn every_recorded_session_is_understood_and_answered_as_recorded() {
    let mut scenarios = 0;
    let mut replies = 0;
    let mut messages = 0;
    for_each_scenario(|name, transcript| {
        let replay = replay(name, transcript);
        scenarios += 1;
        replies += replay.replies_compared;
        messages += compare_delivered(name, transcript, &replay);
    });
    // The count is part of the test: a parser that finds nothing must not pass.
    assert!(scenarios >= 138, "{scenarios} scenarios");
    assert!(replies >= 1200, "{replies} replies compared");
    assert!(messages >= 46, "{messages} delivered messages compared");
}

fn for_each_scenario(mut visit: impl FnMut(&str, &Transcript)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sendmail");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the transcripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in files {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        if let Some(name) = stem.strip_prefix("trace-") {
            let text = fs::read_to_string(&file).expect("a transcript");
            visit(name, &Transcript::parse(&text));
        }
    }
}

fn replay(name: &str, transcript: &Transcript) -> Replay {
    let mut replay = Replay::default();
    let mut session = Session::new(Wanted::EVERYTHING);
    let mut seen: Option<Seen> = None;
    let mut skipped = false;
    let mut out = BytesMut::new();
    let mut lines = transcript.lines.iter().peekable();
    while let Some(line) = lines.next() {
        let Line::FromMta(frame) = line else {
            continue;
        };
        if frame.command == b'O' {
            // A new milter connection, negotiated as the recorded filter did.
            let Some(Line::FromFilter(recorded)) = lines.peek() else {
                panic!("{name}: an offer with no reply");
            };
            session = Session::new(wanted_as(recorded));
            out.clear();
            let step = session.feed(frame.clone(), &mut out).expect(name);
            assert_eq!(step.event, Event::Negotiated);
            if was_sound(frame, recorded) {
                assert_eq!(out, wire(recorded), "{name}: reply to the offer");
            }
            lines.next();
            continue;
        }
        let step = session
            .feed(frame.clone(), &mut out)
            .unwrap_or_else(|error| panic!("{name}: {frame:?}: {error}"));
        assert_ne!(step.event, Event::Ignored, "{name}: {frame:?}");
        if step.event == Event::EndOfMessage {
            seen = Some(Seen {
                envelope: raw_envelope(&session),
                content: session.content().take_whole(),
                edits: Vec::new(),
                leading_space: session.agreement().steps.contains(Steps::LEADING_SPACE),
                skipped,
            });
            skipped = false;
        }
        let mut answered = false;
        while let Some(Line::FromFilter(recorded)) = lines.peek() {
            assert!(
                step.reply_due,
                "{name}: a reply where none is due: {frame:?}"
            );
            if answered {
                // The recorded filter broke the protocol on purpose.
                break;
            }
            lines.next();
            let Ok(response) = Response::parse(recorded.clone()) else {
                assert_eq!(name, "unknown-reply");
                continue;
            };
            let mut again = BytesMut::new();
            response.encode(&mut again);
            assert_eq!(again, wire(recorded), "{name}: {response:?}");
            if response.is_edit() || response == Response::Progress {
                if let Some(seen) = &mut seen {
                    seen.edits.push(response);
                }
                continue;
            }
            answered = true;
            skipped |= response == Response::Skip;
            replay.replies_compared += answer_as(name, &mut session, &response, recorded);
            if matches!(response, Response::Continue | Response::Accept) {
                replay.messages.extend(seen.take());
            }
            seen = None;
        }
        if step.reply_due && !answered {
            assert!(
                matches!(lines.peek(), None | Some(Line::End)),
                "{name}: no reply where one is due: {frame:?}"
            );
        }
    }
    replay
}

/// Has our session give the recorded answer; 1 if the protocol lets it.
fn answer_as(name: &str, session: &mut Session, response: &Response, recorded: &Frame) -> usize {
    let answer = match response {
        Response::Continue => Answer::Continue,
        Response::Accept => Answer::Accept,
        Response::Reject => Answer::Reject,
        Response::Tempfail => Answer::Tempfail,
        Response::Discard => Answer::Discard,
        Response::Skip => Answer::Skip,
        Response::ReplyCode(text) => match parse_reply(text) {
            Some(reply) => Answer::Reply(reply),
            None => Answer::Reject,
        },
        other => panic!("{name}: {other:?}"),
    };
    let mut out = BytesMut::new();
    match session.answer(&answer, &mut out) {
        Ok(()) if out == wire(recorded) => 1,
        Ok(()) => {
            // A skip that was not agreed on, a reply with the code 250.
            let expected = ["skip-unasked", "code-bad"];
            assert!(expected.contains(&name), "{name}: {out:?} for {recorded:?}");
            session_over(session);
            0
        }
        // What Sendmail does not carry out as meant is not even sent.
        Err(error) => {
            let expected = ["disc-connect", "disc-helo", "skip-hdr", "skip-rcpt"];
            assert!(expected.contains(&name), "{name}: {error}");
            session.answer(&Answer::Continue, &mut out).expect("due");
            0
        }
    }
}

fn session_over(session: &Session) {
    assert!(!session.reply_due());
}

/// Compares what our session saw, edited as the recorded filter asked, with
/// what arrived at the sink.
fn compare_delivered(name: &str, transcript: &Transcript, replay: &Replay) -> usize {
    let whole = transcript.delivered_count == transcript.delivered.len()
        && transcript.delivered_count == replay.messages.len();
    if transcript.cut || !whole || DELIVERED_OTHERWISE.iter().any(|(known, _)| *known == name) {
        return 0;
    }
    for (seen, delivered) in replay.messages.iter().zip(&transcript.delivered) {
        compare_message(name, seen, delivered);
    }
    replay.messages.len()
}

fn compare_message(name: &str, seen: &Seen, delivered: &Delivered) {
    let original = Message::parse(&seen.content);
    let edited = apply_to_headers(
        Flavour::Sendmail,
        seen.leading_space,
        &original.headers,
        &seen.edits,
    );
    let mut arrived = Message::parse(&delivered.content);
    let own = arrived.headers.iter().position(|(header, value)| {
        header == "Received" && memchr::memmem::find(value, b"by mx.test.example").is_some()
    });
    arrived
        .headers
        .remove(own.expect("the mail server's own Received"));
    assert_eq!(
        edited.len(),
        arrived.headers.len(),
        "{name}: {:?}",
        arrived.headers
    );
    for (ours, theirs) in edited.iter().zip(&arrived.headers) {
        assert!(ours == theirs, "{name}: {ours:.300?} for {theirs:.300?}");
    }

    let envelope_edited = seen.edits.iter().any(|edit| {
        matches!(
            edit,
            Response::ChangeSender { .. }
                | Response::AddRecipient(_)
                | Response::AddRecipientWithParameters { .. }
                | Response::DeleteRecipient(_)
        )
    });
    if let Some((sender, recipients)) = seen.envelope.as_ref().filter(|_| !envelope_edited) {
        assert_eq!(*sender, delivered.sender, "{name}: sender");
        let arrived: BTreeSet<Bytes> = delivered
            .recipients
            .iter()
            .map(|path| Bytes::copy_from_slice(path))
            .collect();
        assert_eq!(*recipients, arrived, "{name}: recipients");
    }

    let pieces: Vec<&Bytes> = seen
        .edits
        .iter()
        .filter_map(|edit| match edit {
            Response::ReplaceBody(piece) => Some(piece),
            _ => None,
        })
        .collect();
    if !pieces.is_empty() {
        let body: Vec<u8> = pieces.into_iter().flatten().copied().collect();
        assert_eq!(as_sent(&body), arrived.body, "{name}: new body");
    } else if !seen.skipped {
        assert_eq!(original.body, arrived.body, "{name}: body");
    }
}

/// Line ends as Sendmail makes them: each is CR LF, the last is there.
fn as_sent(body: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        sent.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        sent.extend_from_slice(b"\r\n");
    }
    sent
}

fn wanted_as(recorded: &Frame) -> Wanted {
    let Ok(Response::Negotiate {
        actions,
        steps,
        macros,
        ..
    }) = Response::parse(recorded.clone())
    else {
        panic!("no negotiation: {recorded:?}");
    };
    let stages = [
        MacroStage::Connect,
        MacroStage::Helo,
        MacroStage::Mail,
        MacroStage::Rcpt,
        MacroStage::Data,
        MacroStage::EndOfMessage,
        MacroStage::EndOfHeaders,
    ];
    Wanted {
        actions,
        steps,
        macros: macros
            .iter()
            .map(|(stage, names)| {
                let names = String::from_utf8(names.to_vec()).expect("names");
                (stages[*stage as usize], names)
            })
            .collect(),
    }
}

/// Whether the recorded filter stayed within the offer, at our version.
fn was_sound(offer: &Frame, reply: &Frame) -> bool {
    let field = |frame: &Frame, at: usize| {
        u32::from_be_bytes(frame.data[at..at + 4].try_into().expect("four bytes"))
    };
    field(reply, 0) == 6
        && Actions(field(offer, 4)).contains(Actions(field(reply, 4)))
        && Steps(field(offer, 8)).contains(Steps(field(reply, 8)))
}

fn wire(frame: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out
}

fn raw_envelope(session: &Session) -> Option<(Bytes, BTreeSet<Bytes>)> {
    let bracketed = |address: &Bytes| Bytes::from([b"<", &address[..], b">"].concat());
    let envelope = session.envelope();
    let sender = bracketed(&envelope.sender.as_ref()?.address);
    Some((
        sender,
        envelope
            .recipients
            .iter()
            .map(|path| bracketed(&path.address))
            .collect(),
    ))
}

fn parse_reply(text: &[u8]) -> Option<Reply> {
    let text = std::str::from_utf8(text).ok()?;
    let code: u32 = text.get(..3)?.parse().ok()?;
    let mut enhanced = None;
    let mut lines = Vec::new();
    for line in text.split("\r\n") {
        let line = &line[4..];
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        if first.split('.').count() == 3 {
            enhanced = Some(first);
            lines.push(rest.to_owned());
        } else {
            lines.push(line.to_owned());
        }
    }
    Reply::from_lines(code, enhanced, lines).ok()
}
