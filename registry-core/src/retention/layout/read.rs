//! One repository of a graph as a recorded package: its tags and revision links as rows, and what manifests answer by the
//! rules of `registry` 2.8. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use jiff::Timestamp;
use rayon::prelude::*;

use super::error_text;
use super::links::Links;
use crate::graph::{Content, Graph, GraphLink, NodeId, Presence, Recheck, Repository, View, walk};
use crate::oci::manifest::{Kind as ManifestKind, MAX_BYTES, ReferenceRole};
use crate::oci::{Digest, Manifest, MediaType};
use crate::path::Place;
use crate::retention::built::built_at;
use crate::retention::copied::LinkTimes;
use crate::retention::follow::followed;
use crate::retention::record::{RecordedManifest, RecordedPackage, RecordedVersion};
use crate::serve::{Linked, Shelf as _, UnreadPart};
use crate::storage::{EntryKind, Folder};

/// Most bytes of a config that are read for its date.
const CONFIG_MAX: usize = 16 << 20;

/// Whether a repository serves a manifest, its bytes apart.
fn is_linked(graph: &Graph, repository: &Repository, node: NodeId) -> Result<bool, String> {
    match (View { graph, repository }).manifest_link(node).answer(node) {
        Linked::Itself { .. } => Ok(true),
        Linked::Absent => Ok(false),
        Linked::Another(target) => Err(format!("its revision link names {}", graph.digest(target))),
        Linked::Invalid(fault) => Err(format!("its revision link {}", fault.describe())),
        Linked::Unread(part) => Err(part.to_string()),
    }
}

/// What of a repository is to be looked at again before it counts as absent or broken.
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

/// A repository as a package, and its links. `error` is why it could not be read as a whole.
pub(super) fn package<F: Folder>(
    folder: &F,
    graph: &Graph,
    at: usize,
    error: Option<String>,
    dates: bool,
) -> (RecordedPackage, Links) {
    let repository = &graph.repositories[at];
    let name = &*repository.name;
    let mut package = RecordedPackage { name: name.to_owned(), error, ..RecordedPackage::default() };
    // In the order of the names, whatever that of a listing was.
    let tags: Vec<_> = repository.numbered_tags().map(|(_, tag)| tag).collect();
    let tag = |tag: &&crate::graph::TagEntry| {
        let digest = if let GraphLink::Names(node) = tag.current { Some(graph.digest(node)) } else { None };
        let current = time(folder, &Place::TagLink(name, &tag.name).to_string());
        let version = RecordedVersion { version: tag.name.to_string(), id: None, created_at: None, digest };
        let Some(digest) = digest else { return (version, current.map_or(Ok(None), Ok), None) };
        // What cannot be looked at is no entry that a push is known to have written.
        let history = time(folder, &Place::TagIndexLink(name, &tag.name, digest).to_string());
        let revision = time(folder, &Place::RevisionLink(name, digest).to_string());
        let (history, revision) = (history.ok().flatten(), revision.ok().flatten());
        match current {
            Ok(Some(current)) => {
                let links = LinkTimes { current, history, revision };
                (version, Ok(links.pushed()), Some(links))
            }
            other => (version, other, None),
        }
    };
    let revision = |entry: &crate::graph::LinkEntry| {
        let digest = graph.digest(entry.node);
        let time = time(folder, &Place::RevisionLink(name, digest).to_string());
        let time = if entry.link == GraphLink::Names(entry.node) { time } else { time.map_or(Ok(None), Ok) };
        let version = digest.to_string();
        (RecordedVersion { version, id: None, created_at: None, digest: Some(digest) }, time, None)
    };
    let mut rows: Vec<_> = tags.par_iter().map(tag).collect();
    rows.par_extend(repository.revisions().par_iter().map(revision));
    package.copied = LinkTimes::copied(rows.iter().filter_map(|(_, _, links)| links.as_ref()));
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
    package.manifests = manifests(folder, graph, repository, &package.versions);
    package.unlinked = unlinked(folder, graph, &package.manifests);
    if dates {
        add_dates(folder, &mut package.manifests);
    }
    (package, Links::of_repository(graph, repository))
}

