//! Copies that are not kept any longer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use millrace_proto::TransactionId;
use object_store::path::Path;

use crate::delete::{Reason, Target};
use crate::error::QuarantineError;
use crate::filter::Filter;
use crate::index::time;
use crate::lease::Lease;
use crate::names::{self, Mark, SPAN};
use crate::record::Record;
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
    /// The age of copies for recipients in a domain (lower case), `None` for any; of several, and beside that of a
    /// client of its own, the longest holds.
    pub domains: HashMap<String, Option<Duration>>,
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

/// What is to go in one go.
#[derive(Debug, Default)]
struct Going {
    over: Vec<Record>,
    /// The day that the last one was of.
    day: Option<String>,
}

/// Copies that go at once.
const AT_ONCE: usize = 64;
/// A mark without a record for so long waits for nothing.
const ORPHANS: Duration = Duration::from_secs(86_400);
/// How long a later transaction finds its copy.
const ALIASES: Duration = Duration::from_secs(8 * 86_400);

impl Quarantine {
    /// Deletes what is over the limits. One process does so at a time.
    ///
    /// # Errors
    /// Another process is at it ([`QuarantineError::Busy`]), or the store
    /// failed: what was deleted is deleted, the rest stays.
    pub async fn expire(&self, retention: &Retention) -> Result<Expired, QuarantineError> {
        self.index_waiting().await;
        let mut lease = match Lease::take(self.objects().raw()).await {
            Err(error) if self.objects().gives_room(&error) => {
                Lease::take(self.objects().raw()).await?
            }
            other => other?,
        };
        let result = self.over_limits(retention, &mut lease).await;
        let released = lease.give_back().await;
        let expired = result?;
        released?;
        self.objects().take_room();
        Ok(expired)
    }

    async fn over_limits(
        &self,
        retention: &Retention,
        lease: &mut Lease<'_>,
    ) -> Result<Expired, QuarantineError> {
        self.end_deletions().await?;
        self.expire_aliases().await?;
        if !retention.limits_anything() {
            return Ok(Expired::default());
        }
        let now = when::now();
        // Without limits over number and bytes, only what can be too old need be read.
        let until = retention.by_age_alone().then(|| {
            let ages = retention.ages().flatten();
            ages.min().map(|age| before(now, age))
        });
        let filter = Filter {
            until: until.flatten(),
            ..Filter::default()
        };
        let mut all = Stayed::default();
        let mut clients: HashMap<String, Stayed> = HashMap::new();
        let mut expired = Expired::default();
        let mut walk = self.walk(&filter, None);
        let mut going = Going::default();
        while let Some(seen) = walk.next().await? {
            lease.hold().await?;
            let orphans = walk.orphans();
            self.remove_orphans(orphans, now).await?;
            let record = seen.record;
            let own = retention.clients.get(&record.client);
            let of_client = clients.entry(record.client.clone()).or_default();
            let age = retention.age_of(&record);
            let mut too_old = age.is_some_and(|age| record.time < before(now, age));
            if too_old && seen.marks.contains(&Mark::Again) {
                let id = names::identifier(&record.id)?;
                let again = self.mark(id, Mark::Again).await?;
                let again = again.as_deref().and_then(time).unwrap_or(0);
                too_old = age.is_some_and(|age| again < before(now, age));
            }
            let over = all.over(&retention.all, record.size)
                || own.is_some_and(|own| of_client.over(own, record.size));
            if too_old || over {
                going.over.push(record);
            } else {
                all.add(record.size);
                of_client.add(record.size);
            }
            if going.over.len() == AT_ONCE {
                self.remove_going(&mut going, &mut expired, now).await?;
            }
        }
        let orphans = walk.orphans();
        self.remove_orphans(orphans, now).await?;
        self.remove_going(&mut going, &mut expired, now).await?;
        self.prune_day(going.day.take(), now).await;
        self.prune_entries(now).await?;
        Ok(expired)
    }

    async fn remove_going(
        &self,
        going: &mut Going,
        expired: &mut Expired,
        now: u64,
    ) -> Result<(), QuarantineError> {
        let over = std::mem::take(&mut going.over);
        let targets = over.iter().map(Target::of).collect::<Result<_, _>>()?;
        let gone = self.remove(targets, Reason::OverLimit).await?;
        let gone: HashSet<String> = gone.iter().map(|target| target.id.to_string()).collect();
        for record in over.iter().filter(|record| gone.contains(&record.id)) {
            expired.entries += 1;
            expired.bytes += record.size;
            let day = when::day(record.time);
            if going.day.as_ref() != Some(&day) {
                self.prune_day(going.day.replace(day), now).await;
            }
        }
        Ok(())
    }

    /// Marks whose copy never came, or went in the meantime.
    async fn remove_orphans(
        &self,
        orphans: Vec<TransactionId>,
        now: u64,
    ) -> Result<(), QuarantineError> {
        let old = |id: &TransactionId| when::milliseconds(*id) < before(now, ORPHANS);
        let paths = orphans
            .into_iter()
            .filter(old)
            .flat_map(|id| Mark::ALL.map(|mark| names::mark(id, mark)));
        self.delete_objects(paths.collect()).await
    }

    /// Half days that nothing comes into any more, once they are empty.
    async fn prune_entries(&self, now: u64) -> Result<(), QuarantineError> {
        let recent = names::entries((now / SPAN).saturating_sub(2));
        for folder in self.objects().folders(&Path::from("entries")).await? {
            if folder < recent {
                self.objects().prune(&folder, 0).await;
            }
        }
        Ok(())
    }

    /// Today's folders may be just made, for a record that is about to come: they stay.
    async fn prune_day(&self, day: Option<String>, now: u64) {
        if let Some(day) = day.filter(|day| *day != when::day(now)) {
            let day = Path::from(format!("index/{day}"));
            self.objects().prune(&day, 2).await;
        }
    }

    /// A settlement comes soon or never.
    async fn expire_aliases(&self) -> Result<(), QuarantineError> {
        let oldest = format!("alias/{}", when::day(before(when::now(), ALIASES)));
        for day in self.objects().folders(&Path::from("alias")).await? {
            if day.as_ref() < oldest.as_str() {
                let aliases = self.objects().objects_in(&day).await?;
                self.delete_objects(aliases).await?;
                self.objects().prune(&day, 0).await;
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
            ..Self::default()
        }
    }

    /// Whether anything can ever go.
    #[must_use]
    pub fn limits_anything(&self) -> bool {
        !self.by_age_alone() || self.ages().any(|age| age.is_some())
    }

    fn by_age_alone(&self) -> bool {
        self.each()
            .all(|limits| limits.entries.is_none() && limits.bytes.is_none())
    }

    /// How old a copy may become.
    fn age_of(&self, record: &Record) -> Option<Duration> {
        let recipients = match record.kept_for.is_empty() {
            true => &record.recipients,
            false => &record.kept_for,
        };
        let domain = |address: &String| {
            let (_, domain) = address.rsplit_once('@')?;
            self.domains.get(&domain.to_ascii_lowercase()).copied()
        };
        let own = self.clients.get(&record.client).map(|limits| limits.age);
        let named = recipients.iter().filter_map(domain).chain(own);
        // For ever is the longest.
        named
            .reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)))
            .unwrap_or(self.all.age)
    }

    fn ages(&self) -> impl Iterator<Item = Option<Duration>> {
        let limits = self.each().map(|limits| limits.age);
        limits.chain(self.domains.values().copied())
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
