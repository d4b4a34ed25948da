//! The valid links of one repository, which are the ones that can be moved aside.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, GraphLink, Repository};
use crate::oci::{Algorithm, Digest};

/// The links of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Manifests with a revision link.
    pub revisions: BTreeSet<Digest>,
    /// Layer links, each with the digest that it holds: its own, or, for an alias by another algorithm, the SHA-256 digest under
    /// which its bytes are stored (`registry/storage/linkedblobstore.go @ v2.8.3`).
    pub layers: BTreeMap<Digest, Digest>,
}

impl Links {
    /// The links of a repository, without those that hold a digest that does not match their path.
    pub(super) fn of_repository(graph: &Graph, repository: &Repository) -> Self {
        let mut links = Self::default();
        for entry in repository.revisions() {
            if entry.link == GraphLink::Names(entry.node) {
                links.revisions.insert(graph.digest(entry.node));
            }
        }
        for entry in repository.layers() {
            let GraphLink::Names(target) = entry.link else { continue };
            let (digest, target) = (graph.digest(entry.node), graph.digest(target));
            let is_alias = digest.algorithm() != Algorithm::Sha256 && target.algorithm() == Algorithm::Sha256;
            if digest == target || is_alias {
                links.layers.insert(digest, target);
            }
        }
        links
    }

    /// Layer links by the digest that they hold. Links to the same bytes are moved together or not at all.
    pub(super) fn by_target(&self) -> BTreeMap<Digest, Vec<Digest>> {
        let mut groups: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for (digest, target) in &self.layers {
            groups.entry(*target).or_default().push(*digest);
        }
        groups
    }
}
