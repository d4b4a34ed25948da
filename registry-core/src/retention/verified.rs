//! A plan that may be acted on. What an effect must never skip is checked here, and effects take nothing else.

use std::ops::Deref;

use jiff::Timestamp;

use super::plan::{Plan, SCHEMA};

/// How far a plan may lie in the future, in seconds: clocks of two machines differ a little.
const AHEAD: i64 = 300;

/// What a plan is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'e> {
    /// The version of the program that acts: only that which planned may.
    pub tool_version: &'e str,
    /// The clock.
    pub now: Timestamp,
    /// How old it may be, in seconds.
    pub max_age: u64,
}

/// A plan that is as it was planned, by this version, and not too old.
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
    /// Another version of the shape, or another file.
    #[error("its schema is {0:?}, and {SCHEMA:?} is the only one known")]
    Schema(String),
    /// Its digest is not that of what it holds.
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
    /// It was planned after now.
    #[error("it was planned at {0}, which is in the future; is the clock of this machine right?")]
    Future(Timestamp),
    /// It is older than it may be.
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
    /// When it must not.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<VerifiedPlan<'_>, PlanError> {
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
        if age < -AHEAD {
            return Err(PlanError::Future(self.planned_at));
        }
        let most = i64::try_from(expected.max_age).unwrap_or(i64::MAX);
        if age > most {
            return Err(PlanError::Old { age, most });
        }
        Ok(VerifiedPlan(self))
    }
}
