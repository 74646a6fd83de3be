//! Whatever arrives as a message is parsed, its pieces are the message, and all that is made of it can be made.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mpd_node::request::{Limits, Message, real_type};

fuzz_target!(|content: &[u8]| {
    let message = Message::parse(Bytes::copy_from_slice(content), &Limits::default());
    let pieces = [message.header_block(), message.separator(), message.body()].concat();
    assert_eq!(pieces, content);
    for part in message.parts() {
        if let Some(parent) = part.parent {
            let outer = &message.parts()[parent].body_range;
            assert!(outer.start <= part.header_range.start && part.body_range.end <= outer.end);
        }
        real_type::of(&part.head(real_type::HEAD));
        if let Ok(decoded) = message.decoded(part) {
            assert!(decoded.len() <= part.body.len());
        }
        part.safe_file_name();
    }
    message.text();
    message.uris();
    message.subject_decoded();
    message.mailboxes("from");
    message.defects();
});
