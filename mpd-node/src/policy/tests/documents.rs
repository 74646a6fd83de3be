//! Mistakes in a policy: each is refused with file, line, key and remedy.

use super::*;

const REFUSED: &[Refused] = &[
    (
        "scors = 1",
        1,
        "scors",
        "unknown key",
        "did you mean `scores`",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nheadr = 'x'",
        3,
        "rule[0].headr",
        "unknown key",
        "did you mean `header`",
    ),
    (
        "trusted_networks = ['10.0.0.1/8']",
        1,
        "trusted_networks",
        "the network is 10.0.0.0/8",
        "write an IP address",
    ),
    ("size_limit = 'big'", 1, "size_limit", "is no size", ""),
    (
        "size_limit = 0",
        1,
        "size_limit",
        "lets nothing through",
        "",
    ),
    (
        "[limits]\nmime_depth = 5000",
        2,
        "limits.mime_depth",
        "not from 1 to 100",
        "choose a number",
    ),
    (
        "include = ['rules/none.toml']",
        1,
        "include",
        "cannot be read",
        "name a file that exists",
    ),
    (
        "include = ['../other.toml']",
        1,
        "include",
        "is not below the policy's folder",
        "name a file beside",
    ),
    (
        "[scores]\nMISING_DATE = 1",
        2,
        "scores.MISING_DATE",
        "there is no symbol",
        "did you mean MISSING_DATE?",
    ),
    (
        "[scores]\nMISSING_DATE = nan",
        2,
        "scores.MISSING_DATE",
        "is no score",
        "write a number",
    ),
    (
        "[scores]\nMISSING_DATE = 'x'",
        2,
        "scores.MISSING_DATE",
        "invalid type",
        "without quotes",
    ),
    // Symbols.
    (
        "[[rule]]\nsymbol = 'my-rule'\nheader = 'X'\nscore = 1",
        2,
        "rule[0].symbol",
        "is no symbol",
        "write 'MY_RULE'",
    ),
    (
        "[[rule]]\nsymbol = 'GR\u{dc}N'\nheader = 'X'\nscore = 1",
        2,
        "rule[0].symbol",
        "is no symbol",
        "write upper-case",
    ),
    (
        "[[rule]]\nsymbol = 'BARE_LF'\nheader = 'X'\nscore = 1",
        2,
        "rule[0].symbol",
        "is built in",
        "[scores]",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nheader = 'X'",
        2,
        "rule[0].score",
        "'A' has no score",
        "name it `__A`",
    ),
    (
        "[[rule]]\nsymbol = '__A'\nheader = 'X'\nscore = 1",
        4,
        "rule[0].score",
        "cannot have a score",
        "underscores",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nheader = 'X'\nscore = 1\n[[rule]]\nsymbol = 'A'\nheader = 'Y'\nscore = 2",
        8,
        "rule[1].score",
        "already has another score",
        "one score",
    ),
    // Rules.
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\npattern = 'x'",
        2,
        "rule[0].header",
        "does not say what to look at",
        "add header",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'",
        2,
        "rule[0].pattern",
        "is missing",
        "add pattern",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'bdy'\npattern = 'x'",
        4,
        "rule[0].target",
        "unknown value",
        "did you mean `body`",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\nheader = 'X'\ntarget = 'body'\npattern = 'x'",
        5,
        "rule[0].target",
        "not at both",
        "two rules",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\nheader = 'X:'\npattern = 'x'",
        4,
        "rule[0].header",
        "no header name",
        "without its colon",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = '(a'",
        5,
        "rule[0].pattern",
        "unclosed",
        "balance",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = '(?=a)b'",
        5,
        "rule[0].pattern",
        "look-around",
        "[[expression]]",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = 'a*'",
        5,
        "rule[0].pattern",
        "every text",
        "required",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npatterns = ['ok', '\\w{900}{900}']",
        5,
        "rule[0].patterns",
        "too large",
        "counts",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = 'x'\nraw = true",
        2,
        "rule[0].raw",
        "`raw` is for headers",
        "raw_body",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = 'x'\nmax_hits = 0",
        6,
        "rule[0].max_hits",
        "not from 1",
        "choose",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\nheader = 'X'\nclient = 'a b'",
        5,
        "rule[0].client",
        "is not a client name",
        "gateway",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\nheader = 'X'\ndirection = 'in'",
        5,
        "rule[0].direction",
        "is not a direction",
        "inbound",
    ),
    (
        "[[rule]]\nsymbol = 'A'\nscore = 1\nheader = 'X'\nclient = []",
        5,
        "rule[0].client",
        "never holds",
        "leave it out",
    ),
    // Lists.
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\nentries = ['x']\nscore = 1",
        4,
        "list[0].entries",
        "neither an IP address",
        "write an IP",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'pear'\nscore = 1",
        3,
        "list[0].match",
        "cannot be matched",
        "did you mean peer?",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = []\nscore = 1",
        3,
        "list[0].match",
        "is empty",
        "say what is looked up",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = ['peer', 'helo']\nscore = 1",
        3,
        "list[0].match",
        "another kind",
        "two lists",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\nfile = 'none'\nscore = 1",
        4,
        "list[0].file",
        "cannot be read",
        "name a file",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'",
        2,
        "list[0].score",
        "'A' has no score",
        "add `score",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\naction = 'drop'",
        4,
        "list[0].action",
        "unknown value",
        "discard",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\naction = 'reject'\nreply = '450 no'",
        5,
        "list[0].reply",
        "no 5xx reply",
        "550 5.7.1",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\naction = 'reject'\nreply = '550 4.7.1 no'",
        5,
        "list[0].reply",
        "enhanced status code",
        "5.x.y",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\nscore = 1\nreply = '550 no'",
        5,
        "list[0].reply",
        "nobody will hear",
        "reject",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\nscore = 1\nstage = 'rcpt'",
        5,
        "list[0].stage",
        "refuses nothing",
        "take `stage` away",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'recipient'\naction = 'reject'\nstage = 'mail'",
        5,
        "list[0].stage",
        "not known at mail yet",
        "write rcpt or a later stage",
    ),
    (
        "[[list]]\nsymbol = 'A'\nmatch = 'peer'\naction = 'reject'\nrecipient_domain = 'a@b'",
        5,
        "list[0].recipient_domain",
        "is no domain",
        "write a domain",
    ),
    // Attachments.
    (
        "[[attachment]]\nsymbol = 'A'\nscore = 1",
        2,
        "attachment[0]",
        "has no condition",
        "add extensions",
    ),
    (
        "[[attachment]]\nsymbol = 'A'\nscore = 1\nextensions = ['*.exe']",
        4,
        "attachment[0].extensions",
        "no extension",
        "\"exe\"",
    ),
    (
        "[[attachment]]\nsymbol = 'A'\nscore = 1\ndeclared_types = ['exe']",
        4,
        "attachment[0].declared_types",
        "no media type",
        "image/*",
    ),
    (
        "[[attachment]]\nsymbol = 'A'\nscore = 1\nreal_types = ['program']",
        4,
        "attachment[0].real_types",
        "no type that content is known by",
        "a family as",
    ),
    // Expressions.
    (
        "[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = 'B && C'",
        4,
        "expression[0].when",
        "there is no symbol 'B'",
        "define it",
    ),
    (
        "[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = 'BARE_LF &&'",
        4,
        "expression[0].when",
        "the expression ends",
        "add what is missing",
    ),
    (
        "[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = 'A'",
        2,
        "expression[0].when",
        "in a circle: A → A",
        "out of the circle",
    ),
    (
        "[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = 'B'\n[[expression]]\nsymbol = 'B'\nscore = 1\nwhen = '!A'",
        2,
        "expression[0].when",
        "in a circle: A → B → A",
        "out of the circle",
    ),
    (
        "[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = '1'\n[[expression]]\nsymbol = 'A'\nscore = 1\nwhen = '0'",
        6,
        "expression[1].symbol",
        "already has an expression",
        "join the two",
    ),
    // Actions.
    (
        "[[action]]\nname = 'a'",
        2,
        "action[0]",
        "does nothing",
        "add `do`",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'refuse'",
        3,
        "action[0].do",
        "unknown value",
        "reject",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nscore_at_least = 'mark'",
        4,
        "action[0].score_at_least",
        "there is no threshold",
        "[thresholds] mark",
    ),
    (
        "[thresholds]\nmark = 1\n[[action]]\nname = 'a'\ndo = 'reject'\nscore_at_least = 'marc'",
        6,
        "action[0].score_at_least",
        "there is no threshold",
        "did you mean mark?",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nwhen = 'NOPE'",
        4,
        "action[0].when",
        "there is no symbol 'NOPE'",
        "define",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'accept'\nreply = '550 x'",
        4,
        "action[0].reply",
        "nobody will hear",
        "reject or tempfail",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nreply = '550'",
        4,
        "action[0].reply",
        "no 5xx reply",
        "begin it with a code",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nreply = '550 {nme}'",
        4,
        "action[0].reply",
        "no field '{nme}'",
        "fields are",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nreason = 'x'",
        4,
        "action[0].reason",
        "is for a hold",
        "do = \"hold\"",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'reject'\nadd_header = 'X: y'",
        2,
        "action[0]",
        "nobody will see",
        "action of their own",
    ),
    (
        "[[action]]\nname = 'a'\nadd_header = 'X y'",
        3,
        "action[0].add_header",
        "is no header",
        "X-Spam-Status: ",
    ),
    (
        "[[action]]\nname = 'a'\nadd_header = 'X: '",
        3,
        "action[0].add_header",
        "has no value",
        "behind the colon",
    ),
    (
        "[[action]]\nname = 'a'\nadd_header = \"X: a\\nBcc: b\"",
        3,
        "action[0].add_header",
        "cannot stand here",
        "ASCII",
    ),
    (
        "[[action]]\nname = 'a'\nsubject_tag = ''",
        3,
        "action[0].subject_tag",
        "short text",
        "[SPAM]",
    ),
    (
        "[[action]]\nname = 'a'\nset_sender = 'nobody'",
        3,
        "action[0].set_sender",
        "is no address",
        "null sender",
    ),
    (
        "[[action]]\nname = 'a'\nredirect = 'a b@c'",
        3,
        "action[0].redirect",
        "is no address",
        "user@domain",
    ),
    (
        "[[action]]\nname = 'a'\ndo = 'accept'\n[[action]]\nname = 'a'\ndo = 'accept'",
        5,
        "action[1].name",
        "already",
        "another name",
    ),
    // Overrides.
    (
        "[[override]]\nthresholds = { x = 1 }",
        2,
        "override[0].thresholds.x",
        "there is no threshold",
        "add it",
    ),
    (
        "[[override]]\nwithout = 'x'",
        2,
        "override[0].without",
        "there is no action",
        "actions are",
    ),
    // No TOML.
    ("[[rule]\n", 1, "", "", ""),
    ("a = = 1", 1, "", "", ""),
];

