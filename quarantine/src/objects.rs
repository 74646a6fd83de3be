//! The store's objects: in a folder, in a bucket, or wherever `object_store` reaches.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use tokio::sync::Semaphore;

use crate::error::QuarantineError;
use crate::folder::Folder;

/// The store's objects.
pub(crate) struct Objects {
    /// What is written here is durable when the system comes to it, where it is a folder: what can be made again. A
    /// bucket's answer always means that it is durable.
    store: Arc<dyn ObjectStore>,
    folder: Option<Durable>,
}

/// A folder, and the means to write what must be there for good.
struct Durable {
    folder: Arc<Folder>,
    overwriting: LocalFileSystem,
    /// A disk that hangs is not to take every thread of the process.
    writers: Arc<Semaphore>,
}

/// Copies that are written into a folder at once; more wait for their turn.
const WRITERS: usize = 64;
/// Objects that a bucket is asked for at once.
const ASKED: usize = 32;

impl Objects {
    pub(crate) fn in_folder(root: PathBuf) -> Result<Self, QuarantineError> {
        let store = LocalFileSystem::new_with_prefix(&root)?;
        Ok(Self {
            folder: Some(Durable {
                folder: Arc::new(Folder::new(root)),
                overwriting: store.clone().with_fsync(true),
                writers: Arc::new(Semaphore::new(WRITERS)),
            }),
            store: Arc::new(store),
        })
    }

