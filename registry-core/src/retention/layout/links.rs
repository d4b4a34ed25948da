//! The links of one repository, as far as they say what their path says: what can be moved aside.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, GraphLink, Repository};
use crate::oci::{Algorithm, Digest};

/// The links of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Manifests with a revision link.
    pub revisions: BTreeSet<Digest>,
    /// Layer links, with what each says: itself, or of an alias by another algorithm the SHA-256 digest under which its bytes
    /// are filed (`registry/storage/linkedblobstore.go @ v2.8.3`).
    pub layers: BTreeMap<Digest, Digest>,
}

impl Links {
    /// Those of a repository. Links that say something else than they should are not among them.
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

    /// Layer links that are moved together or not at all: those that lead to the same bytes.
    pub(super) fn groups(&self) -> BTreeMap<Digest, Vec<Digest>> {
        let mut groups: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for (digest, target) in &self.layers {
            groups.entry(*target).or_default().push(*digest);
        }
        groups
    }
}
