//! One call over one connection, for programs that live for one message: no thread, no pool, no more memory than a
//! piece of the content, and nothing linked that such a call does not need.

use std::fs::File;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request};
use millrace_proto::{CallError, Transaction, Verdict, pb};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::Status;

/// Where a gateway, a load balancer or a node is: `unix:///PATH`, or `http://ADDRESS:PORT` with an IP address, so that
/// no name server has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A gateway on this machine.
    Unix(PathBuf),
    /// Over the network, in plain text.
    Tcp(SocketAddr),
}

/// The text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the address of a gateway: write unix:///PATH or http://192.0.2.1:7760, with an IP address"
)]
pub struct InvalidEndpoint(String);

/// The pieces in which content travels; half of what a server takes before it has said how much more.
const PIECE: usize = 32 << 10;
/// A verdict larger than this (a body that replaces another) is not taken.
const LARGEST_ANSWER: usize = 64 << 20;
/// Flags and length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX: usize = 5;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return path
                .is_absolute()
                .then_some(Self::Unix(path))
                .ok_or_else(invalid);
        }
        let rest = text.strip_prefix("http://").ok_or_else(invalid)?;
        let address = rest.trim_end_matches('/').parse().map_err(|_| invalid())?;
        Ok(Self::Tcp(address))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// Has a message judged that is in a file, from its first byte, all within `deadline`. Reads the file in place: it is
/// to be one in memory.
///
/// # Errors
/// Why there is no verdict.
pub async fn process(
    endpoint: &Endpoint,
    transaction: &Transaction,
    content: &File,
    deadline: Duration,
) -> Result<Verdict, CallError> {
    let call = async {
        match endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|error| gone(&error))?;
                call(stream, "localhost", transaction, content, deadline).await
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address)
                    .await
                    .map_err(|error| gone(&error))?;
                let _ = stream.set_nodelay(true);
                let authority = address.to_string();
                call(stream, &authority, transaction, content, deadline).await
            }
        }
    };
    match tokio::time::timeout(deadline, call).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Deadline),
    }
}

async fn call(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    authority: &str,
    transaction: &Transaction,
    content: &File,
    deadline: Duration,
) -> Result<Verdict, CallError> {
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).header_table_size(0);
    let (sender, connection) = builder
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|e| gone(&e))?;
    let asked = ask(sender, authority, transaction, content, deadline);
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
    authority: &str,
    transaction: &Transaction,
    content: &File,
    deadline: Duration,
) -> Result<Verdict, CallError> {
    let mut sender = sender.ready().await.map_err(|error| gone(&error))?;
    let request = Request::post(format!(
        "http://{authority}/millrace.mpd.v1.ProcessingService/Process"
    ))
    .header("content-type", "application/grpc")
    .header("te", "trailers")
    .header(
        "grpc-timeout",
        format!("{}u", deadline.as_micros().min(99_999_999)),
    )
    .body(())
    .map_err(|error| CallError::Internal(error.to_string()))?;
    let (response, mut body) = sender.send_request(request, false).map_err(|e| gone(&e))?;
    let sent = send(&mut body, transaction, content).await;
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
async fn send(
    body: &mut h2::SendStream<Bytes>,
    transaction: &Transaction,
    content: &File,
) -> Result<(), CallError> {
    let length = content.metadata().map_err(|error| internal(&error))?.len();
    let mut transaction = Some(pb::Transaction::from(transaction.clone()));
    let mut offset = 0;
    loop {
        let size = PIECE.min(usize::try_from(length - offset).unwrap_or(PIECE));
        let mut piece = vec![0; size];
        content
            .read_exact_at(&mut piece, offset)
            .map_err(|error| internal(&error))?;
        offset += size as u64;
        let message = pb::ProcessRequest {
            transaction: transaction.take(),
            content: piece.into(),
            overloaded: false,
        };
        let last = offset == length;
        send_all(body, framed(&message), last).await?;
        if last {
            return Ok(());
        }
    }
}

fn framed(message: &pb::ProcessRequest) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    // There is room: its length was asked.
    let _ = message.encode(&mut frame);
    frame.freeze()
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