/// When a link was written.
fn time<F: Folder>(folder: &F, path: &str) -> Result<Option<Timestamp>, String> {
    match folder.time(Path::new(path)) {
        Ok((EntryKind::File, time)) => Ok(Some(time)),
        Ok((kind, _)) => Err(format!("{path}: {} in the place of a link file", kind.describe())),
        Err(error) => Err(format!("{path}: {}", error_text(&error))),
    }
}

/// Every manifest that the rows name, what signatures are named after, and all that indexes among them list.
fn manifests<F: Folder>(
    folder: &F,
    graph: &Graph,
    repository: &Repository,
    rows: &[RecordedVersion],
) -> BTreeMap<Digest, RecordedManifest> {
    let subjects = rows.iter().filter_map(|row| followed(&row.version));
    let mut wanted: BTreeSet<Digest> = rows.iter().filter_map(|row| row.digest).chain(subjects).collect();
    let mut manifests: BTreeMap<Digest, RecordedManifest> = BTreeMap::new();
    while !wanted.is_empty() {
        let each: Vec<Digest> = wanted.into_iter().collect();
        let read: Vec<_> =
            each.par_iter().map(|digest| (*digest, manifest(folder, graph, repository, *digest))).collect();
        wanted = BTreeSet::new();
        for (digest, found) in read {
            if let Some(bytes) = found.bytes() {
                let references = Manifest::parse(bytes).references.into_iter();
                let children = references.filter(|reference| reference.role == ReferenceRole::Child);
                wanted.extend(children.filter_map(|reference| reference.descriptor.digest));
            }
            manifests.insert(digest, found);
        }
        wanted.retain(|digest| !manifests.contains_key(digest));
    }
    manifests
}

/// Manifests that are absent for want of a link only: their bytes are here, and right.
fn unlinked<F: Folder>(
    folder: &F,
    graph: &Graph,
    manifests: &BTreeMap<Digest, RecordedManifest>,
) -> BTreeSet<Digest> {
    let absent = manifests.iter().filter(|(_, manifest)| **manifest == RecordedManifest::Absent);
    let is_here = |digest: &Digest| {
        let node = graph.digests().find(digest);
        node.is_some_and(|node| graph.blob(node).presence == Presence::Present)
            && bytes(folder, *digest, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX)).is_ok()
    };
    absent.map(|(digest, _)| *digest).filter(is_here).collect()
}

/// What a repository answers to one digest.
pub(crate) fn manifest<F: Folder>(
    folder: &F,
    graph: &Graph,
    repository: &Repository,
    digest: Digest,
) -> RecordedManifest {
    // A digest that no file and no manifest of the tree names has no link here.
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
    match bytes(folder, digest, usize::try_from(MAX_BYTES).unwrap_or(usize::MAX)) {
        Ok(bytes) => RecordedManifest::present(&media_type(&bytes), &bytes),
        Err(why) => RecordedManifest::Unknown(why),
    }
}

/// The bytes filed under a digest, when they are the right ones.
fn bytes<F: Folder>(folder: &F, digest: Digest, most: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let path = Place::BlobData(digest).to_string();
    let stat = folder.read(Path::new(&path), most + 1, &mut bytes).map_err(|error| error_text(&error))?;
    if stat.kind != EntryKind::File {
        return Err(format!("{} in the place of its bytes", stat.kind.describe()));
    }
    if bytes.len() > most {
        return Err(format!("it has {} bytes, more than the {most} that are read", stat.size));
    }
    if Digest::of(digest.algorithm(), &bytes) != digest {
        return Err("its bytes do not hash to its digest".into());
    }
    Ok(bytes)
}

/// The media type with which a registry serves bytes that name none (`registry/handlers/manifests.go @ v2.8.3`).
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

/// Reads when images were built, out of their configs and manifests.
fn add_dates<F: Folder>(folder: &F, manifests: &mut BTreeMap<Digest, RecordedManifest>) {
    manifests.par_iter_mut().for_each(|(_, manifest)| {
        let RecordedManifest::Present { data, built_at: date, .. } = manifest else { return };
        let references = Manifest::parse(data).references;
        let config = references.into_iter().find(|reference| reference.role == ReferenceRole::Config);
        *date = match config.map(|config| config.descriptor.digest) {
            // What a config says that could not be read is not known.
            Some(digest) => digest
                .and_then(|digest| bytes(folder, digest, CONFIG_MAX).ok())
                .and_then(|config| built_at(data, Some(&config))),
            None => built_at(data, None),
        };
    });
}
