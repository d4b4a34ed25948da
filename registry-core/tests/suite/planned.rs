//! A folder on disk seen through a plan of faults: paths that appear late, vanish, or cannot be read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::audit::{self, Audit};
use registry_core::storage::{
    EntryKind, Folder, FolderError, ScanOptions, ScanProgress, SchedulerState, Stat, Symlinks, Tree,
};
use registry_core::storage::{FolderResult as Result, PathFolder};
use registry_fixtures::TreeBuilder;

use crate::support::{Base, View, text};

/// The kinds of requests to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    Open,
    List,
    Stat,
    Read,
    Stream,
}

/// Paths with failing requests. With a kind, only such requests at the path itself fail (a folder whose listing ends in the middle,
/// a file on a bad sector); with `None`, every request at the path and below it.
pub type Failing = BTreeMap<PathBuf, Option<Request>>;

/// The faults, by path below `docker/registry/v2`.
#[derive(Debug, Default, Clone)]
pub struct Plan {
    /// Absent at the first look, with everything below.
    pub late: BTreeSet<PathBuf>,
    /// Absent from the second look on, with everything below.
    pub removed: BTreeSet<PathBuf>,
    /// Files that read as empty until the scan has waited, although they have content on disk.
    pub empty: BTreeSet<PathBuf>,
    /// The number of waits after which `late` and `empty` end and `removed` begins.
    pub waits: usize,
    /// Requests that fail.
    pub failing: Failing,
    /// Whether requests fail at the first look only.
    pub recovers: bool,
}

impl Plan {
    /// A plan in which requests fail.
    pub fn failing(failing: &Failing) -> Self {
        Self { failing: failing.clone(), ..Self::default() }
    }
}

/// A plan and the state of the looks taken through it.
#[derive(Default)]
struct PlanState {
    plan: Plan,
    is_second_look: AtomicBool,
    waited: AtomicUsize,
    failed: Mutex<BTreeSet<(PathBuf, Request)>>,
    asked: Mutex<BTreeSet<(PathBuf, Request)>>,
}

impl PlanState {
    fn hides(&self, path: &Path) -> bool {
        let hidden = if self.is_settled() { &self.plan.removed } else { &self.plan.late };
        path.ancestors().any(|path| hidden.contains(path))
    }

    fn is_settled(&self) -> bool {
        let is_second_look = self.is_second_look.load(Ordering::Relaxed);
        is_second_look && self.waited.load(Ordering::Relaxed) >= self.plan.waits
    }

    fn fails(&self, path: &Path, request: Request) -> bool {
        let failing = &self.plan.failing;
        if failing.is_empty() || self.plan.recovers && self.is_second_look.load(Ordering::Relaxed) {
            return false;
        }
        failing.get(path) == Some(&Some(request))
            || path.ancestors().any(|path| failing.get(path) == Some(&None))
    }

    fn check(&self, path: &Path, request: Request) -> Result<()> {
        if self.plan.failing.is_empty() {
            self.asked.lock().unwrap().insert((path.to_path_buf(), request));
        }
        if self.fails(path, request) {
            self.failed.lock().unwrap().insert((path.to_path_buf(), request));
            return Err(FolderError::Io(io::Error::from_raw_os_error(5)));
        }
        if self.hides(path) { Err(FolderError::NotFound) } else { Ok(()) }
    }
}

/// A folder on disk, seen through a plan.
struct PlannedFolder {
    inner: PathFolder,
    at: PathBuf,
    course: Arc<PlanState>,
}

impl PlannedFolder {
    fn full(&self, path: &Path) -> PathBuf {
        let normal = path.components().filter(|part| matches!(part, Component::Normal(_)));
        normal.fold(self.at.clone(), |full, part| full.join(part))
    }
}

impl Folder for PlannedFolder {
    fn open(&self, path: &Path) -> Result<Self> {
        let at = self.full(path);
        self.course.check(&at, Request::Open)?;
        Ok(Self { inner: self.inner.open(path)?, at, course: Arc::clone(&self.course) })
    }

    fn list(&mut self, each: &mut dyn FnMut(&OsStr, EntryKind)) -> Result<()> {
        self.course.check(&self.at, Request::List)?;
        let (at, course) = (&self.at, &self.course);
        self.inner.list(&mut |name, kind| {
            if !course.hides(&at.join(name)) {
                each(name, kind);
            }
        })
    }

    fn wait(&self, _: Duration) {
        self.course.waited.fetch_add(1, Ordering::Relaxed);
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        self.course.check(&self.full(path), Request::Stat)?;
        self.inner.stat(path)
    }

    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat> {
        let full = self.full(path);
        self.course.check(&full, Request::Read)?;
        let stat = self.inner.read(path, limit, into)?;
        if self.course.plan.empty.contains(&full) && !self.course.is_settled() {
            into.clear();
            return Ok(Stat { size: 0, ..stat });
        }
        Ok(stat)
    }

    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat> {
        self.course.check(&self.full(path), Request::Stream)?;
        self.inner.stream(path, buffer, each)
    }
}

/// The result of two looks at a tree through a plan.
pub struct Looks {
    /// The audit after the first look.
    pub first: Audit,
    /// The audit after the last look.
    pub last: Audit,
    /// The requests that failed.
    pub failed: BTreeSet<(PathBuf, Request)>,
    /// All requests; recorded only if none was to fail.
    pub asked: BTreeSet<(PathBuf, Request)>,
    /// The number of waits.
    pub waited: usize,
}

/// Audits a tree seen through a plan.
pub fn look_through_plan(tree: &TreeBuilder, plan: Plan, view: &View<'_>) -> Looks {
    let course = Arc::new(PlanState { plan, ..PlanState::default() });
    let inner = PathFolder::open_root(&tree.v2(), Symlinks::Refuse).unwrap();
    let folder = PlannedFolder { inner, at: PathBuf::new(), course: Arc::clone(&course) };
    let open =
        Tree::from_folder("tree", folder, SchedulerState::Absent, view.jobs).unwrap().waiting_for_writers();
    let progress = ScanProgress::default();
    let scan = ScanOptions { content: view.content, strict: view.strict, only: None };
    let mut graph = open.scan(&scan, &progress);
    let first = audit::audit(&graph, "tree", &view.options());
    course.is_second_look.store(true, Ordering::Relaxed);
    let last = audit::audit_with_recheck(&mut graph, "tree", &view.options(), |graph, doubts| {
        open.recheck(graph, doubts, &progress);
    });
    let take = |requests: &Mutex<BTreeSet<_>>| std::mem::take(&mut *requests.lock().unwrap());
    Looks {
        first,
        last,
        failed: take(&course.failed),
        asked: take(&course.asked),
        waited: course.waited.load(Ordering::Relaxed),
    }
}

/// A path below `docker/registry/v2`.
pub fn below(tree: &TreeBuilder, path: &Path) -> PathBuf {
    path.strip_prefix(tree.v2()).unwrap().to_path_buf()
}

/// The report when one kind of request, or every request, fails for some paths of a tree.
pub fn report_with_failures(
    base: &Base,
    paths: &[PathBuf],
    request: Option<Request>,
    view: &View<'_>,
) -> String {
    let failing = paths.iter().map(|path| (below(&base.tree, path), request)).collect();
    text(&look_through_plan(&base.tree, Plan::failing(&failing), view).last, &base.names)
}
