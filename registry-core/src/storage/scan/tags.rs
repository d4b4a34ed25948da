//! Tags of one repository: what each names now, and what it named before.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::links::{LinkText, digest, read_file};
use super::shared::{Notes, ScanShared};
use crate::graph::{FolderState, Graph, GraphLink, TagEntry};
use crate::oci::{Algorithm, Digest, Tag};
use crate::path::Place;
use crate::serve::{LINK_MAX, read_link};
use crate::text::escape_os;

/// Tags read by one task.
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
    pub(super) part: FolderState,
    tags: Vec<RawTag>,
}

impl ScannedTags {
    /// Number of link files read.
    pub(super) fn files(&self) -> usize {
        self.tags.iter().map(|tag| 1 + tag.history.len()).sum()
    }

    /// Interns everything; ordered by name.
    pub(super) fn into_entries(self, graph: &mut Graph) -> Vec<TagEntry> {
        let mut entries: Vec<_> = self
            .tags
            .into_iter()
            .map(|tag| TagEntry {
                current: tag.current.map_or(GraphLink::Absent, |says| says.into_link(None, graph)),
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

pub(super) fn read<F: Folder>(
    repository: &F,
    name: &str,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) -> ScannedTags {
    let mut read = ScannedTags { part: FolderState::Present, tags: Vec::new() };
    let mut folder = match repository.open(Path::new("_manifests/tags")) {
        Ok(folder) => folder,
        Err(FolderError::NotFound) => return ScannedTags::default(),
        Err(FolderError::NotAFolder) => {
            notes.stray(Place::Tags(name), Some(name), "a file in the place of a folder");
            return ScannedTags::default();
        }
        Err(error) => {
            notes.unread(Place::Tags(name), Some(name), &error);
            return ScannedTags { part: FolderState::Unread, ..ScannedTags::default() };
        }
    };
    let mut names: Vec<OsString> = Vec::new();
    let listed = folder.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let Ok(tag) = Tag::new(&shown) else {
            // What is harmless elsewhere is not so here.
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
        read.part = FolderState::Unread;
    }
    let batches: Vec<_> = names
        .par_chunks(BATCH)
        .map(|names| {
            let mut notes = Notes::default();
            let mut buffer = Vec::with_capacity(LINK_MAX + 1);
            let tags: Vec<_> = names
                .iter()
                .filter_map(|tag| {
                    read_tag(&folder, name, tag, shared.options.strict, &mut buffer, &mut notes)
                })
                .collect();
            shared.progress.add_files(0);
            (tags, notes)
        })
        .collect();
    for (tags, more) in batches {
        read.tags.extend(tags);
        notes.unread.extend(more.unread);
        notes.strays.extend(more.strays);
    }
    read
}

/// Whether a tag's history holds nothing but what it names now, where the file system tells without a listing.
fn was_never_moved<F: Folder>(history: &F, current: Option<&LinkText>) -> Option<Digest> {
    let Some(LinkText::Digest(digest)) = current else { return None };
    let digest = **digest;
    let is_one = history.stat(Path::new(".")).is_ok_and(|stat| stat.subfolders == Some(1));
    let link = || history.stat_inside(&Path::new(&digest.hex()).join("link"));
    let is_this = is_one
        && digest.algorithm() == Algorithm::Sha256
        && link().is_ok_and(|stat| stat.kind == EntryKind::File);
    is_this.then_some(digest)
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
    let current = current(tags, name, text, buffer, notes);
    let mut history = Vec::new();
    // Only sha256 is ever filed here; another algorithm's folder is for the strict pass.
    let path = Path::new(tag).join("index/sha256");
    let listed = tags.open(&path).and_then(|mut folder| {
        if let Some(only) = was_never_moved(&folder, current.as_ref()).filter(|_| !is_strict) {
            history.push(only);
            return Ok(());
        }
        let mut found = Vec::new();
        folder.list(&mut |entry, kind| {
            if kind == EntryKind::Folder
                && let Some(digest) = digest(Algorithm::Sha256, entry)
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

/// What a tag's link says; `None` when it is absent.
pub(super) fn current<F: Folder>(
    tags: &F,
    name: &str,
    tag: &str,
    buffer: &mut Vec<u8>,
    notes: &mut Notes,
) -> Option<LinkText> {
    let path = format!("{tag}/current/link");
    let mut room = [0; LINK_MAX + 1];
    // One look is enough for a link as it should be; the kind of file matters only where it is not.
    if let Some(digest) =
        tags.peek(Path::new(&path), &mut room).ok().and_then(|count| read_link(&room[..count]).ok())
    {
        return Some(LinkText::Digest(Box::new(digest)));
    }
    match read_file(tags, Path::new(&path), buffer) {
        Ok(None) => None,
        Ok(Some((Ok(digest), _))) => Some(LinkText::Digest(Box::new(digest))),
        Ok(Some((Err(fault), _))) => Some(LinkText::Fault(fault)),
        Err(error) => {
            notes.unread(Place::TagLink(name, tag), Some(name), error);
            Some(LinkText::Unread)
        }
    }
}
