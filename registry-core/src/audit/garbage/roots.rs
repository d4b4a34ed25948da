//! The manifests that the tags of a repository name, from which everything needed is reached.

use crate::graph::{Graph, NodeId, Repository, TagEntry};
use crate::oci::Algorithm;

/// The manifest that a tag's link names, if that is a sha256 digest.
pub(super) fn tag_target(graph: &Graph, tag: &TagEntry) -> Option<NodeId> {
    tag.current.target().filter(|node| graph.digest(*node).algorithm() == Algorithm::Sha256)
}

/// The manifests that tags name. A tag whose link names none counts for its whole history, any of which it may have named.
pub(super) fn tag_roots(graph: &Graph, repository: &Repository) -> impl Iterator<Item = NodeId> {
    repository.numbered_tags().flat_map(|(_, tag)| {
        let current = tag_target(graph, tag);
        let history: &[NodeId] = if current.is_some() { &[] } else { &tag.history };
        history.iter().copied().chain(current)
    })
}
