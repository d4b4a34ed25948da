//! Roots: what the tags of a repository name, and so keep.

use crate::graph::{Graph, NodeId, Repository, TagEntry};
use crate::oci::Algorithm;

/// What a tag names, where its link says so.
pub(super) fn target(graph: &Graph, tag: &TagEntry) -> Option<NodeId> {
    tag.current.target().filter(|node| graph.digest(*node).algorithm() == Algorithm::Sha256)
}

/// What tags name; and where a tag's link says nothing, whatever it may have named.
pub(super) fn roots<'g>(graph: &'g Graph, repository: &'g Repository) -> impl Iterator<Item = NodeId> + 'g {
    repository.numbered_tags().flat_map(|(_, tag)| {
        let current = target(graph, tag);
        let history: &[NodeId] = if current.is_some() { &[] } else { &tag.history };
        history.iter().copied().chain(current)
    })
}
