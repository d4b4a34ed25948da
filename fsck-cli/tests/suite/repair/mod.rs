//! `repair`, `undo` and `repair --purge`.

pub mod at_work;
mod bad_input;
mod from;
mod killed;
mod left;
mod options;
mod output;
mod real;
mod runbook;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use registry_fixtures::TreeBuilder;
use walkdir::WalkDir;

use crate::support::{OLD, ProgramOutput, fsck, run};

/// A tree in which an index has lost the links of both children, and an image has an empty layer; nothing is young.
fn repairable_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("web", Some("1"), "web");
    for child in &index.images[..2] {
        tree.break_revision_link_missing("team/app", &child.digest);
    }
    tree.break_blob_zero(&image.layers[0]);
    tree.layer("web", b"linked and needed by no manifest");
    tree.age_all(OLD);
    tree
}

/// Runs `repair` on a tree with a journal.
fn repair(root: &Path, journal: &Path, options: &[&str]) -> ProgramOutput {
    run(fsck().arg("repair").arg(root).arg("--journal").arg(journal).args(options))
}

fn undo(journal: &Path) -> ProgramOutput {
    run(fsck().arg("undo").arg(journal))
}

/// The permissions and bytes of every path below a folder.
type TreeState = BTreeMap<PathBuf, (u32, Option<Vec<u8>>)>;

fn tree_state(root: &Path) -> TreeState {
    let entries = WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode();
            let bytes = entry.file_type().is_file().then(|| std::fs::read(entry.path()).unwrap());
            (entry.path().strip_prefix(root).unwrap().to_path_buf(), (mode, bytes))
        })
        .collect()
}

/// The paths in which two states differ.
fn differences(a: &TreeState, b: &TreeState) -> Vec<String> {
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing.map(|path| path.display().to_string()).collect()
}
