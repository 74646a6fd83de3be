//! Plans and screening.

use super::transaction::enumeration;
use super::{required, transaction::revision};
use crate::error::InvalidMessage;
use crate::pb;
use crate::plan::{Plan, ScreenRequest, Stage, StageMacros};

enumeration!(
    Stage,
    "stage",
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    EndOfMessage
);

/// A number of the wire as one of our enumerations.
fn stage(raw: i32) -> Result<Stage, InvalidMessage> {
    pb::Stage::try_from(raw)
        .map_err(|_| InvalidMessage::UnknownValue {
            field: "stage",
            value: raw,
        })?
        .try_into()
}

impl TryFrom<pb::Plan> for Plan {
    type Error = InvalidMessage;

    fn try_from(raw: pb::Plan) -> Result<Self, InvalidMessage> {
        let macros = raw
            .macros
            .into_iter()
            .map(|entry| {
                Ok(StageMacros {
                    stage: stage(entry.stage)?,
                    names: entry.names,
                })
            })
            .collect::<Result<_, InvalidMessage>>()?;
        Ok(Self {
            revision: required("plan.revision", revision("plan.revision", &raw.revision)?)?,
            stages: raw
                .stages
                .into_iter()
                .map(stage)
                .collect::<Result<_, _>>()?,
            macros,
            size_limit: (raw.size_limit > 0).then_some(raw.size_limit),
            needs_body: raw.needs_body,
        })
    }
}

impl From<Plan> for pb::Plan {
    fn from(plan: Plan) -> Self {
        let wire = |stage: Stage| pb::Stage::from(stage).into();
        Self {
            revision: plan.revision.as_str().to_owned(),
            stages: plan.stages.iter().map(wire).collect(),
            macros: plan
                .macros
                .into_iter()
                .map(|entry| pb::StageMacros {
                    stage: wire(entry.stage),
                    names: entry.names,
                })
                .collect(),
            size_limit: plan.size_limit.unwrap_or(0),
            needs_body: plan.needs_body,
        }
    }
}

impl TryFrom<pb::ScreenRequest> for ScreenRequest {
    type Error = InvalidMessage;

    fn try_from(raw: pb::ScreenRequest) -> Result<Self, InvalidMessage> {
        Ok(Self {
            stage: raw.stage().try_into()?,
            transaction: required("transaction", raw.transaction)?.try_into()?,
        })
    }
}

impl From<ScreenRequest> for pb::ScreenRequest {
    fn from(request: ScreenRequest) -> Self {
        Self {
            stage: pb::Stage::from(request.stage).into(),
            transaction: Some(request.transaction.into()),
        }
    }
}
