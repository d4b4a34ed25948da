//! The reasons for which a writer refuses to open a tree or to begin with its changes.

use std::io;
use std::path::PathBuf;

use super::lock::LockError;
use super::quarantine::PlaceError;
use crate::storage::{FolderError, RegistryProcess};

/// Why nothing of a tree is changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteRefusal {
    /// A collector is at work on the tree.
    #[error("{}", collector_message(.0))]
    Collector(RegistryProcess),
    /// A server that is not read-only is at work on the tree.
    #[error("{} (process {}) is at work on this tree: stop it", .0.program, .0.pid)]
    Server(RegistryProcess),
    /// The lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no place for what is moved aside.
    #[error(transparent)]
    Quarantine(#[from] PlaceError),
    /// The journal would lie in the tree that it describes.
    #[error("the journal {} would lie inside the registry: name another place", crate::text::escape_os(.0.as_os_str()))]
    JournalInside(PathBuf),
    /// A folder cannot be opened.
    #[error("cannot open {path}: {error}", path = .0.display(), error = .1)]
    Open(PathBuf, #[source] io::Error),
    /// The registry that a journal names cannot be opened.
    #[error("cannot open the registry of this journal, {tree}: {error}", tree = crate::text::escape(&.0.to_string_lossy()), error = .1)]
    Reopen(PathBuf, #[source] FolderError),
    /// The journal cannot be created, or its first line cannot be synced.
    #[error("{0}")]
    Journal(#[source] io::Error),
}

fn collector_message(collector: &RegistryProcess) -> String {
    let RegistryProcess { program, pid, doubt, .. } = collector;
    match doubt {
        None => {
            format!("{program} (process {pid}) is collector_message garbage on this tree: wait for its end")
        }
        Some(why) => format!(
            "{program} (process {pid}) is collector_message garbage, on this tree or another ({why}): wait for its end, or look as \
             root to tell"
        ),
    }
}
