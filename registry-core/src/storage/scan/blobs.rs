//! Lists the blobs of a tree: their `data` files, with sizes and times. Hashing is in `content`, reading manifests in `manifests`.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{self, EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::links::entry_digest;
use super::look::LookResult;
use super::manifests::{self, ScannedManifest};
use super::shared::{Notes, ScanShared, in_batches};
use crate::graph::{Graph, GraphLink, NodeId, Presence};
use crate::oci::{Algorithm, Digest};
use crate::path::{Place, shard_byte};
use crate::text::escape_os;

/// Blobs that one task looks at.
const BATCH: usize = 512;

/// Lists all of `blobs/`, and reads the blobs that links name as manifests (`named`).
pub(super) fn read_blobs<F: Folder>(v2: &F, named: &HashSet<NodeId>, shared: &ScanShared<'_>) {
    let mut notes = Notes::default();
    let mut algorithms = Vec::new();
    let mut unread = Vec::new();
    let opened = v2.open(Path::new("blobs")).and_then(|mut folder| {
        folder.list(&mut |entry, kind| {
            let shown = escape_os(entry);
            match (Algorithm::from_name(&shown), kind) {
                (Some(algorithm), EntryKind::Folder) => algorithms.push(algorithm),
                (Some(algorithm), EntryKind::Symlink) => {
                    notes.unread(Place::BlobAlgorithm(algorithm), None, kind.describe());
                    unread.push((Some(algorithm), None));
                }
                _ if is_harmless(&shown, kind) => {}
                _ => notes.stray(
                    format!("{}/{shown}", Place::Blobs),
                    None,
                    format!(
                        "{} among digest algorithms; a collector aborts on a data file there",
                        kind.describe()
                    ),
                ),
            }
        })?;
        Ok(folder)
    });
    match &opened {
        Err(FolderError::NotFound) => {}
        Err(error) => {
            notes.unread(Place::Blobs, None, error);
            unread.push((None, None));
            shared.graph().has_blobs_folder = true;
        }
        Ok(_) => shared.graph().has_blobs_folder = true,
    }
    if let Ok(folder) = opened {
        for algorithm in algorithms {
            match folder.open(Path::new(algorithm.name())) {
                Ok(folder) => read_algorithm(folder, (algorithm, named), &mut notes, shared),
                Err(error) => {
                    notes.unread(Place::BlobAlgorithm(algorithm), None, &error);
                    unread.push((Some(algorithm), None));
                }
            }
        }
    }
    let mut graph = shared.graph();
    graph.unread_shards.extend(unread);
    graph.blobs_listed = true;
    notes.add_to(&mut graph);
}

fn read_algorithm<F: Folder>(
    mut folder: F,
    (algorithm, named): (Algorithm, &HashSet<NodeId>),
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) {
    let (mut shards, mut unread) = (Vec::new(), Vec::new());
    let listed = folder.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        match (shard_byte(&shown), kind) {
            (Some(byte), EntryKind::Folder) => shards.push(byte),
            (Some(byte), EntryKind::Symlink) => {
                notes.unread(Place::BlobShard(algorithm, byte), None, kind.describe());
                unread.push((Some(algorithm), Some(byte)));
            }
            _ if is_harmless(&shown, kind) => {}
            _ => notes.stray(
                format!("{}/{shown}", Place::BlobAlgorithm(algorithm)),
                None,
                format!("{} that is no shard; a collector aborts on a data file there", kind.describe()),
            ),
        }
    });
    if let Err(error) = listed {
        notes.unread(Place::BlobAlgorithm(algorithm), None, &error);
        unread.push((Some(algorithm), None));
    }
    shared.graph().unread_shards.extend(unread);
    shards.par_iter().for_each(|byte| {
        let mut notes = Notes::default();
        let opened = folder.open(Path::new(&format!("{byte:02x}")));
        if let Err(error) =
            opened.and_then(|folder| read_shard(folder, (algorithm, *byte), named, &mut notes, shared))
        {
            notes.unread(Place::BlobShard(algorithm, *byte), None, &error);
            shared.graph().unread_shards.push((Some(algorithm), Some(*byte)));
        }
        notes.add_to(&mut shared.graph());
    });
}

