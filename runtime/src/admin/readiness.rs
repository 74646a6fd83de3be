//! Whether the process should be sent work: named conditions, each set by the component that knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The process's readiness: the conjunction of its conditions. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    conditions: Arc<Mutex<BTreeMap<String, Result<(), String>>>>,
}

/// One condition, held by the component that knows whether it is met.
#[derive(Debug, Clone)]
pub struct Condition {
    name: String,
    readiness: Readiness,
}

/// What `/readyz` says.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) ready: bool,
    conditions: Vec<ConditionReport>,
}

#[derive(Debug, Serialize)]
struct ConditionReport {
    name: String,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Readiness {
    /// A condition, which is not met until its component says so; the same one for the same name.
    #[must_use]
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let name = name.into();
        self.locked()
            .entry(name.clone())
            .or_insert_with(|| Err("starting".to_owned()));
        Condition {
            name,
            readiness: self.clone(),
        }
    }

    /// Whether every condition is met.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.locked().values().all(Result::is_ok)
    }

    pub(super) fn report(&self) -> Report {
        let conditions: Vec<ConditionReport> = self
            .locked()
            .iter()
            .map(|(name, state)| ConditionReport {
                name: name.clone(),
                ready: state.is_ok(),
                reason: state.as_ref().err().cloned(),
            })
            .collect();
        Report {
            ready: conditions.iter().all(|condition| condition.ready),
            conditions,
        }
    }

    fn set(&self, name: &str, state: Result<(), String>) {
        let ready = state.is_ok();
        let changed = {
            let mut conditions = self.locked();
            let before = conditions.insert(name.to_owned(), state.clone());
            before.is_some_and(|before| before.is_ok() != ready)
        };
        if changed {
            let reason = state.err();
            tracing::info!(condition = name, ready, reason, "readiness changed");
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Result<(), String>>> {
        self.conditions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condition {
    /// The condition is met.
    pub fn met(&self) {
        self.readiness.set(&self.name, Ok(()));
    }

    /// The condition is not met; `reason` says why, for whoever reads `/readyz`.
    pub fn unmet(&self, reason: impl Into<String>) {
        self.readiness.set(&self.name, Err(reason.into()));
    }
}
