use std::borrow::Borrow;
use std::sync::Arc;

use bytes::BufMut;
use millrace_proto::{Edit, Plan, Reply, Revision, StageSet};
use proptest::prelude::*;

use super::*;
use crate::command::tests::command;
use crate::command::{MacroBlock, Offer};
use crate::edits::EditError;
use crate::negotiate::NegotiationError;

mod play;

const STOCK: Offer = Offer {
    version: 6,
    actions: Actions::ALL,
    steps: Steps::ALL,
};

/// A session and what it wrote.
struct Filter {
    session: Session,
    out: BytesMut,
}

impl Filter {
    fn negotiated(wanted: Wanted) -> Self {
        let mut filter = Self {
            session: Session::new(wanted),
            out: BytesMut::new(),
        };
        filter.feed(Command::Offer(STOCK));
        filter.out.clear();
        filter
    }

    fn with_steps(steps: Steps) -> Self {
        Self::negotiated(Wanted {
            steps,
            ..Wanted::EVERYTHING
        })
    }

    fn try_feed(&mut self, command: &Command) -> Result<Step, SessionError> {
        let mut wire = BytesMut::new();
        command.encode(&mut wire);
        self.session.space().put_slice(&wire);
        Ok(self
            .session
            .next_step(&mut self.out)?
            .expect("a whole frame"))
    }

    fn feed(&mut self, command: impl Borrow<Command>) -> Step {
        self.try_feed(command.borrow()).expect("a sound command")
    }

    /// Feeds, and continues where an answer is due.
    fn pass(&mut self, command: impl Borrow<Command>) -> Step {
        let step = self.feed(command);
        if step.reply_due {
            self.answer(&Answer::Continue);
        }
        step
    }

    fn pass_all(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            self.pass(command);
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.session
            .answer(answer, &mut self.out)
            .expect("due and allowed");
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.split().to_vec()
    }
}

fn connect() -> Command {
    Command::Connect {
        host: "client.example".into(),
        peer: millrace_proto::Peer::Unknown,
    }
}

fn helo(name: &'static str) -> Command {
    Command::Helo(name.into())
}

fn mail(address: &'static str) -> Command {
    Command::Mail(RawPath::new(address))
}

fn rcpt(address: &'static str) -> Command {
    Command::Rcpt(RawPath::new(address))
}

fn header(value: &'static str) -> Command {
    Command::Header {
        name: "Subject".into(),
        value: value.into(),
    }
}

fn macros(command: u8, pairs: &[(&str, &[u8])]) -> Command {
    Command::Macros(MacroBlock::new(command, pairs))
}

fn message() -> [Command; 7] {
    [
        mail("<a@x>"),
        rcpt("<b@y>"),
        Command::Data,
        header("hi"),
        Command::EndOfHeaders,
        Command::Body("body\r\n".into()),
        Command::EndOfBody(Bytes::new()),
    ]
}

fn verdict(disposition: Disposition) -> Verdict {
    let revision = Revision::new("abc").expect("a revision");
    Verdict {
        disposition,
        ..Verdict::accept(revision, Arc::from("node"))
    }
}

#[test]
fn a_message_is_put_together_from_its_steps() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.pass_all([
        macros(b'C', &[("j", b"mx")]),
        connect(),
        macros(b'H', &[]),
        helo("me.test"),
        macros(b'M', &[("i", b"Q1"), ("{auth_authen}", b"joe")]),
    ]);
    let [mail, rcpt, data, header, end, body, last] = message();
    filter.pass_all([mail, rcpt, data, header, end, body]);
    let step = filter.feed(last);
    assert_eq!(step.event, Event::EndOfMessage);
    let session = &mut filter.session;
    assert_eq!(
        session.content().take_whole(),
        &b"Subject: hi\r\n\r\nbody\r\n"[..]
    );
    assert_eq!(session.queue_id(), Some("Q1".into()));
    assert_eq!(session.connection().ptr, Some("client.example".into()));
    assert_eq!(session.connection().helo, Some("me.test".into()));
    let authentication = session.connection().authentication.as_ref().expect("AUTH");
    assert_eq!(authentication.user, "joe");
    assert_eq!(session.envelope().recipients.len(), 1);
    assert_eq!(session.macros().len(), 3);
}

