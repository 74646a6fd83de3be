//! `docs/quarantine.md` from beginning to end: twenty refused messages are kept, looked at, released and deleted, senders
//! are put on lists, and the store moves to a bucket.

use millrace_tests::{packages, s3};

use crate::guide::{commands, follow};

const BEFORE: &str = include_str!("kept_copies.sh");

/// After the guide: the bucket shows what the folder does, which is all but the deleted one.
const AFTER: &str = r#"
shown() { millrace quarantine list --format json "$@" | sed 's/,"state".*//' | sort; }
[ "$(shown)" = "$(shown --store s3://kept/moved)" ]
[ "$(shown | wc -l)" = 19 ]
echo '--- followed to the end'
"#;

#[test]
fn are_looked_at_released_and_moved_as_the_guide_says() {
    packages::require_root("namespaces are for root");
    packages::require(&["bash", "curl", "ip", "python3", "smtp-sink", "unshare"]);
    let mut script = BEFORE.to_owned();
    let mut copies = 0;
    for block in commands("quarantine.md") {
        if block.contains("s3://") {
            script.push_str("move_to_bucket\n");
        }
        // Where the guide says ID it means any copy: another one each time.
        for line in block.lines() {
            let mut line = line.replace("BUCKET/PREFIX", "kept/moved");
            if line.contains(" ID") {
                line = line.replace(" ID", &format!(" ${{ids[{copies}]}}"));
                copies += 1;
            }
            script.push_str(&line);
            script.push('\n');
        }
    }
    assert!(copies > 8, "the guide speaks of {copies} copies");
    script.push_str(AFTER);

    let folder = tempfile::tempdir().expect("a temp folder can be made");
    let mut shell = follow(folder.path(), &script, |command| {
        command.env("PYTHONPATH", s3::fetched());
    });
    shell.wait_for_line("--- followed to the end");
    let said = shell.output();
    assert_eq!(said.matches("  sent  250").count(), 3, "{said}");
}
