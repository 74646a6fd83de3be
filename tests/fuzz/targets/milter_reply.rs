//! Whatever a filter answers: a response or a typed error, the same again when it is written, and a mail server of ours
//! that keeps its footing.
#![no_main]

use bytes::{BufMut, BytesMut};
use libfuzzer_sys::fuzz_target;
use millrace_milter::mta::{Client, Flavour, Message, Mta, apply_to_headers};
use millrace_milter::{FrameDecoder, Response, Wanted};

fuzz_target!(|input: &[u8]| {
    let Some((&control, stream)) = input.split_first() else {
        return;
    };
    round_trip(stream);

    let flavour = [Flavour::Postfix, Flavour::Sendmail, Flavour::Minimal][usize::from(control) % 3];
    let mut mta = Mta::new(flavour, Client::default());
    let message = Message::parse(b"Subject: hi\r\nX: 1\r\nX: 2\r\n\r\nbody\r\n");
    mta.send(message.clone());
    mta.send(message.clone());
    mta.quit();
    let mut out = BytesMut::new();
    mta.advance(&mut out);
    if control & 0x80 == 0 {
        let Ok(Some(millrace_milter::Command::Offer(offer))) = first_command(&out) else {
            panic!("a mail server begins with its offer");
        };
        let agreement = Wanted::EVERYTHING
            .agree(&offer)
            .expect("a version that can be spoken");
        agreement.response().encode(mta.space());
        mta.receive().expect("a sound reply");
    }
    let mut edits = Vec::new();
    for piece in stream.chunks(usize::from(control & 0x3f) + 1) {
        mta.advance(&mut out);
        out.clear();
        mta.space().put_slice(piece);
        loop {
            match mta.receive() {
                Ok(Some(millrace_milter::mta::Received::Finished(outcome))) => {
                    edits.extend(outcome.edits)
                }
                Ok(Some(_)) => {
                    mta.advance(&mut out);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = apply_to_headers(flavour, control & 0x40 != 0, &message.headers, &edits);
});

fn first_command(
    wire: &BytesMut,
) -> Result<Option<millrace_milter::Command>, millrace_milter::CommandError> {
    let mut decoder = FrameDecoder::new(1 << 16);
    decoder.space().put_slice(wire);
    let frame = decoder.next_frame().expect("our own frames");
    frame.map(millrace_milter::Command::parse).transpose()
}

fn round_trip(stream: &[u8]) {
    let mut decoder = FrameDecoder::new(1 << 16);
    decoder.space().put_slice(stream);
    while let Ok(Some(frame)) = decoder.next_frame() {
        let Ok(response) = Response::parse(frame) else {
            continue;
        };
        let mut again = FrameDecoder::new(1 << 18);
        response.encode(again.space());
        let frame = again.next_frame().expect("our own frame").expect("whole");
        assert_eq!(Response::parse(frame), Ok(response));
    }
}
