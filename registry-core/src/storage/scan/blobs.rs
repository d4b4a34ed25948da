//! Blobs: which `data` files there are, their sizes and times. Their bytes are read elsewhere.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{self, EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::links::digest;
use super::look::LookResult;
use super::manifests;
use super::shared::{Notes, ScanShared};
use crate::graph::{Graph, GraphLink, NodeId, Presence};
use crate::oci::{Algorithm, Digest};
use crate::path::{Place, shard_byte};
use crate::text::escape_os;

/// Blobs looked at by one task.
const BATCH: usize = 512;

/// Lists all of `blobs/`.
pub(super) fn read<F: Folder>(v2: &F, named: &HashSet<NodeId>, shared: &ScanShared<'_>) {
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
                Ok(folder) => one_algorithm(folder, (algorithm, named), &mut notes, shared),
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
    notes.hand_over(&mut graph);
}

fn one_algorithm<F: Folder>(
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
            opened.and_then(|folder| shard(folder, (algorithm, *byte), named, &mut notes, shared))
        {
            notes.unread(Place::BlobShard(algorithm, *byte), None, &error);
            shared.graph().unread_shards.push((Some(algorithm), Some(*byte)));
        }
        notes.hand_over(&mut shared.graph());
    });
}

fn shard<F: Folder>(
    mut folder: F,
    (algorithm, byte): (Algorithm, u8),
    named: &HashSet<NodeId>,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) -> folder::Result<()> {
    let (mut digests, mut odd) = (Vec::new(), Vec::new());
    let listed = folder.list(&mut |entry, kind| {
        let found = digest(algorithm, entry).filter(|digest| digest.as_bytes()[0] == byte);
        let shown = || escape_os(entry);
        match (found, kind) {
            (Some(digest), EntryKind::Folder) => digests.push(digest),
            (Some(digest), EntryKind::Symlink) => {
                notes.unread(Place::BlobFolder(digest), None, kind.describe());
                odd.push(digest);
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
    // What was seen before the error is looked at all the same; the rest is unknown.
    let (manifests, plain) = split(&mut shared.graph(), named, digests);
    let batches: Vec<_> = plain.par_chunks(BATCH).map(|wanted| batch(&folder, wanted)).collect();
    let read: Vec<_> = manifests.par_chunks(BATCH).map(|wanted| read_manifests(&folder, wanted)).collect();
    let mut graph = shared.graph();
    for (found, more) in read {
        shared.progress.add_files(found.len());
        found.into_iter().for_each(|found| found.file(&mut graph));
        notes.unread.extend(more.unread);
        notes.strays.extend(more.strays);
    }
    for digest in odd {
        let node = graph.intern(&digest);
        graph.blob_mut(node).presence = Presence::Unread;
    }
    for (found, more) in batches {
        shared.progress.add_files(found.len());
        for (node, look) in found {
            look.file(graph.blob_mut(node));
        }
        notes.unread.extend(more.unread);
        notes.strays.extend(more.strays);
    }
    listed
}

/// A blob to be looked at.
type Wanted = (NodeId, Digest);

/// Parts the blobs that a repository calls a manifest from the others.
fn split(graph: &mut Graph, named: &HashSet<NodeId>, digests: Vec<Digest>) -> (Vec<Wanted>, Vec<Wanted>) {
    let numbered = digests.into_iter().map(|digest| (graph.intern(&digest), digest));
    numbered.partition(|(node, _)| named.contains(node))
}

/// Reads manifests at once instead of looking at them first and opening them later.
fn read_manifests<F: Folder>(folder: &F, wanted: &[Wanted]) -> (Vec<manifests::ScannedManifest>, Notes) {
    let (mut notes, mut buffer) = (Notes::default(), Vec::new());
    let read = |(node, digest): &Wanted| {
        let path = format!("{}/data", digest.hex());
        manifests::read_manifest(folder, Path::new(&path), (*node, *digest), &mut buffer, &mut notes)
    };
    let found = wanted.iter().map(read).collect();
    (found, notes)
}

fn batch<F: Folder>(folder: &F, wanted: &[Wanted]) -> (Vec<(NodeId, LookResult)>, Notes) {
    let (mut notes, mut path) = (Notes::default(), String::new());
    let looks = wanted
        .iter()
        .map(|(node, digest)| {
            path.clear();
            digest.push_hex(&mut path);
            path.push_str("/data");
            (*node, LookResult::judge(folder.stat_inside(Path::new(&path)), *digest, &mut notes))
        })
        .filter(|(_, look)| !matches!(look, LookResult::Absent))
        .collect();
    (looks, notes)
}

/// Looks at single blobs, by path from the root.
pub(super) fn look_at<F: Folder>(v2: &F, digests: &[Digest], notes: &mut Notes) -> Vec<(Digest, LookResult)> {
    let batches: Vec<_> = digests
        .par_chunks(BATCH)
        .map(|digests| {
            let mut notes = Notes::default();
            let looks: Vec<_> = digests
                .iter()
                .map(|digest| {
                    let path = Place::BlobData(*digest).to_string();
                    (*digest, LookResult::judge(v2.stat(Path::new(&path)), *digest, &mut notes))
                })
                .collect();
            (looks, notes)
        })
        .collect();
    let mut all = Vec::with_capacity(digests.len());
    for (looks, more) in batches {
        all.extend(looks);
        notes.unread.extend(more.unread);
        notes.strays.extend(more.strays);
    }
    all
}

/// Looks at every blob that the repositories read so far refer to; for a scan of some repositories only.
pub(super) fn look_at_references<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    let mut notes = Notes::default();
    let digests: Vec<Digest> = {
        let graph = shared.graph();
        let nodes: BTreeSet<NodeId> = referenced(&graph);
        nodes.into_iter().map(|node| graph.digest(node)).collect()
    };
    let looks = look_at(v2, &digests, &mut notes);
    shared.progress.add_files(looks.len());
    let mut graph = shared.graph();
    for (digest, look) in looks {
        let node = graph.intern(&digest);
        look.file(graph.blob_mut(node));
    }
    graph.has_blobs_folder = v2.stat(Path::new("blobs")).is_ok();
    notes.hand_over(&mut graph);
}

fn referenced(graph: &Graph) -> BTreeSet<NodeId> {
    let unseen = |node: &NodeId| graph.blob(*node).presence == Presence::Unseen;
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
    nodes.retain(unseen);
    nodes
}
