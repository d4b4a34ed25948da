//! How large configs and layers are by what manifests say: bytes of another length are not the ones that are needed, whoever
//! has them under the digest.

use std::collections::{BTreeSet, HashMap};

use crate::graph::{Graph, NodeId};
use crate::oci::Digest;
use crate::oci::manifest::{Kind, ReferenceRole};

/// Sizes in bytes by digest.
#[derive(Debug, Default)]
pub(super) struct Sizes(HashMap<NodeId, BTreeSet<u64>>);

impl Sizes {
    /// What all manifests of a graph say of these digests. Schema 1 tells no sizes.
    pub(super) fn from_graph(graph: &Graph, digests: impl Iterator<Item = Digest>) -> Self {
        let mut sizes: HashMap<NodeId, BTreeSet<u64>> = digests
            .filter_map(|digest| graph.digests().find(&digest))
            .map(|node| (node, BTreeSet::new()))
            .collect();
        if sizes.is_empty() {
            return Self::default();
        }
        let manifests = graph.nodes().filter_map(|node| graph.manifest(node));
        for edge in manifests.filter(|one| one.kind != Kind::Schema1).flat_map(|one| graph.edges(one)) {
            let is_asked_for = edge.role != ReferenceRole::Child && !edge.has_urls;
            if let (Some(target), Ok(size), true) = (edge.target, u64::try_from(edge.size), is_asked_for)
                && let Some(sizes) = sizes.get_mut(&target)
            {
                sizes.insert(size);
            }
        }
        Self(sizes)
    }

    /// The size that is needed, where none that is needed is this one.
    pub(super) fn other_than(&self, graph: &Graph, digest: &Digest, size: u64) -> Option<u64> {
        let needed = self.0.get(&graph.digests().find(digest)?)?;
        if needed.contains(&size) { None } else { needed.first().copied() }
    }
}
