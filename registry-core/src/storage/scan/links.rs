//! Revision links and layer links of one repository.

use std::ffi::OsStr;
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::shared::{Notes, ScanShared};
use crate::graph::{FolderState, Graph, GraphLink, LinkEntry, LinkFault, NodeId, Seconds};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::serve::{LINK_MAX, read_link};
use crate::text::escape_os;

/// Links read by one task.
const BATCH: usize = 256;

/// Which of the two folders of links.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Revisions,
    Layers,
}

impl Which {
    /// Path below the repository.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Revisions => "_manifests/revisions",
            Self::Layers => "_layers",
        }
    }

    fn place(self, name: &str) -> Place<'_> {
        match self {
            Self::Revisions => Place::Revisions(name),
            Self::Layers => Place::Layers(name),
        }
    }

    pub(super) fn link(self, name: &str, digest: Digest) -> Place<'_> {
        match self {
            Self::Revisions => Place::RevisionLink(name, digest),
            Self::Layers => Place::LayerLink(name, digest),
        }
    }
}

/// What a link file says, not interned yet.
#[derive(PartialEq, Eq)]
pub(super) enum LinkText {
    /// Another digest: boxed, for there are as many of these values as links.
    Digest(Box<Digest>),
    /// The digest of its path: by far the most frequent.
    Itself,
    Fault(LinkFault),
    Unread,
}

impl LinkText {
    pub(super) fn into_link(self, itself: Option<NodeId>, graph: &mut Graph) -> GraphLink {
        match (self, itself) {
            (Self::Itself, Some(node)) => GraphLink::Names(node),
            (Self::Digest(digest), _) => GraphLink::Names(graph.intern(&digest)),
            (Self::Fault(fault), _) => GraphLink::Invalid(fault),
            (Self::Unread | Self::Itself, _) => GraphLink::Unread,
        }
    }
}

/// What a link file says, and its last change.
pub(super) type LinkFile = (Result<Digest, LinkFault>, Seconds);

/// Reads the link file at `path`; `None` when there is none. What goes wrong is said, and noted by the caller.
pub(super) fn read_file<F: Folder>(
    folder: &F,
    path: &Path,
    buffer: &mut Vec<u8>,
) -> Result<Option<LinkFile>, String> {
    match folder.read(path, LINK_MAX + 1, buffer) {
        Ok(stat) => match stat.kind {
            EntryKind::File => Ok(Some((read_link(buffer), stat.modified))),
            EntryKind::Folder => Ok(Some((Err(LinkFault::NoFile), stat.modified))),
            EntryKind::Symlink | EntryKind::Other => {
                Err(format!("{} in the place of a link file", stat.kind.describe()))
            }
        },
        Err(FolderError::NotFound) => Ok(None),
        Err(FolderError::NotAFolder) => Ok(Some((Err(LinkFault::NoFile), 0))),
        Err(error) => Err(error.to_string()),
    }
}

/// The links of one folder, not interned yet.
#[derive(Default)]
pub(super) struct ScannedLinks {
    pub(super) part: FolderState,
    pub(super) links: Vec<(Digest, LinkText, Seconds)>,
}

impl ScannedLinks {
    pub(super) fn into_entries(self, graph: &mut Graph) -> Vec<LinkEntry> {
        let mut entries = Vec::with_capacity(self.links.len());
        for (digest, says, modified) in self.links {
            let node = graph.intern(&digest);
            entries.push(LinkEntry { node, modified, link: says.into_link(Some(node), graph) });
        }
        entries
    }
}

pub(super) fn read<F: Folder>(
    repository: &F,
    name: &str,
    which: Which,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) -> ScannedLinks {
    let mut read = ScannedLinks { part: FolderState::Present, links: Vec::new() };
    let mut algorithms = Vec::new();
    let mut root = match repository.open(Path::new(which.folder())) {
        Ok(root) => root,
        Err(FolderError::NotFound) => return ScannedLinks::default(),
        Err(FolderError::NotAFolder) => {
            notes.stray(which.place(name), Some(name), "a file in the place of a folder");
            return ScannedLinks::default();
        }
        Err(error) => {
            notes.unread(which.place(name), Some(name), &error);
            return ScannedLinks { part: FolderState::Unread, ..ScannedLinks::default() };
        }
    };
    let listed = root.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let path = || format!("{}/{shown}", which.place(name));
        match (Algorithm::from_name(&shown), kind) {
            (Some(algorithm), EntryKind::Folder) => algorithms.push(algorithm),
            (Some(_), EntryKind::Symlink) => {
                notes.unread(path(), Some(name), kind.describe());
                read.part = FolderState::Unread;
            }
            _ if is_harmless(&shown, kind) => {}
            _ => notes.stray(path(), Some(name), format!("{} among digest algorithms", kind.describe())),
        }
    });
    if let Err(error) = listed {
        notes.unread(which.place(name), Some(name), &error);
        read.part = FolderState::Unread;
    }
    for algorithm in algorithms {
        let path = format!("{}/{}", which.place(name), algorithm.name());
        match root.open(Path::new(algorithm.name())) {
            Ok(folder) => one_algorithm(folder, name, (which, algorithm), &mut read, notes, shared),
            Err(error) => {
                notes.unread(path, Some(name), &error);
                read.part = FolderState::Unread;
            }
        }
    }
    read
}

