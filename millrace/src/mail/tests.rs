use std::fs;

use super::*;

fn found(paths: &[PathBuf]) -> Vec<(Option<u64>, String)> {
    Sources::new(paths)
        .unwrap()
        .map(|found| {
            let content = found.content.unwrap();
            (found.number, String::from_utf8(content.to_vec()).unwrap())
        })
        .collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_mbox_is_taken_apart_and_its_quoting_undone() {
    let folder = folder();
    let file = folder.path().join("mbox");
    for (mbox, expected) in [
        (
            "From a@b.example Sat Sep  9 18:05:17 2000\nSubject: 1\n\nbody\n>From me\n>>From you\n\n\
             From - Sat Sep 9 8:05:17 2000\nSubject: 2\n\nFrom here on\n\nFrom the start\n",
            &[
                "Subject: 1\n\nbody\nFrom me\n>From you\n",
                "Subject: 2\n\nFrom here on\n\nFrom the start\n",
            ][..],
        ),
        (
            "From a@b Sat Sep  9 18:05:17 2000\r\nA: 1\r\n\r\nx\r\n\r\nFrom c@d Sat Sep  9 18:05:17 2000\r\nB: 2\r\n\r\n",
            &["A: 1\r\n\r\nx\r\n", "B: 2\r\n"],
        ),
        ("From a@b Sat Sep  9 18:05:17 2000\n", &[""]),
        (
            "From a@b Sat Sep  9 18:05:17 2000\nA: 1\n\nno end",
            &["A: 1\n\nno end"],
        ),
        // Without an empty line before it, it is text.
        (
            "From a@b Sat Sep  9 18:05:17 2000\nA: 1\n\nx\nFrom c@d Sat Sep  9 18:05:17 2000\ny\n",
            &["A: 1\n\nx\nFrom c@d Sat Sep  9 18:05:17 2000\ny\n"],
        ),
    ] {
        fs::write(&file, mbox).unwrap();
        let expected: Vec<_> = (1u64..)
            .map(Some)
            .zip(expected.iter().map(|&m| m.to_owned()))
            .collect();
        assert_eq!(found(std::slice::from_ref(&file)), expected, "{mbox:?}");
    }
}

#[test]
fn the_sender_of_a_separator_is_known() {
    let folder = folder();
    let file = folder.path().join("mbox");
    for (sender, expected) in [
        ("a@b.example", Some("a@b.example")),
        ("<>", Some("<>")),
        ("MAILER-DAEMON", None),
        ("-", None),
    ] {
        fs::write(
            &file,
            format!("From {sender} Sat Sep  9 18:05:17 2000\nA: 1\n\n"),
        )
        .unwrap();
        let message = Sources::new(std::slice::from_ref(&file))
            .unwrap()
            .next()
            .unwrap();
        assert_eq!(
            message.sender.as_deref(),
            expected.map(str::as_bytes),
            "{sender}"
        );
    }
}

#[test]
fn a_file_that_only_begins_like_an_mbox_is_one_message() {
    let folder = folder();
    for content in [
        "From: a@b\n\nx\n",
        "From where I stand\n",
        "",
        "Subject: x\n\nFrom a@b Sat Sep  9 18:05:17 2000\n",
    ] {
        let file = folder.path().join("one.eml");
        fs::write(&file, content).unwrap();
        assert_eq!(found(&[file]), [(None, content.to_owned())]);
    }
}

#[test]
fn a_maildir_gives_its_messages_and_those_of_its_folders() {
    let folder = folder();
    for (path, content) in [
        ("cur/1:2,S", "cur"),
        ("new/2", "new"),
        ("tmp/3", "tmp"),
        ("dovecot.index", "index"),
        (".Sent/cur/4", "sent"),
        (".Sent/new/.keep", "hidden"),
        (".Sent/tmp/.keep", "hidden"),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let contents: Vec<_> = found(&[folder.path().into()])
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    assert_eq!(contents, ["sent", "cur", "new"]);
}

#[test]
fn a_folder_is_walked_in_the_order_of_names_without_hidden_files_and_loops() {
    let folder = folder();
    for path in ["b/2.eml", "a/1.eml", ".git/x", "c.eml"] {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, path).unwrap();
    }
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    std::os::unix::fs::symlink("c.eml", folder.path().join("d.eml")).unwrap();
    let contents: Vec<_> = found(&[folder.path().into()])
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    assert_eq!(contents, ["a/1.eml", "b/2.eml", "c.eml", "c.eml"]);
}

#[test]
fn what_is_not_there_is_told_before_anything_is_read() {
    let error = Sources::new(&["/does/not/exist".into()]).unwrap_err();
    assert!(
        error.to_string().starts_with("/does/not/exist: "),
        "{error}"
    );
}

#[test]
fn an_unreadable_file_costs_itself() {
    let folder = folder();
    fs::write(folder.path().join("a"), "A: 1\n\n").unwrap();
    std::os::unix::fs::symlink("/does/not/exist", folder.path().join("b")).unwrap();
    fs::write(folder.path().join("c"), "C: 1\n\n").unwrap();
    let sound: Vec<_> = Sources::new(&[folder.path().into()])
        .unwrap()
        .map(|found| found.content.is_ok())
        .collect();
    assert_eq!(sound, [true, false, true]);
}
