//! The graph as it would be after a step: what a plan goes on from. Nothing on disk is touched, and what is hoped for is not
//! looked at again.

use std::collections::HashSet;

use super::step::{Act, RepairStep};
use crate::graph::{Blob, FolderState, Graph, GraphLink, LinkEntry, NodeId, Presence, Recheck, Seconds};
use crate::oci::{Digest, Manifest};
use crate::path::Place;

/// What was changed in a graph beyond what is on disk.
#[derive(Debug, Default)]
pub(super) struct Hopes(HashSet<Recheck>);

impl Hopes {
    /// Whether looking again at this on disk would only show the old state.
    pub(super) fn covers(&self, doubt: Recheck) -> bool {
        self.0.contains(&doubt)
    }

    fn of_bytes(&mut self, node: NodeId) {
        self.0.extend([Recheck::Manifest(node), Recheck::Blob(node), Recheck::Content(node)]);
    }

    /// Puts a step into the graph.
    pub(super) fn take(&mut self, graph: &mut Graph, step: &RepairStep, now: Seconds) {
        match (step.action, Place::parse(&step.path)) {
            (Act::Rebuild, Some(Place::Layers(name))) => {
                if let Some(at) = position(graph, name) {
                    graph.repositories[at as usize].layers_part = FolderState::Present;
                    self.0.insert(Recheck::LayersFolder(at));
                }
            }
            (Act::Relink | Act::Rewrite, Some(Place::RevisionLink(name, digest))) => {
                self.link(graph, name, digest, now, true);
            }
            (Act::Relink | Act::Rewrite, Some(Place::LayerLink(name, digest))) => {
                self.link(graph, name, digest, now, false);
            }
            (Act::Restore, Some(Place::TagLink(name, tag))) => {
                let Some(digest) = step.digest else { return };
                let node = graph.intern(&digest);
                let Some(at) = position(graph, name) else { return };
                let tags = &mut graph.repositories[at as usize].tags;
                if let Ok(number) = tags.binary_search_by(|one| (*one.name).cmp(tag)) {
                    tags[number].current = GraphLink::Names(node);
                    self.0.insert(Recheck::Tag(at, u32::try_from(number).unwrap_or(u32::MAX)));
                }
            }
            (Act::Drop, Some(Place::TagFolder(name, tag))) => {
                let Some(at) = position(graph, name) else { return };
                let tags = &mut graph.repositories[at as usize].tags;
                if let Ok(number) = tags.binary_search_by(|one| (*one.name).cmp(tag)) {
                    tags[number].is_gone = true;
                    self.0.insert(Recheck::Tag(at, u32::try_from(number).unwrap_or(u32::MAX)));
                }
            }
            (Act::Quarantine, Some(Place::BlobFolder(digest))) => {
                let node = graph.intern(&digest);
                graph.forget_blob(node);
                self.of_bytes(node);
            }
            (Act::Unlink, Some(Place::LayerFolder(name, digest))) => {
                let node = graph.intern(&digest);
                let Some(at) = position(graph, name) else { return };
                graph.repositories[at as usize].put_layer(LinkEntry {
                    node,
                    modified: 0,
                    link: GraphLink::Absent,
                });
                self.0.insert(Recheck::Layer(at, node));
            }
            (Act::Unlink, Some(Place::TagIndexFolder(name, tag, digest))) => {
                let node = graph.intern(&digest);
                let Some(at) = position(graph, name) else { return };
                let tags = &mut graph.repositories[at as usize].tags;
                if let Ok(number) = tags.binary_search_by(|one| (*one.name).cmp(tag)) {
                    tags[number].history =
                        tags[number].history.iter().copied().filter(|one| *one != node).collect();
                }
            }
            // What has no place in the layout, and what nobody finishes, is no part of the graph.
            _ => {}
        }
    }

    fn link(&mut self, graph: &mut Graph, name: &str, digest: Digest, now: Seconds, is_revision: bool) {
        let node = graph.intern(&digest);
        let Some(at) = position(graph, name) else { return };
        let entry = LinkEntry { node, modified: now, link: GraphLink::Names(node) };
        let repository = &mut graph.repositories[at as usize];
        if is_revision {
            repository.put_revision(entry);
            self.0.insert(Recheck::Revision(at, node));
        } else {
            repository.put_layer(entry);
            self.0.insert(Recheck::Layer(at, node));
        }
    }

    /// Puts bytes into the graph that a supply has: those of a manifest, or only the size of a config or layer.
    pub(super) fn bytes(
        &mut self,
        graph: &mut Graph,
        digest: &Digest,
        size: u64,
        manifest: Option<&[u8]>,
        now: Seconds,
    ) {
        let node = graph.intern(digest);
        let blob = graph.blob_mut(node);
        (blob.presence, blob.size, blob.modified) = (Presence::Present, size, now);
        graph.set_content(node, digest);
        if let Some(bytes) = manifest {
            graph.set_manifest(node, &Manifest::parse(bytes));
        }
        self.of_bytes(node);
    }

    /// Takes back the hope that bytes are moved aside.
    pub(super) fn give_back(&mut self, graph: &mut Graph, kept: &SavedBlob) {
        *graph.blob_mut(kept.node) = kept.blob;
        if let Some(real) = kept.real {
            let digest = graph.digest(real);
            graph.set_content(kept.node, &digest);
        }
        for doubt in [Recheck::Manifest(kept.node), Recheck::Blob(kept.node), Recheck::Content(kept.node)] {
            self.0.remove(&doubt);
        }
    }
}

/// A blob as it was before it was hoped away.
#[derive(Debug, Clone, Copy)]
pub(super) struct SavedBlob {
    pub(super) node: NodeId,
    blob: Blob,
    real: Option<NodeId>,
}

impl SavedBlob {
    pub(super) fn take_from(graph: &mut Graph, digest: &Digest) -> Self {
        let node = graph.intern(digest);
        Self { node, blob: graph.blob(node), real: graph.real_digest(node) }
    }
}

/// The index of a repository.
pub(super) fn position(graph: &Graph, name: &str) -> Option<u32> {
    let at = graph.repositories.binary_search_by(|one| (*one.name).cmp(name)).ok()?;
    u32::try_from(at).ok()
}
