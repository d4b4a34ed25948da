//! Sources that answer otherwise than the disk: what was gone at the first look only is no damage, and what cannot be
//! read is neither broken nor garbage (law L2, the reading side).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::audit::{self, Audit, Code};
use registry_core::storage::folder::{PathFolder, Result};
use registry_core::storage::{Folder, FolderError, Kind, Progress, ScanOptions, Stat, Tree};
use registry_fixtures::random::{SplitMix64, sound_tree};
use registry_fixtures::{ImageSpec, TreeBuilder};

use crate::support::{APP, Base, HOUR, Names, Sight, age, text};

/// What a source is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Open,
    List,
    Stat,
    Read,
    Stream,
}

/// What goes wrong, by path below `docker/registry/v2`; whatever lies below such a path goes wrong with it.
#[derive(Default)]
struct Plan {
    /// Not there at the first look.
    late: BTreeSet<PathBuf>,
    /// Not there from the second look on.
    removed: BTreeSet<PathBuf>,
    /// Cannot be read.
    failing: BTreeSet<PathBuf>,
    /// Only requests of this kind fail, and only at the path itself: a folder whose listing ends in the middle, a file
    /// on a bad sector.
    request: Option<Request>,
    is_second_look: AtomicBool,
}

impl Plan {
    fn hides(&self, path: &Path) -> bool {
        let hidden = if self.is_second_look.load(Ordering::Relaxed) { &self.removed } else { &self.late };
        path.ancestors().any(|path| hidden.contains(path))
    }

    fn check(&self, path: &Path, request: Request) -> Result<()> {
        let fails = match self.request {
            None => path.ancestors().any(|path| self.failing.contains(path)),
            Some(failing) => failing == request && self.failing.contains(path),
        };
        if fails {
            return Err(FolderError::Io(io::Error::from_raw_os_error(5)));
        }
        if self.hides(path) { Err(FolderError::NotFound) } else { Ok(()) }
    }
}

/// A folder on disk, seen through a plan.
struct Planned {
    inner: PathFolder,
    at: PathBuf,
    plan: Arc<Plan>,
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
        self.plan.check(&at, Request::Open)?;
        Ok(Self { inner: self.inner.open(path)?, at, plan: Arc::clone(&self.plan) })
    }

    fn list(&mut self, each: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.plan.check(&self.at, Request::List)?;
        let (at, plan) = (&self.at, &self.plan);
        self.inner.list(&mut |name, kind| {
            if !plan.hides(&at.join(name)) {
                each(name, kind);
            }
        })
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        self.plan.check(&self.full(path), Request::Stat)?;
        self.inner.stat(path)
    }

    fn read(&self, path: &Path, limit: usize, into: &mut Vec<u8>) -> Result<Stat> {
        self.plan.check(&self.full(path), Request::Read)?;
        self.inner.read(path, limit, into)
    }

    fn stream(&self, path: &Path, buffer: &mut [u8], each: &mut dyn FnMut(&[u8])) -> Result<Stat> {
        self.plan.check(&self.full(path), Request::Stream)?;
        self.inner.stream(path, buffer, each)
    }
}

/// The audit of a tree seen through a plan: after the first look, and after the last.
fn looks(tree: &TreeBuilder, plan: Plan, sight: &Sight<'_>) -> (Audit, Audit) {
    let plan = Arc::new(plan);
    let inner = PathFolder::open_root(&tree.v2(), false).unwrap();
    let folder = Planned { inner, at: PathBuf::new(), plan: Arc::clone(&plan) };
    let open = Tree::from_folder(folder, false, 2).unwrap();
    let progress = Progress::default();
    let scan = ScanOptions { content: sight.content, strict: sight.strict, only: None };
    let mut graph = open.scan(&scan, &progress);
    let first = audit::audit(&graph, "tree", &sight.options(), true);
    plan.is_second_look.store(true, Ordering::Relaxed);
    let last = audit::settled(&mut graph, "tree", &sight.options(), true, |graph, doubts| {
        open.settle(graph, doubts, &progress);
    });
    (first, last)
}

/// A path below `docker/registry/v2`.
fn below(tree: &TreeBuilder, path: &Path) -> PathBuf {
    path.strip_prefix(tree.v2()).unwrap().to_path_buf()
}

