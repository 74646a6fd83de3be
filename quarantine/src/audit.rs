//! Who did what with copies. Nothing is ever written over, and nothing of it is deleted.

use object_store::path::Path;

use millrace_proto::TransactionId;

use crate::error::QuarantineError;
use crate::index::{json, parsed};
use crate::record::Audit;
use crate::store::Quarantine;
use crate::when;

impl Quarantine {
    /// The audit log of a day, `YYYYMMDD` (UTC), in its order.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audit_log(&self, day: &str) -> Result<Vec<Audit>, QuarantineError> {
        let mut log = Vec::new();
        let folder = Path::from(format!("audit/{day}"));
        for path in self.objects().objects_in(&folder).await? {
            log.push(parsed(&path, &self.objects().get(&path).await?)?);
        }
        Ok(log)
    }

    /// Notes for good what somebody did because of a copy, such as blocking its sender.
    ///
    /// # Errors
    /// There is no such copy, or the store failed.
    pub async fn note(
        &self,
        who: &str,
        action: &str,
        id: &str,
        detail: &str,
    ) -> Result<(), QuarantineError> {
        self.record(id).await?;
        self.audit(who, action, id, detail).await
    }

    /// Notes for good who did what with a copy.
    pub(crate) async fn audit(
        &self,
        who: &str,
        action: &str,
        id: &str,
        detail: &str,
    ) -> Result<(), QuarantineError> {
        let time = when::now();
        let audit = Audit {
            time,
            who: who.to_owned(),
            action: action.to_owned(),
            id: id.to_owned(),
            detail: detail.to_owned(),
        };
        let name = TransactionId::new();
        let path = Path::from(format!("audit/{}/{name}", when::day(time)));
        let text = json(&path, &audit)?;
        self.objects()
            .create(&path, None, vec![text.into()])
            .await?;
        Ok(())
    }
}
