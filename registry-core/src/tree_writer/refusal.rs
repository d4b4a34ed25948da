//! Why a tree is not changed at all.

use std::io;
use std::path::PathBuf;

use super::lock::LockError;
use super::quarantine::PlaceError;
use crate::storage::{FolderError, Serving};

/// Why a tree is not changed at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteRefusal {
    /// A collector is at work on the tree.
    #[error("{}", collecting(.0))]
    Collector(Serving),
    /// A server that writes is at work on the tree.
    #[error("{} (process {}) is at work on this tree: stop it", .0.program, .0.pid)]
    Server(Serving),
    /// The lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no place for what is moved aside.
    #[error(transparent)]
    Quarantine(#[from] PlaceError),
    /// The journal would lie in the tree that it tells of.
    #[error("the journal {} would lie inside the registry: name another place", crate::text::escape_os(.0.as_os_str()))]
    JournalInside(PathBuf),
    /// A folder cannot be opened.
    #[error("cannot open {path}: {error}", path = .0.display(), error = .1)]
    Open(PathBuf, #[source] io::Error),
    /// The registry that a journal names cannot be opened.
    #[error("cannot open the registry of this journal, {tree}: {error}", tree = crate::text::escape(&.0.to_string_lossy()), error = .1)]
    Reopen(PathBuf, #[source] FolderError),
    /// The journal cannot be made, or its first line cannot be made safe.
    #[error("{0}")]
    Journal(#[source] io::Error),
}

fn collecting(collector: &Serving) -> String {
    let Serving { program, pid, doubt, .. } = collector;
    match doubt {
        None => format!("{program} (process {pid}) is collecting garbage on this tree: wait for its end"),
        Some(why) => format!(
            "{program} (process {pid}) is collecting garbage, on this tree or another ({why}): wait for its end, or look as \
             root to tell"
        ),
    }
}
