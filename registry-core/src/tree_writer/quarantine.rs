//! The quarantine: where it lies, whether it can be made there, and how it is recognised. [`crate::repair`] moves things into it
//! and purges it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::storage::{DiskFolder, Folder as _, LocatedRegistry, Symlinks, folder_of};

/// The file that marks a quarantine.
pub const MARKER: &str = "quarantine.json";
/// The name of the marker's schema.
pub const SCHEMA: &str = "registry-fsck/quarantine/1";
/// The folder in a rootdirectory in which quarantines are made.
pub(crate) const QUARANTINES_FOLDER: &str = ".registry-fsck";

/// What the file says that marks a quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Marker {
    /// [`SCHEMA`].
    pub schema: String,
    /// The registry's `docker/registry/v2` that its content is from.
    pub tree: String,
    /// When it was made.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub at: Timestamp,
}

impl Marker {
    /// Most bytes of a marker that are read.
    pub(crate) const MAX_BYTES: usize = 64 << 10;

    /// Parses a marker; `None` when the text is no marker.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|marker: &Self| marker.schema == SCHEMA)
    }
}

/// A time as a part of a file name: UTC, to the second.
pub fn time_stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Where a quarantine lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinePlace {
    /// A folder that exists.
    pub base: PathBuf,
    /// The quarantine's path below it, of plain names.
    pub below: String,
}

/// Why there is no place for a quarantine.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// The rootdirectory is not known.
    #[error("it is not known which folder holds docker/registry/v2: name one for what is moved aside")]
    NoRoot,
    /// The quarantine would be part of the registry.
    #[error("{path} lies inside the registry: name a folder outside docker/", path = .0.display())]
    Inside(PathBuf),
    /// Its parent cannot be looked at.
    #[error("cannot use {path} for what is moved aside: {error}", path = .0.display(), error = .1)]
    Unusable(PathBuf, #[source] Arc<io::Error>),
    /// The folder exists and holds something else.
    #[error("{path} is there and is no quarantine: name a folder that is not there, or empty", path = .0.display())]
    Taken(PathBuf),
    /// It is another registry's quarantine.
    #[error("{path} is the quarantine of another registry, {other}: name another folder", path = .0.display(), other = crate::text::escape(.1))]
    Others(PathBuf, String),
    /// Its path cannot be written as text.
    #[error("{path} is no path that can be written down: choose a name in UTF-8 without control characters", path = .0.display())]
    Text(PathBuf),
    /// Renaming does not cross file systems.
    #[error("{path} is on another file system than the registry: things are moved, never copied", path = .0.display())]
    OtherDevice(PathBuf),
}

/// Finds the place of a quarantine: the folder that the user names, or else a new one in the rootdirectory.
///
/// # Errors
/// When a quarantine cannot be made there.
pub fn find_place(
    located: &LocatedRegistry,
    wish: Option<&Path>,
    at: Timestamp,
) -> Result<QuarantinePlace, PlaceError> {
    let v2 = located
        .v2
        .canonicalize()
        .map_err(|error| PlaceError::Unusable(located.v2.clone(), Arc::new(error)))?;
    let place = match wish {
        None => {
            let base = located.root.clone().ok_or(PlaceError::NoRoot)?;
            let mut below = format!("{QUARANTINES_FOLDER}/{}", time_stamp(at));
            let mut number = 1;
            while base.join(&below).symlink_metadata().is_ok() {
                number += 1;
                below = format!("{QUARANTINES_FOLDER}/{}-{number}", time_stamp(at));
            }
            QuarantinePlace { base, below }
        }
        Some(folder) => named_place(folder, &v2)?,
    };
    let unusable = |error| PlaceError::Unusable(place.base.clone(), Arc::new(error));
    let docker = if v2.ends_with("docker/registry/v2") { v2.ancestors().nth(2).unwrap_or(&v2) } else { &v2 };
    if place.base.join(&place.below).starts_with(docker) {
        return Err(PlaceError::Inside(place.base.join(&place.below)));
    }
    if device(&v2).map_err(unusable)? != device(&place.base).map_err(unusable)? {
        return Err(PlaceError::OtherDevice(place.base));
    }
    Ok(place)
}