#[test]
fn steps_agreed_to_be_silent_are_never_answered() {
    let plan = Plan {
        revision: Revision::new("abc").expect("a revision"),
        stages: StageSet::EMPTY,
        macros: Vec::new(),
        size_limit: None,
        needs_body: true,
    };
    let mut filter = Filter::negotiated(Wanted::from_plan(&plan));
    for command in [connect(), helo("me")].into_iter().chain(message()) {
        let last = matches!(command, Command::EndOfBody(_));
        let step = filter.feed(command);
        assert_eq!(step.reply_due, last, "{step:?}");
    }
    filter
        .session
        .finish(&verdict(Disposition::Accept), &mut filter.out)
        .expect("due");
    assert_eq!(filter.written(), b"\0\0\0\x01a");
    let again = filter.session.answer(&Answer::Continue, &mut filter.out);
    assert_eq!(again, Err(AnswerError::NotDue));
}

#[test]
fn several_messages_a_reset_and_a_second_ehlo_share_a_connection() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.pass_all([connect(), helo("one")]);
    filter.pass_all(message());
    filter.pass_all(message());
    filter.pass_all([mail("<c@x>"), rcpt("<d@y>")]);
    let step = filter.feed(Command::Abort);
    assert!(step.withdrew && !step.reply_due);
    assert_eq!(filter.session.envelope(), &Envelope::default());
    assert!(
        !filter.feed(Command::Abort).withdrew,
        "there is nothing left to give up"
    );
    filter.pass(helo("two"));
    assert_eq!(filter.session.connection().helo, Some("two".into()));
    filter.pass_all(message());
    assert_eq!(filter.feed(Command::Quit).event, Event::Quit);
    assert_eq!(
        filter.try_feed(&connect()),
        Err(SessionError::AfterQuit('C')),
    );
}

#[test]
fn a_new_connection_on_the_same_socket_knows_nothing_of_the_last() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.pass_all([macros(b'C', &[("j", b"mx")]), connect(), helo("one")]);
    filter.pass_all(message());
    assert_eq!(
        filter.feed(Command::QuitNewConnection).event,
        Event::QuitNewConnection
    );
    assert_eq!(filter.session.connection(), &Connection::default());
    assert!(filter.session.macros().is_empty());
    filter.pass_all([connect(), helo("two")]);
    filter.pass_all(message());
}

#[test]
fn abort_is_taken_at_every_point_and_the_next_message_is_whole() {
    for length in 0..=message().len() {
        let mut filter = Filter::negotiated(Wanted::EVERYTHING);
        filter.pass_all([connect(), helo("me")]);
        let mut steps = message().into_iter().take(length).collect::<Vec<_>>();
        let last = steps.pop();
        filter.pass_all(steps);
        if let Some(last) = last {
            // Its answer stays due.
            filter.feed(last);
        }
        let step = filter.feed(Command::Abort);
        assert_eq!(step.withdrew, length > 0, "after {length} steps");
        assert!(!filter.session.reply_due());
        let [mail, rcpt, data, header, end, body, last] = message();
        filter.pass_all([mail, rcpt, data, header, end, body]);
        assert_eq!(filter.feed(last).event, Event::EndOfMessage);
        let content = filter.session.content().take_whole();
        assert_eq!(
            content,
            &b"Subject: hi\r\n\r\nbody\r\n"[..],
            "after {length} steps"
        );
    }
}

