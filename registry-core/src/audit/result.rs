//! What the audit of one registry found, before a report holds it.

use super::counts::Garbage;
use super::finding::Finding;
use super::garbage::GarbagePiece;
use super::report::{AuditedSource, BrokenTag, UnknownTag, UnreadPath};
use crate::graph::Recheck;

/// What an audit of one registry found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Audit {
    /// Counts and role.
    pub source: AuditedSource,
    /// Tags that were looked at: judged, or found to be unknown.
    pub covered: u64,
    /// Findings in the order of a report.
    pub findings: Vec<Finding>,
    /// Tags that cannot be pulled whole; numbers are indexes into `findings`.
    pub broken_tags: Vec<BrokenTag>,
    /// Tags of which that is not known.
    pub unknown_tags: Vec<UnknownTag>,
    /// What could not be read.
    pub unread: Vec<UnreadPath>,
    /// `None` when it cannot be known.
    pub garbage: Option<Garbage>,
    /// Garbage piece by piece; empty unless asked for.
    pub pieces: Vec<GarbagePiece>,
    /// What should be looked at once more before this is believed.
    pub doubts: Vec<Recheck>,
    /// Whether it [looks like a cache](super::looks_like_cache) although nothing marks it as one: a hint, not a finding.
    pub looks_like_cache: bool,
}
