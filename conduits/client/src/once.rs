//! One call over one connection, for programs that live for one message: no thread, no runtime, no more memory than a
//! piece of the content, and nothing linked that such a call does not need.

mod tls;
mod wait;

use std::fs::File;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use millrace_proto::{CallError, Transaction, Verdict, pb};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use socket2::{Domain, SockAddr, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tonic::Status;

use self::wait::{Line, block_on};

pub use rustls::pki_types::ServerName;
pub use tls::{Tls, TlsError};

/// Where a gateway, a load balancer or a node is: `unix:///PATH`, or `http://ADDRESS:PORT` or `https://ADDRESS:PORT`
/// with an IP address, so that no name server has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A gateway on this machine.
    Unix(PathBuf),
    /// Over the network, in plain text.
    Tcp(SocketAddr),
    /// Over the network, with TLS.
    Tls(SocketAddr),
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the address of a gateway: write unix:///PATH, http://192.0.2.1:7760 or https://192.0.2.1:7760, with an IP address"
)]
pub struct InvalidEndpoint(String);

/// The pieces in which content travels: as large as what a server takes before it has said how much more.
const PIECE: usize = 64 << 10;
/// A verdict larger than this (a body that replaces another) is not taken.
const LARGEST_ANSWER: usize = 64 << 20;
/// Flags and length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX: usize = 5;
/// `content` of `ProcessRequest` (`mpd.proto`).
const CONTENT: u32 = 2;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let address = |rest: &str| rest.trim_end_matches('/').parse().map_err(|_| invalid());
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return path
                .is_absolute()
                .then_some(Self::Unix(path))
                .ok_or_else(invalid);
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return address(rest).map(Self::Tls);
        }
        let rest = text.strip_prefix("http://").ok_or_else(invalid)?;
        address(rest).map(Self::Tcp)
    }
}

impl Endpoint {
    /// Whether it is asked with TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
        }
    }
}

/// A message for whom a verdict is wanted: what is known of it, and a file that has it from its first byte on, which is
/// read in place and so is to be one in memory.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who, from where, to whom.
    pub transaction: &'a Transaction,
    /// The message.
    pub content: &'a File,
    /// From now to the verdict.
    pub deadline: Duration,
}

/// Has a message judged by one gateway. `tls` is needed for [`Endpoint::Tls`] alone.
///
/// # Errors
/// Why there is no verdict.
pub fn process(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    question: Question<'_>,
) -> Result<Verdict, CallError> {
    let end = Instant::now() + question.deadline;
    match endpoint {
        Endpoint::Unix(path) => {
            let stream = connect_unix(path).map_err(|error| gone(&error))?;
            converse(&stream, "localhost", None, question, end)
        }
        Endpoint::Tcp(address) => {
            let stream = connect_tcp(address, question.deadline)?;
            converse(&stream, &address.to_string(), None, question, end)
        }
        Endpoint::Tls(address) => {
            let tls = tls.ok_or_else(|| CallError::Internal("there is no TLS".to_owned()))?;
            let stream = connect_tcp(address, question.deadline)?;
            let tls = Some((tls, tls.name(address.ip())));
            converse(&stream, &address.to_string(), tls, question, end)
        }
    }
}

/// Never waits: where nobody takes connections off the queue, there is none.
fn connect_unix(path: &Path) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket)
}

fn connect_tcp(address: &SocketAddr, patience: Duration) -> Result<TcpStream, CallError> {
    let stream = TcpStream::connect_timeout(address, patience).map_err(|error| {
        if error.kind() == std::io::ErrorKind::TimedOut {
            return CallError::Deadline;
        }
        gone(&error)
    })?;
    stream
        .set_nonblocking(true)
        .and_then(|()| stream.set_nodelay(true))
        .map_err(|error| gone(&error))?;
    Ok(stream)
}

fn converse<S: AsFd>(
    stream: &S,
    authority: &str,
    tls: Option<(&Tls, ServerName<'static>)>,
    question: Question<'_>,
    end: Instant,
) -> Result<Verdict, CallError>
where
    for<'s> &'s S: Read + Write,
{
    let line = Line::new(stream);
    let socket = line.socket();
    let conversation = async {
        let Some((tls, name)) = tls else {
            return call(socket, "http", authority, question).await;
        };
        let connector = TlsConnector::from(tls.config.clone());
        let stream = connector
            .connect(name, socket)
            .await
            .map_err(|error| gone(&error))?;
        call(stream, "https", authority, question).await
    };
    block_on(conversation, &line, end).unwrap_or(Err(CallError::Deadline))
}

async fn call(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    scheme: &str,
    authority: &str,
    question: Question<'_>,
) -> Result<Verdict, CallError> {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).header_table_size(0);
    let (sender, connection) = builder
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|e| gone(&e))?;
    let asked = ask(sender, scheme, authority, question);
    tokio::select! {
        biased;
        answer = asked => answer,
        ended = connection => Err(match ended {
            Ok(()) => CallError::Unavailable("the connection was closed".to_owned()),
            Err(error) => gone(&error),
        }),
    }
}