#[test]
fn what_was_gone_at_the_first_look_only_is_no_damage() {
    let base = Base::new();
    let tree = &base.tree;
    let (one, arm) = (&base.one, &base.arm);
    let folder = |path: PathBuf| path.parent().unwrap().to_path_buf();
    let late = [
        tree.tag_link(APP, "v1"),
        tree.tag_folder(APP, "v2").join("current"),
        tree.revision_link(APP, &one.digest),
        tree.revision_link(APP, &arm.digest),
        folder(tree.revision_link(APP, &base.index.digest)),
        folder(tree.revision_link(APP, &arm.digest)),
        tree.revisions_folder(APP),
        tree.layer_link_path(APP, &one.layers[0]),
        folder(tree.layer_link_path(APP, &arm.config)),
        tree.layers_folder(APP),
        tree.layers_folder(APP).join("sha256"),
        tree.blob_path(&one.digest),
        tree.blob_folder(&base.index.digest),
        tree.blob_path(&arm.digest),
        tree.blob_folder(&one.layers[0]),
        tree.blob_path(&arm.config),
    ];
    for path in late {
        let path = below(tree, &path);
        let plan = Plan { late: BTreeSet::from([path.clone()]), ..Plan::default() };
        let (first, last) = looks(tree, plan, &Sight::default());
        assert!(!first.broken_tags.is_empty(), "{} hid nothing", path.display());
        assert_eq!(text(&last, &base.names), "nothing", "{}", path.display());
    }
}

#[test]
fn what_stays_gone_is_damage() {
    let base = Base::new();
    let path = below(&base.tree, &base.tree.revision_link(APP, &base.arm.digest));
    let gone = || BTreeSet::from([path.clone()]);
    let (_, last) =
        looks(&base.tree, Plan { late: gone(), removed: gone(), ..Plan::default() }, &Sight::default());
    assert_eq!(last.broken_tags.len(), 1);
}

#[test]
fn a_plan_without_trouble_changes_nothing() {
    for seed in 0..10 {
        let (tree, story) = registry_fixtures::random::random_tree(seed);
        let (_, planned) = looks(&tree, Plan::default(), &Sight::default());
        let plain = Sight::default().look(tree.root());
        assert_eq!(text(&planned, &Names::default()), text(&plain, &Names::default()), "{story:#?}");
    }
}

/// What an audit lists as garbage.
fn garbage(audit: &Audit) -> BTreeSet<String> {
    audit.pieces.iter().map(|piece| format!("{} {}", piece.code, piece.path)).collect()
}

/// Checks that a tree in which nothing is broken has no broken tag and no more garbage when some paths fail.
fn check(
    tree: &TreeBuilder,
    failing: &BTreeSet<PathBuf>,
    request: Option<Request>,
    sight: &Sight<'_>,
) -> std::result::Result<(), String> {
    let (_, sound) = looks(tree, Plan::default(), sight);
    let (_, seen) = looks(tree, Plan { failing: failing.clone(), request, ..Plan::default() }, sight);
    let more: Vec<_> = garbage(&seen).difference(&garbage(&sound)).cloned().collect();
    let errors = seen
        .findings
        .iter()
        .filter(|finding| finding.severity == audit::Severity::Error && finding.code != Code::PathUnread);
    let errors: Vec<_> = errors.map(|finding| format!("{} {}", finding.code, finding.message)).collect();
    if more.is_empty() && errors.is_empty() && seen.broken_tags.is_empty() {
        return Ok(());
    }
    let broken: Vec<_> =
        seen.broken_tags.iter().map(|tag| format!("{}:{}", tag.repository, tag.tag)).collect();
    Err(format!(
        "garbage {more:#?}, errors {errors:#?}, broken {broken:?} when {request:?} fails: {failing:#?}"
    ))
}

/// Every path below `docker/registry/v2`.
fn paths(tree: &TreeBuilder) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(tree.v2()).min_depth(1).sort_by_file_name().into_iter();
    walk.map(|entry| below(tree, entry.unwrap().path())).collect()
}

#[test]
fn what_cannot_be_read_is_neither_broken_nor_garbage() {
    let requests = [None, Some(Request::Open), Some(Request::List), Some(Request::Stat), Some(Request::Read)];
    for seed in 0..30 {
        let (tree, story) = sound_tree(seed);
        let mut all = paths(&tree);
        // Aliases and uploads have tests of their own.
        all.retain(|path| {
            !path.to_string_lossy().contains("/sha512") && !path.to_string_lossy().contains("/_uploads/")
        });
        let mut chance = SplitMix64::new(seed);
        for _ in 0..10 {
            let failing = BTreeSet::from([all[chance.below(all.len())].clone()]);
            let strict = chance.percent(20);
            let sight = Sight { content: chance.percent(20), strict, ..Sight::default() };
            let checked = check(&tree, &failing, chance.one_of(requests), &sight);
            assert!(checked.is_ok(), "{} {story:#?}", checked.unwrap_err());
        }
    }
}

