//! Law L6 under SIGKILL: a repair that is killed at any writing system call breaks nothing more, can be undone, and reaches the
//! same result when it is run again.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use registry_fixtures::TreeBuilder;

use crate::support::{OLD, broken_tags, copy_of, scan_json};

use super::{TreeState, differences, repair, repairable_tree, tree_state, undo};

/// System calls that change a tree or a journal.
const WRITING: [&str; 10] = [
    "mkdirat",
    "write",
    "fsync",
    "fdatasync",
    "renameat",
    "renameat2",
    "unlinkat",
    "fchmod",
    "utimensat",
    "openat",
];

/// Runs a repair that is to be killed at the `when`th call; returns whether it was killed.
fn repair_killed_at(tree: &Path, journal: &Path, call: &str, when: u32) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:signal=KILL:when={when}")])
        .arg(env!("CARGO_BIN_EXE_registry-fsck"))
        .arg("repair")
        .arg(tree)
        .args(["--apply", "--quiet", "--progress", "never", "--jobs", "1", "--journal"])
        .arg(journal)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace");
    status.signal() == Some(9) || status.code() == Some(137)
}

/// The files of a tree without its quarantines, which are named after the time.
fn files_of(root: &Path) -> TreeState {
    let mut files = tree_state(root);
    files.retain(|path, (_, bytes)| !path.starts_with(".registry-fsck") && bytes.is_some());
    files
}

#[test]
#[ignore = "needs strace"]
fn killed_repair_is_undone_or_completed() {
    check_kills(&repairable_tree());
}

#[test]
#[ignore = "needs strace"]
fn killed_scheduler_state_repair_is_undone_or_completed() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    // A missing layer becomes damage as soon as the tree is no longer known as a cache.
    tree.break_blob_missing(&image.layers[0]).break_scheduler_state("");
    tree.age_all(OLD);
    check_kills(&tree);
}

fn check_kills(source: &TreeBuilder) {
    let was_broken = broken_tags(&scan_json(source.root(), &[]).json());
    let before = tree_state(source.root());
    let repaired = {
        let (tree, folder) = (copy_of(source.root()), tempfile::tempdir().unwrap());
        repair(tree.path(), &folder.path().join("journal"), &["--apply"]);
        files_of(tree.path())
    };
    let mut kills = 0;
    for call in WRITING {
        // Most calls of openat only read, so every seventh is enough.
        let stride = if call == "openat" { 7 } else { 1 };
        for when in (1..).step_by(stride) {
            let (tree, folder) = (copy_of(source.root()), tempfile::tempdir().unwrap());
            let journal = folder.path().join("journal");
            if !repair_killed_at(tree.path(), &journal, call, when) {
                break;
            }
            kills += 1;
            let now: BTreeSet<String> = broken_tags(&scan_json(tree.path(), &[]).json());
            assert!(now.is_subset(&was_broken), "{call} {when}: {now:?}");
            let is_begun = std::fs::read_to_string(&journal).is_ok_and(|text| text.contains('\n'));
            if kills % 2 == 0 && is_begun {
                let undone = undo(&journal);
                assert_eq!(undone.status, 0, "{call} {when}: {undone:?}");
                assert_eq!(differences(&before, &tree_state(tree.path())), [""; 0], "{call} {when}");
            } else {
                repair(tree.path(), &folder.path().join("again"), &["--apply"]);
                assert_eq!(differences(&repaired, &files_of(tree.path())), [""; 0], "{call} {when}");
            }
        }
    }
    assert!(kills >= 30, "{kills} kills");
}
