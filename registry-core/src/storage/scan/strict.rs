//! The strict pass: opens every folder and checks every entry against the path grammar. It only adds strays, unread paths and
//! temporary files to the graph.

use std::path::Path;
use std::sync::Arc;

use rayon::Scope;

use super::super::folder::{EntryKind, Folder, FolderError, Stat};
use super::elsewhere::is_harmless;
use super::shared::{Notes, ScanShared};
use crate::graph::{TempFile, is_shelved};
use crate::path::Place;
use crate::text::escape_os;

pub(super) fn read_strictly<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    for top in ["blobs", "repositories"] {
        if let Ok(folder) = v2.open(Path::new(top)) {
            rayon::scope(|scope| visit(scope, folder, top.into(), shared));
        }
    }
}

fn visit<'s, F: Folder + 's>(scope: &Scope<'s>, mut folder: F, path: String, shared: &'s ScanShared<'_>) {
    let mut notes = Notes::default();
    let (mut inner, mut temps) = (Vec::new(), Vec::new());
    let folder_place = Place::parse(&path);
    let owner = folder_place.and_then(|place| place.repository());
    let listed = folder.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let entry_path = format!("{path}/{shown}");
        match (kind, Place::parse(&entry_path)) {
            // Below `tags/` they are strays, as a collector that removes untagged manifests aborts at them.
            _ if is_harmless(&shown, kind) && !matches!(folder_place, Some(Place::Tags(_))) => {}
            (EntryKind::File, _) if is_temporary(&shown) => temps.push((entry.to_owned(), entry_path)),
            (EntryKind::Symlink, _) => notes.unread(entry_path, owner, kind.describe()),
            // `repositories` has noted the whole folder.
            (_, Some(Place::Repository(name))) if is_shelved(name) && !leads_to_repository(name, shared) => {}
            (EntryKind::Folder, Some(place)) if !place.is_file() => {
                inner.push((entry.to_owned(), entry_path));
            }
            (EntryKind::File, Some(place)) if place.is_file() => {}
            (EntryKind::File, Some(Place::UploadHashStates(..) | Place::Signature(..))) => {}
            _ => notes.stray(entry_path, owner, format!("{} that has no place here", kind.describe())),
        }
    });
    if let Err(error) = listed {
        notes.unread(&path, owner, &error);
    }
    let mut temp_files = Vec::new();
    for (entry, path) in temps {
        match folder.stat(Path::new(&entry)) {
            Ok(Stat { size: bytes, modified, .. }) => {
                temp_files.push(TempFile { path, bytes, modified, repository: owner.map(Into::into) });
            }
            // The server has renamed it to its final name since it was listed.
            Err(FolderError::NotFound) => {}
            Err(error) => notes.unread(path, owner, error),
        }
    }
    let mut graph = shared.graph();
    graph.temp_files.extend(temp_files);
    notes.add_to(&mut graph);
    drop(graph);
    let folder = Arc::new(folder);
    for (entry, path) in inner {
        let folder = Arc::clone(&folder);
        scope.spawn(move |scope| match folder.open(Path::new(&entry)) {
            Ok(inner) => visit(scope, inner, path, shared),
            Err(error) => {
                let mut notes = Notes::default();
                let owner = Place::parse(&path).and_then(|place| place.repository());
                notes.unread(&path, owner, &error);
                notes.add_to(&mut shared.graph());
            }
        });
    }
}

/// Whether a folder below `repositories/` is a repository, or holds one.
fn leads_to_repository(name: &str, shared: &ScanShared<'_>) -> bool {
    let below = format!("{name}/");
    shared.graph().repositories.iter().any(|found| *found.name == *name || found.name.starts_with(&below))
}

/// Whether a file has the name that `registry` 3.1 writes to before it renames the file: any name, a UUID, `tmp`
/// (`registry/storage/driver/filesystem/driver.go @ v3.1.1`).
fn is_temporary(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".tmp") else { return false };
    let Some((_, uuid)) = stem.rsplit_once('.') else { return false };
    uuid.len() == 36 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::is_temporary;

    #[test]
    fn temporary_file_is_recognised_by_its_name() {
        assert!(is_temporary("link.0190b5c2-7e2c-7d3e-8f1a-2b3c4d5e6f70.tmp"));
        assert!(!is_temporary("link.tmp") && !is_temporary("data") && !is_temporary("a.b.tmp"));
    }
}
