//! Law L6 under SIGKILL: killed at every writing system call, a repair leaves nothing worse, can be taken back, and comes to
//! the same end when it is run again.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use registry_fixtures::TreeBuilder;

use crate::support::{OLD, broken, report};

use super::{copy, damaged, differences, picture, repair, undo};

/// System calls that change something.
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

/// Runs a repair that is killed at the `when`th such call; whether it was.
fn killed(tree: &Path, journal: &Path, call: &str, when: u32) -> bool {
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

/// A tree without the names of its quarantines, which tell the time, and without empty folders.
fn content(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut picture = picture(root);
    picture.retain(|path, (_, bytes)| !path.starts_with(".registry-fsck") && bytes.is_some());
    picture
}

#[test]
#[ignore = "needs strace"]
fn killed_repair_is_undone_or_completed() {
    killed_everywhere(&damaged());
}

#[test]
#[ignore = "needs strace"]
fn killed_scheduler_state_repair_is_undone_or_completed() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    // Absent as in a cache: damage as soon as the tree is not known as one.
    tree.break_blob_missing(&image.layers[0]).break_scheduler_state("");
    tree.age_all(OLD);
    killed_everywhere(&tree);
}

fn killed_everywhere(source: &TreeBuilder) {
    let was_broken = broken(&report(source.root(), &[]));
    let before = picture(source.root());
    let end = {
        let (tree, folder) = (copy(source.root()), tempfile::tempdir().unwrap());
        repair(tree.path(), &folder.path().join("journal"), &["--apply"]);
        content(tree.path())
    };
    let mut kills = 0;
    for call in WRITING {
        // Most openings are reads: every seventh is enough of them.
        let stride = if call == "openat" { 7 } else { 1 };
        for when in (1..).step_by(stride) {
            let (tree, folder) = (copy(source.root()), tempfile::tempdir().unwrap());
            let journal = folder.path().join("journal");
            if !killed(tree.path(), &journal, call, when) {
                break;
            }
            kills += 1;
            let now: BTreeSet<String> = broken(&report(tree.path(), &[]));
            assert!(now.is_subset(&was_broken), "{call} {when}: {now:?}");
            let is_begun = std::fs::read_to_string(&journal).is_ok_and(|text| text.contains('\n'));
            if kills % 2 == 0 && is_begun {
                let undone = undo(&journal);
                assert_eq!(undone.status, 0, "{call} {when}: {undone:?}");
                assert_eq!(differences(&before, &picture(tree.path())), [""; 0], "{call} {when}");
            } else {
                repair(tree.path(), &folder.path().join("again"), &["--apply"]);
                assert_eq!(differences(&end, &content(tree.path())), [""; 0], "{call} {when}");
            }
        }
    }
    assert!(kills >= 30, "{kills} kills");
}
