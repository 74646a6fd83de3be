use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::frame::FrameDecoder;

fn frame(command: u8, data: &'static [u8]) -> Frame {
    Frame {
        command,
        data: Bytes::from_static(data),
    }
}

fn connect(peer: Peer) -> Command {
    Command::Connect {
        host: "localhost".into(),
        peer,
    }
}

#[test]
fn connections_of_every_family_are_read() {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 25));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 25));
    for (data, peer) in [
        (&b"localhost\x004\0\x19127.0.0.1\0"[..], Peer::Ip(v4)),
        (b"localhost\x004\0\x19127.0.0.1", Peer::Ip(v4)),
        (b"localhost\x006\0\x19::1\0", Peer::Ip(v6)),
        (b"localhost\x006\0\x19IPv6:::1\0", Peer::Ip(v6)),
        (b"localhost\x006\0\x19::1%eth0\0", Peer::Ip(v6)),
        (b"localhost\0L\0\0/run/s\0", Peer::Unix("/run/s".into())),
        (b"localhost\0L\0\0", Peer::Unix(Bytes::new())),
        (b"localhost\0U", Peer::Unknown),
        (b"localhost\0U\0\0\0", Peer::Unknown),
    ] {
        assert_eq!(
            Command::parse(frame(b'C', data)),
            Ok(connect(peer)),
            "{data:?}"
        );
    }
}

#[test]
fn what_is_no_command_is_a_typed_error() {
    for (command, data, error) in [
        (b'?', &b""[..], CommandError::Unknown(b'?')),
        (b'O', b"\0\0\0\x06", CommandError::Short(b'O')),
        (b'D', b"", CommandError::Short(b'D')),
        (b'C', b"localhost", CommandError::Short(b'C')),
        (b'C', b"localhost\0", CommandError::Short(b'C')),
        (b'C', b"localhost\x004\0", CommandError::Short(b'C')),
        (b'C', b"localhost\0X\0\0", CommandError::Family(b'X')),
        (
            b'C',
            b"localhost\x004\0\x19nowhere\0",
            CommandError::Address,
        ),
        (b'L', b"", CommandError::Short(b'L')),
    ] {
        assert_eq!(Command::parse(frame(command, data)), Err(error), "{data:?}");
    }
}

#[test]
fn closing_nuls_may_be_missing_and_macros_may_have_no_pairs() {
    assert_eq!(
        Command::parse(frame(b'H', b"me")),
        Ok(Command::Helo("me".into()))
    );
    assert_eq!(
        Command::parse(frame(b'D', b"H")),
        Ok(Command::Macros(MacroBlock::new(b'H', &[])))
    );
    assert_eq!(
        Command::parse(frame(b'M', b"<a@x>\0SIZE=1")),
        Ok(Command::Mail(RawPath {
            address: "<a@x>".into(),
            parameters: vec!["SIZE=1".into()]
        }))
    );
    assert_eq!(
        Command::parse(frame(b'E', b"last")),
        Ok(Command::EndOfBody("last".into()))
    );
}

fn text() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(1..=255u8, 0..20).prop_map(Bytes::from)
}

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn path() -> impl Strategy<Value = RawPath> {
    (text(), prop::collection::vec(text(), 0..3)).prop_map(|(address, parameters)| RawPath {
        address,
        parameters,
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        Just(Peer::Unknown),
        text().prop_map(Peer::Unix),
        any::<(IpAddr, u16)>().prop_map(|(ip, port)| Peer::Ip(SocketAddr::new(ip, port))),
    ]
}

/// Any command at all.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        any::<(u32, u32, u32)>().prop_map(|(version, actions, steps)| Command::Offer(Offer {
            version,
            actions: Actions(actions),
            steps: Steps(steps),
        })),
        (any::<u8>(), data())
            .prop_map(|(command, pairs)| Command::Macros(MacroBlock { command, pairs })),
        (text(), peer()).prop_map(|(host, peer)| Command::Connect { host, peer }),
        text().prop_map(Command::Helo),
        path().prop_map(Command::Mail),
        path().prop_map(Command::Rcpt),
        Just(Command::Data),
        (text(), text()).prop_map(|(name, value)| Command::Header { name, value }),
        Just(Command::EndOfHeaders),
        data().prop_map(Command::Body),
        data().prop_map(Command::EndOfBody),
        Just(Command::Abort),
        text().prop_map(Command::Unknown),
        Just(Command::Quit),
        Just(Command::QuitNewConnection),
    ]
}

proptest! {
    #[test]
    fn a_command_comes_back_as_it_was_however_the_stream_is_cut(
        commands in prop::collection::vec(command(), 0..8),
        cuts in prop::collection::vec(1..9usize, 1..20),
    ) {
        let mut wire = BytesMut::new();
        for command in &commands {
            command.encode(&mut wire);
        }
        let mut decoder = FrameDecoder::new(1 << 16);
        let mut parsed = Vec::new();
        let mut cuts = cuts.into_iter().cycle();
        while !wire.is_empty() {
            let length = cuts.next().expect("endless").min(wire.len());
            decoder.space().put_slice(&wire.split_to(length));
            while let Some(frame) = decoder.next_frame().expect("frames") {
                parsed.push(Command::parse(frame).expect("a command"));
            }
        }
        prop_assert_eq!(parsed, commands);
    }

    #[test]
    fn any_frame_is_a_command_or_an_error(command: u8, data in data()) {
        let _ = Command::parse(Frame { command, data });
    }
}
