//! A scripted SMTP client: one command, one reply, exact bytes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::message::base64;
use crate::packages;
use crate::patience::PATIENCE;

/// A server's answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three-digit code (RFC 5321, section 4.2).
    pub code: u16,
    /// The text of each line, without code and separator.
    pub lines: Vec<String>,
}

impl Reply {
    /// All of the text, lines joined by LF.
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Insists on this code.
    ///
    /// # Panics
    /// When the reply has another.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "the server said: {self}");
        self
    }

    /// Insists on a temporary failure, 4yz.
    ///
    /// # Panics
    /// When the reply is anything else.
    #[track_caller]
    pub fn expect_temporary(self) -> Self {
        assert_eq!(
            self.code / 100,
            4,
            "a temporary failure was expected, the server said: {self}"
        );
        self
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.code, self.text())
    }
}

/// A connection to an SMTP server.
pub struct Client {
    input: BufReader<Box<dyn Read + Send>>,
    output: Box<dyn Write + Send>,
    /// The TLS helper, once STARTTLS was said.
    helper: Option<Child>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client")
            .field("tls", &self.helper.is_some())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects and gives the greeting too, whatever it is.
    ///
    /// # Panics
    /// When the port is closed or no greeting comes.
    pub fn connect_raw(port: u16) -> (Self, Reply) {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).expect("the mail server's port is open");
        stream
            .set_nodelay(true)
            .expect("a live socket takes options");
        // Several limits add up on the way (the server's, the filter's); a hang is what this ends.
        stream
            .set_read_timeout(Some(PATIENCE * 2))
            .expect("a live socket takes options");
        let reading = stream.try_clone().expect("a socket handle can be copied");
        let mut client = Self {
            input: BufReader::new(Box::new(reading)),
            output: Box::new(stream),
            helper: None,
        };
        let greeting = client.read_reply().expect("the server greets");
        (client, greeting)
    }

    /// Connects, takes the greeting and says `EHLO client.example`.
    ///
    /// # Panics
    /// When any of it is refused.
    pub fn connect(port: u16) -> Self {
        let (mut client, greeting) = Self::connect_raw(port);
        greeting.expect(220);
        client.command("EHLO client.example").expect(250);
        client
    }

    /// Connects, takes STARTTLS without looking at the certificate, and says EHLO again.
    ///
    /// # Panics
    /// When any of it is refused.
    pub fn connect_tls(port: u16) -> Self {
        let mut helper = Command::new(packages::program("openssl"))
            .args([
                "s_client",
                "-quiet",
                "-starttls",
                "smtp",
                "-name",
                "client.example",
                "-connect",
            ])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let output = helper.stdin.take().expect("its input is piped");
        let input = helper.stdout.take().expect("its output is piped");
        let mut client = Self {
            input: BufReader::new(Box::new(input)),
            output: Box::new(output),
            helper: Some(helper),
        };
        // The helper lets the last reply before TLS through: "250 ..." of its own EHLO.
        client
            .send(b"NOOP\r\n")
            .expect("the TLS connection takes bytes");
        let mut reply = client.read_reply().expect("the server answers over TLS");
        while reply.lines.len() > 1 || !reply.text().contains("2.0.0") {
            reply = client.read_reply().expect("the server answers over TLS");
        }
        client.command("EHLO client.example").expect(250);
        client
    }

    /// Proves who we are by AUTH PLAIN (RFC 4616).
    ///
    /// # Panics
    /// When the server does not believe it.
    pub fn authenticate(&mut self, user: &str, password: &str) {
        let word = base64(format!("\0{user}\0{password}").as_bytes());
        self.command(&format!("AUTH PLAIN {word}")).expect(235);
    }

    /// Sends one command line and reads the reply.
    ///
    /// # Panics
    /// When the connection is lost.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> Reply {
        self.try_command(line)
            .unwrap_or_else(|error| panic!("the connection was lost at {line:?}: {error}"))
    }

    /// Sends one command line and reads the reply, or says how the connection was lost.
    pub fn try_command(&mut self, line: &str) -> io::Result<Reply> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.read_reply()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.output.flush()
    }

    /// Sends the envelope up to the last RCPT, each of which must be taken.
    ///
    /// # Panics
    /// When any command is refused.
    #[track_caller]
    pub fn envelope(&mut self, sender: &str, recipients: &[&str]) {
        self.command(&format!("MAIL FROM:<{sender}>")).expect(250);
        for recipient in recipients {
            self.command(&format!("RCPT TO:<{recipient}>")).expect(250);
        }
    }

    /// Sends DATA and the content, dots stuffed, and gives the reply to its end.
    ///
    /// # Panics
    /// When DATA is refused or the connection is lost.
    #[track_caller]
    pub fn data(&mut self, content: &[u8]) -> Reply {
        self.command("DATA").expect(354);
        self.send_content(content)
            .unwrap_or_else(|error| panic!("the connection was lost in the content: {error}"))
    }

    /// Sends the content, dots stuffed, and its end, after DATA; gives the reply.
    pub fn send_content(&mut self, content: &[u8]) -> io::Result<Reply> {
        self.send(&dot_stuffed(content))?;
        self.send(b".\r\n")?;
        self.read_reply()
    }

    /// Sends a whole message on this connection; gives the reply to its end.
    ///
    /// # Panics
    /// When anything before the end of the content is refused.
    #[track_caller]
    pub fn message(&mut self, sender: &str, recipients: &[&str], content: &[u8]) -> Reply {
        self.envelope(sender, recipients);
        self.data(content)
    }

    /// As [`Client::message`], but gives the first refusal instead of insisting.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn attempt(
        &mut self,
        sender: &str,
        recipients: &[&str],
        content: &[u8],
    ) -> io::Result<Reply> {
        let mut reply = self.try_command(&format!("MAIL FROM:<{sender}>"))?;
        for recipient in recipients {
            if reply.code != 250 {
                return Ok(reply);
            }
            reply = self.try_command(&format!("RCPT TO:<{recipient}>"))?;
        }
        if reply.code != 250 {
            return Ok(reply);
        }
        reply = self.try_command("DATA")?;
        if reply.code != 354 {
            return Ok(reply);
        }
        self.send_content(content)
    }

    /// Says QUIT and closes.
    pub fn quit(mut self) {
        let _ = self.try_command("QUIT");
    }

    /// Reads one reply, of any number of lines.
    ///
    /// # Errors
    /// When the connection ends before or within it, or what comes is no SMTP.
    pub fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(&line)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("no SMTP reply: {line:?}"),
                ));
            };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(helper) = &mut self.helper {
            let _ = helper.kill();
            let _ = helper.wait();
        }
    }
}

/// The content as it goes over the wire: a dot before each line that begins with one, and a line
/// end at its end (RFC 5321, section 4.5.2).
fn dot_stuffed(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() + 64);
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    if !wire.is_empty() && !wire.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire
}
