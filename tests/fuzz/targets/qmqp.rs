//! Both sides of QMQP: what is read does not depend on how it is cut, a request that was read whole is written back to
//! one that reads the same, and a decoder holds no more than it was given.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millrace_qmail::Envelope;
use millrace_qmail::qmqp::{Malformed, Part, ReplyDecoder, RequestDecoder, frame};

type Read = Result<(Vec<u8>, Option<Envelope>, bool), Malformed>;

fn read(data: &[u8], piece: usize) -> Read {
    let mut decoder = RequestDecoder::new();
    let (mut content, mut sender, mut recipients) = (Vec::new(), Bytes::new(), Vec::new());
    let mut whole = false;
    for piece in data.chunks(piece) {
        decoder.space().extend_from_slice(piece);
        while let Some(part) = decoder.next_part()? {
            match part {
                Part::Begin(_) => {}
                Part::Content(piece) => content.extend_from_slice(&piece),
                Part::Sender(address) => sender = address,
                Part::Recipient(address) => recipients.push(address),
                Part::End => whole = true,
            }
        }
        assert!(decoder.space().len() <= data.len());
    }
    let envelope = whole.then_some(Envelope { sender, recipients });
    Ok((content, envelope, decoder.address_refused()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, data)) = data.split_first() else {
        return;
    };
    let at_once = read(data, data.len().max(1));
    assert_eq!(read(data, usize::from(piece).max(1)), at_once);
    if let Ok((content, Some(envelope), false)) = at_once {
        let framed = frame(content.len() as u64, &envelope);
        let written = [&framed.head, &content[..], &framed.tail].concat();
        assert_eq!(read(&written, 7), Ok((content, Some(envelope), false)));
    }
    let mut reply = ReplyDecoder::default();
    reply.space().extend_from_slice(data);
    let _ = reply.reply();
});