    pub(crate) fn elsewhere(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            folder: None,
        }
    }

    pub(crate) fn raw(&self) -> &dyn ObjectStore {
        &*self.store
    }

    /// Writes an object for good, unless there is one of this name, or one that is `instead` of it; which of them
    /// there was. When this returns `None`, it is durable.
    pub(crate) async fn create(
        &self,
        path: &Path,
        instead: Option<&Path>,
        parts: Vec<Bytes>,
    ) -> Result<Option<Path>, QuarantineError> {
        let Some(durable) = &self.folder else {
            if let Some(instead) = instead
                && self.length(instead).await?.is_some()
            {
                return Ok(Some(instead.clone()));
            }
            crate::stop::at("begun");
            let new = self.put(path, PutPayload::from_iter(parts), PutMode::Create);
            let new = new.await?;
            crate::stop::at("durable");
            return Ok((!new).then(|| path.clone()));
        };
        let permit = durable.writers.clone().acquire_owned().await;
        let folder = durable.folder.clone();
        let (path, instead) = (path.clone(), instead.cloned());
        let shown = path.to_string();
        blocking(shown, move || {
            let _permit = permit;
            if let Some(there) = instead
                && folder.holds(&there)?
            {
                return Ok(Some(there));
            }
            match folder.create(&folder.path(&path), &parts) {
                Ok(true) => Ok(None),
                Ok(false) => Ok(Some(path)),
                // A disk that is full takes no draft of what it has.
                Err(_) if folder.holds(&path)? => Ok(Some(path)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Writes an object for good, over the one that is there.
    pub(crate) async fn write(&self, path: &Path, bytes: Vec<u8>) -> Result<(), QuarantineError> {
        match &self.folder {
            Some(durable) => durable.overwriting.put(path, bytes.into()).await?,
            None => self.store.put(path, bytes.into()).await?,
        };
        Ok(())
    }

    /// Writes what can be made again; whether it was written, which with [`PutMode::Create`] it is not over one that
    /// is there.
    pub(crate) async fn put(
        &self,
        path: &Path,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<bool, QuarantineError> {
        match self.store.put_opts(path, payload, mode.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Bytes, QuarantineError> {
        Ok(self.store.get(path).await?.bytes().await?)
    }

    /// As [`Self::get`]; `None` when there is none.
    pub(crate) async fn find(&self, path: &Path) -> Result<Option<Bytes>, QuarantineError> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::find`], for several; in a folder it is one hop to another thread for all.
    pub(crate) async fn find_all(
        &self,
        paths: &[Path],
    ) -> Result<Vec<Option<Bytes>>, QuarantineError> {
        let Some(durable) = &self.folder else {
            let mut found = Vec::with_capacity(paths.len());
            for some in paths.chunks(ASKED) {
                let mut asked = Vec::with_capacity(some.len());
                for path in some {
                    asked.push(self.find(path));
                }
                found.extend(try_join_all(asked).await?);
            }
            return Ok(found);
        };
        let files: Vec<PathBuf> = paths.iter().map(|one| durable.folder.path(one)).collect();
        let shown = paths.first().map(ToString::to_string).unwrap_or_default();
        let read = |file: &PathBuf| match fs::read(file) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        blocking(shown, move || files.iter().map(read).collect()).await
    }

    /// How long an object is; `None` when there is none.
    pub(crate) async fn length(&self, path: &Path) -> Result<Option<u64>, QuarantineError> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an object away, for good when the folder is synced; one that is not there is gone already.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), QuarantineError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes it durable that objects came or went.
    pub(crate) async fn sync(&self, paths: &[Path]) -> Result<(), QuarantineError> {
        let Some(durable) = &self.folder else {
            return Ok(());
        };
        let mut files: Vec<PathBuf> = paths.iter().map(|one| durable.folder.path(one)).collect();
        files.sort_unstable();
        files.dedup_by(|one, other| one.parent() == other.parent());
        let shown = paths.first().map(ToString::to_string).unwrap_or_default();
        let folder = durable.folder.clone();
        blocking(shown, move || {
            files
                .iter()
                .try_for_each(|file| folder.sync_folder_of(file))
        })
        .await
    }

    /// The folders in a folder, in their order.
    pub(crate) async fn folders(&self, of: &Path) -> Result<Vec<Path>, QuarantineError> {
        let mut folders = self
            .store
            .list_with_delimiter(Some(of))
            .await?
            .common_prefixes;
        folders.sort_unstable();
        Ok(folders)
    }

    /// What is directly in a folder, in the order of names.
    pub(crate) async fn objects_in(&self, folder: &Path) -> Result<Vec<Path>, QuarantineError> {
        let listed = self.store.list_with_delimiter(Some(folder)).await?;
        let mut objects: Vec<Path> = listed.objects.into_iter().map(|one| one.location).collect();
        objects.sort_unstable();
        Ok(objects)
    }

    /// All that is below a folder, in no order.
    pub(crate) fn below(
        &self,
        folder: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta, QuarantineError>> {
        let listed = self.store.list(Some(folder));
        listed.map(|one| one.map_err(Into::into)).boxed()
    }

    /// Removes the empty folders in a folder, and the folder; a bucket has none.
    pub(crate) async fn prune(&self, folder: &Path, depth: u32) {
        let Some(durable) = &self.folder else {
            return;
        };
        let (own, folder) = (durable.folder.clone(), folder.clone());
        let pruned = tokio::task::spawn_blocking(move || own.prune(&folder, depth)).await;
        if let Err(panic) = pruned {
            tracing::warn!(%panic, "empty folders stay");
        }
    }

    /// Whether it is worth to try again what makes room: a folder's disk had none even for that, perhaps, and the room
    /// that was kept for it is given up now.
    pub(crate) fn gives_room(&self, error: &QuarantineError) -> bool {
        let folder = self.folder.as_ref().filter(|_| error.is_failure());
        folder.is_some_and(|durable| durable.folder.give_room())
    }

    /// Keeps some room on a folder's disk, if there is any.
    pub(crate) fn take_room(&self) {
        if let Some(durable) = &self.folder {
            durable.folder.take_room();
        }
    }

    /// Removes what processes that died left half written.
    pub(crate) async fn sweep_beside(
        &self,
        untouched: std::time::Duration,
    ) -> Result<(), QuarantineError> {
        let Some(durable) = &self.folder else {
            return Ok(());
        };
        let folder = durable.folder.clone();
        let shown = crate::folder::BESIDE.to_owned();
        blocking(shown, move || match folder.sweep_beside(untouched) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            other => other,
        })
        .await?;
        Ok(())
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects")
            .field(&self.store.to_string())
            .finish()
    }
}

/// Work on files, away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    shown: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, QuarantineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(io::Error::other(panic)))
        .map_err(|source| QuarantineError::File {
            path: shown,
            source,
        })
}
