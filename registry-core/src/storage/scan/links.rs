//! Revision links and layer links of one repository.

use std::ffi::OsStr;
use std::path::Path;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::shared::{Notes, in_batches};
use crate::graph::{FolderState, Graph, GraphLink, LinkEntry, LinkFault, NodeId, Seconds};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::serve::{LINK_MAX, read_link};
use crate::text::escape_os;

/// Links that one task reads.
const BATCH: usize = 256;

/// The two kinds of links with a digest in their path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    Revisions,
    Layers,
}

impl LinkKind {
    /// Path below the repository.
    pub(super) const fn folder(self) -> &'static str {
        match self {
            Self::Revisions => "_manifests/revisions",
            Self::Layers => "_layers",
        }
    }

    fn folder_place(self, name: &str) -> Place<'_> {
        match self {
            Self::Revisions => Place::Revisions(name),
            Self::Layers => Place::Layers(name),
        }
    }

    pub(super) fn link_place(self, name: &str, digest: Digest) -> Place<'_> {
        match self {
            Self::Revisions => Place::RevisionLink(name, digest),
            Self::Layers => Place::LayerLink(name, digest),
        }
    }
}

/// The content of a link file, not interned yet.
#[derive(PartialEq, Eq)]
pub(super) enum LinkText {
    /// Another digest than that of its path. Boxed, as there is one `LinkText` for each link.
    Digest(Box<Digest>),
    /// The digest of its path, as in almost all links.
    OwnDigest,
    Fault(LinkFault),
    Unread,
}

impl LinkText {
    pub(super) fn into_link(self, own: Option<NodeId>, graph: &mut Graph) -> GraphLink {
        match (self, own) {
            (Self::OwnDigest, Some(node)) => GraphLink::Names(node),
            (Self::Digest(digest), _) => GraphLink::Names(graph.intern(&digest)),
            (Self::Fault(fault), _) => GraphLink::Invalid(fault),
            (Self::Unread | Self::OwnDigest, _) => GraphLink::Unread,
        }
    }
}

/// The content of a link file, and its last change.
pub(super) type LinkFile = (Result<Digest, LinkFault>, Seconds);

/// Reads the link file at `path`; `None` when there is none. The caller notes the error.
pub(super) fn read_link_file<F: Folder>(
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
    pub(super) folder: FolderState,
    pub(super) links: Vec<(Digest, LinkText, Seconds)>,
}

impl ScannedLinks {
    pub(super) fn into_entries(self, graph: &mut Graph) -> Vec<LinkEntry> {
        let mut entries = Vec::with_capacity(self.links.len());
        for (digest, text, modified) in self.links {
            let node = graph.intern(&digest);
            entries.push(LinkEntry { node, modified, link: text.into_link(Some(node), graph) });
        }
        entries
    }
}

/// Reads all links of one kind of a repository.
pub(super) fn read_links<F: Folder>(
    repository: &F,
    name: &str,
    links: LinkKind,
    notes: &mut Notes,
) -> ScannedLinks {
    let mut read = ScannedLinks { folder: FolderState::Present, links: Vec::new() };
    let mut algorithms = Vec::new();
    let mut root = match repository.open(Path::new(links.folder())) {
        Ok(root) => root,
        Err(FolderError::NotFound) => return ScannedLinks::default(),
        Err(FolderError::NotAFolder) => {
            notes.stray(links.folder_place(name), Some(name), "a file in the place of a folder");
            return ScannedLinks::default();
        }
        Err(error) => {
            notes.unread(links.folder_place(name), Some(name), &error);
            return ScannedLinks { folder: FolderState::Unread, ..ScannedLinks::default() };
        }
    };
    let listed = root.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let path = || format!("{}/{shown}", links.folder_place(name));
        match (Algorithm::from_name(&shown), kind) {
            (Some(algorithm), EntryKind::Folder) => algorithms.push(algorithm),
            (Some(_), EntryKind::Symlink) => {
                notes.unread(path(), Some(name), kind.describe());
                read.folder = FolderState::Unread;
            }
            _ if is_harmless(&shown, kind) => {}
            _ => notes.stray(path(), Some(name), format!("{} among digest algorithms", kind.describe())),
        }
    });
    if let Err(error) = listed {
        notes.unread(links.folder_place(name), Some(name), &error);
        read.folder = FolderState::Unread;
    }
    for algorithm in algorithms {
        let path = format!("{}/{}", links.folder_place(name), algorithm.name());
        match root.open(Path::new(algorithm.name())) {
            Ok(folder) => read_algorithm(folder, name, (links, algorithm), &mut read, notes),
            Err(error) => {
                notes.unread(path, Some(name), &error);
                read.folder = FolderState::Unread;
            }
        }
    }
    read
}