#[test]
fn a_command_out_of_place_gives_the_message_up_as_libmilter_does() {
    for (before, command, expected, withdrew) in [
        // A second MAIL begins a new message.
        (3, mail("<c@x>"), Event::Mail, true),
        // HELO may come again.
        (2, helo("again"), Event::Helo, true),
        (0, rcpt("<b@y>"), Event::Ignored, false),
        (4, rcpt("<b@y>"), Event::Ignored, true),
        (1, Command::EndOfBody(Bytes::new()), Event::Ignored, true),
        (0, header("x"), Event::Ignored, false),
        (2, connect(), Event::Ignored, true),
        (0, Command::Offer(STOCK), Event::Ignored, false),
    ] {
        let mut filter = Filter::negotiated(Wanted::EVERYTHING);
        filter.pass_all([connect(), helo("me")]);
        filter.pass_all(message().into_iter().take(before));
        let step = filter.feed(&command);
        assert_eq!(step.event, expected, "{command:?} after {before} steps");
        assert_eq!(step.withdrew, withdrew, "{command:?} after {before} steps");
        assert_eq!(step.reply_due, expected != Event::Ignored);
    }
}

#[test]
fn steps_that_libmilter_lets_be_left_out_may_be() {
    for kept in [
        // No HELO.
        vec![connect(), mail("<a@x>"), rcpt("<b@y>"), header("hi")],
        // No headers, no DATA.
        vec![connect(), helo("me"), mail("<a@x>"), rcpt("<b@y>")],
        vec![
            connect(),
            helo("me"),
            mail("<a@x>"),
            rcpt("<b@y>"),
            Command::EndOfHeaders,
        ],
    ] {
        let mut filter = Filter::negotiated(Wanted::EVERYTHING);
        filter.pass_all(kept);
        let step = filter.feed(Command::EndOfBody("all".into()));
        assert_eq!(step.event, Event::EndOfMessage);
        assert!(filter.session.content().take_whole().ends_with(b"\r\nall"));
    }
    let mut filter = Filter::with_steps(Steps::NO_CONNECT | Steps::NO_MAIL | Steps::NO_RCPT);
    filter.pass_all([helo("me"), header("hi")]);
    assert_eq!(
        filter.feed(Command::EndOfBody(Bytes::new())).event,
        Event::EndOfMessage
    );
}

#[test]
fn a_refused_recipient_is_not_in_the_envelope() {
    let mut filter = Filter::with_steps(Steps::REJECTED_RCPT);
    filter.pass_all([connect(), helo("me"), mail("<a@x>")]);
    filter.feed(rcpt("<refused@y>"));
    let no = Reply::new(550, Some("5.1.1"), "No such user").expect("a reply");
    filter.answer(&Answer::Reply(no));
    filter.pass(rcpt("<taken@y>"));
    // The mail server's own refusal: told, and not counted.
    filter.pass(macros(
        b'R',
        &[("{rcpt_mailer}", b"error"), ("{rcpt_host}", b"5.1.1")],
    ));
    let step = filter.feed(rcpt("<unknown@y>"));
    assert_eq!(step.event, Event::Rcpt { rejected: true });
    assert!(step.event.stage().is_none() && step.reply_due);
    filter.answer(&Answer::Reject);
    filter.pass(macros(b'R', &[("{rcpt_mailer}", b"smtp")]));
    filter.pass(rcpt("<also@y>"));
    let recipients = &filter.session.envelope().recipients;
    let addresses: Vec<_> = recipients.iter().map(|path| &path.address[..]).collect();
    assert_eq!(addresses, [&b"taken@y"[..], b"also@y"]);

    // Deletion goes by what was counted, in the words of the RCPT command.
    filter.pass(Command::Data);
    filter.feed(Command::EndOfBody(Bytes::new()));
    filter.written();
    let mut verdict = verdict(Disposition::Accept);
    verdict.edits = vec![Edit::DeleteRecipient { index: 1 }];
    filter
        .session
        .finish(&verdict, &mut filter.out)
        .expect("due");
    assert_eq!(
        filter.written(),
        b"\0\0\0\x0a-<also@y>\0\0\0\0\x01a"[..].to_vec()
    );
}

