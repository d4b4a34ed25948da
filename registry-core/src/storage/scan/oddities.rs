//! Looks into entries out of place: files named `link` and `data` that a collector reaches, and entries of `tags/` that are no tags.
//! Opens only what a scan noted as stray, and signatures of schema 1.

use std::path::Path;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::super::progress::ScanProgress;
use super::links::{entry_digest, read_link_file};
use super::{leads, recheck};
use crate::graph::{Graph, LinkFault, OddLink, OddTag, Oddities};
use crate::oci::manifest::Kind as ManifestKind;
use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::serve::{LINK_MAX, Link};
use crate::text::escape_os;

/// Most entries that are looked at; with more of them the forecast is unsure.
const MAX_ENTRIES: usize = 100_000;
/// Most levels of folders below a stray that are looked into.
const MAX_DEPTH: usize = 64;

/// Which part of a tree a stray belongs to.
#[derive(Clone, Copy)]
enum StrayPart<'a> {
    Blobs,
    Links { repository: &'a str, in_layers: bool },
}

pub(in super::super) fn oddities<F: Folder>(v2: &F, graph: &mut Graph, progress: &ScanProgress) -> Oddities {
    let mut found = read_strays(v2, graph);
    let unread = leads::unread_manifests(graph, &found);
    if !unread.is_empty() {
        recheck(v2, graph, &unread, false, progress);
    }
    read_signatures(v2, graph, &mut found);
    found.bare = leads::bare_revisions(graph, &found)
        .into_iter()
        .filter(|(name, digest)| {
            v2.stat(Path::new(&Place::RevisionFolder(name, *digest).to_string())).is_ok()
        })
        .collect();
    found
}

/// Reads links that servers before v2.5.0 left beside those of schema 1 manifests. A collector reads them like any other link.
fn read_signatures<F: Folder>(v2: &F, graph: &Graph, found: &mut Oddities) {
    let mut reader = OddityReader { v2, found: std::mem::take(found), entries_left: MAX_ENTRIES };
    for repository in &graph.repositories {
        for entry in repository.revisions() {
            if graph.manifest(entry.node).is_some_and(|manifest| manifest.kind == ManifestKind::Schema1) {
                let path = Place::Signature(&repository.name, graph.digest(entry.node)).to_string();
                reader.visit(&path, StrayPart::Links { repository: &repository.name, in_layers: false }, 0);
            }
        }
    }
    *found = reader.found;
}

fn read_strays<F: Folder>(v2: &F, graph: &Graph) -> Oddities {
    let mut reader = OddityReader { v2, found: Oddities::default(), entries_left: MAX_ENTRIES };
    for stray in &graph.strays {
        let repository = stray.repository.as_deref();
        if reader.read_among_repositories(&stray.path) {
            continue;
        }
        let place = match (repository, &*stray.path) {
            (_, path) if is_below(path, "blobs") => StrayPart::Blobs,
            (Some(name), path) if is_below(path, &Place::Revisions(name).to_string()) => {
                StrayPart::Links { repository: name, in_layers: false }
            }
            (Some(name), path) if is_below(path, &Place::Layers(name).to_string()) => {
                StrayPart::Links { repository: name, in_layers: true }
            }
            (Some(name), path) => {
                let tags = Place::Tags(name).to_string();
                if let Some(entry) = path.strip_prefix(&tags).and_then(|rest| rest.strip_prefix('/'))
                    && !entry.contains('/')
                {
                    reader.read_tag(name, path, entry);
                }
                continue;
            }
            _ => continue,
        };
        if stray.path.contains('\\') {
            reader.note_unread(&stray.path, "its name holds characters that were escaped");
            continue;
        }
        reader.visit(&stray.path, place, 0);
    }
    reader.found
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

struct OddityReader<'v, F> {
    v2: &'v F,
    found: Oddities,
    entries_left: usize,
}

