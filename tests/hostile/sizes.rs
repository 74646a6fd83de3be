//! Sheer size.

use bytes::Bytes;

use crate::attacked::{Attacked, typed};

fn lines(size: usize) -> Bytes {
    let line = b"the quick brown fox jumps over the lazy dog, again and again and again ----\r\n";
    line.repeat(size / line.len()).into()
}

#[test]
fn a_body_of_a_hundred_megabytes() {
    let body = lines(100_000_000);
    Attacked::both_ways(|attacked| {
        let verdict = attacked.finds("LIMIT_TEXT", "100 MB", typed("text/plain", body.clone()));
        assert!(
            verdict["size"]
                .as_u64()
                .is_some_and(|size| size > 99_999_000)
        );
    });
}

#[test]
fn a_line_of_ten_megabytes() {
    let line = vec![b'x'; 10_000_000];
    Attacked::both_ways(|attacked| {
        for kind in [
            "text/plain",
            "text/html",
            "multipart/mixed; boundary=x",
            "application/zip",
        ] {
            attacked.survives("a line of 10 MB", typed(kind, line.clone()));
        }
    });
}
