//! `scheduler-state.json` of a pull-through cache with which no server starts: repaired, taken back, stopped on the way, and never
//! anything else of the rootdirectory.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use insta::assert_snapshot;
use registry_core::audit::RegistryRole;
use registry_core::repair::{Act, ChangeUndoState, RepairHistory, StepOutcome};
use registry_fixtures::TreeBuilder;

use crate::support::{Budget, OLD, Registry, differences, errors, left, picture, undo};

/// A cache that has one of two layers, with a state; nothing in it is young.
fn cache(state: &str) -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    tree.break_blob_missing(&image.layers[0]).break_scheduler_state(state);
    fs::set_permissions(state_of(&tree), fs::Permissions::from_mode(0o640)).unwrap();
    tree.age_all(OLD);
    tree
}

fn state_of(tree: &TreeBuilder) -> PathBuf {
    tree.root().join("scheduler-state.json")
}

/// Bytes, permissions and time of a file.
fn file(path: &Path) -> (Vec<u8>, u32, std::time::SystemTime) {
    let about = path.metadata().unwrap();
    (fs::read(path).unwrap(), about.permissions().mode() & 0o7777, about.modified().unwrap())
}

/// The only quarantine of a tree.
fn quarantine(tree: &TreeBuilder) -> PathBuf {
    let all: Vec<_> = fs::read_dir(tree.root().join(".registry-fsck")).unwrap().collect();
    let [Ok(one)] = &all[..] else { panic!("not one quarantine: {all:?}") };
    one.path()
}

fn states(undone: &[registry_core::repair::UndoneChange]) -> Vec<&ChangeUndoState> {
    undone.iter().map(|one| &one.state).collect()
}

/// Why the one step of a plan was spared.
fn spared(outcomes: &[StepOutcome]) -> String {
    let [StepOutcome::Spared(why)] = outcomes else { panic!("{outcomes:?}") };
    why.to_string()
}

/// https://github.com/distribution/distribution/issues/2374, https://github.com/distribution/distribution/issues/4478
#[test]
fn scheduler_state_empty() {
    for text in ["", "\0\0\0\0", r#"{"a":{"Key":"a"#, "[]", r#"{"a":null}"#] {
        let tree = cache(text);
        let (before, broken) = (picture(tree.root()), file(&state_of(&tree)));
        let registry = Registry::open(tree.root());
        assert_eq!(errors(&registry.audit()), ["path-unexpected ../../../scheduler-state.json"]);
        let repaired = registry.repair();
        let [step] = repaired.plan.steps() else { panic!("{:#?}", repaired.plan.steps()) };
        assert_eq!((step.action, &*step.path), (Act::Reset, "../../../scheduler-state.json"));
        assert_eq!(repaired.outcomes, [StepOutcome::Done]);
        assert!(repaired.plan.left.is_empty(), "{:#?}", repaired.plan.left);
        let (bytes, mode, _) = file(&state_of(&tree));
        assert_eq!((&*bytes, mode), (&b"{}"[..], 0o640));
        assert_eq!(file(&quarantine(&tree).join("scheduler-state.json")), broken);
        // It is still a cache, so what is absent is no damage.
        let after = registry.audit();
        assert_eq!((after.source.role, errors(&after)), (RegistryRole::Cache, Vec::new()));
        assert!(registry.plan(&[], None).steps().is_empty());
        assert_eq!(registry.apply(&repaired.plan, &Budget::unlimited(), None).0, [StepOutcome::There]);
        assert_eq!(states(&registry.undo(&repaired.journal)), [&ChangeUndoState::Restored; 2]);
        assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
        assert_eq!(file(&state_of(&tree)), broken);
        assert_eq!(states(&registry.undo(&repaired.journal)), [&ChangeUndoState::There; 2]);
    }
}

/// A folder marks no cache, and a server starts where there is nothing.
#[test]
fn a_folder_in_its_place_is_moved_and_leaves_nothing_behind() {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "app");
    tree.break_scheduler_state_is_folder();
    fs::write(state_of(&tree).join("inside"), "kept").unwrap();
    let before = picture(tree.root());
    let registry = Registry::open(tree.root());
    let repaired = registry.repair();
    assert_eq!(repaired.outcomes, [StepOutcome::Done]);
    assert!(!state_of(&tree).try_exists().unwrap());
    assert!(quarantine(&tree).join("scheduler-state.json/inside").is_file());
    assert_eq!(registry.audit().source.role, RegistryRole::Primary);
    assert_eq!(states(&registry.undo(&repaired.journal)), [&ChangeUndoState::Restored; 2]);
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    assert_eq!(states(&registry.undo(&repaired.journal)), [&ChangeUndoState::There; 2]);
}

