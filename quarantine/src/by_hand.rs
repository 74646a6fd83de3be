//! What people do to many copies at once.

use crate::error::QuarantineError;
use crate::expire::{Expired, Retention};
use crate::store::Quarantine;

impl Quarantine {
    /// Deletes what is over the limits, as [`Quarantine::expire`] does, and notes in the audit log who did so.
    ///
    /// # Errors
    /// Another process is at it, or the store failed: what was deleted is deleted, the rest stays.
    pub async fn expire_by_hand(
        &self,
        who: &str,
        retention: &Retention,
    ) -> Result<Expired, QuarantineError> {
        let expired = self.expire(retention).await?;
        let Expired { entries, bytes } = expired;
        self.audit(
            who,
            "expire",
            "",
            &format!("{entries} copies, {bytes} bytes"),
        )
        .await?;
        Ok(expired)
    }
}
