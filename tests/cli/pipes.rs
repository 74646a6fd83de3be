//! A reader that goes away, as `head` does, is no crash.

use std::io::Read;

use crate::ran::command;

#[test]
fn a_reader_that_goes_away_ends_the_command_without_a_word() {
    let folder = tempfile::tempdir().expect("a temp folder");
    // Enough for every buffer between here and there to be full.
    let subject = "x".repeat(400);
    for number in 0..2000 {
        let mail = format!("Subject: {subject}\nX-Spam-Flag: {number}\n\nhello\n");
        std::fs::write(
            folder
                .path()
                .join(format!("{number}-{}", "long-name-".repeat(20))),
            mail,
        )
        .expect("written");
    }
    let mut child = command(["scan", "--format", "json"])
        .arg(folder.path())
        .spawn()
        .expect("millrace starts");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    stdout.read_exact(&mut [0; 10]).expect("it begins to write");
    drop(stdout);
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("stderr is piped")
        .read_to_string(&mut said)
        .expect("text");
    let status = child.wait().expect("it ends");
    assert_eq!((status.code(), said.as_str()), (Some(141), ""));
}
