use proptest::prelude::*;

use super::*;

type Read = (Vec<u8>, Option<Envelope>);

/// Feeds bytes in pieces of this size; what was read, and the envelope when all has come.
fn read(bytes: &[u8], piece: usize) -> Result<Read, Malformed> {
    let mut decoder = RequestDecoder::new();
    let (mut content, mut sender, mut recipients) = (Vec::new(), None, Vec::new());
    for piece in bytes.chunks(piece) {
        decoder.space().extend_from_slice(piece);
        while let Some(part) = decoder.next_part()? {
            match part {
                Part::Begin(_) => {}
                Part::Content(piece) => content.extend_from_slice(&piece),
                Part::Sender(address) => sender = Some(address),
                Part::Recipient(address) => recipients.push(address),
                Part::End => {
                    let sender = sender.unwrap_or_default();
                    return Ok((content, Some(Envelope { sender, recipients })));
                }
            }
        }
    }
    Ok((content, None))
}

fn written(content: &[u8], envelope: &Envelope) -> Vec<u8> {
    let Framed { head, tail } = frame(content.len() as u64, envelope);
    [&head, content, &tail].concat()
}

fn envelope(sender: &'static str, recipients: &[&'static str]) -> Envelope {
    Envelope {
        sender: sender.into(),
        recipients: recipients.iter().map(|&to| to.into()).collect(),
    }
}

#[test]
fn a_request_is_read_and_written() {
    let one = envelope("djb@cr.yp.to", &["a@b", "c@d"]);
    let wire = b"34:3:hi\n,12:djb@cr.yp.to,3:a@b,3:c@d,,";
    assert_eq!(written(b"hi\n", &one), wire);
    for piece in [1, 7, 100] {
        let expected = (b"hi\n".to_vec(), Some(one.clone()));
        assert_eq!(read(wire, piece), Ok(expected));
    }
}

#[test]
fn what_is_no_qmqp_is_said() {
    for (wire, expected) in [
        (&b"EHLO x\r\n"[..], Malformed::Length),
        (b"5:3:abc.", Malformed::Overrun),
        (b"9:3:abcx0:,,", Malformed::Comma),
        (b"9:3:abc,0:,x", Malformed::Comma),
        (b"3:1:a,0:,,", Malformed::Overrun),
        (b"0:,", Malformed::Overrun),
        (b"6:3:abc,,", Malformed::Overrun),
        (b"7:3:abc,1,", Malformed::Overrun),
        (b"8:9:abc,0:,", Malformed::Overrun),
        (b"999999999999:", Malformed::TooLarge),
    ] {
        for piece in [1, 100] {
            let text = wire.escape_ascii().to_string();
            assert_eq!(read(wire, piece), Err(expected), "{text}");
        }
    }
}

#[test]
fn a_message_without_recipients_and_an_empty_one_are_requests() {
    for (content, one) in [
        (&b""[..], envelope("", &[])),
        (b"x", envelope("#@[]", &["a"])),
    ] {
        assert_eq!(
            read(&written(content, &one), 1),
            Ok((content.to_vec(), Some(one)))
        );
    }
}

#[test]
fn addresses_that_no_qmail_takes_are_read_over() {
    let long: Bytes = vec![b'x'; 1000].into();
    for (address, refused) in [
        (long.clone(), true),
        (long.slice(..999), false),
        (Bytes::from_static(b"a\0b"), true),
    ] {
        let one = Envelope {
            sender: "a".into(),
            recipients: vec![address, "b".into()],
        };
        let mut decoder = RequestDecoder::new();
        decoder.space().extend_from_slice(&written(b"x", &one));
        let mut last = None;
        while let Some(part) = decoder.next_part().unwrap() {
            last = Some(part);
        }
        assert_eq!(last, Some(Part::End));
        assert_eq!(decoder.address_refused(), refused);
    }
}

fn address() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(1..=u8::MAX, 0..40).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_however_it_is_cut(
        content in prop::collection::vec(any::<u8>(), 0..300),
        sender in address(), recipients in prop::collection::vec(address(), 0..8), piece in 1usize..64,
    ) {
        let one = Envelope { sender, recipients };
        prop_assert_eq!(read(&written(&content, &one), piece), Ok((content, Some(one))));
    }

    #[test]
    fn a_request_that_is_cut_short_is_no_request(
        content in prop::collection::vec(any::<u8>(), 0..50), cut in any::<prop::sample::Index>(),
    ) {
        let whole = written(&content, &envelope("a@b", &["c@d"]));
        let part = &whole[..cut.index(whole.len())];
        prop_assert_eq!(read(part, 5).unwrap().1, None);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
        let _ = read(&bytes, piece);
    }

    #[test]
    fn digits_and_commas_are_read_without_a_panic(text in "[0-9:,a]{0,60}", piece in 1usize..20) {
        let _ = read(text.as_bytes(), piece);
    }
}
