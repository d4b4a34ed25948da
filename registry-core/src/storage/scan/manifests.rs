//! Reads, hashes and parses every blob that a revision link, a tag or an index names as a manifest.

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

/// Manifests that one task reads.
pub(super) const BATCH: usize = 64;

/// One manifest as it was read.
pub(super) struct ScannedManifest {
    node: NodeId,
    look: LookResult,
    /// The digest of the bytes; `None` when they were not hashed.
    digest: Option<Digest>,
    manifest: Option<Manifest>,
}

impl ScannedManifest {
    /// Stores the manifest and its blob in the graph.
    pub(super) fn store(self, graph: &mut Graph) {
        let blob = graph.blob_mut(self.node);
        if matches!(self.look, LookResult::Unread) {
            blob.content = Content::Unread;
        }
        self.look.store(blob);
        if let Some(manifest) = &self.manifest {
            graph.set_manifest(self.node, manifest);
            match &self.digest {
                Some(digest) => graph.set_content(self.node, digest),
                None => graph.blob_mut(self.node).content = Content::Unhashed,
            }
        }
    }
}

/// All digests that a link or an index names as a manifest.
pub(super) fn named_by_links_and_indexes(graph: &Graph) -> HashSet<NodeId> {
    let mut named = named_by_links(graph);
    named.extend(graph.nodes().flat_map(|node| children(graph, node)));
    named
}

/// All digests that a link names as a manifest.
pub(super) fn named_by_links(graph: &Graph) -> HashSet<NodeId> {
    graph.repositories.iter().flat_map(named_in_repository).collect()
}

/// Reads all manifests that were not read with the blobs, down to the leaves of every index. `asked` holds the digests that links
/// name, and receives the children.
pub(super) fn read_manifests<F: Folder>(v2: &F, asked: &mut HashSet<NodeId>, shared: &ScanShared<'_>) {
    let mut frontier: Vec<NodeId> = {
        let graph = shared.graph();
        let (read, unread): (Vec<_>, Vec<_>) =
            asked.iter().copied().partition(|node| graph.manifest(*node).is_some());
        let children = read.into_iter().flat_map(|node| children(&graph, node));
        let mut first: Vec<_> =
            unread.into_iter().chain(children.filter(|node| !asked.contains(node))).collect();
        first.sort_unstable();
        first.dedup();
        first
    };
    asked.extend(&frontier);
    while !frontier.is_empty() {
        frontier = read_level(v2, &frontier, asked, shared);
    }
}

/// The children of an index that a pull asks the registry for.
pub(super) fn children(graph: &Graph, node: NodeId) -> Vec<NodeId> {
    let Some(manifest) = graph.manifest(node) else { return Vec::new() };
    let children =
        graph.edges(manifest).iter().filter(|edge| edge.role == ReferenceRole::Child && !edge.has_urls);
    children.filter_map(|edge| edge.target).collect()
}

fn named_in_repository(repository: &Repository) -> impl Iterator<Item = NodeId> + '_ {
    let revisions = repository.revisions().iter().flat_map(|entry| [Some(entry.node), entry.link.target()]);
    let tags = repository.tags.iter().flat_map(|tag| {
        let history = tag.history.iter().copied().map(Some);
        history.chain([tag.current.target()])
    });
    revisions.chain(tags).flatten()
}

/// Reads some manifests, and returns their children that were not asked for before.
fn read_level<F: Folder>(
    v2: &F,
    nodes: &[NodeId],
    asked: &mut HashSet<NodeId>,
    shared: &ScanShared<'_>,
) -> Vec<NodeId> {
    let wanted: Vec<(NodeId, Digest)> = {
        let graph = shared.graph();
        let may_exist = |node: &NodeId| graph.blob(*node).presence != Presence::Absent;
        nodes.iter().filter(|node| may_exist(node)).map(|node| (*node, graph.digest(*node))).collect()
    };
    wanted.par_chunks(BATCH).for_each(|wanted| {
        let mut notes = Notes::default();
        let found = read_batch(v2, wanted, &mut notes);
        shared.progress.add_files(found.len());
        let mut graph = shared.graph();
        for found in found {
            found.store(&mut graph);
        }
        notes.add_to(&mut graph);
    });
    let graph = shared.graph();
    let mut next: Vec<_> = wanted.iter().flat_map(|(node, _)| children(&graph, *node)).collect();
    next.retain(|node| asked.insert(*node));
    next
}

pub(super) fn read_batch<F: Folder>(
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

/// Reads the manifest at a path.
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
        // Larger than a registry serves: not kept. Hashed only when the second look or a content scan does it.
        Ok(stat) if is_file(stat) && stat.size > MAX_BYTES => {
            let message = format!("larger than 4 MiB ({} bytes)", stat.size);
            (None, Some(Manifest::refused(message)))
        }
        Ok(stat) if is_file(stat) => {
            (Some(Digest::hash(digest.algorithm(), buffer)), Some(Manifest::parse(buffer)))
        }
        _ => (None, None),
    };
    ScannedManifest { node, look: LookResult::from_stat(answer, digest, notes), digest: hashed, manifest }
}
