//! Pushes while a plan is applied: right before a tag is moved, between tags and links, after a link was moved.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use registry_core::oci::{Algorithm, Digest};
use registry_core::repair::{JournalOutput, StepProgress};
use registry_core::retention::layout::apply;
use registry_core::retention::{ApplyResult, Plan, Stopped};
use registry_core::storage::FolderError;
use registry_core::storage::edit::{Attributes, Editor, EntryView, IfOccupied, WritableFolder, WriteContent};
use registry_core::tree_writer::{Access, TreeWriter};
use registry_fixtures::{Child, TreeBuilder};

use crate::layout::{DAY, keep, located, open, planned, record};
use crate::verified::verified;

type Answer<T> = Result<T, FolderError>;
type Hook = Box<dyn FnMut(&mut TreeBuilder) + Send>;

/// An editor that runs a push once: right before or after the move of an entry whose path ends with `what`.
struct PushingEditor {
    inner: Box<dyn Editor>,
    tree: Arc<Mutex<TreeBuilder>>,
    before: bool,
    what: String,
    push: Arc<Mutex<Option<Hook>>>,
}

impl PushingEditor {
    fn push(&self, path: &Path) {
        if path.to_string_lossy().ends_with(&self.what)
            && let Some(mut push) = self.push.lock().unwrap().take()
        {
            push(&mut self.tree.lock().unwrap());
        }
    }
}

impl Editor for PushingEditor {
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
        if self.before {
            self.push(path);
        }
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
        self.inner.write(room, path, attributes, modified, fill)
    }

    fn rename(
        &self,
        from: (WritableFolder, &Path),
        to: (WritableFolder, &Path),
        if_occupied: IfOccupied,
    ) -> Answer<()> {
        self.inner.rename(from, to, if_occupied)?;
        if !self.before {
            self.push(from.1);
        }
        Ok(())
    }

    fn remove_file(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.inner.remove_file(room, path)
    }

    fn remove_folder(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.inner.remove_folder(room, path)
    }

    fn sync(&self, room: WritableFolder, path: &Path) -> Answer<()> {
        self.inner.sync(room, path)
    }
}

struct DiscardingLog;

impl JournalOutput for DiscardingLog {
    fn path(&self) -> Option<&Path> {
        None
    }