async fn ask(
    sender: h2::client::SendRequest<Bytes>,
    scheme: &str,
    authority: &str,
    question: Question<'_>,
) -> Result<Verdict, CallError> {
    let mut sender = sender.ready().await.map_err(|error| gone(&error))?;
    let request = Request::post(format!(
        "{scheme}://{authority}/millrace.mpd.v1.ProcessingService/Process"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .header(
        "grpc-timeout",
        format!("{}u", question.deadline.as_micros().min(99_999_999)),
    )
    .body(())
    .map_err(|error| CallError::Internal(error.to_string()))?;
    let (response, mut body) = sender.send_request(request, false).map_err(|e| gone(&e))?;
    let sent = send(&mut body, question).await;
    // A server that has refused the call stops reading: what it said counts.
    let response = match (response.await, sent) {
        (Ok(response), _) => response,
        (Err(_), Err(error)) => return Err(error),
        (Err(error), Ok(())) => return Err(gone(&error)),
    };
    if let Some(status) = Status::from_header_map(response.headers()) {
        failed(status)?;
    }
    if response.status() != http::StatusCode::OK {
        return Err(CallError::Unavailable(format!(
            "HTTP status {}",
            response.status()
        )));
    }
    let mut answer = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.data().await {
        let piece = piece.map_err(|error| gone(&error))?;
        let _ = answer.flow_control().release_capacity(piece.len());
        if bytes.len() + piece.len() > LARGEST_ANSWER {
            return Err(malformed("it is too large"));
        }
        bytes.extend_from_slice(&piece);
    }
    let trailers = answer.trailers().await.map_err(|error| gone(&error))?;
    match Status::from_header_map(&trailers.unwrap_or_else(HeaderMap::new)) {
        Some(status) => failed(status)?,
        None => return Err(malformed("it ends without a status")),
    }
    verdict(bytes.freeze())
}

/// Sends the transaction with the first piece, then the rest, as the server takes it.
async fn send(body: &mut h2::SendStream<Bytes>, question: Question<'_>) -> Result<(), CallError> {
    let content = question.content;
    let length = content.metadata().map_err(|error| internal(&error))?.len();
    let first = pb::ProcessRequest {
        transaction: Some(question.transaction.clone().into()),
        content: Bytes::new(),
        overloaded: false,
    };
    let mut transaction = first.encode_to_vec();
    let mut offset = 0;
    // Each piece lies where the one before it lay, which has been written by then.
    let mut place = BytesMut::new();
    loop {
        let size = PIECE.min(usize::try_from(length - offset).unwrap_or(PIECE));
        let message = framed(&mut place, &transaction, content, offset, size);
        offset += size as u64;
        let last = offset == length;
        transaction.clear();
        send_all(body, message.map_err(|error| internal(&error))?, last).await?;
        if last {
            return Ok(());
        }
    }
}

/// A `ProcessRequest` with a piece of the content, read to the place from which it is sent. The file's own offset is
/// somebody else's.
fn framed(
    place: &mut BytesMut,
    transaction: &[u8],
    content: &File,
    offset: u64,
    size: usize,
) -> std::io::Result<Bytes> {
    let header = key_len(CONTENT) + encoded_len_varint(size as u64);
    let length = transaction.len() + if size == 0 { 0 } else { header + size };
    place.reserve(PREFIX + length);
    place.put_u8(0);
    place.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    place.extend_from_slice(transaction);
    if size > 0 {
        encode_key(CONTENT, WireType::LengthDelimited, place);
        encode_varint(size as u64, place);
        let begun = place.len();
        place.resize(begun + size, 0);
        content.read_exact_at(&mut place[begun..], offset)?;
    }
    Ok(place.split().freeze())
}

async fn send_all(
    body: &mut h2::SendStream<Bytes>,
    mut bytes: Bytes,
    last: bool,
) -> Result<(), CallError> {
    while !bytes.is_empty() {
        body.reserve_capacity(bytes.len());
        let room = match poll_fn(|context| body.poll_capacity(context)).await {
            Some(Ok(room)) => room,
            Some(Err(error)) => return Err(gone(&error)),
            None => return Err(CallError::Unavailable("the stream was closed".to_owned())),
        };
        let piece = bytes.split_to(room.min(bytes.len()));
        let end = last && bytes.is_empty();
        body.send_data(piece, end).map_err(|error| gone(&error))?;
    }
    Ok(())
}

fn verdict(mut bytes: Bytes) -> Result<Verdict, CallError> {
    let Some((prefix, _)) = bytes.split_at_checked(PREFIX) else {
        return Err(malformed("it is empty"));
    };
    if prefix[0] != 0 {
        return Err(malformed("it is compressed, which was not offered"));
    }
    let _ = bytes.split_to(PREFIX);
    let response = pb::ProcessResponse::decode(bytes).map_err(malformed)?;
    let verdict = response
        .verdict
        .ok_or_else(|| malformed("verdict is missing"))?;
    Verdict::try_from(verdict).map_err(malformed)
}

fn failed(status: Status) -> Result<(), CallError> {
    match status.code() {
        tonic::Code::Ok => Ok(()),
        _ => Err(status.into()),
    }
}

fn gone(error: &impl std::fmt::Display) -> CallError {
    CallError::Unavailable(error.to_string())
}

fn internal(error: &std::io::Error) -> CallError {
    CallError::Internal(format!("the message cannot be read back: {error}"))
}

/// An answer that breaks the contract is the server's fault, not the request's.
fn malformed(problem: impl std::fmt::Display) -> CallError {
    CallError::Internal(format!("malformed answer: {problem}"))
}