fn read_algorithm<F: Folder>(
    mut folder: F,
    name: &str,
    (links, algorithm): (LinkKind, Algorithm),
    read: &mut ScannedLinks,
    notes: &mut Notes,
) {
    let mut digests = Vec::new();
    let listed = folder.list(&mut |entry, kind| match (entry_digest(algorithm, entry), kind) {
        (Some(digest), EntryKind::Folder) => digests.push(digest),
        (Some(digest), EntryKind::Symlink) => {
            notes.unread(links.link_place(name, digest), Some(name), kind.describe());
            read.links.push((digest, LinkText::Unread, 0));
        }
        (Some(digest), EntryKind::File | EntryKind::Other) => {
            read.links.push((digest, LinkText::Fault(LinkFault::NoFile), 0));
        }
        (None, kind) => {
            let shown = escape_os(entry);
            if !is_harmless(&shown, kind) {
                let path = format!("{}/{}/{shown}", links.folder_place(name), algorithm.name());
                notes.stray(
                    path,
                    Some(name),
                    format!("{} whose name is no {} hash", kind.describe(), algorithm.name()),
                );
            }
        }
    });
    if let Err(error) = listed {
        let path = format!("{}/{}", links.folder_place(name), algorithm.name());
        notes.unread(path, Some(name), &error);
        read.folder = FolderState::Unread;
    }
    let read_batch = |digests: &[Digest], notes: &mut Notes| read_batch(&folder, name, links, digests, notes);
    read.links.extend(in_batches(&digests, BATCH, notes, read_batch));
}

fn read_batch<F: Folder>(
    folder: &F,
    name: &str,
    kind: LinkKind,
    digests: &[Digest],
    notes: &mut Notes,
) -> Vec<(Digest, LinkText, Seconds)> {
    let mut links = Vec::with_capacity(digests.len());
    let (mut path, mut buffer) = (String::new(), Vec::with_capacity(LINK_MAX + 1));
    let (mut own, mut start) = (String::new(), [0; LINK_MAX + 1]);
    for digest in digests {
        own.clear();
        own.push_str(digest.algorithm().name());
        own.push(':');
        digest.push_hex(&mut own);
        path.clear();
        path.push_str(&own[digest.algorithm().name().len() + 1..]);
        path.push_str("/link");
        // Almost every link names the digest of its path. Then only its time may matter, which is read when it is needed.
        if folder.peek(Path::new(&path), &mut start).is_ok_and(|count| start[..count] == *own.as_bytes()) {
            links.push((*digest, LinkText::OwnDigest, LinkEntry::UNASKED));
            continue;
        }
        match read_link_file(folder, Path::new(&path), &mut buffer) {
            Ok(None) => {}
            Ok(Some((Ok(named), modified))) if named == *digest => {
                links.push((*digest, LinkText::OwnDigest, modified));
            }
            Ok(Some((Ok(named), modified))) => {
                links.push((*digest, LinkText::Digest(Box::new(named)), modified));
            }
            Ok(Some((Err(fault), modified))) => links.push((*digest, LinkText::Fault(fault), modified)),
            Err(error) => {
                notes.unread(kind.link_place(name, *digest), Some(name), error);
                links.push((*digest, LinkText::Unread, 0));
            }
        }
    }
    links
}

/// The digest that the name of an entry spells.
pub(super) fn entry_digest(algorithm: Algorithm, entry: &OsStr) -> Option<Digest> {
    Digest::from_hex(algorithm, entry.to_str()?).ok()
}
