use proptest::prelude::*;

use super::*;
use crate::mta::{Flavour, apply_to_headers};

type Headers = Vec<(Bytes, Bytes)>;

fn agreed(steps: Steps) -> Agreement {
    Agreement {
        version: 6,
        actions: Actions::ALL,
        steps,
        macros: Vec::new(),
    }
}

fn header(name: &str, value: &str) -> (Bytes, Bytes) {
    (Bytes::from(name.to_owned()), Bytes::from(value.to_owned()))
}

fn wire(edits: &[Edit]) -> Vec<Response> {
    let recipients = [
        Bytes::from("<a@x>"),
        Bytes::from("<b@x>"),
        Bytes::from("<a@x>"),
    ];
    in_wire_order(edits, &agreed(Steps::LEADING_SPACE), &recipients).expect("carried out")
}

fn written_value(value: &str, steps: Steps) -> Bytes {
    header_value(&Bytes::from(value.to_owned()), &agreed(steps))
}

#[test]
fn values_are_made_sound() {
    for (value, spaced, plain) in [
        ("v", " v", "v"),
        (" v", " v", " v"),
        ("\tv", "\tv", "\tv"),
        ("one\n\ttwo", " one\n\ttwo", "one\n\ttwo"),
        ("one\r\n two", " one\n two", "one\n two"),
        ("one\ntwo", " one\n two", "one\n two"),
        ("one\n", " one", "one"),
        ("one\r\n\r\n", " one", "one"),
        ("a\0b\rc", " abc", "abc"),
        ("\n two", "\n two", "\n two"),
    ] {
        assert_eq!(
            written_value(value, Steps::LEADING_SPACE),
            spaced,
            "{value:?}"
        );
        assert_eq!(written_value(value, Steps::NONE), plain, "{value:?}");
    }
}

#[test]
fn the_envelope_is_edited_in_the_words_of_its_commands() {
    let edits = [
        Edit::AddRecipient {
            address: "c@x".into(),
        },
        Edit::DeleteRecipient { index: 0 },
        Edit::DeleteRecipient { index: 2 },
        Edit::ChangeSender {
            address: Bytes::new(),
        },
    ];
    assert_eq!(
        wire(&edits),
        [
            Response::ChangeSender {
                address: "<>".into(),
                parameters: None
            },
            Response::DeleteRecipient("<a@x>".into()),
            Response::AddRecipient("<c@x>".into()),
        ]
    );
    assert_eq!(
        in_wire_order(
            &[Edit::DeleteRecipient { index: 1 }],
            &agreed(Steps::NONE),
            &[]
        ),
        Err(EditError::NoSuchRecipient {
            index: 1,
            recipients: 0
        })
    );
}

#[test]
fn a_body_is_cut_into_chunks_that_follow_each_other_and_an_empty_one_is_one() {
    let sizes = |length: usize| -> Vec<usize> {
        let body = Bytes::from(vec![b'x'; length]);
        wire(&[
            Edit::ReplaceBody { body },
            Edit::AddHeader {
                name: "X".into(),
                value: "y".into(),
            },
        ])
        .iter()
        .skip(1)
        .map(|response| match response {
            Response::ReplaceBody(piece) => piece.len(),
            other => panic!("{other:?}"),
        })
        .collect()
    };
    assert_eq!(sizes(0), [0]);
    assert_eq!(sizes(65_535), [65_535]);
    assert_eq!(sizes(65_536), [65_535, 1]);
    assert_eq!(sizes(200_000), [65_535, 65_535, 65_535, 3_395]);
}

#[test]
fn what_was_not_negotiated_or_is_not_sound_is_refused() {
    let nothing = Agreement::default();
    let edit = Edit::AddHeader {
        name: "X".into(),
        value: "y".into(),
    };
    assert_eq!(
        in_wire_order(&[edit], &nothing, &[]),
        Err(EditError::NotNegotiated("add-header"))
    );
    for name in ["", "X Y", "X:", "X\0", "caf\u{e9}"] {
        let edit = Edit::DeleteHeader {
            name: name.into(),
            occurrence: 1,
        };
        let result = in_wire_order(&[edit], &agreed(Steps::NONE), &[]);
        assert!(matches!(result, Err(EditError::HeaderName(_))), "{name:?}");
    }
    let edit = Edit::AddRecipient {
        address: "a@x>\0<b@x".into(),
    };
    assert!(matches!(
        in_wire_order(&[edit], &agreed(Steps::NONE), &[]),
        Err(EditError::Address(_))
    ));
}

