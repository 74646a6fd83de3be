//! Mistakes in what is kept, and in where held mail waits.

use super::*;

const REFUSED: &[Refused] = &[
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\naction = 'reject'\nkeep = true",
        5,
        "list[0].keep",
        "keeps no copy",
        "move it to an [[action]]",
    ),
    (
        "keep = true",
        1,
        "keep",
        "invalid type: boolean",
        "a list of them",
    ),
    ("keep = []", 1, "keep", "is empty", "\"nothing\""),
    (
        "keep = ['reject', 'drop']",
        1,
        "keep",
        "'drop' is no disposition",
        "discard",
    ),
    (
        "keep = ['reject', 'nothing']",
        1,
        "keep",
        "cannot stand beside",
        "keep = \"nothing\"",
    ),
    (
        "[[override]]\nkeep = 'all'",
        2,
        "override[0].keep",
        "'all' is no disposition",
        "accept",
    ),
    ("hold = 'here'", 1, "hold", "unknown value", "mta"),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nhold = 'store'",
        4,
        "action[0].hold",
        "where a hold waits",
        "do = \"hold\"",
    ),
];

#[test]
fn each_mistake_in_what_is_kept_is_told_with_its_remedy() {
    assert_refused(REFUSED);
}

#[test]
fn a_policy_that_keeps_wants_a_store() {
    for (text, wants) in [
        ("", false),
        ("keep = 'nothing'", false),
        ("keep = 'reject'", true),
        ("hold = 'store'", true),
        ("[[override]]\nclient = 'mx'\nkeep = ['hold']", true),
        ("[[override]]\nclient = 'mx'\nhold = 'store'", true),
        ("[[action]]\nname = 'a'\nkeep = true", true),
        ("[[action]]\nname = 'a'\ndo = 'hold'\nhold = 'store'", true),
    ] {
        let policy = compile(text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(policy.wants_store(), wants, "{text}");
    }
}
