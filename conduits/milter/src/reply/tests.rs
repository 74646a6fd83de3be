use proptest::prelude::*;

use super::*;
use crate::frame::FrameDecoder;

fn wire(response: &Response) -> BytesMut {
    let mut out = BytesMut::new();
    response.encode(&mut out);
    out
}

fn reply(code: u32, enhanced: Option<&str>, text: &str) -> BytesMut {
    wire(&Response::reply(
        &Reply::new(code, enhanced, text).expect("a reply"),
    ))
}

#[test]
fn replies_are_written_as_mail_servers_want_them() {
    assert_eq!(
        reply(550, Some("5.7.1"), "No.")[4..],
        b"y550 5.7.1 No.\0"[..]
    );
    assert_eq!(reply(451, None, "Later")[4..], b"y451 Later\0"[..]);
    assert_eq!(reply(550, None, "100% sure")[4..], b"y550 100%% sure\0"[..]);
    assert_eq!(
        reply(554, Some("5.7.9"), "line one\nline two\nlast")[4..],
        b"y554-5.7.9 line one\r\n554-5.7.9 line two\r\n554 5.7.9 last\0"[..]
    );
}

#[test]
fn broken_responses_are_typed_errors() {
    for (command, data, error) in [
        (b'?', &b""[..], ResponseError::Unknown(b'?')),
        (b'c', b"x", ResponseError::Excess(b'c')),
        (b'O', b"short", ResponseError::Short(b'O')),
        (b'h', b"name\0", ResponseError::Short(b'h')),
        (b'h', b"name\0value\0more", ResponseError::Excess(b'h')),
        (b'i', b"\0\0", ResponseError::Short(b'i')),
        (b'+', b"", ResponseError::Short(b'+')),
        (b'+', b"a\0b\0", ResponseError::Excess(b'+')),
    ] {
        let frame = Frame {
            command,
            data: Bytes::from_static(data),
        };
        assert_eq!(Response::parse(frame), Err(error), "{data:?}");
    }
}

fn text() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(1..=255u8, 0..20).prop_map(Bytes::from)
}

fn response() -> impl Strategy<Value = Response> {
    let negotiate = (
        any::<(u32, u32, u32)>(),
        prop::collection::vec((any::<u32>(), text()), 0..4),
    )
        .prop_map(|((version, actions, steps), macros)| Response::Negotiate {
            version,
            actions: Actions(actions),
            steps: Steps(steps),
            macros,
        });
    prop_oneof![
        negotiate,
        prop::sample::select(vec![
            Response::Continue,
            Response::Accept,
            Response::Reject,
            Response::Tempfail,
            Response::Discard,
            Response::Skip,
            Response::Progress,
            Response::Shutdown,
            Response::ConnectionFailure,
        ]),
        text().prop_map(Response::ReplyCode),
        (text(), text()).prop_map(|(name, value)| Response::AddHeader { name, value }),
        (any::<u32>(), text(), text()).prop_map(|(index, name, value)| Response::InsertHeader {
            index,
            name,
            value
        }),
        (any::<u32>(), text(), text()).prop_map(|(index, name, value)| Response::ChangeHeader {
            index,
            name,
            value
        }),
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|data| Response::ReplaceBody(data.into())),
        (text(), prop::option::of(text())).prop_map(|(address, parameters)| {
            Response::ChangeSender {
                address,
                parameters,
            }
        }),
        (text(), prop::option::of(text())).prop_map(|(address, parameters)| {
            Response::AddRecipientWithParameters {
                address,
                parameters,
            }
        }),
        text().prop_map(Response::AddRecipient),
        text().prop_map(Response::DeleteRecipient),
        text().prop_map(Response::Quarantine),
    ]
}

proptest! {
    #[test]
    fn a_response_comes_back_as_it_was(response in response()) {
        let wire = wire(&response);
        prop_assert!(wire.len() <= response.wire_size());
        let mut decoder = FrameDecoder::new(1 << 16);
        decoder.space().put_slice(&wire);
        let frame = decoder.next_frame().expect("a frame").expect("whole");
        prop_assert_eq!(Response::parse(frame), Ok(response));
    }

    #[test]
    fn any_frame_is_a_response_or_an_error(
        command: u8,
        data in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = Response::parse(Frame { command, data: data.into() });
    }
}
