//! What becomes of the digest that a tag is named after, in words.

use std::fmt;

use crate::oci::Digest;

/// What becomes of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// Something that stays reaches it.
    Stays,
    /// Everything that reaches it goes.
    Goes,
    /// It was an image of this package, and is known to be absent.
    Absent,
    /// This package does not have it, and another has, in which this becomes of it.
    Elsewhere(Outer),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outer {
    /// It goes in all that have it.
    Goes,
    /// In one of them no tag reaches it, or it may be in more.
    Untagged,
    /// In one of them something that stays reaches it.
    Stays,
}

/// A subject that a tag follows, and what becomes of it: the reason of the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) subject: Digest,
    /// The packages that have it, where this one does not.
    pub(super) of: Vec<String>,
    pub(super) fate: Subject,
}

impl fmt::Display for Followed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fate {
            Subject::Stays => "which stays",
            Subject::Goes => "which goes",
            Subject::Absent => "which is gone",
            Subject::Elsewhere(Outer::Stays) => "which stays",
            Subject::Elsewhere(Outer::Untagged) => "which answers and no tag reaches",
            Subject::Elsewhere(Outer::Goes) => "which goes",
            Subject::Outside => "which is not in this package and may be elsewhere",
            Subject::Untagged => "which answers and no tag reaches",
            Subject::Unknown => "of which nothing is known",
            Subject::Circle => "which nothing holds but what follows it",
        };
        write!(out, "follows {}", self.subject)?;
        if !self.of.is_empty() {
            write!(out, " of {}", crate::text::escape(&self.of.join(" and ")))?;
        }
        write!(out, ", {what}")
    }
}