#[test]
fn answers_that_the_protocol_does_not_have_are_refused_and_stay_due() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    for command in [connect(), helo("me"), Command::Unknown("FOO".into())] {
        filter.feed(command);
        let refused = filter.session.answer(&Answer::Discard, &mut filter.out);
        assert!(
            matches!(refused, Err(AnswerError::NotAllowed { .. })),
            "{refused:?}"
        );
        let refused = filter.session.answer(&Answer::Skip, &mut filter.out);
        assert!(
            matches!(refused, Err(AnswerError::NotAllowed { .. })),
            "{refused:?}"
        );
        assert!(filter.session.progress(&mut filter.out).is_err());
        assert!(
            filter
                .session
                .finish(&verdict(Disposition::Accept), &mut filter.out)
                .is_err()
        );
        assert!(filter.written().is_empty());
        filter.answer(&Answer::Continue);
        filter.written();
    }
    filter.feed(mail("<a@x>"));
    filter.answer(&Answer::Discard);
}

#[test]
fn a_last_answer_ends_the_message_and_that_to_an_unknown_command_does_not() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.pass_all([connect(), helo("me"), mail("<a@x>")]);
    filter.feed(Command::Unknown("FOO".into()));
    filter.answer(&Answer::Reject);
    assert!(filter.session.envelope().sender.is_some());
    filter.feed(rcpt("<b@y>"));
    filter.answer(&Answer::Accept);
    assert!(filter.session.envelope().sender.is_none());
    assert!(!filter.pass(mail("<c@x>")).withdrew);
}

#[test]
fn progress_is_for_the_verdict_alone() {
    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.pass_all([connect(), helo("me")]);
    let [mail, rcpt, data, header, end, body, last] = message();
    filter.pass_all([mail, rcpt, data, header, end, body]);
    filter.feed(last);
    filter.written();
    for _ in 0..3 {
        filter.session.progress(&mut filter.out).expect("due");
    }
    filter
        .session
        .finish(&verdict(Disposition::Discard), &mut filter.out)
        .expect("due");
    assert_eq!(
        filter.written(),
        b"\0\0\0\x01p\0\0\0\x01p\0\0\0\x01p\0\0\0\x01d"
    );
    assert!(filter.session.progress(&mut filter.out).is_err());
}

#[test]
fn a_body_that_is_not_needed_is_dropped_and_skipped_where_that_is_understood() {
    for (steps, written) in [(Steps::SKIP, b's'), (Steps::NONE, b'c')] {
        let mut filter = Filter::with_steps(steps);
        filter.pass_all([
            connect(),
            helo("me"),
            mail("<a@x>"),
            rcpt("<b@y>"),
            header("hi"),
        ]);
        filter.feed(Command::Body("one".into()));
        filter.written();
        filter.answer(&Answer::Skip);
        assert_eq!(filter.written(), [0, 0, 0, 1, written]);
        if steps == Steps::NONE {
            filter.pass(Command::Body("two".into()));
        }
        filter.pass(Command::EndOfBody("three".into()));
    }
    let mut filter = Filter::with_steps(Steps::QUIET_BODY);
    filter.pass_all([
        connect(),
        helo("me"),
        mail("<a@x>"),
        rcpt("<b@y>"),
        header("hi"),
    ]);
    filter.session.skip_body();
    assert!(!filter.feed(Command::Body("one".into())).reply_due);
    filter.feed(Command::EndOfBody(Bytes::new()));
    assert_eq!(filter.session.content().take_whole(), "Subject: hi\r\n\r\n");
}

#[test]
fn nothing_is_written_when_a_verdict_cannot_be_carried_out() {
    let mut filter = Filter::negotiated(Wanted {
        actions: Actions::ADD_HEADERS,
        ..Wanted::EVERYTHING
    });
    filter.pass_all([connect(), helo("me")]);
    let [mail, rcpt, data, header, end, body, last] = message();
    filter.pass_all([mail, rcpt, data, header, end, body]);
    filter.feed(last);
    filter.written();
    let mut replaced = verdict(Disposition::Accept);
    replaced.edits = vec![Edit::ReplaceBody {
        body: Bytes::from_static(b"new\r\n"),
    }];
    for impossible in [replaced, verdict(Disposition::Hold)] {
        let refused = filter.session.finish(&impossible, &mut filter.out);
        assert!(
            matches!(refused, Err(AnswerError::Edit(EditError::NotNegotiated(_)))),
            "{refused:?}"
        );
        assert!(filter.written().is_empty() && filter.session.reply_due());
    }
    filter
        .session
        .finish(&verdict(Disposition::Tempfail), &mut filter.out)
        .expect("due");
    assert_eq!(filter.written(), b"\0\0\0\x01t");
}

