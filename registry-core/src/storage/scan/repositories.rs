//! Finds repositories: every folder below `repositories/` that holds a reserved folder, also where no server looks (a repository
//! shelved as `_name`). `tags`, `links` and `uploads` read what they hold.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use rayon::Scope;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::links::{LinkKind, ScannedLinks, read_links};
use super::shared::{Notes, ScanShared};
use super::tags::{ScannedTags, read_tags};
use super::uploads::read_uploads;
use crate::graph::{FolderState, Graph, Repository, is_shelved};
use crate::oci::RepositoryName;
use crate::path::Place;
use crate::text::escape_os;

/// Longest name in bytes that is looked into; a registry accepts at most 255.
const NAME_MAX: usize = 4096;

pub(super) fn read_repositories<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    match v2.open(Path::new("repositories")) {
        Ok(folder) => {
            shared.graph().has_repositories_folder = true;
            rayon::scope(|scope| visit(scope, folder, String::new(), true, shared));
            remove_strays_above_shelved(&mut shared.graph());
        }
        Err(FolderError::NotFound) => {}
        Err(error) => {
            shared.graph().has_repositories_folder = true;
            let mut notes = Notes::default();
            notes.unread(Place::Repositories, None, &error);
            notes.add_to(&mut shared.graph());
        }
    }
}

/// Removes the strays that are folders above a shelved repository: moving them aside would move the repository too.
fn remove_strays_above_shelved(graph: &mut Graph) {
    let mut above_shelved = HashSet::new();
    for repository in graph.repositories.iter().filter(|repository| repository.is_shelved()) {
        let path = Place::Repository(&repository.name).to_string();
        above_shelved.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
    }
    for repository in &graph.repositories {
        above_shelved.remove(&Place::Repository(&repository.name).to_string());
    }
    graph.strays.retain(|stray| !above_shelved.contains(&stray.path));
}

/// Reads a folder at or below `repositories/`. `name` is its path below `repositories/`; `is_exact`: nothing in it was escaped.
fn visit<'s, F: Folder + 's>(
    scope: &Scope<'s>,
    mut folder: F,
    name: String,
    is_exact: bool,
    shared: &'s ScanShared<'_>,
) {
    let mut notes = Notes::default();
    let mut found = RepositoryListing::default();
    let mut inner = Vec::new();
    let listed = folder.list(&mut |entry, kind| {
        inner.extend(found.add_entry(&name, entry, kind, &mut notes));
    });
    if let Err(error) = listed {
        notes.unread(repository_path(&name), repository_of(&name), &error);
        found.is_repository |= !name.is_empty();
        found.is_incomplete = true;
    }
    let folder = Arc::new(folder);
    for child in inner {
        let path = if name.is_empty() { child.shown.clone() } else { format!("{name}/{}", child.shown) };
        let (folder, is_exact) = (Arc::clone(&folder), is_exact && child.is_exact);
        scope.spawn(move |scope| match folder.open(Path::new(&child.name)) {
            Ok(inner) => visit(scope, inner, path, is_exact, shared),
            Err(error) => {
                let mut notes = Notes::default();
                notes.unread(repository_path(&path), Some(&path), &error);
                notes.add_to(&mut shared.graph());
            }
        });
    }
    let last = name.rsplit('/').next().unwrap_or(&name);
    if last.starts_with('_') && !found.is_repository {
        notes.stray(repository_path(&name), None, "no folder of that name belongs into a repository");
    }
    if found.is_repository && shared.options.only.is_none_or(|only| only(&name)) {
        read_repository(&*folder, &name, is_exact, &found, &mut notes, shared);
    }
    notes.add_to(&mut shared.graph());
}

fn repository_path(name: &str) -> String {
    if name.is_empty() { Place::Repositories.to_string() } else { Place::Repository(name).to_string() }
}

fn repository_of(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}

/// A folder that may be, or lead to, a repository.
struct Candidate {
    name: std::ffi::OsString,
    shown: String,
    is_exact: bool,
}

/// The reserved entries that the listing of a folder showed.
#[derive(Default)]
struct RepositoryListing {
    is_repository: bool,
    is_incomplete: bool,
    layers: Option<EntryKind>,
    manifests: Option<EntryKind>,
    uploads: Option<EntryKind>,
}

