//! A message's content as frames of a call.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{self, BoxStream, StreamExt};

use millrace_proto::{Transaction, pb};

/// The content of a message: header block, empty line, body. It can be sent
/// any number of times.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// In a file, from its first byte.
    Spooled {
        /// Readable, at any offset and by several calls at once.
        file: Arc<File>,
        /// Bytes of content.
        length: u64,
    },
}

/// Up to this size a message travels whole, in one frame with its transaction.
const SINGLE_FRAME: usize = 64 << 10;
/// The piece in which larger ones travel.
const FRAME: usize = 64 << 10;

impl Content {
    /// Bytes of content.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled { length, .. } => *length,
        }
    }

    /// Whether there is not one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in memory. Reads a spooled file, so not for a runtime's
    /// thread.
    ///
    /// # Errors
    /// The file cannot be read to its length.
    pub fn read(&self) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::Spooled { file, length } => {
                let length = usize::try_from(*length).map_err(io::Error::other)?;
                let mut content = vec![0; length];
                file.read_exact_at(&mut content, 0)?;
                Ok(content.into())
            }
        }
    }

    /// The frames of a `Process` call: the transaction first, then the content.
    ///
    /// When the file cannot be read, the next frame breaks the contract, so that
    /// the server refuses the call instead of judging half a message.
    pub(crate) fn frames(
        &self,
        transaction: &Transaction,
        overloaded: bool,
    ) -> impl Stream<Item = pb::ProcessRequest> + Send + 'static {
        let mut first = pb::ProcessRequest {
            transaction: Some(transaction.clone().into()),
            content: Bytes::new(),
            overloaded,
        };
        let rest: BoxStream<'static, pb::ProcessRequest> = match self {
            Self::Memory(bytes) if bytes.len() <= SINGLE_FRAME => {
                first.content = bytes.clone();
                stream::empty().boxed()
            }
            Self::Memory(bytes) => stream::iter(pieces(bytes.clone())).boxed(),
            Self::Spooled { file, length } => from_file(file.clone(), *length).boxed(),
        };
        stream::iter([first]).chain(rest)
    }
}

fn pieces(mut bytes: Bytes) -> impl Iterator<Item = pb::ProcessRequest> {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(FRAME));
        (!piece.is_empty()).then(|| content_frame(piece))
    })
}

fn from_file(file: Arc<File>, length: u64) -> impl Stream<Item = pb::ProcessRequest> {
    stream::unfold(Some(0), move |offset| {
        let file = file.clone();
        async move {
            let offset = offset?;
            let left = length.saturating_sub(offset);
            if left == 0 {
                return None;
            }
            let size = FRAME.min(usize::try_from(left).unwrap_or(FRAME));
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; size];
                file.read_exact_at(&mut piece, offset).map(|()| piece)
            });
            match read.await {
                Ok(Ok(piece)) => Some((content_frame(piece.into()), Some(offset + size as u64))),
                Ok(Err(_)) | Err(_) => Some((broken_frame(), None)),
            }
        }
    })
}

fn content_frame(content: Bytes) -> pb::ProcessRequest {
    pb::ProcessRequest {
        transaction: None,
        content,
        overloaded: false,
    }
}

/// A second transaction in one call breaks the contract, so the server refuses
/// the call instead of judging half a message.
fn broken_frame() -> pb::ProcessRequest {
    pb::ProcessRequest {
        transaction: Some(pb::Transaction::default()),
        content: Bytes::new(),
        overloaded: false,
    }
}
