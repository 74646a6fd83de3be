use std::collections::BTreeMap;

use super::*;

mod documents;
mod folders;
mod keeping;
mod slips;

/// Compiles a `policy.toml` and the files beside it.
fn compile(main: &str, beside: &[(&str, &str)]) -> Result<Arc<Policy>, PolicyErrors> {
    let mut files: BTreeMap<String, String> = beside
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    files.insert("policy.toml".to_owned(), main.to_owned());
    Policy::from_files(files)
}

/// Document, line, key, what the problem holds, what the remedy holds.
type Refused = (&'static str, u32, &'static str, &'static str, &'static str);

fn assert_refused(refused: &[Refused]) {
    for (document, line, key, problem, remedy) in refused {
        let errors = compile(document, &[]).map(|_| ()).expect_err(document);
        let error = &errors.0[0];
        assert_eq!(error.file, "policy.toml", "{document}");
        assert_eq!(error.line, Some(*line), "{document}\n{error}");
        assert_eq!(
            error.key.as_deref().unwrap_or_default(),
            *key,
            "{document}\n{error}"
        );
        assert!(error.problem.contains(problem), "{document}\n{error}");
        assert!(
            error.remedy.contains(remedy) && (!error.remedy.is_empty()),
            "{document}\n{error}"
        );
    }
}

#[test]
fn the_policy_that_is_built_in_compiles() {
    let policy = Policy::builtin().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(policy.revision().as_str().len(), 64);
    let client: ClientName = "mx".parse().unwrap();
    let plan = policy.plan(&client, Direction::Inbound);
    assert!(
        plan.stages.is_empty(),
        "its lists are empty: {:?}",
        plan.stages
    );
    assert!(plan.needs_body);
    assert_eq!(plan.size_limit, Some(100 << 20));
    assert!(policy.symbols().find("GTUBE").is_some());
}

#[test]
fn a_plan_has_the_stages_at_which_something_is_decided() {
    let policy = compile(
        r#"
        [[list]]
        symbol = "A"
        match = "peer"
        entries = ["192.0.2.1"]
        action = "reject"
        client = "mx1"

        [[list]]
        symbol = "B"
        match = "envelope_sender"
        entries = ["spam.example"]
        action = "tempfail"
        stage = "rcpt"

        [[list]]
        symbol = "C"
        match = "helo"
        entries = ["localhost"]
        score = 1

        [[list]]
        symbol = "D"
        match = "ptr"
        entries = []
        action = "reject"
        "#,
        &[],
    )
    .unwrap();
    let stages = |client: &str| -> Vec<Stage> {
        policy
            .plan(&client.parse().unwrap(), Direction::Inbound)
            .stages
            .iter()
            .collect()
    };
    assert_eq!(stages("mx1"), [Stage::Connect, Stage::Rcpt]);
    assert_eq!(stages("mx2"), [Stage::Rcpt]);
    assert!(
        !policy
            .plan(&"mx1".parse().unwrap(), Direction::Inbound)
            .needs_body
    );
}

#[test]
fn people_are_told_what_a_symbol_means() {
    let policy = Policy::builtin().unwrap();
    let text = policy.explain("GTUBE").unwrap();
    assert!(
        text.starts_with("GTUBE: score 1000\n") && text.contains("rules/content.toml:"),
        "{text}"
    );
    let line = text
        .split("rules/content.toml:")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    let at_line = policy
        .explain(&format!("rules/content.toml:{line}"))
        .unwrap();
    assert!(at_line.contains("GTUBE: score 1000"), "{at_line}");
    let asked = policy.explain("DANGEROUS_ATTACHMENT").unwrap();
    assert!(
        asked.contains("asked for by action refuse-dangerous-attachments"),
        "{asked}"
    );
    assert!(
        policy
            .explain("SENDER_BLOCKED")
            .unwrap()
            .contains("reject at mail")
    );
    assert!(
        policy
            .explain("MISSING_TO")
            .unwrap()
            .contains("does not score it")
    );
    assert_eq!(policy.explain("NO_SUCH_SYMBOL"), None);
    assert_eq!(policy.explain("policy.toml:0"), None);
    assert_eq!(policy.explain("policy.toml:99999"), None);
    assert!(policy.describe().contains("threshold reject = 15"));
}

#[test]
fn the_default_policy_is_written_once_and_is_the_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("policy");
    Policy::write_default(&place).unwrap();
    let written = Policy::load(&place).unwrap();
    assert_eq!(written.revision(), Policy::builtin().unwrap().revision());
    let again = Policy::write_default(&place).unwrap_err();
    assert!(
        again.to_string().contains("exists; nothing was written"),
        "{again}"
    );
}

#[test]
fn no_pattern_over_text_is_run_without_need() {
    let policy = Policy::builtin().unwrap();
    for (target, set) in &policy.patterns().targets {
        if matches!(target, Target::Body | Target::Html | Target::RawBody) {
            assert_eq!(
                set.always(),
                0,
                "{target:?}: each costs a pass over every text"
            );
        }
    }
}

#[test]
fn the_file_that_is_missing_is_named() {
    let errors = Policy::from_files(BTreeMap::new()).unwrap_err();
    assert_eq!(errors.0[0].file, "policy.toml");
    let folder = tempfile::tempdir().unwrap();
    let errors = Policy::load(&folder.path().join("none")).unwrap_err();
    assert!(errors.0[0].file.ends_with("none/policy.toml"), "{errors}");
}

#[test]
fn a_long_chain_of_expressions_is_no_burden() {
    let mut text = String::from("[[expression]]\nsymbol = 'E0'\nwhen = 'BARE_LF'\nscore = 0\n");
    for n in 1..3000 {
        text.push_str(&format!(
            "[[expression]]\nsymbol = 'E{n}'\nwhen = 'E{}'\nscore = 0\n",
            n - 1
        ));
    }
    let policy = compile(&text, &[]).unwrap();
    assert_eq!(policy.expressions().len(), 3000);
}
