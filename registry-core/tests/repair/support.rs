//! Shared by the tests: repairs of a tree in this process, snapshots of trees, an editor that fails.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use registry_core::audit::{self, Audit, AuditOptions, Code, Severity};
use registry_core::oci::{Algorithm, Digest};
use registry_core::repair::{
    self, ChangeUndoState, DeletedTags, JournalOutput, RepairHistory, RepairPlan, Scope, StepOutcome,
    StepProgress, Supply, TreeSupply, Undo, UndoneChange,
};
use registry_core::storage::edit::{Attributes, Editor, EntryView, IfOccupied, WritableFolder, WriteContent};
use registry_core::storage::{
    DiskFolder, FolderError, LocatedRegistry, OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate,
};
use registry_core::tree_writer::{Access, TreeWriter, WriteRefusal};
use registry_fixtures::TreeBuilder;
use walkdir::WalkDir;

/// Older than every age limit of a repair.
pub const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// One registry on disk.
pub struct Registry {
    pub located: LocatedRegistry,
    tree: Tree<DiskFolder>,
    content: bool,
    strict: bool,
    deleted_tags: Option<DeletedTags>,
}

/// The result of a repair.
pub struct Repaired {
    pub plan: RepairPlan,
    pub outcomes: Vec<StepOutcome>,
    pub journal: String,
}

impl Registry {
    pub fn open(root: &Path) -> Self {
        let found = locate(root, Symlinks::Refuse);
        let [located] = &found.registries[..] else { panic!("not one tree: {found:?}") };
        let tree = Tree::open(located, &OpenOptions { jobs: 1, ..OpenOptions::default() }).unwrap();
        Self { located: located.clone(), tree, content: false, strict: false, deleted_tags: None }
    }

    /// Hashes every byte too.
    pub fn content(mut self) -> Self {
        self.content = true;
        self
    }

    /// Opens leaf folders too.
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Restores or drops tags that were probably deleted through the API.
    pub fn deleted_tags(mut self, deleted_tags: DeletedTags) -> Self {
        self.deleted_tags = Some(deleted_tags);
        self
    }

    fn options(&self) -> AuditOptions {
        let options = AuditOptions::new(Timestamp::now());
        AuditOptions { list_garbage: true, content: self.content, ..options }
    }

    pub fn audit(&self) -> Audit {
        let progress = ScanProgress::default();
        let scan = ScanOptions { content: self.content, strict: self.strict, ..ScanOptions::default() };
        let mut graph = self.tree.scan(&scan, &progress);
        audit::audit_with_recheck(&mut graph, "tree", &self.options(), |graph, doubts| {
            self.tree.recheck(graph, doubts, &progress);
        })
    }

    pub fn plan(&self, only: &[Code], supply: Option<&dyn Supply>) -> RepairPlan {
        let progress = ScanProgress::default();
        let scan = ScanOptions { content: self.content, strict: self.strict, ..ScanOptions::default() };
        let mut graph = self.tree.scan(&scan, &progress);
        let scope = Scope { only: only.to_vec(), repository: None, deleted_tags: self.deleted_tags };
        repair::plan(&mut graph, "tree", &self.options(), &scope, supply, |graph, doubts| {
            self.tree.recheck(graph, doubts, &progress);
        })
    }

    /// Plans a repair and does every step.
    pub fn repair(&self) -> Repaired {
        self.repair_from(None)
    }

    pub fn repair_from(&self, supply: Option<&dyn Supply>) -> Repaired {
        let plan = self.plan(&[], supply);
        let budget = Budget::unlimited();
        let (outcomes, journal) = self.apply(&plan, &budget, supply);
        Repaired { plan, outcomes, journal }
    }

    /// Repairs with the given folder as quarantine; returns the journal.
    pub fn repair_into(&self, quarantine: &Path) -> String {
        self.apply_into(&self.plan(&[], None), &Budget::unlimited(), None, Some(quarantine)).1
    }

