//! Why a guard refuses the decision about a package: as data, and in words. The guards are in `guard` and `reversal`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copied::CopiedTimes;
use super::policy::RankBy;
use super::reason::{OfRule, RuleName};

/// Why a guard refuses what was decided about a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "code", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// More images of the package would go than the policy allows.
    TooManyOfPackage {
        /// Images that would go.
        going: u64,
        /// All images.
        images: u64,
        /// What the policy allows, in percent.
        percent: u8,
    },
    /// More images of all packages would go than the policy allows.
    TooManyOfRun {
        /// Images that would go.
        going: u64,
        /// What the policy allows.
        most: u64,
    },
    /// No image would stay.
    NoneStays,
    /// Most ranked images have one second as the key that ranks them, and the cut falls inside it.
    SameSecond {
        /// Images with that second.
        images: u64,
        /// All ranked images.
        ranked: u64,
        /// The rule; absent for that of all tags.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<RuleName>,
        /// What ranks them.
        rank_by: RankBy,
    },
    /// The cut falls among images whose push times a copy made.
    CopiedTimes {
        /// The rule; absent for that of all tags.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<RuleName>,
        /// The signs of the copy.
        signs: CopiedTimes,
    },
    /// Images were pushed in the reverse order of their builds.
    ReversedPushes(Reversal),
}

impl Refusal {
    /// Whether this refuses all packages of the run, and not one alone.
    pub(crate) const fn refuses_whole_run(&self) -> bool {
        matches!(self, Self::TooManyOfRun { .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyOfPackage { going, images, percent } => {
                write!(f, "{going} of {images} images would go, more than {percent} percent")
            }
            Self::TooManyOfRun { going, most } => {
                write!(f, "{going} images would go in this run, more than {most}")
            }
            Self::ReversedPushes(reversal) => write!(
                f,
                "{reversal}: were they pushed again in another order, by an undo, a restore or a copy?"
            ),
            Self::NoneStays => write!(f, "no image would stay"),
            Self::SameSecond { images, ranked, rule, rank_by } => {
                let (key, source) = match rank_by {
                    RankBy::Created => ("build date", "builds that were all given one date"),
                    RankBy::Pushed | RankBy::Semver => ("push time", "an import or a restore"),
                };
                write!(
                    f,
                    "{images} of {ranked} ranked images{} have the same second as {key}, and the cut falls inside \
                     it: {source}, of which the times say nothing",
                    OfRule(rule)
                )
            }
            Self::CopiedTimes { rule, signs } => {
                let CopiedTimes { until, older_than_history, younger_than_revision } = signs;
                write!(f, "the times of tag links are those of a copy of the tree, not of pushes (")?;
                if *older_than_history > 0 {
                    write!(f, "tags older than their entry in the history: {older_than_history}")?;
                }
                if *older_than_history > 0 && *younger_than_revision > 0 {
                    write!(f, "; ")?;
                }
                if *younger_than_revision > 0 {
                    write!(f, "tags over 60 s younger than their revision link: {younger_than_revision}")?;
                }
                write!(
                    f,
                    "), and the cut falls among ranked images{} that are not younger than that copy ({until})",
                    OfRule(rule)
                )
            }
        }
    }
}

/// Images of one ranking that go although they were built after what stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reversal {
    /// Images that go and were built after `median`.
    pub later: u64,
    /// All images that go.
    pub going: u64,
    /// When the middle one of the images that stay by rank was built.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub median: Timestamp,
    /// The rule; absent for that of all tags.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<RuleName>,
}

impl Reversal {
    /// Whether at least half of the images that go were built after the median of those that stay.
    pub(super) const fn is_wholesale(&self) -> bool {
        self.later * 2 >= self.going
    }
}

impl fmt::Display for Reversal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { later, going, median, rule } = self;
        write!(
            out,
            "{later} of {going} images that would go{} were built after {median}, and half of those that stay by rank \
             were built before",
            OfRule(rule)
        )
    }
}
