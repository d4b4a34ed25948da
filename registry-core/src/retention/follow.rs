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
    /// It is known to be absent.
    Absent,
    /// It answers, and no tag reaches it.
    Untagged,
    /// Whether it is there is not known.
    Unknown,
    /// It stays only because of what follows it.
    Circle,
}

/// A subject that a tag follows, and what becomes of it: the reason of the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) subject: Digest,
    pub(super) fate: Subject,
}

impl fmt::Display for Followed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fate {
            Subject::Stays => "which stays",
            Subject::Goes => "which goes",
            Subject::Absent => "which is gone",
            Subject::Untagged => "which answers and no tag reaches",
            Subject::Unknown => "of which nothing is known",
            Subject::Circle => "which nothing holds but what follows it",
        };
        write!(out, "follows {}, {what}", self.subject)
    }
}
