//! A registry:2 tree on disk: finding it, reading it without leaving it, and the scan that fills a
//! [`Graph`](crate::graph::Graph). [`crate::audit`] decides what is damage.

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
pub use locate::{LocateError, LocatedRegistries, LocatedRegistry, Product, locate, locate_one};

pub use progress::{Phase, ScanProgress};
pub use registry_processes::{Job, RegistryProcess, is_cache, is_served_as_cache, registry_processes};
pub use scan::ScanOptions;
pub use tree::{DiskFolder, OpenOptions, SchedulerState, Tree};

use std::path::Path;

/// The folder of a file, which need not exist: `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
