//! The quarantine: where it lies, how it is recognised, and the one real deletion. Moving into it is a step's matter.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::storage::Located;

/// The file that marks a quarantine.
pub const MARKER: &str = "quarantine.json";
/// The name of the marker's shape.
pub const SCHEMA: &str = "registry-fsck/quarantine/1";
/// The folder in a rootdirectory that quarantines are made in.
const HOME: &str = ".registry-fsck";

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

/// A time as it is written into names: UTC, to the second.
pub fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Where a quarantine lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A folder that is there.
    pub base: PathBuf,
    /// The quarantine's own path below it, of plain names.
    pub below: String,
}

/// Why there is no place for a quarantine.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The rootdirectory is not known.
    #[error(
        "it is not known which folder holds docker/registry/v2: name one for what is moved aside with --quarantine"
    )]
    NoRoot,
    /// It would be part of the registry.
    #[error("{path} lies inside the registry: name a folder outside docker/", path = .0.display())]
    Inside(PathBuf),
    /// Its parent cannot be looked at.
    #[error("cannot use {path} for what is moved aside: {error}", path = .0.display(), error = .1)]
    Unusable(PathBuf, #[source] io::Error),
    /// It holds something else.
    #[error("{path} is there and is no quarantine: name a folder that is not there, or empty", path = .0.display())]
    Taken(PathBuf),
    /// Its path is no text.
    #[error("{path} is no path that can be written down: choose a name in UTF-8 without control characters", path = .0.display())]
    Text(PathBuf),
    /// Renaming does not cross file systems.
    #[error("{path} is on another file system than the registry: things are moved, never copied", path = .0.display())]
    OtherDevice(PathBuf),
}

/// Finds the place: the folder that is wished for, else one of its own in the rootdirectory.
///
/// # Errors
/// When it cannot be there.
pub fn place(located: &Located, wish: Option<&Path>, at: Timestamp) -> Result<Place, PlaceError> {
    let place = match wish {
        None => {
            let base = located.root.clone().ok_or(PlaceError::NoRoot)?;
            let mut below = format!("{HOME}/{}", stamp(at));
            let mut number = 1;
            while base.join(&below).symlink_metadata().is_ok() {
                number += 1;
                below = format!("{HOME}/{}-{number}", stamp(at));
            }
            Place { base, below }
        }
        Some(wish) => wished(wish)?,
    };
    let unusable = |error| PlaceError::Unusable(place.base.clone(), error);
    let v2 = located.v2.canonicalize().map_err(unusable)?;
    let docker = if v2.ends_with("docker/registry/v2") { v2.ancestors().nth(2).unwrap_or(&v2) } else { &v2 };
    if place.base.join(&place.below).starts_with(docker) {
        return Err(PlaceError::Inside(place.base.join(&place.below)));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev());
        if device(&v2).map_err(unusable)? != device(&place.base).map_err(unusable)? {
            return Err(PlaceError::OtherDevice(place.base));
        }
    }
    Ok(place)
}

/// The place that a user names: absent, empty, or a quarantine of an earlier run.
fn wished(wish: &Path) -> Result<Place, PlaceError> {
    let unusable = |error| PlaceError::Unusable(wish.into(), error);
    let parent = wish.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = parent.canonicalize().map_err(unusable)?;
    let name = wish.file_name().and_then(|name| name.to_str());
    let below = name
        .filter(|name| crate::text::escape(name) == *name)
        .ok_or_else(|| PlaceError::Text(wish.into()))?;
    match wish.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
        Ok(metadata) if !metadata.is_dir() => return Err(PlaceError::Taken(wish.into())),
        Ok(_) => {
            let is_empty = wish.read_dir().map_err(unusable)?.next().is_none();
            if !is_empty && marker(wish).is_err() {
                return Err(PlaceError::Taken(wish.into()));
            }
        }
    }
    Ok(Place { base, below: below.to_owned() })
}

/// Reads the marker of a quarantine.
fn marker(path: &Path) -> io::Result<Marker> {
    use std::io::Read as _;
    let file = path.join(MARKER);
    if !file.symlink_metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = String::new();
    std::fs::File::open(file)?.take(64 << 10).read_to_string(&mut text)?;
    let marker: Marker = serde_json::from_str(&text)?;
    if marker.schema == SCHEMA { Ok(marker) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// What is, or was, in a quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Content {
    /// Files, the marker apart.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a quarantine was not purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// It is none.
    #[error("{path} is no quarantine (it has no {MARKER} of schema {SCHEMA}): nothing else is ever deleted", path = .0.display())]
    NoQuarantine(PathBuf),
    /// It could not be looked at or removed as a whole.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, #[source] io::Error),
}

/// What is in a quarantine.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn content(path: &Path) -> Result<Content, PurgeError> {
    let is_plain = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_plain || marker(path).is_err() {
        return Err(PurgeError::NoQuarantine(path.into()));
    }
    let mut content = Content::default();
    for entry in walkdir::WalkDir::new(path).follow_links(false).min_depth(1) {
        let io = |error: walkdir::Error| PurgeError::Io(path.into(), error.into());
        let entry = entry.map_err(io)?;
        if entry.file_type().is_dir() || entry.depth() == 1 && entry.file_name() == MARKER {
            continue;
        }
        content.files += 1;
        content.bytes += entry.metadata().map_err(io)?.len();
    }
    Ok(content)
}

/// Deletes a quarantine with all that is in it, for good. Symbolic links in it are removed, not followed.
///
/// # Errors
/// When it is none, or something in it cannot be deleted; the marker goes last, so that it can be tried again.
pub fn purge(path: &Path) -> Result<Content, PurgeError> {
    let content = content(path)?;
    let io = |error: io::Error| PurgeError::Io(path.into(), error);
    for entry in path.read_dir().map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_name() == MARKER {
            continue;
        }
        let is_folder = entry.file_type().map_err(io)?.is_dir();
        let removed = if is_folder {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        removed.map_err(io)?;
    }
    std::fs::remove_file(path.join(MARKER)).map_err(io)?;
    std::fs::remove_dir(path).map_err(io)?;
    // The home of all quarantines goes with the last one.
    if let Some(home) = path.parent().filter(|home| home.ends_with(HOME)) {
        let _ = std::fs::remove_dir(home);
    }
    Ok(content)
}
