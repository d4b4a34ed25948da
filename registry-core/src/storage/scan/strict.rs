//! The strict pass: every folder opened, every entry held against the path grammar. It adds strays and temporary
//! files to what the structure pass noted; it changes nothing else.

use std::path::Path;
use std::sync::Arc;

use rayon::Scope;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::elsewhere::is_harmless;
use super::shared::{Notes, ScanShared};
use crate::graph::{TempFile, is_shelved};
use crate::path::Place;
use crate::text::escape_os;

pub(super) fn read<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    for top in ["blobs", "repositories"] {
        if let Ok(folder) = v2.open(Path::new(top)) {
            rayon::scope(|scope| visit(scope, folder, top.into(), shared));
        }
    }
}

fn visit<'s, F: Folder + 's>(scope: &Scope<'s>, mut folder: F, path: String, shared: &'s ScanShared<'_>) {
    let mut notes = Notes::default();
    let (mut inner, mut temps) = (Vec::new(), Vec::new());
    let owner = Place::parse(&path).and_then(|place| place.repository()).map(str::to_owned);
    let owner = owner.as_deref();
    let listed = folder.list(&mut |entry, kind| {
        let shown = escape_os(entry);
        let here = format!("{path}/{shown}");
        match (kind, Place::parse(&here)) {
            // Below `tags/` an untagged collector stops at them: noted where tags were read.
            _ if is_harmless(&shown, kind) && !matches!(Place::parse(&path), Some(Place::Tags(_))) => {}
            (EntryKind::File, _) if is_temporary(&shown) => temps.push((entry.to_owned(), here)),
            (EntryKind::Symlink, _) => notes.unread(here, owner, kind.describe()),
            // Noted as a whole where the repositories were looked for.
            (_, Some(Place::Repository(name))) if is_shelved(name) && !leads_to_repository(name, shared) => {}
            (EntryKind::Folder, Some(place)) if !place.is_file() => inner.push((entry.to_owned(), here)),
            (EntryKind::File, Some(place)) if place.is_file() => {}
            (EntryKind::File, Some(Place::UploadHashStates(..) | Place::Signature(..))) => {}
            _ => notes.stray(here, owner, format!("{} that has no place here", kind.describe())),
        }
    });
    if let Err(error) = listed {
        notes.unread(&path, owner, &error);
    }
    let temps: Vec<_> = temps
        .into_iter()
        .filter_map(|(entry, path)| {
            let stat = match folder.stat(Path::new(&entry)) {
                Ok(stat) => stat,
                // Renamed into its place since it was listed.
                Err(FolderError::NotFound) => return None,
                Err(error) => {
                    notes.unread(path, owner, error);
                    return None;
                }
            };
            Some(TempFile {
                path,
                bytes: stat.size,
                modified: stat.modified,
                repository: owner.map(Into::into),
            })
        })
        .collect();
    let mut graph = shared.graph();
    graph.temp_files.extend(temps);
    notes.hand_over(&mut graph);
    drop(graph);
    let folder = Arc::new(folder);
    for (entry, path) in inner {
        let folder = Arc::clone(&folder);
        scope.spawn(move |scope| match folder.open(Path::new(&entry)) {
            Ok(inner) => visit(scope, inner, path, shared),
            Err(error) => {
                let mut notes = Notes::default();
                let owner = Place::parse(&path).and_then(|place| place.repository()).map(str::to_owned);
                notes.unread(&path, owner.as_deref(), &error);
                notes.hand_over(&mut shared.graph());
            }
        });
    }
}

/// Whether a folder below `repositories/` is a repository, or one lies in it.
fn leads_to_repository(name: &str, shared: &ScanShared<'_>) -> bool {
    let below = format!("{name}/");
    shared.graph().repositories.iter().any(|one| *one.name == *name || one.name.starts_with(&below))
}

/// `link`, `data` or another name, then a UUID, then `tmp`: how `registry` 3.1 writes before it renames
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
    fn temporary_files_are_told_by_their_name() {
        assert!(is_temporary("link.0190b5c2-7e2c-7d3e-8f1a-2b3c4d5e6f70.tmp"));
        assert!(!is_temporary("link.tmp") && !is_temporary("data") && !is_temporary("a.b.tmp"));
    }
}