    /// Does the steps of a plan until the budget of writing calls is spent.
    pub fn apply(
        &self,
        plan: &RepairPlan,
        budget: &Budget,
        supply: Option<&dyn Supply>,
    ) -> (Vec<StepOutcome>, String) {
        self.apply_into(plan, budget, supply, None)
    }

    fn apply_into(
        &self,
        plan: &RepairPlan,
        budget: &Budget,
        supply: Option<&dyn Supply>,
        quarantine: Option<&Path>,
    ) -> (Vec<StepOutcome>, String) {
        let now = Timestamp::now();
        let writer = TreeWriter::open(&self.located, quarantine, Access::default(), now).unwrap();
        writer.quarantine().unwrap();
        let mut writer =
            writer.wrap_editor(|inner| Box::new(FailingEditor { inner, budget: budget.clone() }));
        let log = MemoryLog { text: Arc::default(), budget: budget.clone() };
        let (text, progress) = (Arc::clone(&log.text), StepProgress::default());
        let applied =
            self.tree.run_in_pool(|| repair::apply(&mut writer, plan, || Ok(log), supply, &progress));
        // The only possible refusal here: the budget did not suffice to begin the journal.
        let outcomes = applied.unwrap_or_else(|refusal| {
            assert!(matches!(refusal, WriteRefusal::Journal(_)), "{refusal}");
            Vec::new()
        });
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        (outcomes, text)
    }
}

/// Undoes everything in a journal.
pub fn undo(journal: &str) -> Vec<UndoneChange> {
    let history = RepairHistory::read(journal).unwrap();
    Undo::open(&history, Access::default()).unwrap().undo_all()
}

/// The changes that an undo could not undo, with the reason, one per line.
pub fn undo_failures(undone: &[UndoneChange]) -> String {
    let line = |change: &UndoneChange| match &change.state {
        ChangeUndoState::Restored | ChangeUndoState::There => None,
        ChangeUndoState::Taken(why) => Some(format!("left {}: {why}", change.path)),
        ChangeUndoState::Lost(why) => Some(format!("lost {}: {why}", change.path)),
    };
    undone.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// The only quarantine of a tree.
pub fn only_quarantine(tree: &TreeBuilder) -> PathBuf {
    let all: Vec<_> = std::fs::read_dir(tree.root().join(".registry-fsck")).unwrap().collect();
    let [Ok(quarantine)] = &all[..] else { panic!("not one quarantine: {all:?}") };
    quarantine.path()
}

/// A tree as a supply of missing bytes.
pub fn tree_supply(tree: &TreeBuilder) -> TreeSupply {
    TreeSupply::open(&locate(tree.root(), Symlinks::Refuse).registries[0]).unwrap()
}

/// A folder in memory if there is one: on a disk these tests are slow.
pub fn memory_backed_folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("registry-repair-").to_owned();
    if shared.is_dir()
        && let Ok(folder) = builder().tempdir_in(shared)
    {
        return folder;
    }
    builder().tempdir().unwrap()
}

/// Copies a tree with all times and permissions.
pub fn copy(root: &Path) -> tempfile::TempDir {
    let folder = memory_backed_folder();
    let copied = std::process::Command::new("cp").arg("-a").arg(root.join(".")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    folder
}

/// Every path below a folder, with its mode and, for a file, its bytes.
pub fn snapshot_tree(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode();
            let bytes = entry.file_type().is_file().then(|| std::fs::read(entry.path()).unwrap());
            (entry.path().strip_prefix(root).unwrap().to_path_buf(), (mode, bytes))
        })
        .collect()
}

/// The paths in which two snapshots differ.
pub fn differences<T: PartialEq>(a: &BTreeMap<PathBuf, T>, b: &BTreeMap<PathBuf, T>) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing.map(|path| path.display().to_string()).collect()
}

/// The broken tags of an audit.
pub fn broken_tags(audit: &Audit) -> std::collections::BTreeSet<String> {
    audit.broken_tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect()
}

/// The errors of an audit, as code and path.
pub fn error_lines(audit: &Audit) -> Vec<String> {
    let errors = audit.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{} {}", finding.code, finding.path.as_deref().unwrap_or(""))).collect()
}