#[test]
fn a_header_changed_twice_goes_over_the_wire_once() {
    let change = |name: &str, value: &str| Edit::ChangeHeader {
        name: name.to_owned().into(),
        occurrence: 1,
        value: value.to_owned().into(),
    };
    let edits = wire(&[change("Subject", "a"), change("subject", "b")]);
    assert_eq!(edits.len(), 1);
}

#[test]
fn a_reason_to_hold_is_one_short_printable_line() {
    for (text, expected) in [
        ("spam", "spam"),
        ("a\0b\r\nc", "a?b??c"),
        ("  ", "held by policy"),
        ("", "held by policy"),
    ] {
        assert_eq!(hold_reason(text), expected);
    }
    assert_eq!(hold_reason(&"x".repeat(200)).len(), 100);
}

/// The edits as their definition has them: each addresses the original.
fn applied_directly(headers: &Headers, edits: &[Edit]) -> Headers {
    let spaced = |value: &Bytes| Bytes::from([b" ", &value[..]].concat());
    let mut kept: Vec<Option<(Bytes, Bytes)>> = headers.iter().cloned().map(Some).collect();
    let mut above = Vec::new();
    let mut below = Vec::new();
    let nth = |name: &Bytes, occurrence: u32| {
        headers
            .iter()
            .enumerate()
            .filter(|(_, (known, _))| known.eq_ignore_ascii_case(name))
            .map(|(at, _)| at)
            .nth(occurrence as usize - 1)
    };
    for edit in edits {
        match edit {
            Edit::InsertHeader { name, value } => above.push((name.clone(), spaced(value))),
            Edit::AddHeader { name, value } => below.push((name.clone(), spaced(value))),
            Edit::ChangeHeader {
                name,
                occurrence,
                value,
            } => {
                let at = nth(name, *occurrence).expect("an existing header");
                kept[at] = Some((headers[at].0.clone(), spaced(value)));
            }
            Edit::DeleteHeader { name, occurrence } => {
                kept[nth(name, *occurrence).expect("an existing header")] = None;
            }
            other => panic!("{other:?}"),
        }
    }
    above
        .into_iter()
        .chain(kept.into_iter().flatten())
        .chain(below)
        .collect()
}

const NAMES: [&str; 5] = ["X-Dup", "x-dup", "Subject", "Received", "To"];

fn values() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["v", "two words", "one\n\ttwo", "100%", "x\n y\n z"])
        .prop_map(str::to_owned)
}

/// Headers, and edits that address some of them, a few more than once.
fn headers_and_edits() -> impl Strategy<Value = (Headers, Vec<Edit>)> {
    let headers = prop::collection::vec((0..NAMES.len(), values()), 1..12);
    let picks = prop::collection::vec((0..4u8, any::<prop::sample::Index>(), values()), 0..12);
    (headers, picks).prop_map(|(headers, picks)| {
        let headers: Headers = headers
            .into_iter()
            .map(|(name, value)| header(NAMES[name], &value))
            .collect();
        let edits = picks
            .into_iter()
            .map(|(kind, index, value)| {
                let at = index.index(headers.len());
                let name = headers[at].0.clone();
                let namesakes = headers[..=at]
                    .iter()
                    .filter(|(known, _)| known.eq_ignore_ascii_case(&name));
                let occurrence = u32::try_from(namesakes.count()).expect("a few");
                let value = Bytes::from(value);
                match kind {
                    0 => Edit::InsertHeader { name, value },
                    1 => Edit::AddHeader { name, value },
                    2 => Edit::ChangeHeader {
                        name,
                        occurrence,
                        value,
                    },
                    _ => Edit::DeleteHeader { name, occurrence },
                }
            })
            .collect();
        (headers, edits)
    })
}

proptest! {
    #[test]
    fn both_mail_servers_carry_out_what_was_meant(
        (headers, edits) in headers_and_edits(),
        leading_space: bool,
        postfix: bool,
    ) {
        let flavour = if postfix { Flavour::Postfix } else { Flavour::Sendmail };
        let steps = if leading_space { Steps::LEADING_SPACE } else { Steps::NONE };
        let wire = in_wire_order(&edits, &agreed(steps), &[]).expect("carried out");
        prop_assert_eq!(
            apply_to_headers(flavour, leading_space, &headers, &wire),
            applied_directly(&headers, &edits)
        );
    }
}