/// The number of the file system that a path lies on.
#[cfg(unix)]
fn device(path: &Path) -> io::Result<u64> {
    path.metadata().map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata))
}

/// Other systems have no such numbers: there the rename fails.
#[cfg(not(unix))]
fn device(_: &Path) -> io::Result<u64> {
    Ok(0)
}

/// Why this process cannot make a quarantine at its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableError {
    /// This user may not write to the folder that it would be made in.
    #[error("what goes cannot be moved to {path}, which is not writable, or on a read-only file system: name another folder on the same file system", path = .0.display())]
    Denied(PathBuf),
    /// Renaming does not cross file systems.
    #[error("what goes cannot be moved to {path}, which is on another file system than the registry: name a folder on the same one", path = .0.display())]
    OtherDevice(PathBuf),
}

/// Checks, without writing, that a quarantine can be made: looks at the quarantine, or at the nearest folder above it that exists.
///
/// # Errors
/// When it certainly cannot be made.
pub fn check_place(place: &QuarantinePlace, v2: &Path) -> Result<(), UnusableError> {
    let quarantine = place.base.join(&place.below);
    let Some(folder) = quarantine.ancestors().find_map(|folder| folder.canonicalize().ok()) else {
        return Ok(());
    };
    let may_change = DiskFolder::open_root(&folder, Symlinks::Refuse)
        .ok()
        .and_then(|open| open.may_change(Path::new(".")).ok());
    if may_change.flatten() == Some(false) {
        return Err(UnusableError::Denied(folder));
    }
    if let (Ok(of_quarantine), Ok(of_registry)) = (device(&folder), device(v2))
        && of_quarantine != of_registry
    {
        return Err(UnusableError::OtherDevice(folder));
    }
    Ok(())
}

/// The place that the user names: a folder that does not exist, is empty, or is the quarantine of an earlier run on the same tree.
fn named_place(folder: &Path, v2: &Path) -> Result<QuarantinePlace, PlaceError> {
    let unusable = |error| PlaceError::Unusable(folder.into(), Arc::new(error));
    // `components` drops a slash at the end, which would make a symbolic link look like a folder. A path without a last name
    // (`.`, `..`) is resolved.
    let plain: PathBuf = folder.components().collect();
    let plain = if plain.file_name().is_none() { folder.canonicalize().map_err(unusable)? } else { plain };
    let base = folder_of(&plain).canonicalize().map_err(unusable)?;
    // Only the root folder `/` has no name.
    let name = plain.file_name().ok_or_else(|| PlaceError::Taken(folder.into()))?;
    let below = name.to_str().filter(|name| crate::text::escape(name) == *name && base.to_str().is_some());
    let below = below.ok_or_else(|| PlaceError::Text(folder.into()))?;
    match plain.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(PlaceError::Taken(folder.into())),
        Ok(_) => match read_marker(&plain) {
            Ok(marker) if Path::new(&marker.tree) == v2 => {}
            Ok(marker) => return Err(PlaceError::Others(folder.into(), marker.tree)),
            Err(_) if plain.read_dir().map_err(unusable)?.next().is_none() => {}
            Err(_) => return Err(PlaceError::Taken(folder.into())),
        },
    }
    Ok(QuarantinePlace { base, below: below.to_owned() })
}

/// Reads the marker of a quarantine.
pub(crate) fn read_marker(path: &Path) -> io::Result<Marker> {
    use std::io::Read as _;
    let file = path.join(MARKER);
    if !file.symlink_metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(Marker::MAX_BYTES as u64).read_to_end(&mut bytes)?;
    Marker::parse(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
