use std::io::Write as _;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the errors of reading it are looked at")]
struct Example {
    name: String,
    admin: Option<String>,
    #[serde(default)]
    listener: Vec<Listener>,
    limits: Option<Limits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the errors of reading it are looked at")]
struct Listener {
    address: String,
    direction: Option<Direction>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Inbound,
    Outbound,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only the errors of reading it are looked at")]
struct Limits {
    connections: u16,
    ratio: Option<f64>,
    strict: Option<bool>,
}

/// Document, and the whole line that the user sees.
const REFUSED: &[(&str, &str)] = &[
    (
        "name = 'a'\nadmn = 'x'\n",
        "f.toml:2:1: key `admn`: unknown key `admn`; did you mean `admin`? (keys here: name, admin, listener, limits)",
    ),
    (
        "name = 'a'\nzzzzzz = 1\n",
        "f.toml:2:1: key `zzzzzz`: unknown key `zzzzzz`; keys here: name, admin, listener, limits",
    ),
    (
        "admin = 'x'\n",
        "f.toml:1:1: key `name`: is missing; add it",
    ),
    ("", "f.toml:1:1: key `name`: is missing; add it"),
    (
        "name = 'a'\n[[listener]]\naddress = 'x'\n[[listener]]\ndirection = 'inbound'\n",
        "f.toml:4:1: key `listener[1].address`: is missing; add it",
    ),
    (
        "name = 'a'\n[[listener]]\naddress = 'x'\ndirection = 'inbuond'\n",
        "f.toml:4:13: key `listener[0].direction`: unknown value `inbuond`; did you mean `inbound`? (values here: inbound, outbound)",
    ),
    (
        "name = 'a'\n[[listener]]\naddress = 5\n",
        "f.toml:3:11: key `listener[0].address`: invalid type: integer `5`; put the value in quotes",
    ),
    (
        "name = 'a'\n[limits]\nconnections = '9'\n",
        "f.toml:3:15: key `limits.connections`: invalid type: string \"9\"; write a whole number in range, without quotes",
    ),
    (
        "name = 'a'\n[limits]\nconnections = 70000\n",
        "f.toml:3:15: key `limits.connections`: invalid value: integer `70000`; write a whole number in range, without quotes",
    ),
    (
        "name = 'a'\nlimits = { connections = 1, strict = 'yes' }\n",
        "f.toml:2:38: key `limits.strict`: invalid type: string \"yes\"; write true or false, without quotes",
    ),
    (
        "name = 'a'\n[limits]\nconnections = 1\nratio = 'x'\n",
        "f.toml:4:9: key `limits.ratio`: invalid type: string \"x\"; write a number, without quotes",
    ),
    (
        "name = 'a'\nlimits = 5\n",
        "f.toml:2:10: key `limits`: invalid type: integer `5`; write a table: { key = value } or a [section]",
    ),
    (
        "name = 'a'\nname = 'b'\n",
        "f.toml:2:1: duplicate key; keep one of the two",
    ),
];

#[test]
fn each_mistake_names_place_key_and_remedy() {
    for (document, expected) in REFUSED {
        let error = parse::<Example>(Path::new("f.toml"), document).unwrap_err();
        assert_eq!(error.to_string(), *expected, "in:\n{document}");
    }
}

#[test]
fn a_syntax_error_names_line_and_column() {
    let error = parse::<Example>(Path::new("f.toml"), "name = 'a'\nadmin = = 1\n").unwrap_err();
    assert_eq!(
        (error.line, error.column, error.key.as_deref()),
        (Some(2), Some(9), None),
        "{error}"
    );
    assert!(!error.remedy.is_empty());
}

#[test]
fn columns_count_characters() {
    let error =
        parse::<Example>(Path::new("f.toml"), "limits = { \"größe\" = 1 }\nname='a'").unwrap_err();
    assert_eq!((error.line, error.column), (Some(1), Some(12)), "{error}");
    assert_eq!(error.key.as_deref(), Some("limits.\"größe\""));
}

#[test]
fn a_semantic_error_is_placed_by_its_span() {
    #[derive(Deserialize)]
    struct Ranged {
        low: Spanned<u8>,
    }
    let text = "# comment\nlow = 9\n";
    let ranged: Ranged = parse(Path::new("f.toml"), text).unwrap();
    let error = ConfigError::at(
        Path::new("f.toml"),
        text,
        ranged.low.span(),
        "low",
        "is above the high mark",
        "lower it",
    );
    assert_eq!(
        error.to_string(),
        "f.toml:2:7: key `low`: is above the high mark; lower it"
    );
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load::<Example>(&folder.path().join("none.toml")).unwrap_err();
    assert!(missing.problem.starts_with("cannot be read"), "{missing}");
    assert_eq!(missing.remedy, "name a file that exists");

    let mut latin1 = tempfile::NamedTempFile::new().unwrap();
    latin1
        .write_all(b"name = 'a'\nadmin = 'gr\xfc\xdfe'\n")
        .unwrap();
    let invalid = load::<Example>(latin1.path()).unwrap_err();
    assert_eq!(
        (invalid.line, invalid.column),
        (Some(2), Some(12)),
        "{invalid}"
    );
    assert_eq!(invalid.problem, "is not UTF-8");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let error =
        parse::<Example>(Path::new("f.toml"), "name = 'a'\n\"\\u001b[2J\" = 1\n").unwrap_err();
    assert!(
        !error.to_string().chars().any(char::is_control),
        "{error:?}"
    );
}

#[test]
fn several_errors_are_one_a_line_and_a_json_list() {
    let mut errors = ConfigErrors::default();
    assert_eq!(errors.clone().into_result(7), Ok(7));
    errors.push(ConfigError::at_line(
        Path::new("list.txt"),
        3,
        None,
        "is no address",
        "write user@domain",
    ));
    errors.push(ConfigError::in_file(
        Path::new("x"),
        "is empty",
        "write something",
    ));
    assert_eq!(
        errors.to_string(),
        "list.txt:3: is no address; write user@domain\nx: is empty; write something"
    );
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(json[0]["line"], 3);
    assert_eq!(json[1]["file"], "x");
    assert!(errors.into_result(()).is_err());
}

#[test]
fn the_nearest_name_is_one_that_could_have_been_meant() {
    for (wanted, known, near) in [
        ("lisen", &["listen", "log"][..], Some("listen")),
        ("tset", &["test", "rest"], Some("test")),
        ("x", &["listen"], None),
        ("completely", &["different"], None),
    ] {
        assert_eq!(nearest(wanted, known.iter().copied()), near, "{wanted}");
    }
}
