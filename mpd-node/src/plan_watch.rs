//! What the policy in force wants of one client, and when that changes.

use std::sync::Arc;

use millrace_proto::{ClientName, Direction, Plan};
use tokio::sync::watch;

use crate::policy::Policy;

/// The plan of one client, followed as policies come and go.
#[derive(Debug, Clone)]
pub struct PlanWatch {
    policies: watch::Receiver<Arc<Policy>>,
    client: ClientName,
    direction: Direction,
    plan: Arc<Plan>,
}

impl PlanWatch {
    pub(crate) fn new(
        mut policies: watch::Receiver<Arc<Policy>>,
        client: ClientName,
        direction: Direction,
    ) -> Self {
        let plan = Arc::new(policies.borrow_and_update().plan(&client, direction));
        Self {
            policies,
            client,
            direction,
            plan,
        }
    }

    /// The plan of the policy in force when this was made or last changed.
    #[must_use]
    pub fn current(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Waits for another policy, and takes its plan. `false` when the node is
    /// gone and there will be none.
    pub async fn changed(&mut self) -> bool {
        if self.policies.changed().await.is_err() {
            return false;
        }
        let policy = self.policies.borrow_and_update().clone();
        self.plan = Arc::new(policy.plan(&self.client, self.direction));
        true
    }
}
