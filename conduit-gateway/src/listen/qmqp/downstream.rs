//! Handing a message on, by QMQP: servers in turn until one takes the connection, one reply.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use millrace_client::Content;
use millrace_proto::TransactionId;
use millrace_qmail::Envelope;
use millrace_qmail::qmqp::{Answer, Reply, ReplyDecoder, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// A message that is handed on.
pub(super) struct Outgoing<'a> {
    pub(super) transaction: TransactionId,
    pub(super) content: &'a Content,
    pub(super) envelope: &'a Envelope,
    /// After this the client has given up.
    pub(super) end: Instant,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Passed {
    /// A server answered.
    Answered(Reply),
    /// None took the message, and none has it.
    Unreachable,
    /// One had it whole, and did not answer: nobody knows whether it took it.
    Lost,
    /// The client was gone before the message was handed on whole.
    Withdrawn,
}

/// How one server failed.
enum Failed {
    /// It does not have the message: another may be asked.
    Before(io::Error),
    /// It has the message whole.
    After(io::Error),
    /// The client is gone.
    Withdrawn,
}

/// A server that takes no connection within this time is away.
const CONNECT: Duration = Duration::from_secs(5);
/// The pieces of a spooled message.
const PIECE: usize = 256 << 10;
/// So much of the end is held back until the client was looked for once more, and then sent in one piece. More than the
/// last comma: Postfix's `qmqp-sink` does not notice a byte that comes alone.
const LAST: usize = 128;

impl Passed {
    /// The name used in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Answered(reply) => match reply.answer {
                Answer::Taken => "taken",
                Answer::Deferred => "deferred",
                Answer::Refused => "refused",
            },
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Outgoing<'_> {
    /// Hands the message to the first server that takes it. A server that fails before it has all of it has nothing
    /// (a netstring that does not end is no message), so the next is asked; one that fails later may have taken it.
    pub(super) async fn pass_on(
        &self,
        servers: &[SocketAddr],
        is_gone: impl Fn() -> bool,
    ) -> Passed {
        for server in servers {
            let failed = match self.hand_over(*server, &is_gone).await {
                Ok(reply) => return Passed::Answered(reply),
                Err(failed) => failed,
            };
            let transaction_id = self.transaction;
            match failed {
                Failed::Before(error) => {
                    tracing::warn!(%transaction_id, %server, %error, "a downstream server did not take a message");
                }
                Failed::After(error) => {
                    tracing::error!(%transaction_id, %server, %error, "a downstream server has a message and gave no answer");
                    return Passed::Lost;
                }
                Failed::Withdrawn => return Passed::Withdrawn,
            }
        }
        Passed::Unreachable
    }

    async fn hand_over(
        &self,
        server: SocketAddr,
        is_gone: &impl Fn() -> bool,
    ) -> Result<Reply, Failed> {
        let connecting = self.end.min(Instant::now() + CONNECT);
        let mut stream = timeout_at(connecting, TcpStream::connect(server))
            .await
            .map_err(|_| Failed::Before(io::ErrorKind::TimedOut.into()))?
            .map_err(Failed::Before)?;
        let _ = stream.set_nodelay(true);
        let framed = frame(self.content.len(), self.envelope);
        let (tail, last) = framed.tail.split_at(framed.tail.len().saturating_sub(LAST));
        let sent = timeout_at(self.end, self.send(&mut stream, &framed.head, tail)).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = sent {
            // It may have said why it reads no further.
            return match stream.try_read_reply() {
                Some(reply) if reply.answer != Answer::Taken => Ok(reply),
                _ => Err(Failed::Before(error)),
            };
        }
        if is_gone() {
            return Err(Failed::Withdrawn);
        }
        let answered = async {
            stream.write_all(last).await?;
            read_reply(&mut stream).await
        };
        match timeout_at(self.end, answered).await {
            Ok(answered) => answered.map_err(Failed::After),
            Err(_) => Err(Failed::After(io::ErrorKind::TimedOut.into())),
        }
    }

    async fn send(&self, stream: &mut TcpStream, head: &[u8], tail: &[u8]) -> io::Result<()> {
        match self.content {
            Content::Memory(bytes) if bytes.len() <= PIECE => {
                let whole = [head, bytes, tail].concat();
                stream.write_all(&whole).await
            }
            Content::Memory(bytes) => {
                stream.write_all(head).await?;
                stream.write_all(bytes).await?;
                stream.write_all(tail).await
            }
            Content::Spooled { file, length } => {
                stream.write_all(head).await?;
                let mut offset = 0;
                while offset < *length {
                    let size = PIECE.min(usize::try_from(*length - offset).unwrap_or(PIECE));
                    let file = file.clone();
                    let piece = tokio::task::spawn_blocking(move || {
                        let mut piece = vec![0; size];
                        file.read_exact_at(&mut piece, offset).map(|()| piece)
                    });
                    let piece = piece.await.map_err(io::Error::other)??;
                    stream.write_all(&piece).await?;
                    offset += size as u64;
                }
                stream.write_all(tail).await
            }
        }
    }
}

trait TryReadReply {
    /// A reply that is there already.
    fn try_read_reply(&self) -> Option<Reply>;
}

impl TryReadReply for TcpStream {
    fn try_read_reply(&self) -> Option<Reply> {
        let mut decoder = ReplyDecoder::default();
        while let Ok(1..) = self.try_read_buf(decoder.space()) {
            if let Ok(Some(reply)) = decoder.reply() {
                return Some(reply);
            }
        }
        None
    }
}

async fn read_reply(stream: &mut TcpStream) -> io::Result<Reply> {
    let mut decoder = ReplyDecoder::default();
    loop {
        if stream.read_buf(decoder.space()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let reply = decoder.reply();
        if let Some(reply) = reply.map_err(io::Error::other)? {
            return Ok(reply);
        }
    }
}
