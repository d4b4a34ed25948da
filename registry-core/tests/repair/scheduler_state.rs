//! A `scheduler-state.json` of a pull-through cache that keeps the server from starting: it is repaired, undone, and stopped on
//! the way, and nothing else in the rootdirectory is touched.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use registry_core::audit::RegistryRole;
use registry_core::repair::{ChangeUndoState, RepairHistory, StepAction, StepOutcome};
use registry_fixtures::TreeBuilder;

use crate::support::{
    Budget, OLD, Registry, differences, error_lines, only_quarantine, snapshot_tree, undo, undo_failures,
};

/// An old cache that lacks one of two layers, with this scheduler state.
fn cache(state: &str) -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    tree.break_blob_missing(&image.layers[0]).break_scheduler_state(state);
    fs::set_permissions(state_path(&tree), fs::Permissions::from_mode(0o640)).unwrap();
    tree.age_all(OLD);
    tree
}

fn state_path(tree: &TreeBuilder) -> PathBuf {
    tree.root().join("scheduler-state.json")
}

/// Bytes, permissions and modification time of a file.
fn file_state(path: &Path) -> (Vec<u8>, u32, std::time::SystemTime) {
    let metadata = path.metadata().unwrap();
    (fs::read(path).unwrap(), metadata.permissions().mode() & 0o7777, metadata.modified().unwrap())
}

fn states(undone: &[registry_core::repair::UndoneChange]) -> Vec<&ChangeUndoState> {
    undone.iter().map(|change| &change.state).collect()
}

/// Why the only step of a plan was spared.
fn spared_reason(outcomes: &[StepOutcome]) -> String {
    let [StepOutcome::Spared(why)] = outcomes else { panic!("{outcomes:?}") };
    why.to_string()
}

/// https://github.com/distribution/distribution/issues/2374, https://github.com/distribution/distribution/issues/4478
#[test]
fn unusable_scheduler_state_is_reset_and_restored_by_undo() {
    for text in ["", "\0\0\0\0", r#"{"a":{"Key":"a"#, "[]", r#"{"a":null}"#] {
        let tree = cache(text);
        let (before, broken_state) = (snapshot_tree(tree.root()), file_state(&state_path(&tree)));
        let registry = Registry::open(tree.root());
        assert_eq!(error_lines(&registry.audit()), ["path-unexpected ../../../scheduler-state.json"]);
        let repaired = registry.repair();
        let [step] = repaired.plan.steps() else { panic!("{:#?}", repaired.plan.steps()) };
        assert_eq!((step.action, &*step.path), (StepAction::Reset, "../../../scheduler-state.json"));
        assert_eq!(repaired.outcomes, [StepOutcome::Done]);
        assert!(repaired.plan.left.is_empty(), "{:#?}", repaired.plan.left);
        let (bytes, mode, _) = file_state(&state_path(&tree));
        assert_eq!((&*bytes, mode), (&b"{}"[..], 0o640));
        assert_eq!(file_state(&only_quarantine(&tree).join("scheduler-state.json")), broken_state);
        // It is still a cache, so the missing layer is no damage.
        let after = registry.audit();
        assert_eq!((after.source.role, error_lines(&after)), (RegistryRole::Cache, Vec::new()));
        assert!(registry.plan(&[], None).steps().is_empty());
        assert_eq!(registry.apply(&repaired.plan, &Budget::unlimited(), None).0, [StepOutcome::There]);
        assert_eq!(states(&undo(&repaired.journal)), [&ChangeUndoState::Restored; 2]);
        assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0]);
        assert_eq!(file_state(&state_path(&tree)), broken_state);
        assert_eq!(states(&undo(&repaired.journal)), [&ChangeUndoState::There; 2]);
    }
}

/// A folder of this name does not mark a cache, and a server starts without the file.
#[test]
fn folder_in_place_of_scheduler_state_is_moved_aside() {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state_is_folder();
    fs::write(state_path(&tree).join("inside"), "kept").unwrap();
    let before = snapshot_tree(tree.root());
    let registry = Registry::open(tree.root());
    let repaired = registry.repair();
    assert_eq!(repaired.outcomes, [StepOutcome::Done]);
    assert!(!state_path(&tree).try_exists().unwrap());
    assert!(only_quarantine(&tree).join("scheduler-state.json/inside").is_file());
    assert_eq!(registry.audit().source.role, RegistryRole::Primary);
    assert_eq!(states(&undo(&repaired.journal)), [&ChangeUndoState::Restored; 2]);
    assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0]);
    assert_eq!(states(&undo(&repaired.journal)), [&ChangeUndoState::There; 2]);
}