impl RepositoryListing {
    /// Records a reserved entry of the folder `name`, notes one out of place, and returns a folder to read next.
    fn add_entry(
        &mut self,
        name: &str,
        entry: &OsStr,
        kind: EntryKind,
        notes: &mut Notes,
    ) -> Option<Candidate> {
        let shown = escape_os(entry);
        let path = || format!("{}/{shown}", repository_path(name));
        let part = match &*shown {
            "_layers" => Some(&mut self.layers),
            "_manifests" => Some(&mut self.manifests),
            "_uploads" => Some(&mut self.uploads),
            _ => None,
        };
        // A reserved folder right below `repositories/` belongs to no repository, as that would have no name.
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
            notes.stray(path(), repository_of(name), "no folder of that name belongs into a repository");
            return None;
        }
        match kind {
            EntryKind::Symlink => notes.unread(path(), None, kind.describe()),
            // No server and no collector reads files beside or in a shelved repository; ignore them.
            EntryKind::File | EntryKind::Other if is_shelved(name) => {}
            EntryKind::File | EntryKind::Other => {
                notes.stray(path(), repository_of(name), format!("{} among repositories", kind.describe()));
            }
            EntryKind::Folder if name.len() + entry.len() >= NAME_MAX => {
                notes.unread(path(), None, "nested too deep");
            }
            EntryKind::Folder => {
                let is_exact = entry.to_str().is_some_and(|text| text == shown);
                return Some(Candidate { name: entry.into(), shown, is_exact });
            }
        }
        None
    }
}

/// The state of a folder that a listing showed as `kind`.
fn folder_state(kind: Option<EntryKind>, is_incomplete: bool) -> FolderState {
    match kind {
        Some(EntryKind::Folder) => FolderState::Present,
        Some(EntryKind::Symlink) => FolderState::Unread,
        Some(EntryKind::File | EntryKind::Other) => FolderState::Absent,
        None if is_incomplete => FolderState::Unread,
        None => FolderState::Absent,
    }
}

fn read_repository<F: Folder>(
    folder: &F,
    name: &str,
    is_exact: bool,
    found: &RepositoryListing,
    notes: &mut Notes,
    shared: &ScanShared<'_>,
) {
    let mut repository = Repository::default();
    repository.name = name.into();
    repository.is_legal = is_exact && RepositoryName::new(name).is_ok();
    repository.manifests = folder_state(found.manifests, found.is_incomplete);
    repository.layers_part = folder_state(found.layers, found.is_incomplete);
    // Tags before revisions before layers: the reading order, see `scan`.
    repository.tags_part = repository.manifests;
    repository.revisions_part = repository.manifests;
    let mut tags = ScannedTags::default();
    let mut revisions = ScannedLinks::default();
    if repository.manifests == FolderState::Present {
        note_strays_of_manifests_folder(folder, name, notes);
        tags = read_tags(folder, name, shared.options.strict, notes);
        revisions = read_links(folder, name, LinkKind::Revisions, notes);
        repository.tags_part = tags.folder;
        repository.revisions_part = revisions.folder;
    }
    let mut layers = ScannedLinks::default();
    if repository.layers_part == FolderState::Present {
        layers = read_links(folder, name, LinkKind::Layers, notes);
        repository.layers_part = layers.folder;
    }
    if found.uploads == Some(EntryKind::Folder) {
        repository.uploads = read_uploads(folder, name, notes);
    }
    shared.progress.add_files(tags.file_count() + revisions.links.len() + layers.links.len());

    let mut graph = shared.graph();
    repository.tags = tags.into_entries(&mut graph);
    repository.set_revisions(revisions.into_entries(&mut graph));
    repository.set_layers(layers.into_entries(&mut graph));
    if !repository.is_legal {
        notes.stray(repository_path(name), None, describe_illegal_name(&repository));
    }
    graph.repositories.push(repository);
}

/// Why a repository whose name a registry refuses is a stray.
fn describe_illegal_name(repository: &Repository) -> String {
    let (mut reason, blobs) = if repository.is_shelved() {
        let reason = "a repository that no server lists, for its name starts with _";
        (reason.to_owned(), "; a collection passes by and deletes its blobs")
    } else {
        ("a registry refuses this repository name; its collector aborts on it".to_owned(), "")
    };
    if repository.holds_links() {
        let (tags, manifests) = (repository.tags.len(), repository.revisions().len());
        let (tag, manifest) =
            (if tags == 1 { "tag" } else { "tags" }, if manifests == 1 { "manifest" } else { "manifests" });
        reason += &format!(
            "; it holds {tags} {tag} and {manifests} {manifest}{blobs}; give it a legal name, or move it out of the tree"
        );
    }
    reason
}

/// Notes entries that have no place in `_manifests`.
fn note_strays_of_manifests_folder<F: Folder>(folder: &F, name: &str, notes: &mut Notes) {
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
