//! The keys of stamps, on the node's side: read at the start, and again when the file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use millrace_proto::Transaction;
use millrace_quarantine::{KeyFileError, STAMP_HEADER, StampKeys, Stamped};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::request::Message;

/// The keys in force.
#[derive(Debug)]
pub(crate) struct Stamps {
    keys: Arc<ArcSwap<StampKeys>>,
    /// Ends with the node.
    _follower: Option<AbortOnDropHandle<()>>,
}

/// Often enough that a key which was just added is there before a message is released with it by hand.
const LOOK: Duration = Duration::from_secs(2);

impl Stamps {
    /// Reads the file, and follows it where there is a runtime to do so.
    pub(crate) fn open(path: &Path) -> Result<Self, KeyFileError> {
        let keys = Arc::new(ArcSwap::from_pointee(StampKeys::load(path)?));
        let follower = Handle::try_current().ok().map(|runtime| {
            let task = runtime.spawn(follow(path.to_owned(), keys.clone()));
            AbortOnDropHandle::new(task)
        });
        Ok(Self {
            keys,
            _follower: follower,
        })
    }

    /// The keys as they are now.
    pub(crate) fn keys(&self) -> Arc<StampKeys> {
        self.keys.load_full()
    }

    /// What the message's stamps say.
    pub(crate) fn look(&self, transaction: &Transaction, message: &Message) -> Stamped {
        // Nearly all mail.
        if message.header_values(STAMP_HEADER).next().is_none() {
            return Stamped::No;
        }
        let recipients = transaction
            .envelope
            .recipients
            .iter()
            .map(|path| &*path.address)
            .collect::<Vec<_>>();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        self.keys.load().look(message.raw(), &recipients, now)
    }
}

async fn follow(path: PathBuf, keys: Arc<ArcSwap<StampKeys>>) {
    let mut told = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let file = path.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || StampKeys::load(&file)).await else {
            continue;
        };
        match read {
            Ok(read) if read != **keys.load() => {
                tracing::info!(file = %path.display(), "the keys of stamps have changed");
                keys.store(Arc::new(read));
                told = None;
            }
            Ok(_) => told = None,
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    tracing::error!(%error, "the keys of stamps stay as they were");
                    told = Some(error);
                }
            }
        }
    }
}
