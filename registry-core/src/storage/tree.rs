//! One registry, open for reading.

use std::io;
use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::folder::{EntryKind, Folder, Symlinks};
use super::locate::{LocateError, LocatedRegistry, locate_one};
use super::progress::ScanProgress;
use super::scan::{self, ScanOptions};
use super::scheduler_state;
use crate::graph::{Graph, Oddities, Recheck, SchedulerFault};
use crate::text::escape_os;

/// The safest implementation of [`Folder`] on this system.
#[cfg(target_os = "linux")]
pub type DiskFolder = super::folder::FdFolder;
/// The safest implementation of [`Folder`] on this system.
#[cfg(not(target_os = "linux"))]
pub type DiskFolder = super::folder::PathFolder;

/// How a tree is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// Whether symbolic links to folders below the root are followed.
    pub symlinks: Symlinks,
    /// How many requests to the file system are under way at once. 0 means 8 for each processor, at least 16: disks and
    /// networks answer many requests at once, and a warm cache is not slower with more.
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
    waits_for_writers: bool,
    /// Its rootdirectory, if known.
    root: Option<F>,
    /// What the caller says where `root` is not known.
    scheduler_state: SchedulerState,
    reads: Reads<F>,
}

/// The walks of a tree. They are generic over the folder; as pointers those of [`DiskFolder`] are compiled with this crate, and
/// not anew, perhaps without optimisation, in every program that opens a tree.
#[derive(Debug)]
struct Reads<F> {
    scan: fn(&F, &ScanOptions<'_>, &ScanProgress) -> Graph,
    recheck: fn(&F, &mut Graph, &[Recheck], bool, &ScanProgress),
    oddities: fn(&F, &mut Graph, &ScanProgress) -> Oddities,
}

impl Tree<DiskFolder> {
    /// Opens a registry on disk.
    ///
    /// # Errors
    /// When its folder cannot be opened, or no thread can be started.
    pub fn open(located: &LocatedRegistry, options: &OpenOptions) -> io::Result<Self> {
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

/// Why a server does not start with the scheduler state in a rootdirectory. A file that cannot be read, or is too large, is no
/// fault: no image depends on it.
fn read_scheduler_fault(root: &impl Folder) -> Option<SchedulerFault> {
    let mut bytes = Vec::new();
    let stat =
        root.read(Path::new(scheduler_state::FILE_NAME), scheduler_state::MAX_BYTES + 1, &mut bytes).ok()?;
    let is_whole = stat.kind == EntryKind::File && bytes.len() <= scheduler_state::MAX_BYTES;
    is_whole.then(|| scheduler_state::find_fault(&bytes)).flatten()
}

impl<F: Folder> Tree<F> {
    /// Opens a folder of any source that holds what `docker/registry/v2` holds. `name` is what reports call the registry;
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
        let reads = Reads { scan: scan::scan, recheck: scan::recheck, oddities: scan::oddities };
        Ok(Self { name: name.into(), v2, pool, waits_for_writers: false, root: None, scheduler_state, reads })
    }

    /// Makes [`Tree::recheck`] wait for writers: where it finds what a deletion or a push leaves half done, it looks again, for
    /// some 2 seconds ([`Folder::wait`]). For a tree that a server may be writing to.
    #[must_use]
    pub fn waiting_for_writers(mut self) -> Self {
        self.waits_for_writers = true;
        self
    }

    /// What reports call the registry: for one on disk its path, as it was given, with unprintable characters escaped.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry's `docker/registry/v2`, to read what a scan does not keep.
    pub const fn folder(&self) -> &F {
        &self.v2
    }

    /// Reads everything that the audit needs: reads each link and manifest once, and looks at each blob once. Never fails: the
    /// graph lists what could not be read.
    pub fn scan(&self, options: &ScanOptions<'_>, progress: &ScanProgress) -> Graph {
        self.pool.install(|| {
            let (is_present, fault) = self.scheduler_state();
            let mut graph = (self.reads.scan)(&self.v2, options, progress);
            // A server truncates the file and writes it in place (`registry/storage/driver/filesystem/driver.go @ v2.8.3`): a fault
            // that a second read does not show was a write under way.
            (graph.has_scheduler_state, graph.scheduler_fault) =
                if fault.is_some() { self.scheduler_state() } else { (is_present, None) };
            graph
        })
    }

    /// Whether the rootdirectory holds the state of a cache's scheduler, and why a server does not start with it.
    fn scheduler_state(&self) -> (bool, Option<SchedulerFault>) {
        let Some(root) = &self.root else { return (self.scheduler_state == SchedulerState::Present, None) };
        match root.stat(Path::new(scheduler_state::FILE_NAME)).ok().map(|stat| stat.kind) {
            Some(EntryKind::File) => (true, read_scheduler_fault(root)),
            Some(EntryKind::Folder) => (false, Some(SchedulerFault::NoFile)),
            _ => (false, None),
        }
    }

    /// The second look: reads the doubted entries again and updates the graph.
    pub fn recheck(&self, graph: &mut Graph, doubts: &[Recheck], progress: &ScanProgress) {
        self.pool.install(|| (self.reads.recheck)(&self.v2, graph, doubts, self.waits_for_writers, progress));
    }

    /// Looks into entries that a scan noted as out of place, to forecast what a collector does with them. Besides those it opens
    /// only manifests that links name and no scan had to read, and the signatures of schema 1.
    pub fn oddities(&self, graph: &mut Graph, progress: &ScanProgress) -> Oddities {
        self.pool.install(|| (self.reads.oddities)(&self.v2, graph, progress))
    }

    /// Runs parallel work in the thread pool of this tree.
    pub fn run_in_pool<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
    }
}
