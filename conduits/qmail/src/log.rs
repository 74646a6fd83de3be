//! The log: syslog, or a file. Never descriptor 2, which under qmail-send is a pipe of its own.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where lines go. Descriptors are opened here, and closed on exec.
#[derive(Debug)]
pub struct Log {
    program: &'static str,
    to: Option<To>,
}

#[derive(Debug)]
enum To {
    Syslog(UnixDatagram),
    File(File),
}

/// Facility mail, severity notice (RFC 5424 §6.2.1).
const PRIORITY: u32 = 2 * 8 + 5;

impl Log {
    /// To the system's log.
    #[must_use]
    pub fn syslog(program: &'static str) -> Self {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.connect("/dev/log")?;
            // A log that is stuck does not hold mail up.
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        Self {
            program,
            to: socket.ok().map(To::Syslog),
        }
    }

    /// To the end of a file; to the system's log when it cannot be opened, with a line that says so.
    #[must_use]
    pub fn file(program: &'static str, path: &Path) -> Self {
        match OpenOptions::new().append(true).create(true).open(path) {
            Ok(file) => Self {
                program,
                to: Some(To::File(file)),
            },
            Err(error) => {
                let log = Self::syslog(program);
                log.line(format_args!(
                    "cannot open the log {}: {error}",
                    path.display()
                ));
                log
            }
        }
    }

    /// Writes one line; what cannot be written is not.
    pub fn line(&self, text: impl fmt::Display) {
        let text: String = text
            .to_string()
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        let (program, pid) = (self.program, std::process::id());
        let _ = match &self.to {
            Some(To::Syslog(socket)) => socket
                .send(format!("<{PRIORITY}>{program}[{pid}]: {text}").as_bytes())
                .map(drop),
            Some(To::File(file)) => {
                let mut file = file;
                file.write_all(format!("{program}[{pid}]: {text}\n").as_bytes())
            }
            None => Ok(()),
        };
    }
}