fn one_algorithm<F: Folder>(
    mut folder: F,
    name: &str,
    (which, algorithm): (Which, Algorithm),
    read: &mut ScannedLinks,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) {
    let mut digests = Vec::new();
    let listed = folder.list(&mut |entry, kind| match (digest(algorithm, entry), kind) {
        (Some(digest), EntryKind::Folder) => digests.push(digest),
        (Some(digest), EntryKind::Symlink) => {
            notes.unread(which.link(name, digest), Some(name), kind.describe());
            read.links.push((digest, LinkText::Unread, 0));
        }
        (Some(digest), EntryKind::File | EntryKind::Other) => {
            read.links.push((digest, LinkText::Fault(LinkFault::NoFile), 0));
        }
        (None, kind) => {
            let shown = escape_os(entry);
            if !is_harmless(&shown, kind) {
                let path = format!("{}/{}/{shown}", which.place(name), algorithm.name());
                notes.stray(
                    path,
                    Some(name),
                    format!("{} whose name is no {} hash", kind.describe(), algorithm.name()),
                );
            }
        }
    });
    if let Err(error) = listed {
        let path = format!("{}/{}", which.place(name), algorithm.name());
        notes.unread(path, Some(name), &error);
        read.part = FolderState::Unread;
    }
    let batches: Vec<_> = digests
        .par_chunks(BATCH)
        .map(|digests| {
            let batch = batch(&folder, name, which, digests);
            shared.progress.add_files(0);
            batch
        })
        .collect();
    for (links, more) in batches {
        read.links.extend(links);
        notes.unread.extend(more.unread);
    }
}

fn batch<F: Folder>(
    folder: &F,
    name: &str,
    which: Which,
    digests: &[Digest],
) -> (Vec<(Digest, LinkText, Seconds)>, Notes) {
    let (mut links, mut notes) = (Vec::with_capacity(digests.len()), Notes::default());
    let (mut path, mut buffer) = (String::new(), Vec::with_capacity(LINK_MAX + 1));
    let (mut itself, mut room) = (String::new(), [0; LINK_MAX + 1]);
    for digest in digests {
        itself.clear();
        itself.push_str(digest.algorithm().name());
        itself.push(':');
        digest.push_hex(&mut itself);
        path.clear();
        path.push_str(&itself[digest.algorithm().name().len() + 1..]);
        path.push_str("/link");
        // Almost every link names the digest of its path. Then nothing else about the file matters; its time is asked
        // for when somebody needs it.
        if folder.peek(Path::new(&path), &mut room).is_ok_and(|count| room[..count] == *itself.as_bytes()) {
            links.push((*digest, LinkText::Itself, LinkEntry::UNASKED));
            continue;
        }
        match read_file(folder, Path::new(&path), &mut buffer) {
            Ok(None) => {}
            Ok(Some((Ok(named), modified))) if named == *digest => {
                links.push((*digest, LinkText::Itself, modified));
            }
            Ok(Some((Ok(named), modified))) => {
                links.push((*digest, LinkText::Digest(Box::new(named)), modified));
            }
            Ok(Some((Err(fault), modified))) => links.push((*digest, LinkText::Fault(fault), modified)),
            Err(error) => {
                notes.unread(which.link(name, *digest), Some(name), error);
                links.push((*digest, LinkText::Unread, 0));
            }
        }
    }
    (links, notes)
}

/// The digest that a folder name spells.
pub(super) fn digest(algorithm: Algorithm, entry: &OsStr) -> Option<Digest> {
    Digest::from_hex(algorithm, entry.to_str()?).ok()
}
