//! Help that teaches: examples and exit statuses of each command.

use crate::ran::millrace;

#[test]
fn each_command_shows_examples_and_its_exit_statuses() {
    for command in [
        &["up"][..],
        &["scan"],
        &["explain"],
        &["load"],
        &["record"],
        &["policy", "default"],
        &["policy", "check"],
        &["policy", "explain"],
    ] {
        let help = millrace([command, &["--help"]].concat()).expect(0).stdout;
        let name = format!("millrace {}", command.join(" "));
        assert!(
            help.matches(&name).count() >= 2,
            "no example of {name} beside its usage:\n{help}"
        );
        assert!(help.contains("Exit status:"), "{help}");
    }
}

#[test]
fn the_first_page_says_where_to_begin() {
    let help = millrace(["--help"]).expect(0).stdout;
    for part in [
        "millrace up",
        "millrace scan",
        "millrace policy default",
        "explain",
        "load",
    ] {
        assert!(help.contains(part), "{part}:\n{help}");
    }
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_is_right() {
    for (words, part) in [
        (&["nonsense"][..], "nonsense"),
        (&["scan"], "<PATH>"),
        (&["scan", "--format", "xml", "x"], "human, json"),
        (&["scan", "--direction", "up", "x"], "inbound"),
        (&["load"], "--milter"),
        (&["load", "--milter", "nowhere"], "tcp://"),
        (&["load", "--milter", "127.0.0.1:1", "--size", "4x"], "4KiB"),
        (&["up", "--milter", "nowhere"], "no scheme"),
        (&["explain"], "QUEUE-ID"),
    ] {
        let ran = millrace(words).expect(2);
        assert!(ran.stderr.contains(part), "{words:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{words:?}");
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = millrace(["completions", shell]).expect(0).stdout;
        assert!(script.contains("messages-per-connection"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("a temp folder");
    let dir = folder.path().join("man1");
    millrace(["man", dir.to_str().expect("a path")]).expect(0);
    for (page, part) in [
        ("millrace.1", "completions"),
        ("millrace-scan.1", "recipient"),
        ("conduit-gateway.1", "milter"),
        ("mpd-node.1", "policy"),
    ] {
        let text = std::fs::read_to_string(dir.join(page)).expect(page);
        assert!(text.contains(part), "{page}");
    }
}
