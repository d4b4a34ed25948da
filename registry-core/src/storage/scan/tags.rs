//! Reads the tags of one repository: the manifest that each names now, and those that it named before.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::links::{LinkText, entry_digest, read_link_file};
use super::shared::{Notes, in_batches};
use crate::graph::{FolderState, Graph, GraphLink, TagEntry};
use crate::oci::{Algorithm, Digest, Tag};
use crate::path::Place;
use crate::serve::{LINK_MAX, read_link};
use crate::text::escape_os;

/// Tags that one task reads.
const BATCH: usize = 64;

/// A tag, not interned yet.
struct RawTag {
    name: Box<str>,
    current: Option<LinkText>,
    is_file: bool,
    history: Vec<Digest>,
}

/// The tags of one repository.
#[derive(Default)]
pub(super) struct ScannedTags {
    pub(super) folder: FolderState,
    tags: Vec<RawTag>,
}

impl ScannedTags {
    /// Number of link files read.
    pub(super) fn file_count(&self) -> usize {
        self.tags.iter().map(|tag| 1 + tag.history.len()).sum()
    }

    /// Interns the tags, and sorts them by name.
    pub(super) fn into_entries(self, graph: &mut Graph) -> Vec<TagEntry> {
        let mut entries: Vec<_> = self
            .tags
            .into_iter()
            .map(|tag| TagEntry {
                current: tag.current.map_or(GraphLink::Absent, |text| text.into_link(None, graph)),
                history: tag.history.iter().map(|digest| graph.intern(digest)).collect(),
                is_file: tag.is_file,
                is_gone: false,
                name: tag.name,
            })
            .collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        entries
    }
}

pub(super) fn read_tags<F: Folder>(
    repository: &F,
    name: &str,
    is_strict: bool,
    notes: &mut Notes,
) -> ScannedTags {
    let mut read = ScannedTags { folder: FolderState::Present, tags: Vec::new() };
    let mut folder = match repository.open(Path::new("_manifests/tags")) {
        Ok(folder) => folder,
        Err(FolderError::NotFound) => return ScannedTags::default(),
        Err(FolderError::NotAFolder) => {
            notes.stray(Place::Tags(name), Some(name), "a file in the place of a folder");
            return ScannedTags::default();
        }
        Err(error) => {
            notes.unread(Place::Tags(name), Some(name), &error);
            return ScannedTags { folder: FolderState::Unread, ..ScannedTags::default() };
        }
    };
    let mut names: Vec<OsString> = Vec::new();
    let listed = folder.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let Ok(tag) = Tag::new(&shown) else {
            // Also names that are harmless elsewhere: the server lists every entry as a tag.
            let path = format!("{}/{shown}", Place::Tags(name));
            notes.stray(path, Some(name), "no legal tag name, although the server lists it as a tag");
            return;
        };
        let raw =
            |current, is_file| RawTag { name: tag.as_str().into(), current, is_file, history: Vec::new() };
        match kind {
            EntryKind::Folder => names.push(entry.into()),
            EntryKind::File | EntryKind::Other => read.tags.push(raw(None, true)),
            EntryKind::Symlink => {
                notes.unread(Place::TagFolder(name, tag.as_str()), Some(name), kind.describe());
                read.tags.push(raw(Some(LinkText::Unread), false));
            }
        }
    });
    if let Err(error) = listed {
        notes.unread(Place::Tags(name), Some(name), &error);
        read.folder = FolderState::Unread;
    }
    read.tags.extend(in_batches(&names, BATCH, notes, |names, notes| {
        let mut buffer = Vec::with_capacity(LINK_MAX + 1);
        names.iter().filter_map(|tag| read_tag(&folder, name, tag, is_strict, &mut buffer, notes)).collect()
    }));
    read
}

/// The one digest of a tag's history, if that is the digest that the tag names now and the file system shows it without a listing.
fn only_current_in_history<F: Folder>(history: &F, current: Option<&LinkText>) -> Option<Digest> {
    let Some(LinkText::Digest(digest)) = current else { return None };
    let digest = **digest;
    let has_one_entry = history.stat(Path::new(".")).is_ok_and(|stat| stat.subfolders == Some(1));
    let link = || history.stat_inside(&Path::new(&digest.hex()).join("link"));
    let is_current = has_one_entry
        && digest.algorithm() == Algorithm::Sha256
        && link().is_ok_and(|stat| stat.kind == EntryKind::File);
    is_current.then_some(digest)
}

fn read_tag<F: Folder>(
    tags: &F,
    name: &str,
    tag: &OsStr,
    is_strict: bool,
    buffer: &mut Vec<u8>,
    notes: &mut Notes,
) -> Option<RawTag> {
    let text = tag.to_str()?;
    let current = read_current(tags, name, text, buffer, notes);
    let mut history = Vec::new();
    // A registry writes only sha256 here; the strict pass notes other folders.
    let path = Path::new(tag).join("index/sha256");
    let listed = tags.open(&path).and_then(|mut folder| {
        if let Some(only) = only_current_in_history(&folder, current.as_ref()).filter(|_| !is_strict) {
            history.push(only);
            return Ok(());
        }
        let mut found = Vec::new();
        folder.list(&mut |entry, kind| {
            if kind == EntryKind::Folder
                && let Some(digest) = entry_digest(Algorithm::Sha256, entry)
            {
                found.push((entry.to_owned(), digest));
            }
        })?;
        for (entry, digest) in found {
            match folder.stat_inside(&Path::new(&entry).join("link")) {
                Ok(_) => history.push(digest),
                Err(FolderError::NotFound | FolderError::NotAFolder) => {}
                Err(error) => notes.unread(Place::TagIndexLink(name, text, digest), Some(name), &error),
            }
        }
        Ok(())
    });
    match listed {
        Ok(()) | Err(FolderError::NotFound) => {}
        Err(FolderError::NotAFolder) => {
            let index = tags.stat(&Path::new(tag).join("index"));
            let place = match index.map(|stat| stat.kind) {
                Ok(EntryKind::File | EntryKind::Other) => Place::TagIndex(name, text),
                _ => Place::TagIndexAlgorithm(name, text, Algorithm::Sha256),
            };
            notes.stray(place, Some(name), "a file in the place of a folder");
        }
        Err(error) => {
            notes.unread(Place::TagIndexAlgorithm(name, text, Algorithm::Sha256), Some(name), &error);
        }
    }
    Some(RawTag { name: text.into(), current, is_file: false, history })
}

/// Reads a tag's link; `None` when it is absent.
fn read_current<F: Folder>(
    tags: &F,
    name: &str,
    tag: &str,
    buffer: &mut Vec<u8>,
    notes: &mut Notes,
) -> Option<LinkText> {
    let path = format!("{tag}/current/link");
    let mut start = [0; LINK_MAX + 1];
    // A valid link takes one request. Only for an invalid one the kind of the file matters.
    if let Some(digest) =
        tags.peek(Path::new(&path), &mut start).ok().and_then(|count| read_link(&start[..count]).ok())
    {
        return Some(LinkText::Digest(Box::new(digest)));
    }
    match read_link_file(tags, Path::new(&path), buffer) {
        Ok(None) => None,
        Ok(Some((Ok(digest), _))) => Some(LinkText::Digest(Box::new(digest))),
        Ok(Some((Err(fault), _))) => Some(LinkText::Fault(fault)),
        Err(error) => {
            notes.unread(Place::TagLink(name, tag), Some(name), error);
            Some(LinkText::Unread)
        }
    }
}
