//! The check that a plan may be acted on. Effects take only a [`VerifiedPlan`], so none of them can skip it.

use std::ops::Deref;

use jiff::Timestamp;

use super::plan::{Plan, SCHEMA};

/// How far in the future a plan may have been made, in seconds: the clocks of two machines may differ.
const MAX_AHEAD: i64 = 300;

/// What a plan must fulfil.
#[derive(Debug, Clone, Copy)]
pub struct PlanExpectations<'e> {
    /// The version of the program that acts, which must be the one that planned.
    pub tool_version: &'e str,
    /// The clock.
    pub now: Timestamp,
    /// The highest age of a plan, in seconds.
    pub max_age: u64,
}

/// A plan that was not changed, that this version of the program made, and that is not too old.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedPlan<'p>(&'p Plan);

impl Deref for VerifiedPlan<'_> {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        self.0
    }
}

/// Why a plan must not be acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is another kind of file, or a plan of another version.
    #[error("its schema is {0:?}, and {SCHEMA:?} is the only one known")]
    Schema(String),
    /// Its digest does not match its contents.
    #[error("it was changed after it was planned; plan anew")]
    Changed,
    /// Another version of the program planned it.
    #[error("version {planned_by} of this program planned it, and this is {this}; plan anew")]
    Version {
        /// The version that planned.
        planned_by: String,
        /// The version that would act.
        this: String,
    },
    /// It was made in the future.
    #[error("it was planned at {0}, which is in the future; is the clock of this machine right?")]
    Future(Timestamp),
    /// It is too old.
    #[error("it was made {age} s ago, and {most} s is the most; plan anew")]
    Old {
        /// Its age in seconds.
        age: i64,
        /// The most, in seconds.
        most: i64,
    },
}

impl Plan {
    /// Checks that this plan may be acted on.
    ///
    /// # Errors
    /// When it may not.
    pub fn verify(&self, expected: &PlanExpectations<'_>) -> Result<VerifiedPlan<'_>, PlanError> {
        if self.schema != SCHEMA {
            return Err(PlanError::Schema(crate::text::escape(&self.schema)));
        }
        if self.own_digest().to_string() != self.plan_digest {
            return Err(PlanError::Changed);
        }
        if self.tool_version != expected.tool_version {
            let planned_by = crate::text::escape(&self.tool_version);
            return Err(PlanError::Version { planned_by, this: expected.tool_version.to_owned() });
        }
        let age = expected.now.as_second().saturating_sub(self.planned_at.as_second());
        if age < -MAX_AHEAD {
            return Err(PlanError::Future(self.planned_at));
        }
        let most = i64::try_from(expected.max_age).unwrap_or(i64::MAX);
        if age > most {
            return Err(PlanError::Old { age, most });
        }
        Ok(VerifiedPlan(self))
    }
}
