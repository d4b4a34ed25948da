//! Deletes a quarantine: the only deletion there is. A folder that is a registry, holds one or lies in one is never deleted, even if
//! it has a marker: somebody may have copied a quarantine, with its marker, back into a registry by hand.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::oci::Hasher;
use crate::path::Place;
use crate::storage::V2;
use crate::tree_writer::{
    LockError, MARKER, Marker, QUARANTINE_SCHEMA, QUARANTINES_FOLDER, lock_registry_of_quarantine,
    read_marker,
};

/// What is, or was, in a quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct QuarantineContent {
    /// Files, the marker apart.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a folder was not purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// It is no quarantine.
    #[error("{path} is no quarantine (it has no {MARKER} of schema {QUARANTINE_SCHEMA}): nothing else is ever deleted", path = .0.display())]
    NoQuarantine(PathBuf),
    /// It is a registry, or part of one.
    #[error(
        "{path} belongs to a registry ({why}), so it is not deleted: only what was moved aside ever is; a {MARKER} that came there by hand can be removed",
        path = .0.display(), why = .1
    )]
    Registry(PathBuf, String),
    /// Another process is changing the registry of the quarantine.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something in it could not be read or removed.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Counts what is in a quarantine.
///
/// # Errors
/// When the folder is no quarantine, or belongs to a registry, or cannot be read.
pub fn count_content(path: &Path) -> Result<QuarantineContent, PurgeError> {
    let path = &*without_trailing_slash(path);
    inspect(path, &quarantine_marker(path)?)
}

/// A path without a slash at its end: with one a symbolic link would look like a folder.
fn without_trailing_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The marker of a quarantine; without one a folder is none.
fn quarantine_marker(path: &Path) -> Result<Marker, PurgeError> {
    let is_folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    match read_marker(path) {
        Ok(marker) if is_folder => Ok(marker),
        _ => Err(PurgeError::NoQuarantine(path.into())),
    }
}

/// Counts what is in a quarantine, and makes sure that it does not belong to a registry.
fn inspect(path: &Path, marker: &Marker) -> Result<QuarantineContent, PurgeError> {
    let registry = |why: String| PurgeError::Registry(path.into(), why);
    let real = path.canonicalize().map_err(|error| PurgeError::Io(path.into(), error))?;
    if let Some(why) = registry_around(&real, Path::new(&marker.tree)) {
        return Err(registry(why));
    }
    let mut content = QuarantineContent::default();
    for entry in walkdir::WalkDir::new(path).follow_links(false).min_depth(1) {
        let io = |error: walkdir::Error| PurgeError::Io(path.into(), error.into());
        let entry = entry.map_err(io)?;
        let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
        if let Some(why) = registry_inside(&real, below, entry.file_type()) {
            return Err(registry(why));
        }
        if entry.file_type().is_dir() || entry.depth() == 1 && entry.file_name() == MARKER {
            continue;
        }
        if is_intact_blob(below, entry.path()).map_err(|error| PurgeError::Io(entry.path().into(), error))? {
            return Err(registry(format!("{} holds what its digest says", below.display())));
        }
        content.files += 1;
        content.bytes += entry.metadata().map_err(io)?.len();
    }
    Ok(content)
}

/// Why the place of a folder shows that it belongs to a registry, if it does.
fn registry_around(real: &Path, tree: &Path) -> Option<String> {
    let is_part_of = |other: &Path| other.starts_with(real) || real.starts_with(other);
    // A tree that no longer exists under this path does not lie here.
    if tree.canonicalize().is_ok_and(|tree| is_part_of(&tree)) {
        return Some(format!("the {MARKER} in it is of {}", tree.display()));
    }
    let lies_in = real.ancestors().find(|folder| folder.ends_with(V2))?;
    Some(format!("it lies in {}", lies_in.display()))
}

/// Why an entry of a folder shows that the folder belongs to a registry, if it does. Names below `blobs` and `repositories` show
/// nothing: a repository may have any name.
fn registry_inside(real: &Path, below: &Path, kind: std::fs::FileType) -> Option<String> {
    let is_top = |name: &str| below == Path::new(name);
    if kind.is_symlink() && (is_top("blobs") || is_top("repositories")) {
        return Some(format!("{} is a symbolic link", below.display()));
    }
    let is_inner = below.starts_with("blobs") || below.starts_with("repositories");
    let is_registry = kind.is_dir() && !is_inner && real.join(below).ends_with(V2);
    is_registry.then(|| format!("it holds {}", below.display()))
}

/// Whether this is a blob whose bytes hash to its digest: a repair never moves such a blob.
fn is_intact_blob(below: &Path, path: &Path) -> io::Result<bool> {
    let Some(Place::BlobData(digest)) = below.to_str().and_then(Place::parse) else { return Ok(false) };
    if !path.symlink_metadata()?.is_file() {
        return Ok(false);
    }
    let mut hasher = Hasher::new(digest.algorithm());
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finish() == digest)
}

/// Deletes a quarantine with everything in it. Symbolic links in it are removed, not followed. The registry's lock is held
/// meanwhile.
///
/// # Errors
/// When the folder is no quarantine, or belongs to a registry, or another process changes that registry, or something in it cannot
/// be deleted. The marker is deleted last, so that the purge can be repeated.
pub fn purge(path: &Path) -> Result<QuarantineContent, PurgeError> {
    let path = &*without_trailing_slash(path);
    let marker = quarantine_marker(path)?;
    let _lock = lock_registry_of_quarantine(Path::new(&marker.tree))?;
    let content = inspect(path, &marker)?;
    let io = |error: io::Error| PurgeError::Io(path.into(), error);
    for entry in path.read_dir().map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_name() == MARKER {
            continue;
        }
        let is_folder = entry.file_type().map_err(io)?.is_dir();
        let path = entry.path();
        if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.map_err(io)?;
    }
    std::fs::remove_file(path.join(MARKER)).map_err(io)?;
    std::fs::remove_dir(path).map_err(io)?;
    // The home of all quarantines is removed with the last one.
    if let Some(home) = path.parent().filter(|home| home.ends_with(QUARANTINES_FOLDER)) {
        let _ = std::fs::remove_dir(home);
    }
    Ok(content)
}
