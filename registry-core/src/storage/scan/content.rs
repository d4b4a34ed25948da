//! Hashes the bytes of blobs.

use std::cell::RefCell;
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::super::progress::ScanProgress;
use super::shared::{Notes, ScanShared};
use crate::graph::{Content, Graph, GraphLink, NodeId, Presence};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::path::Place;

/// Bytes of one read: more is not faster, less costs calls.
const BUFFER: usize = 256 << 10;

/// Hashes every blob that is not hashed yet, and the bytes of every alias with the alias' own algorithm.
pub(super) fn hash_all<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    let mut wanted: Vec<_> = {
        let graph = shared.graph();
        let unhashed = |node: &NodeId| {
            let blob = graph.blob(*node);
            blob.presence == Presence::Present && blob.content == Content::Unhashed
        };
        let blobs = graph.nodes().filter(unhashed).map(|node| (node, graph.digest(node), node));
        let is_present =
            |(_, _, at): &(NodeId, Digest, NodeId)| graph.blob(*at).presence == Presence::Present;
        blobs
            .chain(aliases(&graph).into_iter().filter(is_present))
            .map(|(node, digest, at)| (graph.blob(at).size, node, digest, graph.digest(at)))
            .collect()
    };
    // The largest first, so that the end does not wait for one thread with a large blob.
    wanted.sort_unstable_by_key(|(size, node, ..)| (std::cmp::Reverse(*size), *node));
    shared.progress.expect_bytes(wanted.iter().map(|(size, ..)| size).sum());
    wanted.par_iter().with_max_len(1).for_each(|(_, node, digest, at)| {
        let mut notes = Notes::default();
        let hashed = hash_blob(v2, digest.algorithm(), *at, shared.progress);
        let mut graph = shared.graph();
        store_hash(&mut graph, (*node, *at), hashed, &mut notes);
        notes.add_to(&mut graph);
    });
}

/// Links that name a digest of another algorithm: the alias, its digest, and the node of its bytes. Each alias once.
pub(super) fn aliases(graph: &Graph) -> Vec<(NodeId, Digest, NodeId)> {
    let mut found = Vec::new();
    for repository in &graph.repositories {
        for entry in repository.layers() {
            if let GraphLink::Names(target) = entry.link
                && target != entry.node
                && graph.digest(target).algorithm() != graph.digest(entry.node).algorithm()
            {
                found.push((entry.node, graph.digest(entry.node), target));
            }
        }
    }
    found.sort_unstable();
    found.dedup_by_key(|(node, ..)| *node);
    found
}

/// Hashes the blob of `at`.
pub(super) fn hash_blob<F: Folder>(
    v2: &F,
    algorithm: Algorithm,
    at: Digest,
    progress: &ScanProgress,
) -> Result<Digest, FolderError> {
    thread_local! {
        static HASH_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let path = Place::BlobData(at).to_string();
    let mut hasher = Hasher::new(algorithm);
    let stat = HASH_BUFFER.with_borrow_mut(|buffer| {
        buffer.resize(BUFFER, 0);
        v2.stream(Path::new(&path), buffer, &mut |bytes| {
            hasher.update(bytes);
            progress.add_bytes(bytes.len());
        })
    })?;
    match stat.kind {
        EntryKind::File => Ok(hasher.finish()),
        other => Err(FolderError::Io(std::io::Error::other(other.describe()))),
    }
}

/// Stores the hash of the blob of `at` in the graph; `node` is `at` itself or an alias of it.
pub(super) fn store_hash(
    graph: &mut Graph,
    (node, at): (NodeId, Digest),
    hashed: Result<Digest, FolderError>,
    notes: &mut Notes,
) {
    match hashed {
        Ok(digest) => graph.set_content(node, &digest),
        // Deleted since it was listed.
        Err(FolderError::NotFound) => graph.blob_mut(node).presence = Presence::Absent,
        Err(error) => {
            notes.unread(Place::BlobData(at), None, error);
            let blob = graph.blob_mut(node);
            (blob.content, blob.presence) = (Content::Unread, Presence::Unread);
        }
    }
}