#[test]
fn symbolic_link_in_place_of_scheduler_state_is_never_followed() {
    let other = tempfile::tempdir().unwrap();
    let victim = other.path().join("victim");
    fs::write(&victim, "").unwrap();
    // A link from the start: no finding, and nothing is planned.
    let tree = cache("");
    fs::remove_file(state_path(&tree)).unwrap();
    symlink(&victim, state_path(&tree)).unwrap();
    assert!(Registry::open(tree.root()).plan(&[], None).steps().is_empty());
    // A link that appears between plan and apply, in place of the file or of the temporary file beside it.
    let tree = cache("");
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    fs::remove_file(state_path(&tree)).unwrap();
    symlink(&victim, state_path(&tree)).unwrap();
    let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
    assert_eq!(spared_reason(&outcomes), "a symbolic link (not followed) stands there now");
    fs::remove_file(state_path(&tree)).unwrap();
    fs::write(state_path(&tree), "").unwrap();
    symlink(&victim, tree.root().join("scheduler-state.json.registry-fsck.tmp")).unwrap();
    let (outcomes, journal) = registry.apply(&plan, &Budget::unlimited(), None);
    assert_eq!(outcomes, [StepOutcome::Done]);
    // A link that appears after the repair: an undo moves nothing over it or through it.
    fs::remove_file(state_path(&tree)).unwrap();
    symlink(&victim, state_path(&tree)).unwrap();
    let stamp = only_quarantine(&tree).file_name().unwrap().to_str().unwrap().to_owned();
    assert_snapshot!(undo_failures(&undo(&journal)).replace(&stamp, "TIME"), @"
    left ../../../scheduler-state.json: it was written again since; what was moved aside stays at .registry-fsck/TIME/scheduler-state.json
    left .registry-fsck/TIME/quarantine.json: something is still in the quarantine
    ");
    assert_eq!((fs::read(&victim).unwrap(), state_path(&tree).is_symlink()), (Vec::new(), true));
}

#[test]
fn scheduler_state_that_changed_since_the_plan_is_spared() {
    let after = |happens: &dyn Fn(&Path)| {
        let tree = cache("");
        let registry = Registry::open(tree.root());
        let plan = registry.plan(&[], None);
        happens(&state_path(&tree));
        let before = snapshot_tree(tree.root());
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
        assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0]);
        outcomes
    };
    assert_eq!(after(&|state| fs::write(state, "{}").unwrap()), [StepOutcome::There]);
    assert_eq!(spared_reason(&after(&|state| fs::remove_file(state).unwrap())), "it is gone");
    let fifo = |state: &Path| {
        fs::remove_file(state).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(state).status().unwrap().success());
    };
    assert_eq!(spared_reason(&after(&fifo)), "a FIFO, socket or device stands there now");
}

#[test]
fn undo_leaves_scheduler_state_that_a_server_wrote_since() {
    let tree = cache("");
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    fs::write(state_path(&tree), r#"{"app@sha256:aa":{}}"#).unwrap();
    let stamp = only_quarantine(&tree).file_name().unwrap().to_str().unwrap().to_owned();
    assert_snapshot!(undo_failures(&undo(&journal)).replace(&stamp, "TIME"), @"
    left ../../../scheduler-state.json: it was written again since; what was moved aside stays at .registry-fsck/TIME/scheduler-state.json
    left .registry-fsck/TIME/quarantine.json: something is still in the quarantine
    ");
    assert_eq!(fs::read(state_path(&tree)).unwrap(), br#"{"app@sha256:aa":{}}"#);
    fs::remove_file(only_quarantine(&tree).join("scheduler-state.json")).unwrap();
    assert_eq!(undo_failures(&undo(&journal)), "");
    // The server has written nothing yet, and the quarantine was purged.
    let tree = cache("");
    let journal = Registry::open(tree.root()).repair().journal;
    fs::remove_file(only_quarantine(&tree).join("scheduler-state.json")).unwrap();
    assert_snapshot!(undo_failures(&undo(&journal)), @"lost ../../../scheduler-state.json: it is neither here nor in the quarantine: it was purged, or this is another tree");
    assert_eq!(fs::read(state_path(&tree)).unwrap(), b"{}");
}

/// Law L6: after each writing call the old state or an empty one is there, so that the tree is still a cache; the repair can be
/// undone, and run again.
#[test]
fn reset_stopped_at_any_write_leaves_a_cache_and_can_be_undone_or_finished() {
    let text = r#"{"a":{"Key":"a"#;
    let whole = cache(text);
    let budget = Budget::unlimited();
    let registry = Registry::open(whole.root());
    registry.apply(&registry.plan(&[], None), &budget, None);
    assert!(budget.spent() > 10, "{}", budget.spent());
    for stop in 0..budget.spent() {
        for is_undone in [true, false] {
            let tree = cache(text);
            let before = snapshot_tree(tree.root());
            let registry = Registry::open(tree.root());
            let (_, first) = registry.apply(&registry.plan(&[], None), &Budget::limited(stop), None);
            let now = fs::read(state_path(&tree)).unwrap();
            assert!(now == text.as_bytes() || now == b"{}", "stop {stop}: {now:?}");
            let audit = registry.audit();
            assert_eq!(audit.source.role, RegistryRole::Cache, "stop {stop}");
            let mut journals = vec![first];
            if !is_undone {
                let (_, second) = registry.apply(&registry.plan(&[], None), &Budget::unlimited(), None);
                assert_eq!(fs::read(state_path(&tree)).unwrap(), b"{}", "stop {stop}");
                assert_eq!(error_lines(&registry.audit()), [""; 0], "stop {stop}");
                journals.push(second);
            }
            for journal in journals.iter().rev().filter(|journal| RepairHistory::read(journal).is_ok()) {
                assert_eq!(undo_failures(&undo(journal)), "", "stop {stop}");
            }
            assert_eq!(differences(&before, &snapshot_tree(tree.root())), [""; 0], "stop {stop}");
        }
    }
}
