//! Every example in the policy's reference is a policy that compiles, and the reference names every key.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use mpd_node::policy::Policy;

const REFERENCE: &str = include_str!("../../docs/policy.md");

/// The blocks of TOML, each with its line.
fn examples() -> Vec<(usize, String)> {
    let mut examples = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in REFERENCE.lines().enumerate() {
        match &mut open {
            None if line == "```toml" || line == "```toml,files" => {
                open = Some((at + 2, String::new()));
            }
            None => {}
            Some(_) if line == "```" => examples.extend(open.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    examples
}

#[test]
fn every_example_compiles() {
    let examples = examples();
    assert!(
        examples.len() >= 12,
        "only {} examples found",
        examples.len()
    );
    for (line, text) in examples {
        let files = BTreeMap::from([
            ("policy.toml".to_owned(), text),
            (
                "lists/blocked-senders.txt".to_owned(),
                "# nobody\nspam.example\n".to_owned(),
            ),
        ]);
        if let Err(errors) = Policy::from_files(files) {
            panic!("the example at docs/policy.md:{line}:\n{errors}");
        }
    }
}

/// A key that does not exist is refused with the keys that do: the reference must have each of those.
#[test]
fn every_key_is_in_the_reference() {
    for table in [
        "",
        "[limits]\n",
        "[[list]]\n",
        "[[rule]]\n",
        "[[expression]]\n",
        "[[attachment]]\n",
        "[[action]]\n",
        "[[override]]\n",
        "[check.mime]\n",
    ] {
        let files = BTreeMap::from([(
            "policy.toml".to_owned(),
            format!("{table}zzzzzzzzzzzz = 1\n"),
        )]);
        let errors = Policy::from_files(files).unwrap_err();
        let (_, keys) = errors.0[0]
            .remedy
            .split_once("keys here: ")
            .expect("the remedy names the keys");
        for key in keys.split(", ") {
            let named = [
                format!("`{key}`"),
                format!("`[{key}]`"),
                format!("`[[{key}]]`"),
                format!("\n{key} = "),
            ];
            assert!(
                named.iter().any(|name| REFERENCE.contains(name)),
                "{table}: `{key}` is not in docs/policy.md"
            );
        }
    }
}
