//! A source that answers otherwise than the disk, by plan: what is not there yet, what is gone later, what cannot be
//! read.

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

use crate::support::{Base, Sight, text};

/// What a source is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    Open,
    List,
    Stat,
    Read,
    Stream,
}

/// Paths that fail, and which requests for them: one kind, and only at the path itself (a folder whose listing ends in
/// the middle, a file on a bad sector), or with `None` every request at the path and below it.
pub type Failing = BTreeMap<PathBuf, Option<Request>>;

/// What goes wrong, by path below `docker/registry/v2`.
#[derive(Debug, Default, Clone)]
pub struct Plan {
    /// Not there at the first look, with all that lies below.
    pub late: BTreeSet<PathBuf>,
    /// Not there from the second look on, with all that lies below.
    pub removed: BTreeSet<PathBuf>,
    /// Empty files until somebody waited, although they hold something on disk.
    pub empty: BTreeSet<PathBuf>,
    /// How often must be waited until what is late or empty is so no more, and what is to be removed is.
    pub waits: usize,
    /// Cannot be read.
    pub failing: Failing,
    /// What fails does so at the first look only.
    pub recovers: bool,
}

impl Plan {
    /// A plan in which requests fail.
    pub fn failing(failing: &Failing) -> Self {
        Self { failing: failing.clone(), ..Self::default() }
    }
}

/// A plan at work.
#[derive(Default)]
struct Course {
    plan: Plan,
    is_second_look: AtomicBool,
    waited: AtomicUsize,
    struck: Mutex<BTreeSet<(PathBuf, Request)>>,
    asked: Mutex<BTreeSet<(PathBuf, Request)>>,
}

impl Course {
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
            self.struck.lock().unwrap().insert((path.to_path_buf(), request));
            return Err(FolderError::Io(io::Error::from_raw_os_error(5)));
        }
        if self.hides(path) { Err(FolderError::NotFound) } else { Ok(()) }
    }
}

/// A folder on disk, seen through a plan.
struct Planned {
    inner: PathFolder,
    at: PathBuf,
    course: Arc<Course>,
}

impl Planned {
    fn full(&self, path: &Path) -> PathBuf {
        let normal = path.components().filter(|part| matches!(part, Component::Normal(_)));
        normal.fold(self.at.clone(), |full, part| full.join(part))
    }
}

impl Folder for Planned {
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

/// What came of looking at a tree through a plan.
pub struct Looks {
    /// The audit after the first look.
    pub first: Audit,
    /// The audit after the last look.
    pub last: Audit,
    /// Every request that failed.
    pub struck: BTreeSet<(PathBuf, Request)>,
    /// Every request there was, when none was to fail.
    pub asked: BTreeSet<(PathBuf, Request)>,
    /// How often was waited.
    pub waited: usize,
}

/// Audits a tree seen through a plan.
pub fn looks(tree: &TreeBuilder, plan: Plan, sight: &Sight<'_>) -> Looks {
    let course = Arc::new(Course { plan, ..Course::default() });
    let inner = PathFolder::open_root(&tree.v2(), Symlinks::Refuse).unwrap();
    let folder = Planned { inner, at: PathBuf::new(), course: Arc::clone(&course) };
    let open =
        Tree::from_folder("tree", folder, SchedulerState::Absent, sight.jobs).unwrap().waiting_for_writers();
    let progress = ScanProgress::default();
    let scan = ScanOptions { content: sight.content, strict: sight.strict, only: None };
    let mut graph = open.scan(&scan, &progress);
    let first = audit::audit(&graph, "tree", &sight.options());
    course.is_second_look.store(true, Ordering::Relaxed);
    let last = audit::audit_with_recheck(&mut graph, "tree", &sight.options(), |graph, doubts| {
        open.settle(graph, doubts, &progress);
    });
    let take = |requests: &Mutex<BTreeSet<_>>| std::mem::take(&mut *requests.lock().unwrap());
    Looks {
        first,
        last,
        struck: take(&course.struck),
        asked: take(&course.asked),
        waited: course.waited.load(Ordering::Relaxed),
    }
}

/// A path below `docker/registry/v2`.
pub fn below(tree: &TreeBuilder, path: &Path) -> PathBuf {
    path.strip_prefix(tree.v2()).unwrap().to_path_buf()
}

/// The report when one kind of request, or every one, fails for some paths of a tree.
pub fn failing(base: &Base, paths: &[PathBuf], request: Option<Request>, sight: &Sight<'_>) -> String {
    let failing = paths.iter().map(|path| (below(&base.tree, path), request)).collect();
    text(&looks(&base.tree, Plan::failing(&failing), sight).last, &base.names)
}
