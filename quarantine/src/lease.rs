//! Who expires copies at present.
//!
//! It saves work and keeps the counts right; it need not be perfect: two that expired at once would delete the same.

use std::time::{Duration, Instant};

use millrace_proto::TransactionId;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutResult, UpdateVersion};

use crate::error::QuarantineError;
use crate::when;

/// Held until it is given back, or not renewed for [`GONE`].
pub(crate) struct Lease<'a> {
    objects: &'a dyn ObjectStore,
    owner: String,
    renewed: Instant,
    /// As it was written last: a store that can write over this version alone is asked to.
    version: UpdateVersion,
}

const PATH: &str = "lease/expire";
/// After this time whoever held it is gone. Milliseconds.
const GONE: u64 = 600_000;
const RENEW: Duration = Duration::from_secs(60);

impl<'a> Lease<'a> {
    /// Takes it, when nobody has it or whoever had it is gone.
    pub(crate) async fn take(objects: &'a dyn ObjectStore) -> Result<Self, QuarantineError> {
        let mut lease = Self {
            objects,
            // Any identifier that nobody else has.
            owner: TransactionId::new().to_string(),
            renewed: Instant::now(),
            version: UpdateVersion {
                e_tag: None,
                version: None,
            },
        };
        for _ in 0..2 {
            let (path, text) = (Path::from(PATH), lease.text());
            let options = PutMode::Create.into();
            match objects.put_opts(&path, text.into(), options).await {
                Ok(written) => {
                    lease.version = written.into();
                    return Ok(lease);
                }
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(held) = holder(objects).await? else {
                continue;
            };
            if when::now().saturating_sub(held.since) < GONE {
                return Err(QuarantineError::Busy);
            }
            lease.version = held.version;
            match lease.write().await? {
                Written::Yes => return Ok(lease),
                Written::No => return Err(QuarantineError::Busy),
                // Of two that come here one makes it anew.
                Written::CannotTell => objects.delete(&Path::from(PATH)).await?,
            }
        }
        Err(QuarantineError::Busy)
    }

    /// Says now and then that whoever holds it is still there.
    ///
    /// # Errors
    /// Somebody else has it: this one was away for too long.
    pub(crate) async fn hold(&mut self) -> Result<(), QuarantineError> {
        if self.renewed.elapsed() < RENEW {
            return Ok(());
        }
        match self.write().await? {
            Written::Yes => {}
            Written::CannotTell if self.is_ours().await? => {
                let path = Path::from(PATH);
                self.objects.put(&path, self.text().into()).await?;
            }
            Written::No | Written::CannotTell => return Err(QuarantineError::Busy),
        }
        self.renewed = Instant::now();
        Ok(())
    }

    /// Writes it over the version that is known, where the store can: a folder cannot.
    async fn write(&mut self) -> Result<Written, QuarantineError> {
        let mode = PutMode::Update(self.version.clone());
        let (path, text) = (Path::from(PATH), self.text());
        match self.objects.put_opts(&path, text.into(), mode.into()).await {
            Ok(PutResult { e_tag, version, .. }) => {
                self.version = UpdateVersion { e_tag, version };
                Ok(Written::Yes)
            }
            Err(
                object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. },
            ) => Ok(Written::No),
            Err(object_store::Error::NotImplemented { .. }) => Ok(Written::CannotTell),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives it back, if it is still ours.
    pub(crate) async fn give_back(self) -> Result<(), QuarantineError> {
        if self.is_ours().await? {
            self.objects.delete(&Path::from(PATH)).await?;
        }
        Ok(())
    }

    async fn is_ours(&self) -> Result<bool, QuarantineError> {
        let holder = holder(self.objects).await?;
        Ok(holder.is_some_and(|held| held.owner == self.owner))
    }

    fn text(&self) -> Vec<u8> {
        format!("{} {}", when::now(), self.owner).into_bytes()
    }
}

/// Whether it was written over the version that was known.
enum Written {
    Yes,
    No,
    /// The store cannot write so.
    CannotTell,
}

/// Who has it.
struct Held {
    since: u64,
    owner: String,
    version: UpdateVersion,
}

/// Since when who has it; what cannot be read is of nobody who is there.
async fn holder(objects: &dyn ObjectStore) -> Result<Option<Held>, QuarantineError> {
    let found = match objects.get(&Path::from(PATH)).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let version = UpdateVersion {
        e_tag: found.meta.e_tag.clone(),
        version: found.meta.version.clone(),
    };
    let held = found.bytes().await?;
    let text = String::from_utf8_lossy(&held);
    let (since, owner) = text.split_once(' ').unwrap_or((&text, ""));
    Ok(Some(Held {
        since: since.parse().unwrap_or(0),
        owner: owner.to_owned(),
        version,
    }))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn one_holds_it_and_only_the_holder_gives_it_back() {
        let store = InMemory::new();
        let path = Path::from(PATH);
        let mut first = Lease::take(&store).await.unwrap();
        assert!(matches!(
            Lease::take(&store).await,
            Err(QuarantineError::Busy)
        ));

        // Away for too long: another takes it.
        let old = format!("{} {}", when::now() - GONE, first.owner).into_bytes();
        store.put(&path, old.into()).await.unwrap();
        let second = Lease::take(&store).await.unwrap();
        first.renewed = Instant::now().checked_sub(RENEW).unwrap();
        assert!(matches!(first.hold().await, Err(QuarantineError::Busy)));
        first.give_back().await.unwrap();
        assert!(matches!(
            Lease::take(&store).await,
            Err(QuarantineError::Busy)
        ));
        second.give_back().await.unwrap();
        let mut third = Lease::take(&store).await.unwrap();

        // Held on, it does not grow old.
        let old = format!("{} {}", when::now() - GONE / 2, third.owner).into_bytes();
        third.version = store.put(&path, old.into()).await.unwrap().into();
        third.renewed = Instant::now().checked_sub(RENEW).unwrap();
        third.hold().await.unwrap();
        let held = holder(&store).await.unwrap().unwrap();
        assert!(when::now() - held.since < GONE / 2);
    }
}
