//! Reads one repository of a graph into a recorded package: its tags and revision links become rows, and its manifests answer by
//! the rules of `registry` 2.8. This file decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use jiff::Timestamp;
use rayon::prelude::*;

use super::error_text;
use super::links::Links;
use crate::graph::{Content, Graph, GraphLink, NodeId, Presence, Recheck, Repository, RepositoryView, walk};
use crate::oci::manifest::{Kind as ManifestKind, MAX_BYTES};
use crate::oci::{Digest, Manifest, MediaType};
use crate::path::Place;
use crate::retention::built::built_at;
use crate::retention::copied::LinkTimes;
use crate::retention::follow::followed_digest;
use crate::retention::record::{RecordedManifest, RecordedPackage, RecordedVersion, config_digest};
use crate::serve::{ManifestAnswer, RepositoryLinks as _, UnreadPart};
use crate::storage::{EntryKind, Folder};

/// The largest config that is read for its date, in bytes.
const CONFIG_MAX: usize = 16 << 20;

/// Whether a repository has a link to a manifest, so that it serves the manifest if the bytes are there. An error when that is
/// unknown.
fn is_linked(graph: &Graph, repository: &Repository, node: NodeId) -> Result<bool, String> {
    match (RepositoryView { graph, repository }).manifest_link(node).answer(node) {
        ManifestAnswer::Itself { .. } => Ok(true),
        ManifestAnswer::Absent => Ok(false),
        ManifestAnswer::Another(target) => Err(format!("its revision link names {}", graph.digest(target))),
        ManifestAnswer::Invalid(fault) => Err(format!("its revision link {}", fault.describe())),
        ManifestAnswer::Unread(part) => Err(part.to_string()),
    }
}

/// The parts of a repository that must be read again before they count as absent or broken.
pub(super) fn doubts(graph: &Graph, at: usize) -> Vec<Recheck> {
    let repository = &graph.repositories[at];
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    let mut doubts = Vec::new();
    for (number, tag) in repository.numbered_tags() {
        if !matches!(tag.current, GraphLink::Names(_)) {
            doubts.push(Recheck::Tag(at, number));
        }
    }
    let tags = repository.numbered_tags().filter_map(|(_, tag)| tag.current.target());
    let roots = tags.chain(repository.revisions().iter().map(|entry| entry.node));
    for node in walk::reach(HashSet::new(), roots, |node| graph.children(node)) {
        match is_linked(graph, repository, node) {
            Err(_) | Ok(false) => doubts.extend([Recheck::Revision(at, node), Recheck::Layer(at, node)]),
            Ok(true) => {
                let blob = graph.blob(node);
                if blob.presence != Presence::Present || blob.content != Content::Right {
                    doubts.push(Recheck::Manifest(node));
                }
            }
        }
    }
    doubts
}

/// Reads a repository as a package, with its links. `error` is why it could not be read in full.
pub(super) fn read_package<F: Folder>(
    folder: &F,
    graph: &Graph,
    at: usize,
    error: Option<String>,
    with_dates: bool,
) -> (RecordedPackage, Links) {
    let repository = &graph.repositories[at];
    let name = &*repository.name;
    let mut package = RecordedPackage { name: name.to_owned(), error, ..RecordedPackage::default() };
    // In the order of their names, so that the order of a listing does not matter.
    let tags: Vec<_> = repository.numbered_tags().map(|(_, tag)| tag).collect();
    let tag_row = |tag: &&crate::graph::TagEntry| {
        let digest = if let GraphLink::Names(node) = tag.current { Some(graph.digest(node)) } else { None };
        let current = link_time(folder, &Place::TagLink(name, &tag.name).to_string());
        let row = RecordedVersion { version: tag.name.to_string(), id: None, created_at: None, digest };
        let Some(digest) = digest else { return (row, Ok(current.ok()), None) };
        // A file that cannot be read counts as absent: no push is known to have written it.
        let history = link_time(folder, &Place::TagIndexLink(name, &tag.name, digest).to_string()).ok();
        let revision = link_time(folder, &Place::RevisionLink(name, digest).to_string()).ok();
        match current {
            Ok(current) => {
                let links = LinkTimes { current, history, revision };
                (row, Ok(links.push_time()), Some(links))
            }
            Err(why) => (row, Err(why), None),
        }
    };
    let revision_row = |entry: &crate::graph::LinkEntry| {
        let digest = graph.digest(entry.node);
        let time = link_time(folder, &Place::RevisionLink(name, digest).to_string());
        let time = if entry.link == GraphLink::Names(entry.node) { time.map(Some) } else { Ok(time.ok()) };
        let version = digest.to_string();
        (RecordedVersion { version, id: None, created_at: None, digest: Some(digest) }, time, None)
    };
    let mut rows: Vec<_> = tags.par_iter().map(tag_row).collect();
    rows.par_extend(repository.revisions().par_iter().map(revision_row));
    package.copied = LinkTimes::find_copy_signs(rows.iter().filter_map(|(_, _, links)| links.as_ref()));
    for (mut row, time, _) in rows {
        match time {
            Ok(time) => row.created_at = time,
            Err(why) => {
                package.error.get_or_insert(why);
            }
        }
        package.versions.push(row);
    }
    package.versions.sort_by(|a, b| a.version.cmp(&b.version));
    package.manifests = read_manifests(folder, graph, repository, &package.versions);
    package.unlinked = unlinked_manifests(folder, graph, &package.manifests);
    if with_dates {
        read_build_dates(folder, &mut package.manifests);
    }
    (package, Links::of_repository(graph, repository))
}

