//! Bytes on the milter port that are no milter protocol, or almost.

use bytes::{Bytes, BytesMut};
use millrace_milter::{Actions, Command, MacroBlock, Offer, RawPath, Response, Steps};
use millrace_proto::Peer;
use millrace_tests::milter::Wire;

use crate::attacked::Attacked;
use crate::seeded::Seeded;

/// A whole session, frame by frame.
fn session(steps: Steps) -> Vec<Bytes> {
    let path = || RawPath::new(&b"<a@b.example>"[..]);
    [
        Command::Offer(Offer {
            version: 6,
            actions: Actions::ALL,
            steps,
        }),
        Command::Macros(MacroBlock::new(b'C', &[("j", b"mx.example")])),
        Command::Connect {
            host: Bytes::from("client"),
            peer: Peer::Unknown,
        },
        Command::Helo(Bytes::from("client")),
        Command::Macros(MacroBlock::new(b'M', &[("i", b"QUEUE")])),
        Command::Mail(path()),
        Command::Rcpt(path()),
        Command::Data,
        Command::Header {
            name: Bytes::from("Subject"),
            value: Bytes::from(" a"),
        },
        Command::EndOfHeaders,
        Command::Body(Bytes::from("body\r\n")),
        Command::EndOfBody(Bytes::new()),
        Command::Abort,
        Command::QuitNewConnection,
        Command::Unknown(Bytes::from("HELP")),
        Command::Quit,
    ]
    .iter()
    .map(|command| {
        let mut out = BytesMut::new();
        command.encode(&mut out);
        out.freeze()
    })
    .collect()
}

/// Says this and no more; what comes back is frames of the protocol, then the end.
#[track_caller]
fn say(attacked: &Attacked, bytes: &[u8]) -> Vec<Response> {
    let mut wire = Wire::connect(attacked.gateway.port());
    wire.write(bytes);
    wire.finish_writing();
    wire.rest()
}

#[test]
fn three_hundred_streams_of_frames_in_any_order_and_with_any_damage() {
    let mut attacked = Attacked::embedded();
    let mut random = Seeded(5);
    let mut answers = 0;
    for n in 0..300 {
        let steps = if n % 2 == 0 { Steps::ALL } else { Steps::NONE };
        let frames = session(steps);
        let mut stream: Vec<u8> = if n % 5 == 0 {
            Vec::new()
        } else {
            frames[0].to_vec()
        };
        for _ in 0..random.below(40) {
            stream.extend_from_slice(&frames[random.below(frames.len())]);
        }
        for _ in 0..random.below(6) {
            let at = random.below(stream.len().max(1));
            match random.below(5) {
                0 if at < stream.len() => stream[at] = random.bytes(1)[0],
                1 => stream.truncate(at),
                2 => stream.extend(random.bytes(20)),
                3 if at < stream.len() => stream[at] ^= 1 << random.below(8),
                _ => {}
            }
        }
        answers += say(&attacked, &stream).len();
    }
    assert!(answers > 300, "some of it was understood: {answers}");
    attacked.is_well("streams of frames");
}

#[test]
fn frames_that_are_cut_short_at_every_byte() {
    let mut attacked = Attacked::embedded();
    let whole = session(Steps::NONE).concat();
    for end in 0..whole.len() {
        say(&attacked, &whole[..end]);
    }
    attacked.is_well("cut frames");
}

#[test]
fn lengths_that_no_frame_has() {
    let mut attacked = Attacked::embedded();
    let offer = session(Steps::NONE)[0].clone();
    for length in [0, 0x7fff_ffff, 0xffff_ffff, 0x8000_0000, 0x0100_0000_u32] {
        for letter in [b'B', b'L', b'D', b'O'] {
            let mut bad = length.to_be_bytes().to_vec();
            bad.push(letter);
            bad.extend([0; 100]);
            let alone = say(&attacked, &bad);
            assert!(alone.len() <= 1, "{length:#x}: {alone:?}");
            let after_the_offer = say(&attacked, &[&offer[..], &bad].concat());
            let [Response::Negotiate { .. }, Response::Tempfail] = &after_the_offer[..] else {
                panic!("{length:#x} {letter}: {after_the_offer:?}")
            };
        }
    }
    attacked.is_well("lengths that no frame has");
}

#[test]
fn other_protocols() {
    let mut attacked = Attacked::embedded();
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.extend(Seeded(6).bytes(500));
    for said in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"POST /checkv2 HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"EHLO mx.example\r\nMAIL FROM:<>\r\n",
        b"220 mx.example ESMTP\r\n",
        b"zINSTREAM\0\0\0\0\x05hello\0\0\0\0",
        b"SYMBOLS SPAMC/1.5\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\0",
        b"\r\n\r\n\r\n",
        &hello,
    ] {
        let answers = say(&attacked, said);
        assert_eq!(answers, [], "{}", said[..said.len().min(20)].escape_ascii());
    }
    // What looks like nothing that is known may be a mail server gone wrong: it is put off.
    let answers = say(&attacked, &Seeded(7).bytes(100_000));
    assert_eq!(answers, [Response::Tempfail]);
    attacked.is_well("other protocols");
}
