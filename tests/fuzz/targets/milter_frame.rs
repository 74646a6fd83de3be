//! Whatever a mail server sends, in whatever pieces: steps or a typed error, and each answer that is due is given
//! once and none else.
#![no_main]

use bytes::{BufMut, BytesMut};
use libfuzzer_sys::fuzz_target;
use millrace_milter::{Actions, Answer, Command, Event, Offer, Session, Steps, Wanted};

fuzz_target!(|input: &[u8]| {
    let Some((control, stream)) = input.split_at_checked(6) else {
        return;
    };
    let steps = u32::from_be_bytes([0, control[0], control[1], control[2]]);
    let wanted = Wanted {
        actions: Actions::ALL,
        steps: Steps(steps),
        macros: Vec::new(),
    };
    let mut session = Session::new(wanted);
    let mut out = BytesMut::new();
    if control[3] & 1 == 0 {
        // Most of what there is lies behind an offer.
        let offer = Offer {
            version: u32::from(control[4] % 8),
            actions: Actions::ALL,
            steps: Steps::ALL,
        };
        Command::Offer(offer).encode(session.space());
        if session.next_step(&mut out).is_err() {
            return;
        }
        out.clear();
    }
    let piece = usize::from(control[5]).max(1);
    let answers = [
        Answer::Continue,
        Answer::Continue,
        Answer::Accept,
        Answer::Reject,
        Answer::Discard,
        Answer::Skip,
    ];
    let mut turn = usize::from(control[3]);
    let mut total = 0;
    for bytes in stream.chunks(piece) {
        session.space().put_slice(bytes);
        loop {
            match session.next_step(&mut out) {
                Ok(Some(step)) => {
                    assert_eq!(step.reply_due, session.reply_due());
                    assert_eq!(out.is_empty(), step.event != Event::Negotiated);
                    out.clear();
                    if !step.reply_due {
                        assert!(session.answer(&Answer::Continue, &mut out).is_err());
                        continue;
                    }
                    turn += 1;
                    if session
                        .answer(&answers[turn % answers.len()], &mut out)
                        .is_err()
                    {
                        assert!(out.is_empty());
                        session
                            .answer(&Answer::Continue, &mut out)
                            .expect("continue is always allowed");
                    }
                    assert!(!out.is_empty());
                    out.clear();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let held = session.content().held();
        assert!(held as u64 <= session.content().total());
        total += session
            .content()
            .take()
            .iter()
            .map(|piece| piece.len())
            .sum::<usize>();
    }
    let _ = session.macros();
    let _ = session.queue_id();
    // A fold's LF may become CR LF, a header gets a blank and a line end, nothing else grows.
    assert!(total <= stream.len() * 4 + 16);
});
