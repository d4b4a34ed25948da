//! What a collector would delete, and where it would stop. `cost` tells what that breaks.

use crate::graph::{Graph, GraphLink, LinkEntry, NodeId};

/// When a collector stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum During {
    /// While it marks: nothing is deleted.
    Mark,
    /// While it sweeps: something may be.
    Sweep,
}

/// Where and why a collector stops.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abort {
    /// The path below `docker/registry/v2` at which it stops.
    pub path: String,
    /// Why, as a lower-case fragment.
    pub why: String,
    /// The phase in which it stops.
    pub during: During,
}

impl Abort {
    pub(super) fn mark(path: impl ToString, why: impl Into<String>) -> Self {
        Self { path: path.to_string(), why: why.into(), during: During::Mark }
    }

    pub(super) fn sweep(path: impl ToString, why: impl Into<String>) -> Self {
        Self { path: path.to_string(), why: why.into(), during: During::Sweep }
    }
}

/// What a collector would delete. Repositories are named by their index in the graph.
///
/// After an abort in the sweep, `manifests` and their `history` were deleted before it; history entries of the manifest at which it
/// stops may be deleted too. `blobs` and `layer_links` are what it was going to delete in random order, so any part of them may be
/// deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forecast {
    /// Where and why it stops, if it does.
    pub would_abort: Option<Abort>,
    /// Manifests whose revision folders would be deleted: repository, digest.
    pub manifests: Vec<(u32, NodeId)>,
    /// Entries of tag histories: repository, index of the tag there, digest. Entries of `tags/` that are no tags are left out.
    pub history: Vec<(u32, u32, NodeId)>,
    /// Blobs that exist and would be deleted.
    pub blobs: Vec<NodeId>,
    /// Layer links (3.x only): repository, digest.
    pub layer_links: Vec<(u32, NodeId)>,
}

impl Forecast {
    /// Whether nothing would be deleted.
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty()
            && self.history.is_empty()
            && self.blobs.is_empty()
            && self.layer_links.is_empty()
    }

    /// Changes the graph to what it would be after the collection. Where that is random, the worst case is taken.
    pub fn apply(&self, graph: &mut Graph) {
        let absent = |node| LinkEntry { node, modified: 0, link: GraphLink::Absent };
        for (at, node) in &self.manifests {
            graph.repositories[*at as usize].put_revision(absent(*node));
        }
        for (at, tag, node) in &self.history {
            let history = &mut graph.repositories[*at as usize].tags[*tag as usize].history;
            *history = history.iter().copied().filter(|entry| entry != node).collect();
        }
        for node in &self.blobs {
            graph.forget_blob(*node);
        }
        for (at, node) in &self.layer_links {
            graph.repositories[*at as usize].put_layer(absent(*node));
        }
    }
}