#[test]
fn what_is_no_milter_session_is_a_typed_error() {
    let mut session = Session::new(Wanted::EVERYTHING);
    session.space().put_slice(b"EHLO mx.example\r\n");
    let error = session.next_step(&mut BytesMut::new()).expect_err("SMTP");
    assert!(error.to_string().contains("SMTP"), "{error}");

    let mut filter = Filter {
        session: Session::new(Wanted::EVERYTHING),
        out: BytesMut::new(),
    };
    assert_eq!(
        filter.try_feed(&mail("<a@x>")),
        Err(SessionError::BeforeNegotiation('M'))
    );
    let old = Offer {
        version: 1,
        ..STOCK
    };
    assert_eq!(
        filter.try_feed(&Command::Offer(old)),
        Err(SessionError::Negotiation(NegotiationError::TooOld(1)))
    );
    assert!(filter.written().is_empty());

    let mut filter = Filter::negotiated(Wanted::EVERYTHING);
    filter.feed(connect());
    assert_eq!(
        filter.try_feed(&helo("me")),
        Err(SessionError::OutOfTurn('H'))
    );
}

fn wanted() -> impl Strategy<Value = Wanted> {
    any::<(u32, u32)>().prop_map(|(actions, steps)| Wanted {
        actions: Actions(actions),
        steps: Steps(steps),
        macros: Vec::new(),
    })
}

fn some_answer() -> impl Strategy<Value = Answer> {
    prop::sample::select(vec![
        Answer::Continue,
        Answer::Continue,
        Answer::Continue,
        Answer::Accept,
        Answer::Reject,
        Answer::Tempfail,
        Answer::Discard,
        Answer::Skip,
        Answer::Shutdown,
    ])
}

/// Mostly what belongs into a session, now and then anything.
fn likely_command() -> impl Strategy<Value = Command> {
    let usual: Vec<Command> = [
        connect(),
        helo("me"),
        Command::Abort,
        Command::Unknown("X".into()),
    ]
    .into_iter()
    .chain(message())
    .collect();
    prop_oneof![8 => prop::sample::select(usual), 1 => command()]
}

proptest! {
    #[test]
    fn whatever_comes_each_due_answer_is_given_once_and_no_other(
        wanted in wanted(),
        commands in prop::collection::vec((likely_command(), some_answer()), 0..40),
    ) {
        let mut filter = Filter::negotiated(wanted);
        for (command, answer) in commands {
            let offered = matches!(command, Command::Offer(_));
            let Ok(step) = filter.try_feed(&command) else {
                // Only QUIT makes a whole command an error here.
                prop_assert!(!offered || filter.session.phase == Phase::Closed);
                break;
            };
            prop_assert_eq!(step.reply_due, filter.session.reply_due());
            prop_assert!(filter.written().is_empty(), "a reply to {:?}", command);
            if !step.reply_due {
                let refused = filter.session.answer(&answer, &mut filter.out);
                prop_assert_eq!(refused, Err(AnswerError::NotDue));
                continue;
            }
            if filter.session.answer(&answer, &mut filter.out).is_err() {
                prop_assert!(filter.written().is_empty());
                filter.answer(&Answer::Continue);
            }
            prop_assert!(!filter.written().is_empty());
            prop_assert!(!filter.session.reply_due());
        }
    }

    #[test]
    fn any_bytes_in_any_pieces_give_steps_or_an_error(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..20),
    ) {
        let mut session = Session::new(Wanted::EVERYTHING);
        let mut out = BytesMut::new();
        for piece in pieces {
            session.space().put_slice(&piece);
            loop {
                match session.next_step(&mut out) {
                    Ok(Some(step)) if step.reply_due => {
                        session.answer(&Answer::Continue, &mut out).expect("due");
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}
