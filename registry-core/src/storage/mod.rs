//! A registry:2 tree on disk: where things lie, how they are read without leaving the tree, and the scan that fills a
//! [`Graph`](crate::graph::Graph). Decides nothing: what is damage is [`crate::audit`]'s matter.

#[doc(hidden)]
pub mod edit;
mod folder;
mod locate;

mod progress;
mod registry_processes;
mod scan;
pub(crate) mod scheduler_state;
mod tree;

#[cfg(target_os = "linux")]
pub use folder::FdFolder;
pub use folder::{EntryKind, Folder, FolderError, PathFolder, Result as FolderResult, Stat, Symlinks};
pub(crate) use locate::V2;
pub use locate::{LocateError, Located, LocatedRegistries, Product, locate, locate_one};

pub use progress::{Phase, ScanProgress};
pub use registry_processes::{Job, Serving, is_cache, registry_processes, serves_cache};
pub use scan::ScanOptions;
pub use tree::{DiskFolder, OpenOptions, SchedulerState, Tree};

use std::path::Path;

/// The folder that a file lies in, or would be made in: for a bare name, the current one.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
