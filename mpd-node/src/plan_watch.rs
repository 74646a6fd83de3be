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
    /// The node wants messages whole, whatever the policy looks at.
    whole: bool,
    plan: Arc<Plan>,
}

impl PlanWatch {
    pub(crate) fn new(
        mut policies: watch::Receiver<Arc<Policy>>,
        client: ClientName,
        direction: Direction,
        whole: bool,
    ) -> Self {
        let plan = plan(&policies.borrow_and_update(), &client, direction, whole);
        Self {
            policies,
            client,
            direction,
            whole,
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
        self.plan = plan(&policy, &self.client, self.direction, self.whole);
        true
    }
}

fn plan(policy: &Policy, client: &ClientName, direction: Direction, whole: bool) -> Arc<Plan> {
    let mut plan = policy.plan(client, direction);
    plan.needs_body |= whole;
    Arc::new(plan)
}