    fn append(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

/// Applies a plan with one push during it.
fn apply_with_push(
    tree: TreeBuilder,
    plan: &Plan,
    (before, what): (bool, &str),
    push: impl FnMut(&mut TreeBuilder) + Send + 'static,
) -> (ApplyResult, TreeBuilder) {
    apply_with_push_and_progress(&StepProgress::default(), tree, plan, (before, what), push)
}

fn apply_with_push_and_progress(
    progress: &StepProgress,
    tree: TreeBuilder,
    plan: &Plan,
    (before, what): (bool, &str),
    push: impl FnMut(&mut TreeBuilder) + Send + 'static,
) -> (ApplyResult, TreeBuilder) {
    let (now, located, layout) = (Timestamp::now(), located(&tree), open(&tree));
    let tree = Arc::new(Mutex::new(tree));
    let push: Arc<Mutex<Option<Hook>>> = Arc::new(Mutex::new(Some(Box::new(push))));
    let mut writer = TreeWriter::open(&located, None, Access::default(), now).unwrap().wrap_editor(|inner| {
        let (tree, push) = (Arc::clone(&tree), Arc::clone(&push));
        Box::new(PushingEditor { inner, tree, before, what: what.into(), push })
    });
    let applied = apply(&layout, verified(plan), &mut writer, DiscardingLog, progress);
    assert!(push.lock().unwrap().is_none(), "nobody pushed");
    drop(writer);
    (applied, Arc::into_inner(tree).unwrap().into_inner().unwrap())
}

struct Built {
    tree: TreeBuilder,
    plan: Plan,
    old: registry_fixtures::Index,
}

/// Two builds of two platforms. The plan deletes the older, which has two tags.
fn built() -> Built {
    let mut tree = TreeBuilder::new();
    let old = tree.multi_platform("app", Some("old"), &["linux/amd64", "linux/arm64"]);
    tree.tag("app", "same", &old.digest);
    tree.multi_platform("app", Some("new"), &["linux/amd64", "linux/arm64"]);
    tree.age_all(60 * DAY);
    tree.set_pushed("app", "new", DAY);
    let plan = planned(&record(&tree), &keep(1));
    assert_eq!((plan.summary.images_deleted, plan.summary.versions_deleted), (1, 2));
    Built { tree, plan, old }
}

fn outcomes_text(applied: &ApplyResult) -> String {
    let mut lines: Vec<String> = applied
        .rows
        .iter()
        .map(|row| {
            let why = row.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            format!("{} {:?}{why}", row.version, row.outcome)
        })
        .collect();
    lines.sort();
    match &applied.stopped {
        Some(Stopped::Worse(_)) => lines.push("stopped: worse".into()),
        Some(Stopped::Halted(why)) => lines.push(format!("stopped: Halted({:?})", why.to_string())),
        Some(other) => lines.push(format!("stopped: {other:?}")),
        None => {}
    }
    lines.join("\n")
}

fn is_linked(tree: &TreeBuilder, digest: &registry_fixtures::Digest) -> bool {
    tree.revision_link("app", digest).is_file()
}

#[test]
fn interrupted_run_finishes_the_current_step_and_begins_no_other() {
    let Built { tree, plan, old } = built();
    let progress = Arc::new(StepProgress::default());
    let stopping = Arc::clone(&progress);
    let (applied, tree) =
        apply_with_push_and_progress(&progress, tree, &plan, (true, "tags"), move |_| stopping.stop());
    insta::assert_snapshot!(outcomes_text(&applied).replace(old.digest.as_str(), "INDEX"), @r#"
    old Deleted
    same Deleted
    INDEX Stopped: it was interrupted
    stopped: Halted("it was interrupted")
    "#);
    assert!(is_linked(&tree, &old.digest) && is_linked(&tree, &old.images[0].digest));
    // A run that is interrupted before its first package does nothing.
    let Built { tree, plan, .. } = built();
    let (now, located, layout) = (Timestamp::now(), located(&tree), open(&tree));
    let mut writer = TreeWriter::open(&located, None, Access::default(), now).unwrap();
    let applied = apply(&layout, verified(&plan), &mut writer, DiscardingLog, &progress);
    insta::assert_snapshot!(outcomes_text(&applied), @r#"
    old Stopped: it was interrupted
    same Stopped: it was interrupted
    stopped: Halted("it was interrupted")
    "#);
    assert!(!tree.root().join(".registry-fsck").try_exists().unwrap());
}

#[test]
fn tag_repointed_right_before_its_move_is_spared() {
    let Built { tree, plan, old } = built();
    let (applied, tree) = apply_with_push(tree, &plan, (true, "tags"), |tree| {
        let other = tree.image("app", None, "other");
        tree.tag("app", "same", &other.digest);
    });
    insta::assert_snapshot!(outcomes_text(&applied), @"
    old Deleted
    same Spared: it names something else now
    ");
    assert!(tree.tag_link("app", "same").is_file() && !tree.tag_link("app", "old").is_file());
    // The image is left for the next plan.
    assert!(is_linked(&tree, &old.digest) && is_linked(&tree, &old.images[0].digest));
}

#[test]
fn image_with_a_tag_pushed_again_stays_whole() {
    let Built { tree, plan, old } = built();
    let digest = old.digest.clone();
    let (applied, tree) = apply_with_push(tree, &plan, (true, "tags"), move |tree| {
        tree.tag("app", "same", &digest);
    });
    insta::assert_snapshot!(outcomes_text(&applied), @"
    old Deleted
    same Spared: it was pushed again since it was planned
    ");
    assert!(tree.tag_link("app", "same").is_file());
    assert!(is_linked(&tree, &old.digest));
    assert!(old.images.iter().chain(&old.attestations).all(|image| is_linked(&tree, &image.digest)));
}

#[test]
fn manifests_needed_by_a_tag_pushed_between_moves_stay() {
    let Built { tree, plan, old } = built();
    let child = old.images[0].clone();
    let (applied, tree) = apply_with_push(tree, &plan, (false, "tags/old"), move |tree| {
        tree.index(
            "app",
            Some("again"),
            &[Child::new(&child.digest, child.size, "application/vnd.oci.image.manifest.v1+json")],
        );
    });
    insta::assert_snapshot!(outcomes_text(&applied), @"
    old Deleted
    same Deleted
    ");
    assert!(is_linked(&tree, &old.images[0].digest) && !is_linked(&tree, &old.images[1].digest));
    let layers = &old.images[0].layers;
    assert!(!layers.is_empty() && layers.iter().all(|layer| tree.layer_link_path("app", layer).is_file()));
}

#[test]
fn push_over_an_already_moved_child_stops_the_run() {
    let Built { tree, plan, old } = built();
    let child = old.images[0].clone();
    let what = format!("revisions/sha256/{}", child.digest.hex());
    let (applied, _) = apply_with_push(tree, &plan, (false, &what), move |tree| {
        tree.index(
            "app",
            Some("again"),
            &[Child::new(&child.digest, child.size, "application/vnd.oci.image.manifest.v1+json")],
        );
    });
    insta::assert_snapshot!(outcomes_text(&applied), @"
    old Deleted
    same Deleted
    stopped: worse
    ");
    let Some(Stopped::Worse(why)) = &applied.stopped else { panic!("{applied:?}") };
    let why = why.to_string();
    assert!(
        why.starts_with("app:again needs sha256:") && why.ends_with("undo this run by its journal"),
        "{why}"
    );
}
