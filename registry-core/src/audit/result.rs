//! The result of the audit of one registry, from which a report is made.

use super::counts::Garbage;
use super::finding::Finding;
use super::garbage::GarbagePiece;
use super::report::{AuditedSource, BrokenTag, UnknownTag, UnreadPath};
use crate::graph::Recheck;

/// What an audit of one registry found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Audit {
    /// The registry's counts and role.
    pub source: AuditedSource,
    /// How many tags were looked at: whole, broken or unknown.
    pub covered: u64,
    /// The findings, sorted as in a report.
    pub findings: Vec<Finding>,
    /// Tags that cannot be pulled whole; numbers are indexes into `findings`.
    pub broken_tags: Vec<BrokenTag>,
    /// Tags that are neither whole nor broken for certain.
    pub unknown_tags: Vec<UnknownTag>,
    /// Paths that could not be read.
    pub unread: Vec<UnreadPath>,
    /// `None` when it is not known.
    pub garbage: Option<Garbage>,
    /// Garbage piece by piece; empty unless asked for.
    pub pieces: Vec<GarbagePiece>,
    /// What a source should look at again before the findings count.
    pub doubts: Vec<Recheck>,
    /// Whether it [looks like a cache](super::looks_like_cache) although nothing marks it as one: a hint, not a finding.
    pub looks_like_cache: bool,
}
