//! `millrace policy`.

use std::fs;

use crate::ran::millrace;

#[test]
fn the_default_policy_is_written_once_and_can_be_used() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let policy = folder.path().join("policy");
    let dir = policy.to_str().expect("a path of ours");
    let written = millrace(["policy", "default", dir]).expect(0);
    assert!(
        written
            .stdout
            .contains(&format!("millrace up --policy {dir}")),
        "{}",
        written.stdout
    );

    let checked = millrace(["policy", "check", dir]).expect(0);
    assert!(
        checked.stdout.starts_with("ok: revision "),
        "{}",
        checked.stdout
    );
    let json = millrace(["policy", "check", dir, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(json["ok"], true);
    let revision = json["revision"].as_str().expect("a revision");
    assert!(checked.stdout.contains(revision));

    fs::write(policy.join("policy.toml"), "# mine\n").expect("written");
    let again = millrace(["policy", "default", dir]).expect(2);
    assert!(
        again.stderr.contains("nothing was written"),
        "{}",
        again.stderr
    );
    assert_eq!(
        fs::read_to_string(policy.join("policy.toml")).expect("still there"),
        "# mine\n"
    );
}

#[test]
fn a_mistake_is_told_with_file_line_key_and_remedy() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let dir = folder.path().to_str().expect("a path of ours");
    millrace(["policy", "default", dir]).expect(0);
    let file = folder.path().join("policy.toml");
    let text = fs::read_to_string(&file).expect("the policy");
    fs::write(&file, format!("polizy_version = 1\n{text}")).expect("written");

    let ran = millrace(["policy", "check", dir]).expect(1);
    assert!(ran.stdout.contains("policy.toml:1:1: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("polizy_version"), "{}", ran.stdout);
    let json = millrace(["policy", "check", dir, "--format", "json"])
        .expect(1)
        .json();
    assert_eq!(json["ok"], false);
    let error = &json["errors"][0];
    assert_eq!(error["line"], 1);
    assert!(
        error["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("policy.toml")),
        "{error}"
    );
    assert!(
        error["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty()),
        "{error}"
    );

    // The same policy is refused by what would use it.
    let mail = folder.path().join("mail.eml");
    fs::write(&mail, "Subject: x\n\n").expect("written");
    let scan = millrace(["scan", "--policy", dir, mail.to_str().expect("a path")]).expect(2);
    assert_eq!(
        scan.stderr.matches("policy.toml:1:1").count(),
        1,
        "told once: {}",
        scan.stderr
    );
}

#[test]
fn a_folder_that_is_not_there_is_no_mistake_of_the_policy() {
    let ran = millrace(["policy", "check", "/does/not/exist"]).expect(2);
    assert!(ran.stderr.contains("/does/not/exist"), "{}", ran.stderr);
}

#[test]
fn a_symbol_is_explained() {
    let ran = millrace(["policy", "explain", "GTUBE"]).expect(0);
    assert!(ran.stdout.starts_with("GTUBE: score "), "{}", ran.stdout);
    let json = millrace(["policy", "explain", "GTUBE", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(json["explanation"].as_str(), Some(ran.stdout.as_str()));
    millrace(["policy", "explain", "NO_SUCH_SYMBOL"]).expect(1);
}
