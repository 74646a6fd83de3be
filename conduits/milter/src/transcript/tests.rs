use proptest::prelude::*;

use super::*;

fn entry() -> impl Strategy<Value = Entry> {
    let direction = prop_oneof![Just(Direction::FromMta), Just(Direction::FromFilter)];
    let data = proptest::collection::vec(any::<u8>(), 0..200);
    (0..u64::from(u32::MAX), direction, any::<u8>(), data).prop_map(
        |(micros, direction, command, data)| Entry {
            at: Duration::from_micros(micros),
            direction,
            frame: Frame {
                command,
                data: data.into(),
            },
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(entries in proptest::collection::vec(entry(), 0..8)) {
        let mut text = format!("{FIRST_LINE}\n").into_bytes();
        for entry in &entries {
            entry.write(&mut text);
        }
        prop_assert!(text.iter().all(|&byte| byte == b'\n' || matches!(byte, b' '..=b'~')));
        let read: Vec<_> = parse(&text).unwrap().into_iter().map(|(_, entry)| entry).collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn no_text_is_too_broken_to_be_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut whole = format!("{FIRST_LINE}\n").into_bytes();
        whole.extend_from_slice(&text);
        let _ = parse(&whole);
    }
}

#[test]
fn comments_and_empty_lines_are_passed_over_and_lines_are_counted() {
    let text = format!("{FIRST_LINE}\n# by hand\n\n1.500000 -> H a\\\\x00\n");
    let broken = parse(text.as_bytes());
    assert_eq!(
        broken,
        Err(TranscriptError {
            line: 4,
            problem: TranscriptProblem::Escape(16),
        })
    );
    let text = text.replace("\\\\", "\\");
    let read = parse(text.as_bytes()).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].0, 4);
    assert_eq!(read[0].1.frame.data, Bytes::from("a\0"));
}

#[test]
fn a_broken_line_is_named() {
    for (line, problem) in [
        ("now -> H", TranscriptProblem::Time),
        ("1.5 -> H", TranscriptProblem::Time),
        ("1.500000 => H", TranscriptProblem::Direction),
        ("1.500000", TranscriptProblem::Direction),
        ("1.500000 ->", TranscriptProblem::Letter),
        ("1.500000 -> HH", TranscriptProblem::Letter),
        ("1.500000 -> H \\n", TranscriptProblem::Escape(15)),
        ("1.500000 -> H \\xg0", TranscriptProblem::Escape(15)),
        ("1.500000 -> H a\u{e9}", TranscriptProblem::Escape(16)),
    ] {
        let text = format!("{FIRST_LINE}\n{line}\n");
        assert_eq!(
            parse(text.as_bytes()),
            Err(TranscriptError { line: 2, problem }),
            "{line}"
        );
    }
    assert_eq!(parse(b"").unwrap_err().line, 1);
}