/// When a link was written.
fn link_time<F: Folder>(folder: &F, path: &str) -> Result<Timestamp, String> {
    match folder.time(Path::new(path)) {
        Ok((EntryKind::File, time)) => Ok(time),
        Ok((kind, _)) => Err(format!("{path}: {} in the place of a link file", kind.describe())),
        Err(error) => Err(format!("{path}: {}", error_text(&error))),
    }
}

/// Reads every manifest that the rows name, the subjects of followers, and everything below these.
fn read_manifests<F: Folder>(
    folder: &F,
    graph: &Graph,
    repository: &Repository,
    rows: &[RecordedVersion],
) -> BTreeMap<Digest, RecordedManifest> {
    let subjects = rows.iter().filter_map(|row| followed_digest(&row.version));
    let mut wanted: BTreeSet<Digest> = rows.iter().filter_map(|row| row.digest).chain(subjects).collect();
    let mut manifests: BTreeMap<Digest, RecordedManifest> = BTreeMap::new();
    while !wanted.is_empty() {
        let read =
            wanted.par_iter().map(|digest| (*digest, read_manifest(folder, graph, repository, *digest)));
        let read: Vec<_> = read.collect();
        wanted = read.iter().flat_map(|(_, manifest)| manifest.children()).collect();
        manifests.extend(read);
        wanted.retain(|digest| !manifests.contains_key(digest));
    }
    manifests
}

/// Manifests that are absent only because their link is: their bytes are in the tree, and right.
fn unlinked_manifests<F: Folder>(
    folder: &F,
    graph: &Graph,
    manifests: &BTreeMap<Digest, RecordedManifest>,
) -> BTreeSet<Digest> {
    let absent = manifests.iter().filter(|(_, manifest)| **manifest == RecordedManifest::Absent);
    let is_here = |digest: &Digest| {
        let node = graph.digests().find(digest);
        node.is_some_and(|node| graph.blob(node).presence == Presence::Present)
            && read_blob(folder, *digest, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX)).is_ok()
    };
    absent.map(|(digest, _)| *digest).filter(is_here).collect()
}

/// Reads what a repository answers to a digest.
pub(crate) fn read_manifest<F: Folder>(
    folder: &F,
    graph: &Graph,
    repository: &Repository,
    digest: Digest,
) -> RecordedManifest {
    // A digest that nothing in the tree names has no link either.
    let Some(node) = graph.digests().find(&digest) else { return RecordedManifest::Absent };
    match is_linked(graph, repository, node) {
        Ok(true) => {}
        Ok(false) => return RecordedManifest::Absent,
        Err(why) => return RecordedManifest::Unknown(why),
    }
    match graph.blob(node).presence {
        Presence::Absent => return RecordedManifest::Absent,
        Presence::Unread => return RecordedManifest::Unknown(UnreadPart::Bytes.to_string()),
        Presence::Unseen => return RecordedManifest::Unknown("its bytes were not looked at".into()),
        Presence::Present => {}
    }
    match read_blob(folder, digest, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX)) {
        Ok(bytes) => RecordedManifest::present(&media_type(&bytes), &bytes),
        Err(why) => RecordedManifest::Unknown(why),
    }
}

/// The bytes of a blob, if they hash to its digest.
fn read_blob<F: Folder>(folder: &F, digest: Digest, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let path = Place::BlobData(digest).to_string();
    let stat = folder.read(Path::new(&path), most + 1, &mut bytes).map_err(|error| error_text(&error))?;
    if stat.kind != EntryKind::File {
        return Err(format!("{} in the place of its bytes", stat.kind.describe()));
    }
    if bytes.len() > most {
        return Err(format!("it has {} bytes, more than the {most} that are read", stat.size));
    }
    if Digest::hash(digest.algorithm(), &bytes) != digest {
        return Err("its bytes do not hash to its digest".into());
    }
    Ok(bytes)
}

/// The media type with which a registry serves a manifest: its own, or that of its kind
/// (`registry/handlers/manifests.go @ v2.8.3`).
fn media_type(bytes: &[u8]) -> String {
    let parsed = Manifest::parse(bytes);
    let own = parsed.media_type.unwrap_or_else(|| match parsed.kind {
        ManifestKind::Image => MediaType::OciManifest,
        ManifestKind::Index => MediaType::OciIndex,
        ManifestKind::Schema1 => MediaType::DockerSchema1Signed,
        ManifestKind::Opaque => MediaType::new(""),
    });
    own.as_str().to_owned()
}

/// Reads the build dates of manifests from their configs and annotations.
fn read_build_dates<F: Folder>(folder: &F, manifests: &mut BTreeMap<Digest, RecordedManifest>) {
    manifests.par_iter_mut().for_each(|(_, manifest)| {
        let RecordedManifest::Present { data, built_at: date, .. } = manifest else { return };
        *date = match config_digest(data) {
            // If the config cannot be read, its date is unknown and the annotation does not count.
            Some(digest) => digest
                .and_then(|digest| read_blob(folder, digest, CONFIG_MAX).ok())
                .and_then(|config| built_at(data, Some(&config))),
            None => built_at(data, None),
        };
    });
}
