//! `repair`, `undo` and `repair --purge` as a user meets them.

pub mod at_work;
mod bad_input;
mod from;
mod killed;
mod left;
mod options;
mod output;
mod real;
mod runbook;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use registry_fixtures::TreeBuilder;
use walkdir::WalkDir;

use crate::support::{OLD, Ran, fsck, run};

/// A tree whose index has lost the links of both children, with a wrong layer elsewhere; nothing in it is young.
fn damaged() -> TreeBuilder {
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

/// Runs `repair` on a tree, with the journal in a folder beside it.
fn repair(root: &Path, journal: &Path, options: &[&str]) -> Ran {
    run(fsck().arg("repair").arg(root).arg("--journal").arg(journal).args(options))
}

fn undo(journal: &Path) -> Ran {
    run(fsck().arg("undo").arg(journal))
}

/// Every path below a folder: permissions and bytes.
fn picture(root: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let entries = WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode();
            let bytes = entry.file_type().is_file().then(|| std::fs::read(entry.path()).unwrap());
            (entry.path().strip_prefix(root).unwrap().to_path_buf(), (mode, bytes))
        })
        .collect()
}

/// The paths in which two pictures differ.
fn differences<T: PartialEq>(a: &BTreeMap<PathBuf, T>, b: &BTreeMap<PathBuf, T>) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing.map(|path| path.display().to_string()).collect()
}

/// A copy of a tree with its times.
fn copy(root: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(root.join(".")).arg(folder.path()).status();
    assert!(status.unwrap().success());
    folder
}