#[test]
fn a_symbolic_link_is_never_followed() {
    let other = tempfile::tempdir().unwrap();
    let victim = other.path().join("victim");
    fs::write(&victim, "").unwrap();
    // From the start: no finding, and nothing is planned.
    let tree = cache("");
    fs::remove_file(state_of(&tree)).unwrap();
    symlink(&victim, state_of(&tree)).unwrap();
    assert!(Registry::open(tree.root()).plan(&[], None).steps().is_empty());
    // Between plan and apply, in its own place, and in that of the file that is written beside it.
    let tree = cache("");
    let registry = Registry::open(tree.root());
    let plan = registry.plan(&[], None);
    fs::remove_file(state_of(&tree)).unwrap();
    symlink(&victim, state_of(&tree)).unwrap();
    let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
    assert_eq!(spared(&outcomes), "a symbolic link (not followed) stands there now");
    fs::remove_file(state_of(&tree)).unwrap();
    fs::write(state_of(&tree), "").unwrap();
    symlink(&victim, tree.root().join("scheduler-state.json.registry-fsck.tmp")).unwrap();
    let (outcomes, journal) = registry.apply(&plan, &Budget::unlimited(), None);
    assert_eq!(outcomes, [StepOutcome::Done]);
    // After the repair: an undo moves nothing over, or through, a link.
    fs::remove_file(state_of(&tree)).unwrap();
    symlink(&victim, state_of(&tree)).unwrap();
    let stamp = quarantine(&tree).file_name().unwrap().to_str().unwrap().to_owned();
    assert_snapshot!(left(&undo(&journal)).replace(&stamp, "TIME"), @"
    left ../../../scheduler-state.json: it was written again since; what was moved aside stays at .registry-fsck/TIME/scheduler-state.json
    left .registry-fsck/TIME/quarantine.json: something is still in the quarantine
    ");
    assert_eq!((fs::read(&victim).unwrap(), state_of(&tree).is_symlink()), (Vec::new(), true));
}

#[test]
fn what_happens_between_plan_and_apply_spares_it() {
    let after = |happens: &dyn Fn(&Path)| {
        let tree = cache("");
        let registry = Registry::open(tree.root());
        let plan = registry.plan(&[], None);
        happens(&state_of(&tree));
        let before = picture(tree.root());
        let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
        assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
        outcomes
    };
    assert_eq!(after(&|state| fs::write(state, "{}").unwrap()), [StepOutcome::There]);
    assert_eq!(spared(&after(&|state| fs::remove_file(state).unwrap())), "it is gone");
    let fifo = |state: &Path| {
        fs::remove_file(state).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(state).status().unwrap().success());
    };
    assert_eq!(spared(&after(&fifo)), "a FIFO, socket or device stands there now");
}

/// What a server wrote since stays, and so does what was moved aside.
#[test]
fn an_undo_leaves_what_a_server_wrote_since() {
    let tree = cache("");
    let registry = Registry::open(tree.root());
    let journal = registry.repair().journal;
    fs::write(state_of(&tree), r#"{"app@sha256:aa":{}}"#).unwrap();
    let stamp = quarantine(&tree).file_name().unwrap().to_str().unwrap().to_owned();
    assert_snapshot!(left(&undo(&journal)).replace(&stamp, "TIME"), @"
    left ../../../scheduler-state.json: it was written again since; what was moved aside stays at .registry-fsck/TIME/scheduler-state.json
    left .registry-fsck/TIME/quarantine.json: something is still in the quarantine
    ");
    assert_eq!(fs::read(state_of(&tree)).unwrap(), br#"{"app@sha256:aa":{}}"#);
    fs::remove_file(quarantine(&tree).join("scheduler-state.json")).unwrap();
    assert_eq!(left(&undo(&journal)), "");
    // A server that has written nothing yet, and a quarantine that was purged.
    let tree = cache("");
    let journal = Registry::open(tree.root()).repair().journal;
    fs::remove_file(quarantine(&tree).join("scheduler-state.json")).unwrap();
    assert_snapshot!(left(&undo(&journal)), @"lost ../../../scheduler-state.json: it is neither here nor in the quarantine: it was purged, or this is another tree");
    assert_eq!(fs::read(state_of(&tree)).unwrap(), b"{}");
}

/// Law L6: after each writing call there is the old state or an empty one, so that the tree is known as a cache; it can be taken
/// back, and run again.
#[test]
fn stopped_anywhere_it_is_a_cache_and_can_be_taken_back_or_finished() {
    let text = r#"{"a":{"Key":"a"#;
    let whole = cache(text);
    let budget = Budget::unlimited();
    let registry = Registry::open(whole.root());
    registry.apply(&registry.plan(&[], None), &budget, None);
    assert!(budget.spent() > 10, "{}", budget.spent());
    for stop in 0..budget.spent() {
        for is_undone in [true, false] {
            let tree = cache(text);
            let before = picture(tree.root());
            let registry = Registry::open(tree.root());
            let (_, first) = registry.apply(&registry.plan(&[], None), &Budget::of(stop), None);
            let now = fs::read(state_of(&tree)).unwrap();
            assert!(now == text.as_bytes() || now == b"{}", "stop {stop}: {now:?}");
            let audit = registry.audit();
            assert_eq!(audit.source.role, RegistryRole::Cache, "stop {stop}");
            let mut journals = vec![first];
            if !is_undone {
                let (_, second) = registry.apply(&registry.plan(&[], None), &Budget::unlimited(), None);
                assert_eq!(fs::read(state_of(&tree)).unwrap(), b"{}", "stop {stop}");
                assert_eq!(errors(&registry.audit()), [""; 0], "stop {stop}");
                journals.push(second);
            }
            for journal in journals.iter().rev().filter(|journal| RepairHistory::read(journal).is_ok()) {
                assert_eq!(left(&registry.undo(journal)), "", "stop {stop}");
            }
            assert_eq!(differences(&before, &picture(tree.root())), [""; 0], "stop {stop}");
        }
    }
}
