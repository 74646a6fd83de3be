//! A delivery, as qmail-local makes it.

use std::fs;
use std::io::{Seek, Write};
use std::process::{Command, Output, Stdio};

use super::Home;

/// What came of a delivery.
#[derive(Debug)]
pub struct Delivered {
    pub code: i32,
    /// What the log and the bounce are told.
    pub said: String,
    /// The copies in the maildir `Junk`.
    pub filed: Vec<Vec<u8>>,
}

impl Home {
    /// Has the message judged by a line with these options, which asks this home's gateway and logs to its file.
    pub fn deliver(&self, options: &[&str], message: &[u8]) -> Delivered {
        self.deliver_to(options, message, |_| {})
    }

    /// The same, with a last change to how the program is called.
    pub fn deliver_to(
        &self,
        options: &[&str],
        message: &[u8],
        change: impl FnOnce(&mut Command),
    ) -> Delivered {
        let log = self.path("log");
        let log = log.to_str().unwrap();
        let gateway = self.endpoint().trim_matches('\'');
        let options = [&["--gateway", gateway, "--log", log], options].concat();
        self.run_line(&options, message, change)
    }

    /// By a line that names no gateway, in a home whose file does.
    pub fn deliver_as_configured(&self, options: &[&str], message: &[u8]) -> Delivered {
        let text = format!("gateways = [{}]\n", self.endpoint());
        fs::write(self.path("control/millrace.toml"), text).unwrap();
        let home = self.folder().to_str().unwrap();
        let options = [&["--home", home], options].concat();
        self.run_line(&options, message, |_| {})
    }

    fn run_line(
        &self,
        options: &[&str],
        message: &[u8],
        change: impl FnOnce(&mut Command),
    ) -> Delivered {
        let mut file = tempfile::tempfile_in(self.folder()).unwrap();
        file.write_all(message).unwrap();
        file.rewind().unwrap();
        for name in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.path("Junk").join(name)).unwrap();
        }
        // qmail-local has a shell run the line.
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(r#"${LIMIT:+ulimit -v $LIMIT}; exec "$0" "$@""#)
            .arg(env!("CARGO_BIN_EXE_millrace-dot-qmail"))
            .args(options)
            .current_dir(self.folder())
            .env_clear()
            .env("SENDER", "a@example.org")
            .env("RECIPIENT", "user-ext@example.com")
            .env("RPLINE", "Return-Path: <a@example.org>\n")
            .env("DTLINE", "Delivered-To: user-ext@example.com\n")
            .stdin(Stdio::from(file.try_clone().unwrap()));
        change(&mut shell);
        let Output {
            status,
            stdout,
            stderr,
        } = shell.output().unwrap();
        assert!(stdout.is_empty(), "{}", stdout.escape_ascii());
        assert_eq!(
            file.stream_position().unwrap(),
            0,
            "the offset is qmail-local's"
        );
        Delivered {
            code: status.code().unwrap(),
            said: String::from_utf8(stderr).unwrap(),
            filed: self.filed(),
        }
    }

    fn filed(&self) -> Vec<Vec<u8>> {
        let left = fs::read_dir(self.path("Junk/tmp")).unwrap().count();
        assert_eq!(left, 0, "something is left in tmp");
        fs::read_dir(self.path("Junk/new"))
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect()
    }
}
