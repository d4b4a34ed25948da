//! Repairs by root, by the owner of the registry, and by a user who may not make a quarantine. These tests have a binary of their
//! own: a user who is not root cannot see which trees the servers of other tests serve, so a repair beside them is refused.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use registry_fixtures::TreeBuilder;
use registry_fixtures::program::ProgramOutput;
use tempfile::TempDir;
use walkdir::WalkDir;

/// The user and group that own the registry.
const OWNER: (u32, u32) = (4321, 8765);

/// A tree with a child that has lost its link, an empty layer, and an unneeded layer link; nothing is young.
fn damaged_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("web", Some("1"), "web");
    tree.break_revision_link_missing("team/app", &index.images[0].digest);
    tree.break_blob_zero(&image.layers[0]);
    tree.layer("web", b"linked and needed by no manifest");
    tree.age_all(Duration::from_secs(30 * 24 * 3600));
    tree
}

fn fsck() -> Command {
    Command::new(env!("CARGO_BIN_EXE_registry-fsck"))
}

fn run(command: &mut Command) -> ProgramOutput {
    ProgramOutput::from(command.output().unwrap())
}

/// The permissions, owner and bytes of every path below a folder.
fn tree_state(root: &Path) -> BTreeMap<PathBuf, (u32, u32, Option<Vec<u8>>)> {
    let entries = WalkDir::new(root).into_iter().map(Result::unwrap);
    let seen = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        let bytes = metadata.is_file().then(|| std::fs::read(entry.path()).unwrap());
        (entry.into_path(), (metadata.mode(), metadata.uid(), bytes))
    });
    seen.collect()
}

/// Makes a folder and everything in it the property of `OWNER`.
fn give_to_owner(root: &Path) {
    for entry in WalkDir::new(root).into_iter().map(Result::unwrap) {
        chown(entry.path(), Some(OWNER.0), Some(OWNER.1)).unwrap();
    }
}

/// Runs a command as `OWNER`.
fn run_as_owner(command: &mut Command) -> ProgramOutput {
    run(command.uid(OWNER.0).gid(OWNER.1))
}

/// A folder for journals of any user.
fn writable_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o777);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn registry_owner_can_undo_repair_of_root() {
    let (tree, folder) = (damaged_tree(), writable_folder());
    set_mode(tree.root(), 0o755);
    give_to_owner(tree.root());
    let before = tree_state(tree.root());
    let journal = |name: &str| folder.path().join(name);
    let repair = |name: &str| {
        let mut command = fsck();
        command.arg("repair").arg(tree.root()).arg("--apply").arg("--journal").arg(journal(name));
        command
    };
    assert_eq!(run(&mut repair("root")).status, 5);
    let aside = tree.root().join(".registry-fsck");
    for entry in WalkDir::new(&aside).into_iter().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), OWNER, "{}", entry.path().display());
    }
    let undone = run_as_owner(fsck().arg("undo").arg(journal("root")));
    assert_eq!(undone.status, 0, "{undone:?}");
    assert!(before == tree_state(tree.root()), "{undone:?}");
    // Nothing that root left obstructs a repair by the owner.
    let ran = run_as_owner(&mut repair("own"));
    assert_eq!(ran.status, 5, "{ran:?}");
    assert_eq!(run_as_owner(fsck().arg("undo").arg(journal("own"))).status, 0);
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn repair_without_quarantine_still_writes_links() {
    let (tree, folder) = (damaged_tree(), writable_folder());
    set_mode(tree.root(), 0o755);
    give_to_owner(&tree.root().join("docker"));
    let mut command = fsck();
    command.args(["repair", "--apply", "--output", "json"]).arg(tree.root());
    command.arg("--journal").arg(folder.path().join("journal"));
    let ran = run_as_owner(&mut command);
    assert_eq!(ran.status, 1 | 4 | 8, "{ran:?}");
    assert!(ran.err.starts_with("ERROR failed: quarantine blobs/"), "{}", ran.err);
    let report = ran.json();
    assert!(report.get("quarantine").is_none(), "{report:#}");
    let steps = report["steps"].as_array().unwrap().iter();
    let outcomes = steps.map(|step| {
        let why = step["why"].as_str().unwrap_or_default().replace(&*tree.root().to_string_lossy(), "ROOT");
        let stamp = why.split("/.registry-fsck/").nth(1).and_then(|rest| rest.split(' ').next());
        let why = stamp.map_or_else(|| why.clone(), |stamp| why.replace(stamp, "TIME"));
        format!("{} {} {why}", step["action"].as_str().unwrap(), step["outcome"].as_str().unwrap())
    });
    insta::assert_snapshot!(outcomes.collect::<Vec<_>>().join("\n"), @"
    quarantine failed the quarantine ROOT/.registry-fsck/TIME cannot be made: Permission denied (os error 13); name another folder with --quarantine
    relink done 
    unlink failed the quarantine ROOT/.registry-fsck/TIME cannot be made: Permission denied (os error 13); name another folder with --quarantine
    ");
    // With a writable folder for the quarantine, all steps succeed.
    let own = tree.root().join("own");
    std::fs::create_dir(&own).unwrap();
    set_mode(&own, 0o777);
    let mut command = fsck();
    command.args(["repair", "--apply"]).arg(tree.root()).arg("--quarantine").arg(own.join("aside"));
    command.arg("--journal").arg(folder.path().join("second"));
    let ran = run_as_owner(&mut command);
    assert_eq!(ran.status & 8, 0, "{ran:?}");
    // The quarantine cannot be given to the owner of its parent folder, so only its maker may open it.
    let metadata = own.join("aside").metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o7777), (OWNER.0, 0o700));
}
