//! Asking a server's admin port.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::patience::PATIENCE;

/// An HTTP GET of this path; status and body, or `None` when nobody answers.
pub fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The value of a metric whose line begins with this name and these labels, summed over all lines
/// that do; 0 when there is none.
pub fn metric(port: u16, prefix: &str) -> f64 {
    let (_, body) = ask(port, "/metrics").expect("the admin port answers");
    body.lines()
        .filter(|line| line.starts_with(prefix))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
