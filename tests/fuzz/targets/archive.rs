//! Whatever looks like an archive is listed within the limits, or refused.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mpd_node::{archive, request::Limits};

fuzz_target!(|content: &[u8]| {
    let limits = Limits { archive_bytes: 1 << 20, archive_entries: 1000, ..Limits::default() };
    if let Some(listing) = archive::list(&Bytes::copy_from_slice(content), &limits) {
        assert!(listing.entries.len() <= limits.archive_entries);
        assert!(listing.depth <= limits.archive_depth);
    }
});
