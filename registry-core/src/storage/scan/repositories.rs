//! Finding repositories: every folder below `repositories/` that holds a reserved one, also where no server looks (a
//! repository shelved as `_name`). Their parts are read by the neighbours of this file.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use rayon::Scope;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::shared::{Notes, ScanShared};
use super::{links, tags, uploads};
use crate::graph::{FolderState, Graph, Repository, is_shelved};
use crate::oci::RepositoryName;
use crate::path::Place;
use crate::text::escape_os;

/// Longest name in bytes that is still looked into: far over the 255 that a registry takes.
const NAME_MAX: usize = 4096;

pub(super) fn read<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    match v2.open(Path::new("repositories")) {
        Ok(folder) => {
            shared.graph().has_repositories_folder = true;
            rayon::scope(|scope| visit(scope, folder, String::new(), true, shared));
            keep_shelves(&mut shared.graph());
        }
        Err(FolderError::NotFound) => {}
        Err(error) => {
            shared.graph().has_repositories_folder = true;
            let mut notes = Notes::default();
            notes.unread(Place::Repositories, None, &error);
            notes.hand_over(&mut shared.graph());
        }
    }
}

/// A folder that leads to a shelved repository is no stray of its own: moved aside, it would take that along.
fn keep_shelves(graph: &mut Graph) {
    let mut shelves = HashSet::new();
    for repository in graph.repositories.iter().filter(|one| one.is_shelved()) {
        let path = Place::Repository(&repository.name).to_string();
        shelves.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
    }
    for repository in &graph.repositories {
        shelves.remove(&Place::Repository(&repository.name).to_string());
    }
    graph.strays.retain(|stray| !shelves.contains(&stray.path));
}

/// Looks into a folder of `repositories/`; `name` is its path below that, `clean` whether the name is valid text.
fn visit<'s, F: Folder + 's>(
    scope: &Scope<'s>,
    mut folder: F,
    name: String,
    clean: bool,
    shared: &'s ScanShared<'_>,
) {
    let mut notes = Notes::default();
    let mut found = RepositoryListing::default();
    let mut inner = Vec::new();
    let listed = folder.list(&mut |entry, kind| {
        if let Some(child) = found.sort(&name, entry, kind, &mut notes) {
            inner.push(child);
        }
    });
    if let Err(error) = listed {
        notes.unread(below_repositories(&name), owner(&name), &error);
        found.is_repository |= !name.is_empty();
        found.is_incomplete = true;
    }
    let folder = Arc::new(folder);
    for child in inner {
        let path = if name.is_empty() { child.shown.clone() } else { format!("{name}/{}", child.shown) };
        let (folder, clean) = (Arc::clone(&folder), clean && child.clean);
        scope.spawn(move |scope| match folder.open(Path::new(&child.name)) {
            Ok(inner) => visit(scope, inner, path, clean, shared),
            Err(error) => {
                let mut notes = Notes::default();
                notes.unread(below_repositories(&path), Some(&path), &error);
                notes.hand_over(&mut shared.graph());
            }
        });
    }
    let last = name.rsplit('/').next().unwrap_or(&name);
    if last.starts_with('_') && !found.is_repository {
        notes.stray(below_repositories(&name), None, "no folder of that name belongs into a repository");
    }
    if found.is_repository && shared.options.only.is_none_or(|only| only(&name)) {
        repository(&*folder, &name, clean, &found, &mut notes, shared);
    }
    notes.hand_over(&mut shared.graph());
}

fn below_repositories(name: &str) -> String {
    if name.is_empty() { Place::Repositories.to_string() } else { Place::Repository(name).to_string() }
}

fn owner(name: &str) -> Option<&str> {
    if name.is_empty() { None } else { Some(name) }
}

/// A folder that may hold, or lead to, a repository.
struct Candidate {
    name: std::ffi::OsString,
    shown: String,
    clean: bool,
}

/// What a listing showed of a repository's own folders.
#[derive(Default)]
struct RepositoryListing {
    is_repository: bool,
    is_incomplete: bool,
    layers: Option<EntryKind>,
    manifests: Option<EntryKind>,
    uploads: Option<EntryKind>,
}

