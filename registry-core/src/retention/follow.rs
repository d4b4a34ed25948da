//! Followers: the digest that a tag is named after (its subject), and the fate of that subject.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::oci::{Digest, Tag};

/// What becomes of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SubjectFate {
    /// Something that stays reaches it.
    Stays,
    /// Everything that reaches it goes.
    Goes,
    /// It was an image of this package, and is known to be absent.
    Gone,
    /// This package does not have it, and another has, in which this becomes of it.
    Elsewhere(FateElsewhere),
    /// This package does not have it; it may be in a package that was not asked, with another owner, or in another registry.
    Outside,
    /// It answers, and no tag reaches it.
    Untagged,
    /// Whether it is there is not known.
    Unknown,
    /// It stays only because of what follows it.
    Circle,
}

/// What becomes of a subject in other packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FateElsewhere {
    /// It goes in all that have it.
    Goes,
    /// In one of them no tag reaches it, or it may be in more.
    Untagged,
    /// In one of them something that stays reaches it.
    Stays,
}

/// A subject that a tag follows, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FollowedSubject {
    /// The digest that the tag is named after.
    pub subject: Digest,
    /// The packages that have it, where this one does not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packages: Vec<String>,
    /// What becomes of it.
    pub fate: SubjectFate,
}

/// A manifest of another package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubjectElsewhere {
    /// The package.
    pub package: String,
    /// The manifest.
    pub digest: Digest,
}

impl fmt::Display for FollowedSubject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fate {
            SubjectFate::Stays | SubjectFate::Elsewhere(FateElsewhere::Stays) => "which stays",
            SubjectFate::Goes | SubjectFate::Elsewhere(FateElsewhere::Goes) => "which goes",
            SubjectFate::Gone => "which is gone",
            SubjectFate::Untagged | SubjectFate::Elsewhere(FateElsewhere::Untagged) => {
                "which answers and no tag reaches"
            }
            SubjectFate::Outside => "which is not in this package and may be elsewhere",
            SubjectFate::Unknown => "of which nothing is known",
            SubjectFate::Circle => "which nothing holds but what follows it",
        };
        write!(out, "follows {}", self.subject)?;
        if !self.packages.is_empty() {
            write!(out, " of {}", crate::text::escape(&self.packages.join(" and ")))?;
        }
        write!(out, ", {what}")
    }
}

/// The digest that a tag is named after, by the rules of cosign and of the referrers fallback.
pub(super) fn followed_digest(tag: &str) -> Option<Digest> {
    if !Tag::new(tag).is_ok_and(|tag| tag.is_named_after_digest()) {
        return None;
    }
    let hex = tag.strip_prefix("sha256-")?.get(..64)?;
    format!("sha256:{hex}").parse().ok()
}
