//! What a caller writes to descriptor 1: what is read is written back byte for byte, and what is cut off is nothing.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millrace_qmail::{Envelope, EnvelopeError};

fuzz_target!(|data: &[u8]| {
    let Ok(envelope) = Envelope::parse(&Bytes::copy_from_slice(data)) else {
        return;
    };
    let encoded = envelope.encode();
    assert!(data.starts_with(&encoded));
    let cut = Bytes::copy_from_slice(&encoded[..encoded.len() - 1]);
    assert_eq!(Envelope::parse(&cut), Err(EnvelopeError::Aborted));
});
