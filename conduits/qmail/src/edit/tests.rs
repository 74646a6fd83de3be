use proptest::prelude::*;

use super::*;

fn insert(name: &'static str, value: &'static str) -> Edit {
    Edit::InsertHeader {
        name: name.into(),
        value: value.into(),
    }
}

fn add(name: &'static str, value: &'static str) -> Edit {
    Edit::AddHeader {
        name: name.into(),
        value: value.into(),
    }
}

fn change(name: &'static str, occurrence: u32, value: &'static str) -> Edit {
    Edit::ChangeHeader {
        name: name.into(),
        occurrence,
        value: value.into(),
    }
}

fn delete(name: &'static str, occurrence: u32) -> Edit {
    Edit::DeleteHeader {
        name: name.into(),
        occurrence,
    }
}

fn body(body: &'static str) -> Edit {
    Edit::ReplaceBody { body: body.into() }
}

fn edited(edits: &[Edit], message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    apply(edits, message, &mut out).unwrap();
    out
}

#[test]
fn edits_are_carried_out_and_nothing_else_changes() {
    const MAIL: &str = "Received: a\nX: 1\n folded\nsubject: s\nX: 2\n\nbody\n";
    for (edits, message, expected) in [
        (
            vec![insert("A", "1"), insert("B", "2")],
            MAIL,
            "A: 1\nB: 2\nReceived: a\nX: 1\n folded\nsubject: s\nX: 2\n\nbody\n",
        ),
        (
            vec![add("A", "1")],
            MAIL,
            "Received: a\nX: 1\n folded\nsubject: s\nX: 2\nA: 1\n\nbody\n",
        ),
        (
            vec![delete("x", 1)],
            MAIL,
            "Received: a\nsubject: s\nX: 2\n\nbody\n",
        ),
        (
            vec![delete("X", 2), change("Subject", 1, "t\n u")],
            MAIL,
            "Received: a\nX: 1\n folded\nsubject: t\n u\n\nbody\n",
        ),
        (vec![change("X", 3, "no")], MAIL, MAIL),
        (
            vec![body("new\n")],
            MAIL,
            "Received: a\nX: 1\n folded\nsubject: s\nX: 2\n\nnew\n",
        ),
        (vec![insert("A", "1")], "", "A: 1\n"),
        (vec![add("A", "1")], "X: 1", "X: 1\nA: 1\n"),
        (vec![add("A", "1")], "X: 1\n", "X: 1\nA: 1\n"),
        (vec![body("b")], "X: 1", "X: 1\n\nb"),
        (vec![delete("X", 1), add("A", "1")], "X: 1", "A: 1\n"),
        (
            vec![add("A", "1")],
            "no header at all\nX: 1\n",
            "A: 1\nno header at all\nX: 1\n",
        ),
        (
            vec![insert("A", "a\r\n b")],
            "X: 1\n\n",
            "A: a\n b\nX: 1\n\n",
        ),
        (vec![delete("X", 1)], "X : old form\nY: 1\n\n", "Y: 1\n\n"),
    ] {
        let out = edited(&edits, message.as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            expected,
            "{edits:?} on {message:?}"
        );
    }
}

#[test]
fn a_line_longer_than_any_buffer_is_dropped_and_kept_whole() {
    let long = format!("X: {}\n y\nZ: 1\n\nbody", "x".repeat(100_000));
    assert_eq!(edited(&[], long.as_bytes()), long.as_bytes());
    assert_eq!(edited(&[delete("X", 1)], long.as_bytes()), b"Z: 1\n\nbody");
}

#[test]
fn recipients_are_named_by_their_place_in_the_original_envelope() {
    let envelope = Envelope {
        sender: "a".into(),
        recipients: vec!["x".into(), "y".into(), "z".into()],
    };
    let edits = [
        Edit::DeleteRecipient { index: 0 },
        Edit::AddRecipient {
            address: "n".into(),
        },
        Edit::DeleteRecipient { index: 2 },
        Edit::DeleteRecipient { index: 9 },
        Edit::ChangeSender {
            address: "b".into(),
        },
    ];
    let edited = edited_envelope(&envelope, &edits);
    assert_eq!(edited.recipients, ["y", "n"]);
    assert_eq!(edited.sender, "b");
}

proptest! {
    #[test]
    fn without_edits_every_byte_stays(message in prop::collection::vec(
        prop_oneof![Just(b'\n'), Just(b' '), Just(b':'), Just(b'X'), any::<u8>()], 0..400,
    )) {
        prop_assert_eq!(edited(&[], &message), message.clone());
        let mut expected = b"A: 1\n".to_vec();
        expected.extend(&message);
        prop_assert_eq!(edited(&[insert("A", "1")], &message), expected);
    }
}