#[test]
fn a_tree_of_which_nothing_can_be_read_holds_no_verdict() {
    let base = Base::new();
    for (path, known) in [("", 0), ("repositories", 0), ("blobs", 3)] {
        let plan = Plan { failing: BTreeSet::from([PathBuf::from(path)]), ..Plan::default() };
        let (_, last) = looks(&base.tree, plan, &Sight { content: true, strict: true, ..Sight::default() });
        assert!(last.broken_tags.is_empty() && last.pieces.is_empty() && !last.source.complete, "{path:?}");
        assert_eq!(last.unknown_tags.len(), known, "{path:?}");
    }
}

#[test]
fn a_platform_that_cannot_be_read_is_not_called_missing() {
    let base = Base::new();
    let failing = BTreeSet::from([below(&base.tree, &base.tree.blob_path(&base.one.config))]);
    let plan = Plan { failing, request: Some(Request::Read), ..Plan::default() };
    let (_, last) = looks(&base.tree, plan, &Sight { platforms: &["linux/s390x"], ..Sight::default() });
    let missing: Vec<_> = last.findings.iter().filter(|one| one.code == Code::PlatformMissing).collect();
    assert_eq!(missing.len(), 2, "{}", text(&last, &base.names));
    assert!(
        missing.iter().all(|one| one.tags.first().is_some_and(|tag| &**tag != "v1")
            || one.repository.as_deref() == Some("lib"))
    );
}

/// The report when some paths of a tree fail.
fn failing(base: &Base, paths: &[PathBuf], request: Option<Request>, sight: &Sight<'_>) -> String {
    let failing = paths.iter().map(|path| below(&base.tree, path)).collect();
    text(&looks(&base.tree, Plan { failing, request, ..Plan::default() }, sight).1, &base.names)
}

/// a bad sector is met only by hashing.
#[test]
fn bytes_that_cannot_be_hashed_are_unknown() {
    let base = Base::new();
    let content = Sight { content: true, ..Sight::default() };
    let report = failing(&base, &[base.tree.blob_path(&base.one.layers[0])], Some(Request::Stream), &content);
    assert!(!report.contains("broken:") && !report.contains("blob-digest-mismatch"), "{report}");
    assert!(report.contains("unknown: team/app:v1"), "{report}");
}

/// an alias that cannot be read may name any layer linked here.
#[test]
fn an_unread_alias_makes_no_garbage() {
    let mut base = Base::new();
    let spec = ImageSpec { sha512_layer: true, layers: 0, ..ImageSpec::oci("long") };
    let image = base.tree.image_with(APP, Some("long"), &spec);
    let link = base.tree.layer_link_path(APP, &image.layers[0]);
    let folder = base.tree.layers_folder(APP).join("sha512");
    for path in [link, folder] {
        let report = failing(&base, &[path], None, &Sight::default());
        assert!(!report.contains("unreferenced"), "{report}");
    }
}

/// a leaf two levels down, reached through layer links only, cannot be read: its parts are no garbage.
#[test]
fn an_unread_leaf_of_a_nested_index_makes_no_garbage() {
    let mut base = Base::new();
    let leaf = base.image(APP, None, "leaf");
    let inner = base.tree.index(APP, None, &[leaf.child()]);
    base.tree.index(APP, Some("outer"), &[inner.child()]);
    base.tree
        .break_revision_only_as_layer(APP, &inner.digest)
        .break_revision_only_as_layer(APP, &leaf.digest);
    let report = failing(&base, &[base.tree.blob_path(&leaf.digest)], None, &Sight::default());
    assert!(!report.contains("unreferenced"), "{report}");
}

/// a link that cannot be read may be a young one.
#[test]
fn an_unread_layer_link_keeps_its_blob() {
    let mut base = Base::new();
    let sight = Sight::default();
    let layer = base.tree.layer(APP, b"nobody's");
    let link = base.tree.layer_link_path(APP, &layer);
    age(&link, &sight, HOUR / 2);
    let report = failing(&base, &[link], None, &sight);
    assert!(!report.contains("unreferenced"), "{report}");
}

