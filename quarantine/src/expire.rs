//! Copies that are not kept any longer.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutMode};

use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::store::Quarantine;
use crate::when;

/// What is kept at most. Newer copies stay before older ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Older copies go.
    pub age: Option<Duration>,
    /// Number of copies.
    pub entries: Option<u64>,
    /// Bytes of all messages.
    pub bytes: Option<u64>,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Number of copies.
    pub entries: u64,
    /// Bytes of their messages.
    pub bytes: u64,
}

const LEASE: &str = "lease/expire";
/// After this time whoever held the lease is gone.
const LEASE_TIME: u64 = 600_000;

impl Quarantine {
    /// Deletes what is over the limits. One process does so at a time.
    ///
    /// # Errors
    /// Another process is at it ([`QuarantineError::Busy`]), or the store
    /// failed: what was deleted is deleted, the rest stays.
    pub async fn expire(&self, retention: &Retention) -> Result<Expired, QuarantineError> {
        self.take_lease().await?;
        let result = self.over_limits(retention).await;
        let released = self.objects().delete(&Path::from(LEASE)).await;
        let expired = result?;
        released?;
        Ok(expired)
    }

    async fn over_limits(&self, retention: &Retention) -> Result<Expired, QuarantineError> {
        let oldest = retention.age.map(|age| {
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            when::now().saturating_sub(age)
        });
        // Without limits over all, only what is too old need be read.
        let by_age_alone = retention.entries.is_none() && retention.bytes.is_none();
        if by_age_alone && oldest.is_none() {
            return Ok(Expired::default());
        }
        let filter = Filter {
            until: if by_age_alone { oldest } else { None },
            ..Filter::default()
        };
        let (mut stay, mut bytes, mut expired) = (0, 0, Expired::default());
        let mut walk = self.walk(&filter, None);
        while let Some(record) = walk.next().await? {
            let too_old = oldest.is_some_and(|oldest| record.time < oldest);
            let too_many = retention.entries.is_some_and(|most| stay >= most);
            let too_much = retention
                .bytes
                .is_some_and(|most| bytes + record.size > most);
            if too_old || too_many || too_much {
                self.remove(&record).await?;
                expired.entries += 1;
                expired.bytes += record.size;
            } else {
                stay += 1;
                bytes += record.size;
            }
        }
        Ok(expired)
    }

    async fn take_lease(&self) -> Result<(), QuarantineError> {
        let path = Path::from(LEASE);
        for _ in 0..2 {
            let lease = when::now().to_string().into_bytes();
            match self
                .objects()
                .put_opts(&path, lease.into(), PutMode::Create.into())
                .await
            {
                Ok(_) => return Ok(()),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let held = match self.objects().get(&path).await {
                Ok(found) => found.bytes().await?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let since = std::str::from_utf8(&held)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            if when::now().saturating_sub(since) < LEASE_TIME {
                return Err(QuarantineError::Busy);
            }
            self.objects().delete(&path).await?;
        }
        Err(QuarantineError::Busy)
    }
}
