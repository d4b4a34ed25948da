//! Changes the graph to what it would be after a step, so that planning goes on from there. The disk is not touched.

use std::collections::HashSet;

use super::step::{RepairStep, StepAction};
use crate::graph::{
    Blob, FolderState, Graph, GraphLink, LinkEntry, NodeId, Presence, Recheck, Seconds, TagEntry,
};
use crate::oci::{Digest, Manifest};
use crate::path::Place;

/// What differs between a graph and the disk because steps were simulated.
#[derive(Debug, Default)]
pub(super) struct SimulatedChanges(HashSet<Recheck>);

impl SimulatedChanges {
    /// Whether this was simulated, so that the disk still shows the state before.
    pub(super) fn covers(&self, doubt: Recheck) -> bool {
        self.0.contains(&doubt)
    }

    /// Applies a step to the graph.
    pub(super) fn apply(&mut self, graph: &mut Graph, step: &RepairStep, now: Seconds) {
        match (step.action, Place::parse(&step.path)) {
            (StepAction::Rebuild, Some(Place::Layers(name))) => {
                if let Some(at) = repository_index(graph, name) {
                    graph.repositories[at as usize].layers_part = FolderState::Present;
                    self.0.insert(Recheck::LayersFolder(at));
                }
            }
            (StepAction::Relink | StepAction::Rewrite, Some(Place::RevisionLink(name, digest))) => {
                self.put_link(graph, name, digest, now, true);
            }
            (StepAction::Relink | StepAction::Rewrite, Some(Place::LayerLink(name, digest))) => {
                self.put_link(graph, name, digest, now, false);
            }
            (StepAction::Restore, Some(Place::TagLink(name, tag))) => {
                let Some(digest) = step.digest else { return };
                let node = graph.intern(&digest);
                if let Some((doubt, tag)) = find_tag(graph, name, tag) {
                    tag.current = GraphLink::Names(node);
                    self.0.insert(doubt);
                }
            }
            (StepAction::Drop, Some(Place::TagFolder(name, tag))) => {
                if let Some((doubt, tag)) = find_tag(graph, name, tag) {
                    tag.is_gone = true;
                    self.0.insert(doubt);
                }
            }
            (StepAction::Quarantine, Some(Place::BlobFolder(digest))) => {
                let node = graph.intern(&digest);
                graph.forget_blob(node);
                self.0.extend(blob_doubts(node));
            }
            (StepAction::Unlink, Some(Place::LayerFolder(name, digest))) => {
                let node = graph.intern(&digest);
                let Some(at) = repository_index(graph, name) else { return };
                let entry = LinkEntry { node, modified: 0, link: GraphLink::Absent };
                graph.repositories[at as usize].put_layer(entry);
                self.0.insert(Recheck::Layer(at, node));
            }
            (StepAction::Unlink, Some(Place::TagIndexFolder(name, tag, digest))) => {
                let node = graph.intern(&digest);
                if let Some((_, tag)) = find_tag(graph, name, tag) {
                    tag.history = tag.history.iter().copied().filter(|entry| *entry != node).collect();
                }
            }
            // Strays, stale uploads and temporary files are no part of the reference graph.
            _ => {}
        }
    }

    fn put_link(&mut self, graph: &mut Graph, name: &str, digest: Digest, now: Seconds, is_revision: bool) {
        let node = graph.intern(&digest);
        let Some(at) = repository_index(graph, name) else { return };
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

    /// Adds bytes that a supply has to the graph: those of a manifest, or only the size of a config or layer.
    pub(super) fn add_bytes(
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
        self.0.extend(blob_doubts(node));
    }

    /// Takes back the simulated move of a blob.
    pub(super) fn restore_blob(&mut self, graph: &mut Graph, saved: &SavedBlob) {
        *graph.blob_mut(saved.node) = saved.blob;
        if let Some(real) = saved.real {
            let digest = graph.digest(real);
            graph.set_content(saved.node, &digest);
        }
        for doubt in blob_doubts(saved.node) {
            self.0.remove(&doubt);
        }
    }
}

/// A blob as it was before its move was simulated.
#[derive(Debug, Clone, Copy)]
pub(super) struct SavedBlob {
    pub(super) node: NodeId,
    blob: Blob,
    /// What its bytes really hash to, if not to its digest.
    real: Option<NodeId>,
}

impl SavedBlob {
    pub(super) fn new(graph: &mut Graph, digest: &Digest) -> Self {
        let node = graph.intern(digest);
        Self { node, blob: graph.blob(node), real: graph.real_digest(node) }
    }
}

/// Everything that a second look may find out about a blob.
const fn blob_doubts(node: NodeId) -> [Recheck; 3] {
    [Recheck::Manifest(node), Recheck::Blob(node), Recheck::Content(node)]
}

fn repository_index(graph: &Graph, name: &str) -> Option<u32> {
    let at = graph.repositories.binary_search_by(|repository| (*repository.name).cmp(name)).ok()?;
    u32::try_from(at).ok()
}

fn find_tag<'g>(graph: &'g mut Graph, repository: &str, tag: &str) -> Option<(Recheck, &'g mut TagEntry)> {
    let at = repository_index(graph, repository)?;
    let tags = &mut graph.repositories[at as usize].tags;
    let number = tags.binary_search_by(|entry| (*entry.name).cmp(tag)).ok()?;
    Some((Recheck::Tag(at, u32::try_from(number).unwrap_or(u32::MAX)), &mut tags[number]))
}