/// an upload that cannot be looked at is not stale, and it is noted.
#[test]
fn an_unread_upload_is_not_stale() {
    let mut base = Base::new();
    let sight = Sight::default();
    let id = base.tree.upload(APP, b"so far", Some("2020-01-02T03:04:05Z"));
    let folder = base.tree.upload_folder(APP, &id);
    age(&folder.join("data"), &sight, HOUR / 2);
    for path in [folder.join("data"), folder.join("startedat"), folder] {
        let report = failing(&base, &[path], None, &sight);
        assert!(report.contains("path-unread") && !report.contains("upload-stale"), "{report}");
    }
}

/// a manifest that cannot be read may name a blob that is linked nowhere.
#[test]
fn an_unread_manifest_protects_blobs_that_are_linked_nowhere() {
    let mut base = Base::new();
    base.tree.break_layer_link_missing(APP, &base.one.layers[0]);
    let report = failing(&base, &[base.tree.blob_path(&base.one.digest)], None, &Sight::default());
    assert!(!report.contains("blob-unreferenced"), "{report}");
}

/// an entry of a tag's history that cannot be looked at is noted, and may be what the tag names.
#[test]
fn an_unread_history_is_no_absent_history() {
    let mut base = Base::new();
    let newer = base.image(APP, Some("v1"), "newer");
    let paths = [base.tree.tag_link(APP, "v1"), base.tree.history_link(APP, "v1", &newer.digest)];
    let report = failing(&base, &paths, None, &Sight::default());
    assert!(!report.contains("manifest-untagged"), "{report}");
    let report = failing(&base, &paths[1..], None, &Sight::default());
    assert!(report.contains("path-unread"), "{report}");
}

/// a tag deleted between the two looks is gone, not broken.
#[test]
fn what_was_deleted_while_we_looked_is_not_broken() {
    let base = Base::new();
    let (tag, link) = (base.tree.tag_folder(APP, "v1"), base.tree.tag_link(APP, "v1"));
    let revision = base.tree.revision_link(APP, &base.one.digest);
    let all = |paths: &[&PathBuf]| paths.iter().map(|path| below(&base.tree, path)).collect::<BTreeSet<_>>();
    for (late, removed) in [(all(&[&link]), all(&[&tag])), (all(&[&revision]), all(&[&revision, &tag]))] {
        let (_, last) = looks(&base.tree, Plan { late, removed, ..Plan::default() }, &Sight::default());
        assert!(last.broken_tags.is_empty(), "{}", text(&last, &base.names));
    }
}

/// unknown is not gone.
#[test]
fn bytes_that_cannot_be_read_are_not_called_gone() {
    let mut base = Base::new();
    base.tree.break_layer_link_missing(APP, &base.one.layers[0]);
    let report = failing(&base, &[base.tree.blob_path(&base.one.layers[0])], None, &Sight::default());
    assert!(!report.contains("gone"), "{report}");
}

/// the most frequent damage of all (a 2.8 collection with -m): the child's layers are gone as well.
#[test]
fn a_child_whose_parts_are_gone_is_not_told_as_mended_by_one_link() {
    let mut base = Base::new();
    base.tree.break_revision_link_missing(APP, &base.arm.digest);
    for part in base.arm.layers.iter().chain([&base.arm.config]) {
        base.tree.break_blob_missing(part);
    }
    let report = base.report();
    assert!(report.contains("blob-missing") || !report.contains("| Relink"), "{report}");
}

/// an alias' bytes lie under another digest; they are not gone, and no garbage while a manifest wants them.
#[test]
fn a_lost_alias_does_not_make_its_bytes_garbage() {
    let mut base = Base::new();
    let spec = ImageSpec { sha512_layer: true, layers: 0, ..ImageSpec::oci("long") };
    let image = base.tree.image_with(APP, Some("long"), &spec);
    base.tree.break_layer_link_empty(APP, &image.layers[0]);
    let report = base.report();
    assert!(!report.contains("gone too"), "{report}");
}

/// what a tag would be restored to is no garbage, whatever the link holds.
#[test]
fn a_tag_that_names_sha512_keeps_its_history() {
    let mut base = Base::new();
    base.tree.break_tag_link_sha512(APP, "v1");
    assert!(!base.report().contains("manifest-untagged"), "{}", base.report());
}