#[test]
fn each_mistake_is_told_with_place_key_and_remedy() {
    assert_refused(REFUSED);
}

#[test]
fn a_mistake_in_a_list_file_is_told_with_its_line() {
    let main = "[[list]]\nsymbol = 'A'\nmatch = 'peer'\nfile = 'lists/a.txt'\nscore = 1\n";
    let errors = compile(
        main,
        &[(
            "lists/a.txt",
            "# ok\n192.0.2.1 # fine\n\nnonsense\n300.1.1.1\n",
        )],
    )
    .unwrap_err();
    let told: Vec<_> = errors
        .0
        .iter()
        .map(|error| (error.file.as_str(), error.line))
        .collect();
    assert_eq!(told, [("lists/a.txt", Some(4)), ("lists/a.txt", Some(5))]);
}

#[test]
fn a_mistake_in_an_included_file_is_told_there() {
    let errors = compile(
        "include = ['more.toml']",
        &[("more.toml", "[[rule]]\nsymbol = 'A'\nscore = 1\n")],
    )
    .unwrap_err();
    assert_eq!(
        (errors.0[0].file.as_str(), errors.0[0].line),
        ("more.toml", Some(2))
    );
    let errors = compile(
        "include = ['more.toml']",
        &[("more.toml", "[thresholds]\nmark = 1\n")],
    )
    .unwrap_err();
    assert!(
        errors.0[0].problem.contains("unknown key `thresholds`"),
        "{errors}"
    );
}

#[test]
fn all_mistakes_are_told_at_once_but_not_without_end() {
    let one = "[[rule]]\nsymbol = 'A'\nscore = 1\ntarget = 'body'\npattern = '('\n";
    assert_eq!(compile(&one.repeat(3), &[]).unwrap_err().0.len(), 3);
    assert_eq!(compile(&one.repeat(500), &[]).unwrap_err().0.len(), 50);
}
