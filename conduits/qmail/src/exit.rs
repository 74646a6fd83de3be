//! How qmail-queue ends: its exit codes, and the text of our own for callers that carry one.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use millrace_proto::Reply;

use crate::caller::CallerKind;

/// An exit code of qmail-queue (`qmail-queue.8`, `qmail.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Taken.
    Done,
    /// An address has 1003 bytes or more.
    AddressTooLong,
    /// Refused for good, for all recipients.
    Refused,
    /// Memory files cannot be written.
    Write,
    /// The caller gave up before the envelope's end, or a read failed.
    Read,
    /// The configuration cannot be used.
    Config,
    /// Refused for now.
    Deferred,
    /// A fault of ours, or of the installation.
    Bug,
    /// Our own text is on the error descriptor.
    Custom,
    /// The envelope breaks its format.
    EnvelopeFormat,
    /// The real qmail-queue cannot be executed.
    Exec,
}

/// The descriptor on which the caller takes text of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorDescriptor(u32);

/// The descriptors that can be one: FIFOs that are open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorDescriptors {
    named: Option<ErrorDescriptor>,
    six: Option<ErrorDescriptor>,
    four: Option<ErrorDescriptor>,
}

/// Callers take fewer than 256 bytes, the letter included.
const LONGEST_TEXT: usize = 254;

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::AddressTooLong => 11,
            Self::Refused => 31,
            Self::Write => 53,
            Self::Read => 54,
            Self::Config => 55,
            Self::Deferred => 71,
            Self::Bug => 81,
            Self::Custom => 82,
            Self::EnvelopeFormat => 91,
            Self::Exec => 120,
        }
    }
}

impl ErrorDescriptors {
    /// Finds them: `$ERROR_FD` of some forks, 6 of notqmail 1.09 and later, 4 of simscan's patch. It is one only when
    /// it is a FIFO that is open for writing: where nobody reads it, code 82 would put mail off for ever.
    ///
    /// To be called before anything is opened: a descriptor of our own may get any of these numbers.
    pub(crate) fn find() -> Self {
        let found = |number| is_fifo_for_writing(number).then_some(ErrorDescriptor(number));
        Self {
            named: std::env::var("ERROR_FD")
                .ok()
                .and_then(|text| text.parse().ok())
                .filter(|&number: &u32| number > 2)
                .and_then(found),
            six: found(6),
            four: found(4),
        }
    }

    /// The one that a caller of this kind reads. Callers on this machine other than qmail-smtpd have pipes of their own
    /// on 4, which are none of ours.
    pub(crate) fn of(self, caller: CallerKind) -> Option<ErrorDescriptor> {
        match caller {
            CallerKind::Network => self.named.or(self.six).or(self.four),
            CallerKind::Local => self.six,
            CallerKind::Bounce => None,
        }
    }
}

impl ErrorDescriptor {
    /// Tells the caller; `letter` is `D` for good and `Z` for now.
    pub(crate) fn tell(self, letter: char, text: &str) -> std::io::Result<()> {
        let mut pipe = fs::OpenOptions::new().write(true).open(self.path())?;
        pipe.write_all(format!("{letter}{text}").as_bytes())
    }

    fn path(self) -> String {
        format!("/proc/self/fd/{}", self.0)
    }
}

/// A descriptor's link in /proc has the write bit when it was opened for writing (`proc_pid_fd(5)`).
fn is_fifo_for_writing(number: u32) -> bool {
    let path = ErrorDescriptor(number).path();
    let writing =
        fs::symlink_metadata(&path).is_ok_and(|link| link.permissions().mode() & 0o200 != 0);
    writing && fs::metadata(&path).is_ok_and(|target| target.file_type().is_fifo())
}

/// A reply as the one line of printable ASCII that qmail-smtpd can pass on: it does not sanitise, and a line end in it
/// would be a second reply.
#[must_use]
pub fn one_line(reply: &Reply) -> String {
    let enhanced = reply
        .enhanced()
        .map(|code| format!(" (#{code})"))
        .unwrap_or_default();
    let mut text: String = reply
        .lines()
        .join(" ")
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    text.truncate(LONGEST_TEXT - 1 - enhanced.len());
    let text = text.trim();
    // A text is more than 2 bytes with its letter.
    let text = if text.len() < 2 { "refused" } else { text };
    format!("{text}{enhanced}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_text_is_one_line_of_printable_ascii_within_the_callers_limit() {
        for (text, expected) in [
            ("No spam here", "No spam here (#5.7.1)"),
            ("one\ntwo", "one two (#5.7.1)"),
            ("x", "refused (#5.7.1)"),
        ] {
            let reply = Reply::new(550, Some("5.7.1"), text).unwrap();
            assert_eq!(one_line(&reply), expected);
        }
        let long = Reply::new(550, Some("5.7.1"), &"x".repeat(900)).unwrap();
        assert!(
            one_line(&long).len() < 255,
            "with its letter fewer than 256"
        );
    }
}
