//! The complaint: a filter with a strict parser of macros gives the whole message up over one that
//! is empty, comes twice, or that it does not know.
//!
//! Here: macros may be anything, at any time.

use bytes::{BufMut, Bytes, BytesMut};
use millrace_milter::{Actions, Command, MacroBlock, RawPath, Response, Steps};
use millrace_tests::milter::Wire;
use millrace_tests::scripted_node::{Script, ScriptedNode};
use millrace_tests::servers::{Gateway, Upstream};

/// Bytes of macro frames, however odd.
fn odd_macros() -> Bytes {
    let mut out = BytesMut::new();
    for command in [
        b'C', b'H', b'M', b'R', b'T', b'N', b'E', b'L', b'B', b'A', b'?', 0, 0xff,
    ] {
        let pairs: [&[(&str, &[u8])]; 6] = [
            &[],
            &[("i", b""), ("i", b"QUEUE1"), ("i", b"QUEUE1")],
            &[("{not_known}", b"x"), ("", b"no name"), ("", b"")],
            &[("{unclosed", b"x"), ("unopened}", b"y"), ("{}", b"z")],
            &[
                ("{auth_authen}", b"\xff\xfe"),
                ("{client_addr}", b"not an address"),
            ],
            &[
                ("{tls_version}", b""),
                ("{cipher_bits}", b"many"),
                ("{client_port}", b"-1"),
            ],
        ];
        for pairs in pairs {
            Command::Macros(MacroBlock::new(command, pairs)).encode(&mut out);
        }
        for tail in [&b"i"[..], b"i\0", b"i\0unfinished", b"\0\0\0\0\0"] {
            out.put_u32(u32::try_from(tail.len() + 2).expect("it is short"));
            out.put_u8(b'D');
            out.put_u8(command);
            out.put_slice(tail);
        }
    }
    let long = vec![b'v'; 60_000];
    Command::Macros(MacroBlock::new(b'M', &[("{long}", &long)])).encode(&mut out);
    let many: Vec<(&str, &[u8])> = vec![("{again}", b"and again"); 3000];
    Command::Macros(MacroBlock::new(b'E', &many)).encode(&mut out);
    out.freeze()
}

#[test]
fn empty_double_unknown_and_unfinished_at_every_stage() {
    let node = ScriptedNode::start(Script::default());
    let gateway = Gateway::start(&Upstream::Nodes(vec![node.port()]));
    let odd = odd_macros();
    let (mut wire, _) = Wire::negotiated(gateway.port(), 6, Actions::ALL, Steps::NONE);
    let path = || RawPath::new(&b"<a@origin.example>"[..]);
    for _ in 0..2 {
        for command in [
            Command::Helo(Bytes::from("client.example")),
            Command::Mail(path()),
            Command::Rcpt(path()),
            Command::Data,
            Command::Header {
                name: Bytes::from("Subject"),
                value: Bytes::from("a"),
            },
            Command::EndOfHeaders,
            Command::Body(Bytes::from("body\r\n")),
        ] {
            wire.write(&odd);
            assert_eq!(wire.ask(command), Response::Continue);
        }
        wire.write(&odd);
        wire.send(&[Command::Macros(MacroBlock::new(b'E', &[("i", b"QUEUE2")]))]);
        let end = wire.ask(Command::EndOfBody(Bytes::new()));
        assert!(
            matches!(end, Response::Accept | Response::Continue),
            "{end:?}"
        );
    }
    let judged = node.judged();
    assert_eq!(judged.len(), 2);
    assert_eq!(
        judged[0].transaction.queue_id.as_deref(),
        Some(&b"QUEUE2"[..])
    );
}
