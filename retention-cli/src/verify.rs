//! Checks whether this program may act on a plan.

use anyhow::anyhow;
use registry_core::retention::{Plan, PlanError, PlanExpectations, VerifiedPlan};

/// Checks that this program may act on a plan now. `max_age` is in seconds.
///
/// # Errors
/// When it may not.
pub fn verify_plan(plan: &Plan, max_age: u64) -> anyhow::Result<VerifiedPlan<'_>> {
    let now = jiff::Timestamp::now();
    let expected = PlanExpectations { tool_version: env!("CARGO_PKG_VERSION"), now, max_age };
    plan.verify(&expected).map_err(|error| match error {
        PlanError::Old { .. } => anyhow!("{error} (--max-plan-age says how old it may be)"),
        error => error.into(),
    })
}
