//! Who expires copies at present.
//!
//! It saves work and keeps the counts right; it need not be perfect: two that expired at once would delete the same.

use std::time::{Duration, Instant};

use millrace_proto::TransactionId;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};

use crate::error::QuarantineError;
use crate::when;

/// Held until it is given back, or not renewed for [`GONE`].
pub(crate) struct Lease<'a> {
    objects: &'a dyn ObjectStore,
    owner: String,
    renewed: Instant,
}

const PATH: &str = "lease/expire";
/// After this time whoever held it is gone. Milliseconds.
const GONE: u64 = 600_000;
const RENEW: Duration = Duration::from_secs(60);

impl<'a> Lease<'a> {
    /// Takes it, when nobody has it or whoever had it is gone.
    pub(crate) async fn take(objects: &'a dyn ObjectStore) -> Result<Self, QuarantineError> {
        let lease = Self {
            objects,
            // Any identifier that nobody else has.
            owner: TransactionId::new().to_string(),
            renewed: Instant::now(),
        };
        for _ in 0..2 {
            let (path, text) = (Path::from(PATH), lease.text());
            let options = PutMode::Create.into();
            match objects.put_opts(&path, text.into(), options).await {
                Ok(_) => return Ok(lease),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let Some((since, _)) = holder(objects).await? else {
                continue;
            };
            if when::now().saturating_sub(since) < GONE {
                return Err(QuarantineError::Busy);
            }
            objects.delete(&Path::from(PATH)).await?;
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
        if !self.is_ours().await? {
            return Err(QuarantineError::Busy);
        }
        self.objects
            .put(&Path::from(PATH), self.text().into())
            .await?;
        self.renewed = Instant::now();
        Ok(())
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
        Ok(holder.is_some_and(|(_, owner)| owner == self.owner))
    }

    fn text(&self) -> Vec<u8> {
        format!("{} {}", when::now(), self.owner).into_bytes()
    }
}

/// Since when who has it; what cannot be read is of nobody who is there.
async fn holder(objects: &dyn ObjectStore) -> Result<Option<(u64, String)>, QuarantineError> {
    let held = match objects.get(&Path::from(PATH)).await {
        Ok(found) => found.bytes().await?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text = String::from_utf8_lossy(&held);
    let (since, owner) = text.split_once(' ').unwrap_or((&text, ""));
    Ok(Some((since.parse().unwrap_or(0), owner.to_owned())))
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
        store.put(&path, old.into()).await.unwrap();
        third.renewed = Instant::now().checked_sub(RENEW).unwrap();
        third.hold().await.unwrap();
        let (since, _) = holder(&store).await.unwrap().unwrap();
        assert!(when::now() - since < GONE / 2);
    }
}
