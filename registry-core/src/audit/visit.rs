//! A manifest met on the way through one repository: what leads to it, and what was found out there.

use super::access::Answer;
use crate::graph::NodeId;

/// A manifest that was visited.
#[derive(Debug)]
pub(super) struct Visit {
    /// The references that led here: a manifest, and the number of its edge.
    pub(super) parents: Vec<(NodeId, usize)>,
    /// Tags that name it: indexes among the repository's tags.
    pub(super) tags: Vec<u32>,
    /// Whether a tag reaches it.
    pub(super) from_tag: bool,
    /// What the server answers.
    pub(super) answer: Answer,
    /// Findings that lie here, and whether a client who pulls this manifest runs into them.
    pub(super) own: Vec<(usize, bool)>,
    /// What could not be read, so that nothing is known of it.
    pub(super) unknown: Option<String>,
}