impl RepositoryListing {
    fn sort(&mut self, name: &str, entry: &OsStr, kind: EntryKind, notes: &mut Notes) -> Option<Candidate> {
        let shown = escape_os(entry);
        let path = || format!("{}/{shown}", below_repositories(name));
        let part = match &*shown {
            "_layers" => Some(&mut self.layers),
            "_manifests" => Some(&mut self.manifests),
            "_uploads" => Some(&mut self.uploads),
            _ => None,
        };
        // Right below `repositories/` a reserved name is that of no repository.
        let is_nameless = name.is_empty() && part.is_some();
        if let Some(part) = part.filter(|_| !name.is_empty()) {
            *part = Some(kind);
            self.is_repository = true;
            match kind {
                EntryKind::Folder => {}
                EntryKind::Symlink => notes.unread(path(), Some(name), kind.describe()),
                EntryKind::File | EntryKind::Other => {
                    notes.stray(path(), Some(name), format!("{} in the place of a folder", kind.describe()));
                }
            }
            return None;
        }
        if is_harmless(&shown, kind) {
            return None;
        }
        let may_be_shelved = matches!(kind, EntryKind::Folder | EntryKind::Symlink) && !is_nameless;
        if shown.starts_with('_') && !may_be_shelved {
            notes.stray(path(), owner(name), "no folder of that name belongs into a repository");
            return None;
        }
        match kind {
            EntryKind::Symlink => notes.unread(path(), None, kind.describe()),
            // Whatever else is kept there is nobody's matter: no server and no collector comes by.
            EntryKind::File | EntryKind::Other if is_shelved(name) => {}
            EntryKind::File | EntryKind::Other => {
                notes.stray(path(), owner(name), format!("{} among repositories", kind.describe()));
            }
            EntryKind::Folder if name.len() + entry.len() >= NAME_MAX => {
                notes.unread(path(), None, "nested too deep");
            }
            EntryKind::Folder => {
                let clean = entry.to_str().is_some_and(|text| text == shown);
                return Some(Candidate { name: entry.into(), shown, clean });
            }
        }
        None
    }
}

/// Whether a folder that a listing showed as `kind` is to be read.
fn part(kind: Option<EntryKind>, incomplete: bool) -> FolderState {
    match kind {
        Some(EntryKind::Folder) => FolderState::Present,
        Some(EntryKind::Symlink) => FolderState::Unread,
        Some(EntryKind::File | EntryKind::Other) => FolderState::Absent,
        None if incomplete => FolderState::Unread,
        None => FolderState::Absent,
    }
}

fn repository<F: Folder>(
    folder: &F,
    name: &str,
    clean: bool,
    found: &RepositoryListing,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) {
    let is_legal = clean && RepositoryName::new(name).is_ok();
    let mut repository = Repository::default();
    repository.name = name.into();
    repository.is_legal = is_legal;
    repository.manifests = part(found.manifests, found.is_incomplete);
    repository.layers_part = part(found.layers, found.is_incomplete);
    // Tags before revisions before layers: see the module above.
    repository.tags_part = repository.manifests;
    repository.revisions_part = repository.manifests;
    let mut read = tags::ScannedTags::default();
    let mut revisions = links::ScannedLinks::default();
    if repository.manifests == FolderState::Present {
        manifests_folder(folder, name, notes);
        read = tags::read(folder, name, notes, shared);
        revisions = links::read(folder, name, links::Which::Revisions, notes, shared);
        repository.tags_part = read.part;
        repository.revisions_part = revisions.part;
    }
    let mut layers = links::ScannedLinks::default();
    if repository.layers_part == FolderState::Present {
        layers = links::read(folder, name, links::Which::Layers, notes, shared);
        repository.layers_part = layers.part;
    }
    if found.uploads == Some(EntryKind::Folder) {
        repository.uploads = uploads::read(folder, name, notes);
    }
    let files = read.files() + revisions.links.len() + layers.links.len();
    shared.progress.add_files(files);

    let mut graph = shared.graph();
    repository.tags = read.into_entries(&mut graph);
    let revisions = revisions.into_entries(&mut graph);
    repository.set_revisions(revisions);
    let layers = layers.into_entries(&mut graph);
    repository.set_layers(layers);
    if !is_legal {
        notes.stray(below_repositories(name), None, refused(&repository));
    }
    graph.repositories.push(repository);
}

/// What is said of a repository under a name that a registry refuses.
fn refused(repository: &Repository) -> String {
    let mut said = if repository.is_shelved() {
        "a repository that no server lists, for its name starts with _".to_owned()
    } else {
        "a registry refuses this repository name; its collector aborts on it".to_owned()
    };
    if repository.holds_links() {
        let (tags, manifests) = (repository.tags.len(), repository.revisions().len());
        let blobs =
            if repository.is_shelved() { "; a collection passes by and deletes its blobs" } else { "" };
        let (tag, manifest) =
            (if tags == 1 { "tag" } else { "tags" }, if manifests == 1 { "manifest" } else { "manifests" });
        said += &format!(
            "; it holds {tags} {tag} and {manifests} {manifest}{blobs}; give it a legal name, or move it out of the tree"
        );
    }
    said
}

/// Notes what has no place in `_manifests`.
fn manifests_folder<F: Folder>(folder: &F, name: &str, notes: &mut Notes) {
    let listed = folder.open(Path::new("_manifests")).and_then(|mut folder| {
        folder.list(&mut |entry, kind| {
            let shown = escape_os(entry);
            let is_part = matches!(&*shown, "revisions" | "tags");
            if !(is_part && matches!(kind, EntryKind::Folder | EntryKind::Symlink)
                || is_harmless(&shown, kind))
            {
                let path = format!("{}/{shown}", Place::Manifests(name));
                notes.stray(path, Some(name), format!("{} beside revisions and tags", kind.describe()));
            }
        })
    });
    if let Err(error) = listed {
        notes.unread(Place::Manifests(name), Some(name), &error);
    }
}
