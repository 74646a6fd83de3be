//! Why the store did not do what was asked.

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// The store's address is not one that is understood.
    #[error(
        "'{0}' is no store: write file:///var/lib/millrace/quarantine, the path of a folder, or s3://BUCKET/PREFIX"
    )]
    Address(String),
    /// The bucket cannot be used as it is named or configured.
    #[error("the bucket {address}: {problem}")]
    Bucket {
        /// As it was named.
        address: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// There is no store at this address.
    #[error("there is no store at {0}")]
    Absent(String),
    /// The folder cannot be made or opened.
    #[error("the folder {path}: {source}")]
    Folder {
        /// The folder.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of the store cannot be written: it is full, read-only or away.
    #[error("the store: {path}: {source}")]
    File {
        /// The file, below the store's folder.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Reading or writing failed: it is full, read-only or away.
    #[error("the store: {0}")]
    Store(#[from] object_store::Error),
    /// An object is not what was written.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The object.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no copy of this identifier.
    #[error("there is no kept copy {0}")]
    Unknown(String),
    /// A copy is listed, and is not in the store.
    #[error(
        "the copy {0} is listed and is not in the store: its deletion broke off, which the next expiry ends, or the \
         store has lost it"
    )]
    Lost(String),
    /// The copy that was found is just being deleted.
    #[error(
        "the copy of this message is being deleted: it is kept anew when the message comes again"
    )]
    Going,
    /// A message that no copy can be made of: its parts are above 4 GiB.
    #[error("too large to be kept")]
    TooLarge,
    /// Another process expires copies at present.
    #[error(
        "another process expires copies at present, or died at it less than ten minutes ago: try again later"
    )]
    Busy,
}

impl QuarantineError {
    /// Whether it says that something is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Store(object_store::Error::NotFound { .. }))
    }

    /// Whether something could not be read or written, so that room could be what is wanting.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Store(_))
    }
}
