//! Finds the registries that a path names: a rootdirectory, its `docker/registry/v2`, or a folder of several registries.

mod foreign;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

pub use foreign::Product;

use super::folder::Symlinks;

/// The folder below its rootdirectory in which a registry keeps everything.
pub(crate) const V2: &str = "docker/registry/v2";
/// How many levels below a folder the search for registries goes.
const MAX_DEPTH: usize = 4;
/// Most folders that are searched for registries.
const MAX_FOLDERS: usize = 20_000;

/// A registry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedRegistry {
    /// The path to show: the given path, then the path of the registry below it.
    pub name: PathBuf,
    /// Its `docker/registry/v2`.
    pub v2: PathBuf,
    /// Its rootdirectory, if known. A pull-through cache keeps `scheduler-state.json` there.
    pub root: Option<PathBuf>,
}

/// Why no registry was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// The path itself cannot be looked at.
    #[error("cannot open {path}: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, #[source] io::Error),
    /// The path is no folder.
    #[error("{path} is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)", path = .0.display())]
    NoFolder(PathBuf),
    /// There is no registry at or below the path.
    #[error(
        "no registry in {path}: looked for docker/registry/v2, for blobs and repositories, and in folders up to {MAX_DEPTH} levels below for docker/registry/v2",
        path = .0.display()
    )]
    Nothing(PathBuf),
    /// The search ended at the limit of folders.
    #[error("more than {MAX_FOLDERS} folders below {path}: name the registries themselves", path = .0.display())]
    TooMany(PathBuf),
    /// A symbolic link is in the place of a folder of the registry.
    #[error(
        "{path} is a symbolic link, which is not followed: name the folder with blobs and repositories that it leads to",
        path = .0.display()
    )]
    Symlink(PathBuf),
    /// The storage of another product.
    #[error("{path} is not the storage of a registry: {product}", path = .0.display(), product = .1)]
    Foreign(PathBuf, Product),
    /// The path holds this many registries, and one was asked for.
    #[error("{path} holds {count} registries: name one of them", path = .0.display(), count = .1)]
    Several(PathBuf, usize),
}

/// The registries that a path names.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LocatedRegistries {
    /// Those that can be opened, ordered by path.
    pub registries: Vec<LocatedRegistry>,
    /// Places where a registry is, or may be, that cannot be opened, and storage of other products. Never empty when
    /// `registries` is.
    pub errors: Vec<LocateError>,
}

/// Finds the registries that `path` means. Symbolic links in `path` itself are followed; below it as `symlinks` says.
pub fn locate(path: &Path, symlinks: Symlinks) -> LocatedRegistries {
    let single = |found: Result<Option<LocatedRegistry>, LocateError>| match found {
        Ok(Some(located)) => Some(LocatedRegistries { registries: vec![located], errors: Vec::new() }),
        Ok(None) => None,
        Err(error) => Some(LocatedRegistries { registries: Vec::new(), errors: vec![error] }),
    };
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) => {
            return LocatedRegistries {
                registries: Vec::new(),
                errors: vec![LocateError::Unreadable(path.into(), error)],
            };
        }
    };
    if let Some(found) = single(registry_at(path, &real, symlinks)) {
        return found;
    }
    let mut found = find_below(path, &real, symlinks);
    if found.registries.is_empty() && found.errors.is_empty() {
        found.errors.push(match foreign::product_in_folder(&real) {
            Some((place, product)) => {
                let below = place.strip_prefix(&real).unwrap_or(Path::new(""));
                LocateError::Foreign(join_shown(path, below), product)
            }
            None => LocateError::Nothing(path.into()),
        });
    }
    found
}

/// Finds the one registry that `path` means. Symbolic links in `path` itself are followed, and none below it.
///
/// # Errors
/// When there is none, or more than one.
pub fn locate_one(path: impl AsRef<Path>) -> Result<LocatedRegistry, LocateError> {
    let path = path.as_ref();
    let mut found = locate(path, Symlinks::Refuse);
    if let Some(error) = found.errors.pop() {
        return Err(error);
    }
    match (found.registries.pop(), found.registries.len()) {
        (Some(located), 0) => Ok(located),
        (_, others) => Err(LocateError::Several(path.into(), others + 1)),
    }
}

/// The registry at the path itself.
fn registry_at(path: &Path, real: &Path, symlinks: Symlinks) -> Result<Option<LocatedRegistry>, LocateError> {
    if !real.is_dir() {
        return Err(LocateError::NoFolder(path.into()));
    }
    std::fs::read_dir(real).map_err(|error| LocateError::Unreadable(path.into(), error))?;
    if let Some(v2) = v2_of_rootdirectory(real, symlinks)? {
        return refuse_foreign(LocatedRegistry { name: path.into(), v2, root: Some(real.into()) }).map(Some);
    }
    if real.join("blobs").is_dir() || real.join("repositories").is_dir() || real.ends_with(V2) {
        let root = rootdirectory_of(real).map(Path::to_path_buf);
        return refuse_foreign(LocatedRegistry { name: path.into(), v2: real.into(), root }).map(Some);
    }
    Ok(None)
}

/// The rootdirectory of a `docker/registry/v2`; `None` where the path does not end so.
pub(crate) fn rootdirectory_of(v2: &Path) -> Option<&Path> {
    v2.ends_with(V2).then(|| v2.ancestors().nth(3)).flatten()
}

