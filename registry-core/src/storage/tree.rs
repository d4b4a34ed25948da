//! One registry, open for reading.

use std::io;
use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::folder::{EntryKind, Folder, Symlinks};
use super::locate::{LocateError, Located, locate_one};
use super::progress::ScanProgress;
use super::scan::{self, ScanOptions};
use super::scheduler_state;
use crate::graph::{Graph, Oddities, Recheck, SchedulerFault};
use crate::text::escape_os;

/// The best folder of this system.
#[cfg(target_os = "linux")]
pub type DiskFolder = super::folder::FdFolder;
/// The best folder of this system.
#[cfg(not(target_os = "linux"))]
pub type DiskFolder = super::folder::PathFolder;

/// How a tree is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Whether symbolic links to folders below the root are followed.
    pub symlinks: Symlinks,
    /// How many requests to the file system are under way at once; 0 takes 8 a processor, at least 16: disks and
    /// networks answer many at once, and a warm cache does not mind.
    pub jobs: usize,
}

/// Whether the rootdirectory of a tree holds the `scheduler-state.json` of a pull-through cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SchedulerState {
    /// It does not.
    #[default]
    Absent,
    /// It does, so the tree is a cache.
    Present,
}

/// A registry, open for reading: its `docker/registry/v2`.
#[derive(Debug)]
pub struct Tree<F> {
    name: Box<str>,
    pub(crate) v2: F,
    pub(super) pool: ThreadPool,
    waits: bool,
    /// Its rootdirectory, when it is known.
    root: Option<F>,
    /// What the caller says where `root` is not known.
    scheduler_state: SchedulerState,
}

impl Tree<DiskFolder> {
    /// Opens a registry on disk.
    ///
    /// # Errors
    /// When its folder cannot be opened, or no thread be started.
    pub fn open(located: &Located, options: &OpenOptions) -> io::Result<Self> {
        let v2 = DiskFolder::open_root(&located.v2, options.symlinks)?;
        let name = escape_os(located.name.as_os_str());
        let mut tree = Self::from_folder(&name, v2, SchedulerState::Absent, options.jobs)?;
        if let Some(root) = &located.root {
            tree.root = Some(DiskFolder::open_root(root, Symlinks::Refuse)?);
        }
        Ok(tree)
    }

    /// Opens the one registry at or below `path`, with the default [`OpenOptions`] and [waiting for
    /// writers](Tree::waiting_for_writers). [`locate`](super::locate()) finds several.
    ///
    /// # Errors
    /// When there is no registry, or more than one, or its folder cannot be opened.
    pub fn open_at(path: impl AsRef<Path>) -> Result<Self, LocateError> {
        let located = locate_one(path)?;
        match Self::open(&located, &OpenOptions::default()) {
            Ok(tree) => Ok(tree.waiting_for_writers()),
            Err(error) => Err(LocateError::Unreadable(located.name, error)),
        }
    }
}

/// Why a server does not start with the state in a rootdirectory. What this process may not read, or is too large, is not judged:
/// nothing of an image depends on it.
fn read_state(root: &impl Folder) -> Option<SchedulerFault> {
    let mut bytes = Vec::new();
    let stat =
        root.read(Path::new(scheduler_state::NAME), scheduler_state::MAX_BYTES + 1, &mut bytes).ok()?;
    let is_whole = stat.kind == EntryKind::File && bytes.len() <= scheduler_state::MAX_BYTES;
    is_whole.then(|| scheduler_state::fault(&bytes)).flatten()
}

impl<F: Folder> Tree<F> {
    /// Takes a folder that holds what `docker/registry/v2` holds, from any source. `name` is what reports call the registry;
    /// `jobs` is that of [`OpenOptions`].
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn from_folder(name: &str, v2: F, scheduler_state: SchedulerState, jobs: usize) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let jobs = if jobs == 0 { (cores * 8).clamp(16, 128) } else { jobs.min(1024) };
        let pool = ThreadPoolBuilder::new()
            .num_threads(jobs)
            .thread_name(|number| format!("walk-{number}"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { name: name.into(), v2, pool, waits: false, root: None, scheduler_state })
    }

    /// The same, waiting for writers: where a second look finds what a deletion or a push leaves on its way, it is looked at again
    /// for some 2 seconds ([`Folder::wait`]). For a tree that a server may be at work on.
    #[must_use]
    pub fn waiting_for_writers(mut self) -> Self {
        self.waits = true;
        self
    }

    /// What reports call the registry: for one on disk its path, as it was given, with unprintable characters escaped.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry's `docker/registry/v2`, for what a scan does not keep.
    pub const fn folder(&self) -> &F {
        &self.v2
    }

    /// Reads everything that the audit needs: one read of each link and manifest, one look at each blob.
    /// What cannot be read is noted in the graph; this never fails.
    pub fn scan(&self, options: &ScanOptions<'_>, progress: &ScanProgress) -> Graph {
        self.pool.install(|| {
            let (is_there, fault) = self.scheduler_state();
            let mut graph = scan::scan(&self.v2, options, progress);
            // A server writes the file in its place, empty at first (`registry/storage/driver/filesystem/driver.go @ v2.8.3`): what
            // it does not say a second time was a write under way.
            (graph.has_scheduler_state, graph.scheduler_fault) =
                if fault.is_some() { self.scheduler_state() } else { (is_there, None) };
            graph
        })
    }

    /// Whether the rootdirectory holds the state of a cache's scheduler, and why no server starts with it.
    fn scheduler_state(&self) -> (bool, Option<SchedulerFault>) {
        let Some(root) = &self.root else { return (self.scheduler_state == SchedulerState::Present, None) };
        match root.stat(Path::new(scheduler_state::NAME)).ok().map(|stat| stat.kind) {
            Some(EntryKind::File) => (true, read_state(root)),
            Some(EntryKind::Folder) => (false, Some(SchedulerFault::NoFile)),
            _ => (false, None),
        }
    }

    /// Reads again what a question doubts, and puts what is found into the graph.
    pub fn settle(&self, graph: &mut Graph, doubts: &[Recheck], progress: &ScanProgress) {
        self.pool.install(|| scan::recheck(&self.v2, graph, doubts, self.waits, progress));
    }

    /// Looks into what a scan noted as out of place, for what a collector would make of it. Of the rest it opens only what
    /// links name as manifests and nobody else needed to read, and the signatures of schema 1.
    pub fn oddities(&self, graph: &mut Graph, progress: &ScanProgress) -> Oddities {
        self.pool.install(|| scan::oddities(&self.v2, graph, progress))
    }

    /// Runs something that works side by side on as many threads as this tree is read with.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}
