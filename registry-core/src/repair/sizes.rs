//! The sizes that manifests declare for configs and layers: a supply whose bytes have another length does not have the right
//! ones.

use std::collections::{BTreeSet, HashMap};

use crate::graph::{Graph, NodeId};
use crate::oci::Digest;
use crate::oci::manifest::{Kind, ReferenceRole};

/// Declared sizes in bytes, by digest.
#[derive(Debug, Default)]
pub(super) struct DeclaredSizes(HashMap<NodeId, BTreeSet<u64>>);

impl DeclaredSizes {
    /// The sizes of these digests in all manifests of a graph. Schema 1 declares no sizes.
    pub(super) fn from_graph(graph: &Graph, digests: impl Iterator<Item = Digest>) -> Self {
        let mut sizes: HashMap<NodeId, BTreeSet<u64>> = digests
            .filter_map(|digest| graph.digests().find(&digest))
            .map(|node| (node, BTreeSet::new()))
            .collect();
        if sizes.is_empty() {
            return Self::default();
        }
        let manifests = graph.nodes().filter_map(|node| graph.manifest(node));
        let manifests = manifests.filter(|manifest| manifest.kind != Kind::Schema1);
        for edge in manifests.flat_map(|manifest| graph.edges(manifest)) {
            let is_part = edge.role != ReferenceRole::Child && !edge.has_urls;
            if let (Some(target), Ok(size), true) = (edge.target, u64::try_from(edge.size), is_part)
                && let Some(sizes) = sizes.get_mut(&target)
            {
                sizes.insert(size);
            }
        }
        Self(sizes)
    }

    /// A size that manifests declare, if they declare some and `size` is none of them.
    pub(super) fn contradicting(&self, graph: &Graph, digest: &Digest, size: u64) -> Option<u64> {
        let declared = self.0.get(&graph.digests().find(digest)?)?;
        if declared.contains(&size) { None } else { declared.first().copied() }
    }
}
