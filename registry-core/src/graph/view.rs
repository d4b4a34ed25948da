//! One repository of a graph with its blobs, as the rules of serving see it.

use super::Graph;
use super::digests::NodeId;
use super::repository::{FolderState, GraphLink, Repository};
use crate::oci::Algorithm;
use crate::serve::{Content, Presence, RepositoryLinks};

/// One repository, as its registry serves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RepositoryView<'g> {
    /// The graph of the registry.
    pub graph: &'g Graph,
    /// One of its repositories.
    pub repository: &'g Repository,
}

impl RepositoryLinks for RepositoryView<'_> {
    type Key = NodeId;

    fn revision(&self, digest: NodeId) -> GraphLink {
        self.repository.revision(digest)
    }

    fn layer_link(&self, digest: NodeId) -> GraphLink {
        self.repository.layer(digest)
    }

    fn lacks_layers_folder(&self) -> bool {
        self.repository.layers_part == FolderState::Absent
    }

    fn presence(&self, digest: NodeId) -> Presence {
        self.graph.blob(digest).presence
    }

    fn content(&self, digest: NodeId) -> Content {
        self.graph.blob(digest).content
    }

    fn is_sha256(&self, digest: NodeId) -> bool {
        self.graph.digest(digest).algorithm() == Algorithm::Sha256
    }
}
