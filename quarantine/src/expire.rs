//! Copies that are not kept any longer.

use std::collections::HashMap;
use std::time::Duration;

use object_store::path::Path;

use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::lease::Lease;
use crate::store::Quarantine;
use crate::when;

/// What is kept at most. Newer copies stay before older ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Older copies go.
    pub age: Option<Duration>,
    /// Number of copies.
    pub entries: Option<u64>,
    /// Bytes of all messages.
    pub bytes: Option<u64>,
}

/// What is kept of everything, and of single clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Number and bytes are those of all clients together; the age is that of clients without their own.
    pub all: Limits,
    /// By client; the age is the client's own, whatever that of all.
    pub clients: HashMap<String, Limits>,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Number of copies.
    pub entries: u64,
    /// Bytes of their messages.
    pub bytes: u64,
}

/// What has stayed so far.
#[derive(Debug, Default)]
struct Stayed {
    entries: u64,
    bytes: u64,
}

/// How long a later transaction finds its copy.
const ALIASES: Duration = Duration::from_secs(8 * 86_400);

impl Quarantine {
    /// Deletes what is over the limits. One process does so at a time.
    ///
    /// # Errors
    /// Another process is at it ([`QuarantineError::Busy`]), or the store
    /// failed: what was deleted is deleted, the rest stays.
    pub async fn expire(&self, retention: &Retention) -> Result<Expired, QuarantineError> {
        let mut lease = Lease::take(self.objects()).await?;
        let result = self.over_limits(retention, &mut lease).await;
        let released = lease.give_back().await;
        let expired = result?;
        released?;
        Ok(expired)
    }

    async fn over_limits(
        &self,
        retention: &Retention,
        lease: &mut Lease<'_>,
    ) -> Result<Expired, QuarantineError> {
        self.expire_aliases().await?;
        if !retention.limits_anything() {
            return Ok(Expired::default());
        }
        let now = when::now();
        // Without limits over number and bytes, only what can be too old need be read.
        let until = retention.by_age_alone().then(|| {
            let ages = retention.each().filter_map(|limits| limits.age);
            ages.min().map(|age| before(now, age))
        });
        let filter = Filter {
            until: until.flatten(),
            ..Filter::default()
        };
        let mut all = Stayed::default();
        let mut clients: HashMap<String, Stayed> = HashMap::new();
        let mut expired = Expired::default();
        let mut pruned = None;
        let mut walk = self.walk(&filter, None);
        while let Some(record) = walk.next().await? {
            lease.hold().await?;
            let own = retention.clients.get(&record.client);
            let of_client = clients.entry(record.client.clone()).or_default();
            let age = own.unwrap_or(&retention.all).age;
            let too_old = age.is_some_and(|age| record.time < before(now, age));
            let over = all.over(&retention.all, record.size)
                || own.is_some_and(|own| of_client.over(own, record.size));
            if too_old || over {
                self.remove(&record).await?;
                expired.entries += 1;
                expired.bytes += record.size;
                let day = when::day(record.time);
                if pruned.as_ref() != Some(&day) {
                    self.prune_day(pruned.replace(day), now).await;
                }
            } else {
                all.add(record.size);
                of_client.add(record.size);
            }
        }
        self.prune_day(pruned, now).await;
        Ok(expired)
    }

    /// Today's folders may be just made, for a record that is about to come: they stay.
    async fn prune_day(&self, day: Option<String>, now: u64) {
        if let Some(day) = day.filter(|day| *day != when::day(now)) {
            self.prune(&Path::from(format!("index/{day}"))).await;
        }
    }

    /// A settlement comes soon or never.
    async fn expire_aliases(&self) -> Result<(), QuarantineError> {
        let oldest = format!("alias/{}", when::day(before(when::now(), ALIASES)));
        for day in self.days("alias").await? {
            if day.as_ref() < oldest.as_str() {
                self.clear(&day).await?;
                self.prune(&day).await;
            }
        }
        Ok(())
    }
}

impl Retention {
    /// Limits over all clients together.
    #[must_use]
    pub fn of_all(all: Limits) -> Self {
        Self {
            all,
            clients: HashMap::new(),
        }
    }

    /// Whether anything can ever go.
    #[must_use]
    pub fn limits_anything(&self) -> bool {
        self.each().any(|limits| *limits != Limits::default())
    }

    fn by_age_alone(&self) -> bool {
        self.each()
            .all(|limits| limits.entries.is_none() && limits.bytes.is_none())
    }

    fn each(&self) -> impl Iterator<Item = &Limits> {
        std::iter::once(&self.all).chain(self.clients.values())
    }
}

impl Stayed {
    fn over(&self, limits: &Limits, size: u64) -> bool {
        limits.entries.is_some_and(|most| self.entries >= most)
            || limits.bytes.is_some_and(|most| self.bytes + size > most)
    }

    fn add(&mut self, size: u64) {
        self.entries += 1;
        self.bytes += size;
    }
}

fn before(now: u64, age: Duration) -> u64 {
    now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