/// The number of writing calls after which every further one fails, as if the process had ended.
#[derive(Clone, Default)]
pub struct Budget {
    left: Option<Arc<AtomicU64>>,
    spent: Arc<AtomicU64>,
}

impl Budget {
    pub fn unlimited() -> Self {
        Self::default()
    }

    pub fn limited(calls: u64) -> Self {
        Self { left: Some(Arc::new(AtomicU64::new(calls))), spent: Arc::default() }
    }

    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    fn spend(&self) -> io::Result<()> {
        self.spent.fetch_add(1, Ordering::Relaxed);
        let Some(left) = &self.left else { return Ok(()) };
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        // EIO, as from a failing disk.
        taken.map(drop).map_err(|_| io::Error::from_raw_os_error(5))
    }
}

/// A journal in memory. The write that exceeds the budget stores half of its line and fails.
pub struct MemoryLog {
    text: Arc<Mutex<Vec<u8>>>,
    budget: Budget,
}

impl MemoryLog {
    pub fn new() -> (Self, Arc<Mutex<Vec<u8>>>) {
        let log = Self { text: Arc::default(), budget: Budget::unlimited() };
        let text = Arc::clone(&log.text);
        (log, text)
    }
}

impl JournalOutput for MemoryLog {
    fn path(&self) -> Option<&Path> {
        None
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let spent = self.budget.spend();
        let bytes = if spent.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        self.text.lock().unwrap().extend_from_slice(bytes);
        spent
    }
}

/// An editor that fails once the budget is spent.
struct FailingEditor {
    inner: Box<dyn Editor>,
    budget: Budget,
}

type Answer<T> = Result<T, FolderError>;

impl Editor for FailingEditor {
    fn look(&self, room: WritableFolder, path: &Path) -> Answer<Option<EntryView>> {
        self.inner.look(room, path)
    }

    fn read(&self, room: WritableFolder, path: &Path, limit: usize) -> Answer<Vec<u8>> {
        self.inner.read(room, path, limit)
    }

    fn names(&self, room: WritableFolder, path: &Path) -> Answer<Vec<OsString>> {
        self.inner.names(room, path)
    }

    fn hash(&self, room: WritableFolder, path: &Path, algorithm: Algorithm) -> Answer<Digest> {
        self.inner.hash(room, path, algorithm)
    }

    fn make_folder(&self, room: WritableFolder, path: &Path, attributes: Option<Attributes>) -> Answer<()> {
        self.budget.spend()?;
        self.inner.make_folder(room, path, attributes)
    }

    fn write(
        &self,
        room: WritableFolder,
        path: &Path,
        attributes: Option<Attributes>,
        modified: Option<Timestamp>,
        fill: WriteContent<'_>,
    ) -> Answer<()> {
        if let Err(error) = self.budget.spend() {
            // The process ended in the middle of the write: half of a file is left.
            let _ =
                self.inner.write(room, path, attributes, modified, &mut |out| out.write_all(b"sha256:ha"));
            return Err(error.into());
        }
        self.inner.write(room, path, attributes, modified, fill)
    }

    fn rename(
        &self,
        from: (WritableFolder, &Path),
        to: (WritableFolder, &Path),
        if_occupied: IfOccupied,
    ) -> Answer<()> {
        self.budget.spend()?;
        self.inner.rename(from, to, if_occupied)
    }

    fn remove_file(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.budget.spend()?;
        self.inner.remove_file(room, path)
    }

    fn remove_folder(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.budget.spend()?;
        self.inner.remove_folder(room, path)
    }

    fn sync(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.budget.spend()?;
        self.inner.sync(room, path)
    }
}

/// Shortens every long hash in a text to its first 8 digits.
pub fn shorten_hashes(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for sign in text.chars().chain(['\n']) {
        if sign.is_ascii_hexdigit() && !sign.is_ascii_uppercase() {
            word.push(sign);
            continue;
        }
        out.push_str(if word.len() >= 64 { &word[..8] } else { &word });
        word.clear();
        out.push(sign);
    }
    out.pop();
    out
}