impl<F: Folder> OddityReader<'_, F> {
    fn note_unread(&mut self, path: &str, error: impl ToString) {
        self.found.unread.push((path.to_owned(), error.to_string()));
    }

    /// Notes a stray among repositories, or in the place of a folder of theirs, that matters to a collector by its name or place
    /// alone. False when the path is no such place.
    fn read_among_repositories(&mut self, path: &str) -> bool {
        let place = Place::parse(path);
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_reserved =
            name.starts_with('_') && Path::new(folder).starts_with("repositories") && !folder.contains("/_");
        let is_history = matches!(place, Some(Place::TagIndex(..) | Place::TagIndexAlgorithm(..)));
        if !is_reserved && !is_history && !matches!(place, Some(Place::Revisions(_) | Place::Tags(_))) {
            return false;
        }
        if path.contains('\\') {
            self.note_unread(path, "its name holds characters that were escaped");
            return true;
        }
        let kind = match self.v2.stat(Path::new(path)) {
            Ok(stat) => stat.kind,
            Err(FolderError::NotFound | FolderError::NotAFolder) => return true,
            Err(error) => {
                self.note_unread(path, error);
                return true;
            }
        };
        match (kind, place.and_then(|place| place.repository())) {
            (EntryKind::Symlink, _) => self.note_unread(path, kind.describe()),
            (EntryKind::Folder, _) if folder == "repositories" => self.found.nameless.push(path.to_owned()),
            (EntryKind::Folder, _) => {}
            (EntryKind::File | EntryKind::Other, Some(repository)) if is_history => {
                self.found.histories.push((repository.to_owned(), path.to_owned()));
            }
            (EntryKind::File | EntryKind::Other, _) => self.found.files.push(path.to_owned()),
        }
        true
    }

    /// Reads a stray file, or every file below a stray folder.
    fn visit(&mut self, path: &str, place: StrayPart<'_>, depth: usize) {
        if self.entries_left == 0 || depth > MAX_DEPTH {
            self.note_unread(path, "too much lies here");
            return;
        }
        self.entries_left -= 1;
        let kind = match self.v2.stat(Path::new(path)) {
            Ok(stat) => stat.kind,
            Err(FolderError::NotFound | FolderError::NotAFolder) => return,
            Err(error) => return self.note_unread(path, error),
        };
        match kind {
            EntryKind::Folder => {
                let mut names = Vec::new();
                let listed = self
                    .v2
                    .open(Path::new(path))
                    .and_then(|mut folder| folder.list(&mut |name, _| names.push(escape_os(name))));
                if let Err(error) = listed {
                    self.note_unread(path, error);
                }
                names.sort_unstable();
                for name in names {
                    let inner = format!("{path}/{name}");
                    if name.contains('\\') {
                        self.note_unread(&inner, "its name holds characters that were escaped");
                    } else {
                        self.visit(&inner, place, depth + 1);
                    }
                }
            }
            EntryKind::File => self.read_file(path, place),
            EntryKind::Symlink | EntryKind::Other => self.note_unread(path, kind.describe()),
        }
    }

    fn read_file(&mut self, path: &str, place: StrayPart<'_>) {
        let name = path.rsplit('/').next().unwrap_or("");
        match place {
            StrayPart::Blobs if name == "data" => self.found.data.push(path.to_owned()),
            StrayPart::Links { repository, in_layers } if name == "link" => {
                let link = self.read_link(path);
                let (repository, path) = (repository.to_owned(), path.to_owned());
                self.found.links.push(OddLink { repository, in_layers, path, link });
            }
            _ => {}
        }
    }

    /// Reads a link file. Notes one that cannot be read, and treats it as absent.
    fn read_link(&mut self, path: &str) -> Link<Digest> {
        match read_link_file(self.v2, Path::new(path), &mut Vec::with_capacity(LINK_MAX + 1)) {
            Ok(None) => Link::Absent,
            Ok(Some((Ok(digest), _))) => Link::Names(digest),
            Ok(Some((Err(fault), _))) => Link::Invalid(fault),
            Err(error) => {
                self.note_unread(path, error);
                Link::Absent
            }
        }
    }

    /// Reads an entry of `tags/` that is no tag.
    fn read_tag(&mut self, repository: &str, path: &str, name: &str) {
        let (repository, name) = (repository.to_owned(), name.to_owned());
        if path.contains('\\') {
            // No storage driver accepts such a name, whatever the entry holds.
            let link = Link::Invalid(LinkFault::NoFile);
            return self.found.tags.push(OddTag { repository, name, link, history: Vec::new() });
        }
        // A file in the place of the tag's folder gives a link that is no file.
        let link = self.read_link(&format!("{path}/current/link"));
        let mut history = Vec::new();
        let index = format!("{path}/index/sha256");
        let listed = self.v2.open(Path::new(&index)).and_then(|mut folder| {
            folder.list(&mut |name, _| history.extend(entry_digest(Algorithm::Sha256, name)))
        });
        match listed {
            Ok(()) | Err(FolderError::NotFound) => {}
            // Also when a file is in the place of the tag's folder; `link` says that.
            Err(FolderError::NotAFolder) => self.found.histories.push((repository.clone(), index)),
            Err(error) => self.note_unread(&index, error),
        }
        history.sort_unstable();
        self.found.tags.push(OddTag { repository, name, link, history });
    }
}
