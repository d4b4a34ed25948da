//! A plan as it was just made, ready to be acted on.

use registry_core::retention::{Plan, PlanExpectations, VerifiedPlan};

pub fn verified(plan: &Plan) -> VerifiedPlan<'_> {
    let expected = PlanExpectations { tool_version: &plan.tool_version, now: plan.planned_at, max_age: 0 };
    plan.verify(&expected).expect("a plan as it was made")
}
