//! Manifests: the bytes of every blob that a revision link, a tag or an index calls a manifest, read, hashed, parsed.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, Stat};
use super::look::LookResult;
use super::shared::{Notes, ScanShared};
use crate::graph::{Content, Graph, NodeId, Presence, Repository};
use crate::oci::manifest::{MAX_BYTES, ReferenceRole};
use crate::oci::{Digest, Manifest};
use crate::path::Place;

/// Manifests read by one task.
const BATCH: usize = 64;

/// What was read of one manifest.
pub(super) struct ScannedManifest {
    node: NodeId,
    look: LookResult,
    /// What the bytes hash to; `None` when they were not hashed.
    digest: Option<Digest>,
    manifest: Option<Manifest>,
}

impl ScannedManifest {
    /// Puts it into the graph.
    pub(super) fn file(self, graph: &mut Graph) {
        let blob = graph.blob_mut(self.node);
        if matches!(self.look, LookResult::Unread) {
            blob.content = Content::Unread;
        }
        self.look.file(blob);
        if let Some(manifest) = &self.manifest {
            graph.set_manifest(self.node, manifest);
            match &self.digest {
                Some(digest) => graph.set_content(self.node, digest),
                None => graph.blob_mut(self.node).content = Content::Unhashed,
            }
        }
    }
}

/// All that a link or an index calls a manifest.
pub(super) fn called(graph: &Graph) -> HashSet<NodeId> {
    let mut called = named(graph);
    called.extend(graph.nodes().flat_map(|node| children(graph, node)));
    called
}

/// What the links of all repositories call a manifest.
pub(super) fn named(graph: &Graph) -> HashSet<NodeId> {
    graph.repositories.iter().flat_map(named_by).collect()
}

/// Reads everything that is called a manifest and was not read with the blobs, down to the leaves of every index.
pub(super) fn read<F: Folder>(v2: &F, asked: &mut HashSet<NodeId>, shared: &ScanShared<'_>) {
    let mut frontier: Vec<NodeId> = {
        let graph = shared.graph();
        let read = asked.iter().copied().filter(|node| graph.manifest(*node).is_some());
        let children: Vec<_> = read.flat_map(|node| children(&graph, node)).collect();
        let unread = asked.iter().copied().filter(|node| graph.manifest(*node).is_none());
        let mut first: Vec<_> =
            unread.chain(children.into_iter().filter(|node| !asked.contains(node))).collect();
        first.sort_unstable();
        first.dedup();
        first
    };
    asked.extend(&frontier);
    while !frontier.is_empty() {
        frontier = read_these(v2, &frontier, asked, shared);
    }
}

/// The children that the registry is asked for when an index is pulled.
pub(super) fn children(graph: &Graph, node: NodeId) -> Vec<NodeId> {
    let Some(manifest) = graph.manifest(node) else { return Vec::new() };
    let children =
        graph.edges(manifest).iter().filter(|edge| edge.role == ReferenceRole::Child && !edge.has_urls);
    children.filter_map(|edge| edge.target).collect()
}

/// What the links of a repository call a manifest.
fn named_by(repository: &Repository) -> impl Iterator<Item = NodeId> + '_ {
    let revisions = repository.revisions().iter().flat_map(|entry| [Some(entry.node), entry.link.target()]);
    let tags = repository.tags.iter().flat_map(|tag| {
        let history = tag.history.iter().copied().map(Some);
        history.chain([tag.current.target()])
    });
    revisions.chain(tags).flatten()
}

fn read_these<F: Folder>(
    v2: &F,
    nodes: &[NodeId],
    asked: &mut HashSet<NodeId>,
    shared: &ScanShared<'_>,
) -> Vec<NodeId> {
    let wanted: Vec<(NodeId, Digest)> = {
        let graph = shared.graph();
        let may_be_there = |node: &NodeId| graph.blob(*node).presence != Presence::Absent;
        nodes.iter().filter(|node| may_be_there(node)).map(|node| (*node, graph.digest(*node))).collect()
    };
    wanted.par_chunks(BATCH).for_each(|wanted| {
        let mut notes = Notes::default();
        let found = batch(v2, wanted, &mut notes);
        shared.progress.add_files(found.len());
        let mut graph = shared.graph();
        for found in found {
            found.file(&mut graph);
        }
        notes.hand_over(&mut graph);
    });
    let graph = shared.graph();
    let mut next: Vec<_> = wanted.iter().flat_map(|(node, _)| children(&graph, *node)).collect();
    next.retain(|node| asked.insert(*node));
    next
}

/// Reads some manifests.
pub(super) fn batch<F: Folder>(
    v2: &F,
    wanted: &[(NodeId, Digest)],
    notes: &mut Notes,
) -> Vec<ScannedManifest> {
    let mut buffer = Vec::new();
    wanted
        .iter()
        .map(|(node, digest)| {
            let path = Place::BlobData(*digest).to_string();
            read_manifest(v2, Path::new(&path), (*node, *digest), &mut buffer, notes)
        })
        .collect()
}

/// Reads the manifest filed at a path.
pub(super) fn read_manifest<F: Folder>(
    folder: &F,
    path: &Path,
    (node, digest): (NodeId, Digest),
    buffer: &mut Vec<u8>,
    notes: &mut Notes,
) -> ScannedManifest {
    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) + 1;
    let answer = folder.read(path, limit, buffer);
    let is_file = |stat: &Stat| stat.kind == EntryKind::File;
    let (hashed, manifest) = match &answer {
        // More than a registry serves: not kept, and hashed only if somebody doubts it.
        Ok(stat) if is_file(stat) && stat.size > MAX_BYTES => {
            let message = format!("larger than 4 MiB ({} bytes)", stat.size);
            (None, Some(Manifest::refused(message)))
        }
        Ok(stat) if is_file(stat) => {
            (Some(Digest::of(digest.algorithm(), buffer)), Some(Manifest::parse(buffer)))
        }
        _ => (None, None),
    };
    ScannedManifest { node, look: LookResult::judge(answer, digest, notes), digest: hashed, manifest }
}