fn read_shard<F: Folder>(
    mut folder: F,
    (algorithm, byte): (Algorithm, u8),
    named: &HashSet<NodeId>,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) -> folder::Result<()> {
    let (mut digests, mut unread) = (Vec::new(), Vec::new());
    let listed = folder.list(&mut |entry, kind| {
        let found = entry_digest(algorithm, entry).filter(|digest| digest.as_bytes()[0] == byte);
        let shown = || escape_os(entry);
        match (found, kind) {
            (Some(digest), EntryKind::Folder) => digests.push(digest),
            (Some(digest), EntryKind::Symlink) => {
                notes.unread(Place::BlobFolder(digest), None, kind.describe());
                unread.push(digest);
            }
            _ if is_harmless(&shown(), kind) => {}
            _ => notes.stray(
                format!("{}/{}", Place::BlobShard(algorithm, byte), shown()),
                None,
                format!(
                    "{} that is no digest of this shard; a collector aborts on a data file there",
                    kind.describe()
                ),
            ),
        }
    });
    // A listing that failed may have named some blobs before the error: look at these; the others are unknown.
    let (manifests, plain) = split(&mut shared.graph(), named, digests);
    let looks = in_batches(&plain, BATCH, notes, |wanted, notes| look_at_batch(&folder, wanted, notes));
    let read = in_batches(&manifests, BATCH, notes, |wanted, notes| read_manifests(&folder, wanted, notes));
    shared.progress.add_files(read.len() + looks.len());
    let mut graph = shared.graph();
    for manifest in read {
        manifest.store(&mut graph);
    }
    for digest in unread {
        let node = graph.intern(&digest);
        graph.blob_mut(node).presence = Presence::Unread;
    }
    for (node, look) in looks {
        look.store(graph.blob_mut(node));
    }
    listed
}

/// A blob to look at.
type Wanted = (NodeId, Digest);

/// Separates the blobs that a repository names as manifests from the others.
fn split(graph: &mut Graph, named: &HashSet<NodeId>, digests: Vec<Digest>) -> (Vec<Wanted>, Vec<Wanted>) {
    let numbered = digests.into_iter().map(|digest| (graph.intern(&digest), digest));
    numbered.partition(|(node, _)| named.contains(node))
}

/// Reads manifests, instead of looking at them here and opening them later.
fn read_manifests<F: Folder>(folder: &F, wanted: &[Wanted], notes: &mut Notes) -> Vec<ScannedManifest> {
    let mut buffer = Vec::new();
    let read = |(node, digest): &Wanted| {
        let path = format!("{}/data", digest.hex());
        manifests::read_manifest(folder, Path::new(&path), (*node, *digest), &mut buffer, notes)
    };
    wanted.iter().map(read).collect()
}

fn look_at_batch<F: Folder>(folder: &F, wanted: &[Wanted], notes: &mut Notes) -> Vec<(NodeId, LookResult)> {
    let mut path = String::new();
    let look = |(node, digest): &Wanted| {
        path.clear();
        digest.push_hex(&mut path);
        path.push_str("/data");
        (*node, LookResult::from_stat(folder.stat_inside(Path::new(&path)), *digest, notes))
    };
    wanted.iter().map(look).filter(|(_, look)| !matches!(look, LookResult::Absent)).collect()
}

/// Looks at single blobs.
pub(super) fn look_at_blobs<F: Folder>(
    v2: &F,
    digests: &[Digest],
    notes: &mut Notes,
) -> Vec<(Digest, LookResult)> {
    in_batches(digests, BATCH, notes, |digests, notes| {
        let look = |digest: &Digest| {
            let path = Place::BlobData(*digest).to_string();
            (*digest, LookResult::from_stat(v2.stat(Path::new(&path)), *digest, notes))
        };
        digests.iter().map(look).collect()
    })
}

/// Looks at every blob that the graph's repositories reference. For a scan of some repositories only.
pub(super) fn look_at_references<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    let mut notes = Notes::default();
    let digests: Vec<Digest> = {
        let graph = shared.graph();
        unseen_references(&graph).into_iter().map(|node| graph.digest(node)).collect()
    };
    let looks = look_at_blobs(v2, &digests, &mut notes);
    shared.progress.add_files(looks.len());
    let mut graph = shared.graph();
    for (digest, look) in looks {
        let node = graph.intern(&digest);
        look.store(graph.blob_mut(node));
    }
    graph.has_blobs_folder = v2.stat(Path::new("blobs")).is_ok();
    notes.add_to(&mut graph);
}

fn unseen_references(graph: &Graph) -> BTreeSet<NodeId> {
    let mut nodes = BTreeSet::new();
    for repository in &graph.repositories {
        for entry in repository.layers().iter().chain(repository.revisions()) {
            nodes.insert(entry.node);
            if let GraphLink::Names(target) = entry.link {
                nodes.insert(target);
            }
        }
    }
    for node in graph.nodes() {
        if let Some(manifest) = graph.manifest(node) {
            nodes.extend(graph.edges(manifest).iter().filter_map(|edge| edge.target));
        }
    }
    nodes.retain(|node| graph.blob(*node).presence == Presence::Unseen);
    nodes
}