/// Refuses a tree that is another product's storage.
fn refuse_foreign(located: LocatedRegistry) -> Result<LocatedRegistry, LocateError> {
    match foreign::product_of_tree(&located.v2) {
        Some(product) => Err(LocateError::Foreign(located.name, product)),
        None => Ok(located),
    }
}

/// Joins a path as it was given with a path below it, which may be empty.
fn join_shown(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.into() } else { path.join(below) }
}

/// The `docker/registry/v2` of a rootdirectory.
fn v2_of_rootdirectory(root: &Path, symlinks: Symlinks) -> Result<Option<PathBuf>, LocateError> {
    let mut at = root.to_path_buf();
    for part in V2.split('/') {
        at.push(part);
        match at.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LocateError::Unreadable(at, error)),
            Ok(metadata) if metadata.is_symlink() && symlinks == Symlinks::Refuse => {
                return Err(LocateError::Symlink(at));
            }
            Ok(_) if at.is_dir() => {}
            Ok(_) => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Registries in the folders below a path, breadth first. A folder that cannot be looked into is an error.
fn find_below(name: &Path, root: &Path, symlinks: Symlinks) -> LocatedRegistries {
    let mut found = LocatedRegistries::default();
    let mut queue = VecDeque::from([(PathBuf::new(), 0)]);
    let mut looked = 0;
    while let Some((below, depth)) = queue.pop_front() {
        looked += 1;
        let folder = root.join(&below);
        if foreign::is_minio_disk(&folder) {
            found.errors.push(LocateError::Foreign(join_shown(name, &below), Product::Minio));
            continue;
        }
        match v2_of_rootdirectory(&folder, symlinks) {
            Ok(Some(v2)) => {
                match refuse_foreign(LocatedRegistry { name: name.join(&below), v2, root: Some(folder) }) {
                    Ok(located) => found.registries.push(located),
                    Err(error) => found.errors.push(error),
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                found.errors.push(error);
                continue;
            }
        }
        if depth == MAX_DEPTH {
            continue;
        }
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                found.errors.push(LocateError::Unreadable(folder, error));
                continue;
            }
        };
        for entry in entries.flatten() {
            if looked + queue.len() > MAX_FOLDERS {
                found.errors.push(LocateError::TooMany(name.into()));
                queue.clear();
                break;
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push_back((below.join(entry.file_name()), depth + 1)),
                Ok(kind) if kind.is_symlink() && path.join(V2).is_dir() => {
                    if symlinks == Symlinks::Follow {
                        queue.push_back((below.join(entry.file_name()), depth + 1));
                    } else {
                        found.errors.push(LocateError::Symlink(path));
                    }
                }
                _ => {}
            }
        }
    }
    found.registries.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(paths: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in paths {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        folder
    }

    fn names(root: &Path) -> Vec<String> {
        let found = locate(root, Symlinks::Refuse);
        assert!(found.errors.is_empty());
        found
            .registries
            .iter()
            .map(|located| located.name.strip_prefix(root).unwrap().display().to_string())
            .collect()
    }

    fn error(root: &Path) -> String {
        locate(root, Symlinks::Refuse).errors[0].to_string().replace(&*root.to_string_lossy(), "ROOT")
    }

    #[test]
    fn rootdirectory_its_v2_and_folder_of_several_are_located() {
        let one = folder(&["docker/registry/v2/blobs"]);
        assert_eq!(names(one.path()), [""]);
        let v2 = locate(&one.path().join("docker/registry/v2"), Symlinks::Refuse);
        assert_eq!(v2.registries[0].root.as_deref(), Some(one.path().canonicalize().unwrap().as_path()));
        let several = folder(&["b/data/docker/registry/v2", "a/docker/registry/v2", "c"]);
        assert_eq!(names(several.path()), ["a", "b/data"]);
    }

    #[test]
    fn errors_say_what_was_looked_for() {
        let foreign = folder(&["etc"]);
        insta::assert_snapshot!(error(foreign.path()), @"no registry in ROOT: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2");
        insta::assert_snapshot!(error(&foreign.path().join("gone")).replace(&*foreign.path().to_string_lossy(), "…"), @"cannot open ROOT: No such file or directory (os error 2)");
        let file = foreign.path().join("file");
        std::fs::write(&file, "").unwrap();
        insta::assert_snapshot!(error(&file), @"ROOT is no folder: name the rootdirectory of a registry (the one that holds docker/registry/v2)");
    }

    #[cfg(unix)]
    #[test]
    fn registry_behind_a_symlink_is_an_error_beside_those_found() {
        let root = folder(&["a/docker/registry/v2", "b/elsewhere/registry/v2"]);
        std::os::unix::fs::symlink(root.path().join("b/elsewhere"), root.path().join("b/docker")).unwrap();
        let found = locate(root.path(), Symlinks::Refuse);
        assert_eq!((found.registries.len(), found.errors.len()), (1, 1));
        assert_eq!(locate(root.path(), Symlinks::Follow).registries.len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn symlink_in_the_place_of_a_folder_is_named() {
        let root = folder(&["elsewhere/registry/v2"]);
        std::os::unix::fs::symlink(root.path().join("elsewhere"), root.path().join("docker")).unwrap();
        insta::assert_snapshot!(error(root.path()), @"ROOT/docker is a symbolic link, which is not followed: name the folder with blobs and repositories that it leads to");
        assert_eq!(locate(root.path(), Symlinks::Follow).registries.len(), 1);
    }
}
