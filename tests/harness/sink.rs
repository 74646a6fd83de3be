//! The far end: an SMTP server in the test's own process that keeps whatever is delivered to it.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::message::Field;
use crate::patience::PATIENCE;

/// A message as it arrived at the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// What follows `MAIL FROM:` to the letter, parameters included.
    pub mail: String,
    /// What follows each `RCPT TO:`, in the order of arrival.
    pub rcpts: Vec<String>,
    /// The content with CRLF line ends, dot-stuffing undone.
    pub content: Vec<u8>,
}

/// An SMTP server on loopback that takes everything, or refuses what it is told to.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delivered: Vec<Delivered>,
    refusal: Option<String>,
    closed: bool,
}

impl Sink {
    /// Starts a sink on a free port.
    ///
    /// # Panics
    /// When loopback has no port left.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.lock().closed {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle has delivered nothing: that is all to know.
                thread::spawn(move || drop(converse(&stream, &shared)));
            }
        });
        Self { port, shared }
    }

    /// The port it listens on, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on every MAIL is answered with this line; `None` takes mail again.
    pub fn refuse(&self, reply: Option<&str>) {
        self.shared.lock().refusal = reply.map(str::to_owned);
    }

    /// What has arrived so far.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.shared.lock().delivered.clone()
    }

    /// How many messages have arrived so far.
    pub fn count(&self) -> usize {
        self.shared.lock().delivered.len()
    }

    /// Waits until `count` messages have arrived and gives all there are.
    ///
    /// # Panics
    /// When fewer have after [`PATIENCE`].
    pub fn wait_for(&self, count: usize) -> Vec<Delivered> {
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), PATIENCE, |state| {
                state.delivered.len() < count
            })
            .expect("no one panics with the sink in hand");
        assert!(
            !waited.timed_out(),
            "{} of {count} messages had arrived after {PATIENCE:?}",
            state.delivered.len()
        );
        state.delivered.clone()
    }

    /// Waits for the one message that this test delivers.
    ///
    /// # Panics
    /// When none or more than one arrives.
    pub fn only(&self) -> Delivered {
        let mut all = self.wait_for(1);
        assert_eq!(all.len(), 1, "one message was expected: {all:?}");
        all.remove(0)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no one panics with the sink in hand")
    }
}

impl Delivered {
    /// The sender's address without brackets and parameters.
    pub fn sender(&self) -> &str {
        address(&self.mail)
    }

    /// The recipients' addresses without brackets and parameters, sorted: the mail servers differ
    /// in the order in which they name them.
    pub fn recipients(&self) -> Vec<&str> {
        let mut all: Vec<_> = self.rcpts.iter().map(|rcpt| address(rcpt)).collect();
        all.sort_unstable();
        all
    }

    /// The header's fields in order, each with its folds.
    pub fn fields(&self) -> Vec<Field> {
        Field::parse_all(&self.content)
    }

    /// The raw fields of this name, in order.
    pub fn fields_named(&self, name: &str) -> Vec<String> {
        self.fields()
            .into_iter()
            .filter(|field| field.is_named(name))
            .map(|field| field.text())
            .collect()
    }

    /// The content without the `Received` fields that the mail servers on the way put on top.
    pub fn without_trace(&self) -> Vec<u8> {
        self.without(&["Received"])
    }

    /// The content without any field of these names.
    pub fn without(&self, names: &[&str]) -> Vec<u8> {
        let mut rest = Vec::with_capacity(self.content.len());
        for field in self.fields() {
            if !names.iter().any(|name| field.is_named(name)) {
                rest.extend_from_slice(&field.raw);
            }
        }
        rest.extend_from_slice(&self.content[Field::header_len(&self.content)..]);
        rest
    }

    /// The body: all after the empty line.
    pub fn body(&self) -> &[u8] {
        let rest = &self.content[Field::header_len(&self.content)..];
        rest.strip_prefix(b"\r\n").unwrap_or(rest)
    }
}

fn address(path: &str) -> &str {
    let path = path.trim_start();
    match (path.find('<'), path.find('>')) {
        (Some(open), Some(close)) if open < close => &path[open + 1..close],
        _ => path.split(' ').next().unwrap_or_default(),
    }
}

fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(1 << 16, stream);
    let mut output = stream;
    // Sendmail takes a server that greets with its own name for a mail loop.
    output.write_all(b"220 sink.example ESMTP\r\n")?;
    let (mut mail, mut rcpts) = (None, Vec::new());
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let upper = text.to_ascii_uppercase();
        let refusal = shared.lock().refusal.clone();
        let reply = if upper.starts_with("EHLO") {
            "250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE 0".to_owned()
        } else if upper.starts_with("MAIL FROM:") {
            refusal.unwrap_or_else(|| {
                mail = Some(text[10..].to_owned());
                "250 ok".to_owned()
            })
        } else if upper.starts_with("RCPT TO:") {
            rcpts.push(text[8..].to_owned());
            "250 ok".to_owned()
        } else if upper == "DATA" && mail.is_some() && !rcpts.is_empty() {
            output.write_all(b"354 go on\r\n")?;
            let content = read_content(&mut input)?;
            let message = Delivered {
                mail: mail.take().unwrap_or_default(),
                rcpts: std::mem::take(&mut rcpts),
                content,
            };
            shared.lock().delivered.push(message);
            shared.changed.notify_all();
            "250 kept".to_owned()
        } else if upper == "RSET" {
            (mail, rcpts) = (None, Vec::new());
            "250 ok".to_owned()
        } else if upper == "QUIT" {
            return output.write_all(b"221 bye\r\n");
        } else if upper.starts_with("HELO") || upper == "NOOP" {
            "250 ok".to_owned()
        } else {
            "503 not now".to_owned()
        };
        output.write_all(format!("{reply}\r\n").as_bytes())?;
    }
}

fn read_content(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let start = content.len();
        if input.read_until(b'\n', &mut content)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if &content[start..] == b".\r\n" {
            content.truncate(start);
            return Ok(content);
        }
        if content[start] == b'.' {
            content.remove(start);
        }
    }
}
