//! A message on its way through edits: what no edit names stays byte for byte, an inserted header stands on top. Its
//! first line is read as qmail-smtpd's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_proto::Edit;
use millrace_qmail::{Received, apply};

fuzz_target!(|data: &[u8]| {
    let _ = Received::read(data);
    let mut same = Vec::new();
    apply(&[], data, &mut same).expect("memory");
    assert_eq!(same, data);
    let insert = Edit::InsertHeader {
        name: "X-Added".into(),
        value: "1".into(),
    };
    let mut more = Vec::new();
    apply(&[insert], data, &mut more).expect("memory");
    assert_eq!(more, [b"X-Added: 1\n", data].concat());
});
