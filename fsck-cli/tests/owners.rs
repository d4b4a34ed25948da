//! Repairs by root and by the user that keeps the registry, one after the other, and by a user that may not make a quarantine.
//! In a process of their own: who is not root cannot tell which tree the servers of other tests serve, and is refused.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use registry_fixtures::TreeBuilder;
use walkdir::WalkDir;

/// Who keeps the registry, and their group.
const KEEPER: (u32, u32) = (4321, 8765);

/// A tree in which a child has lost its link, a layer its bytes, and a layer link is needed by nothing; nothing is young.
fn damaged() -> TreeBuilder {
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

/// How a command ended, and all that it printed.
fn run(command: &mut Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (
        status.code().unwrap(),
        format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)),
    )
}

/// Every path below a folder: permissions, owner, bytes.
fn picture(root: &Path) -> BTreeMap<PathBuf, (u32, u32, Option<Vec<u8>>)> {
    let entries = WalkDir::new(root).into_iter().map(Result::unwrap);
    let seen = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        let bytes = metadata.is_file().then(|| std::fs::read(entry.path()).unwrap());
        (entry.into_path(), (metadata.mode(), metadata.uid(), bytes))
    });
    seen.collect()
}

/// Gives away a folder with all that is in it.
fn give(root: &Path) {
    for entry in WalkDir::new(root).into_iter().map(Result::unwrap) {
        chown(entry.path(), Some(KEEPER.0), Some(KEEPER.1)).unwrap();
    }
}

fn keeper(command: &mut Command) -> &mut Command {
    command.uid(KEEPER.0).gid(KEEPER.1)
}

/// A folder that anybody may write journals into.
fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn registry_owner_can_undo_repair_of_root() {
    let (tree, folder) = (damaged(), open_folder());
    std::fs::set_permissions(tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    give(tree.root());
    let before = picture(tree.root());
    let journal = |name: &str| folder.path().join(name);
    let repair = |name: &str| {
        let mut command = fsck();
        command.arg("repair").arg(tree.root()).arg("--apply").arg("--journal").arg(journal(name));
        command
    };
    assert_eq!(run(&mut repair("root")).0, 5);
    let aside = tree.root().join(".registry-fsck");
    for entry in WalkDir::new(&aside).into_iter().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), KEEPER, "{}", entry.path().display());
    }
    let undone = run(keeper(fsck().arg("undo").arg(journal("root"))));
    assert_eq!(undone.0, 0, "{}", undone.1);
    assert!(before == picture(tree.root()), "{}", undone.1);
    // And in their own repair nothing that root left is in the way.
    let ran = run(keeper(&mut repair("own")));
    assert_eq!(ran.0, 5, "{}", ran.1);
    assert_eq!(run(keeper(fsck().arg("undo").arg(journal("own")))).0, 0);
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn repair_without_quarantine_still_writes_links() {
    let (tree, folder) = (damaged(), open_folder());
    std::fs::set_permissions(tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    give(&tree.root().join("docker"));
    let mut command = fsck();
    command.args(["repair", "--apply", "--output", "json"]).arg(tree.root());
    command.arg("--journal").arg(folder.path().join("journal"));
    let ran = run(keeper(&mut command));
    assert_eq!(ran.0, 1 | 4 | 8, "{}", ran.1);
    // Standard output comes first; what failed stands on standard error after it.
    let (report, said) = ran.1.split_at(ran.1.rfind("}\n").unwrap() + 2);
    assert!(said.starts_with("ERROR failed: quarantine blobs/"), "{said}");
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    assert!(report.get("quarantine").is_none(), "{report:#}");
    let steps = report["steps"].as_array().unwrap().iter();
    let told = steps.map(|step| {
        let why = step["why"].as_str().unwrap_or_default().replace(&*tree.root().to_string_lossy(), "ROOT");
        let stamp = why.split("/.registry-fsck/").nth(1).and_then(|rest| rest.split(' ').next());
        let why = stamp.map_or_else(|| why.clone(), |stamp| why.replace(stamp, "TIME"));
        format!("{} {} {why}", step["action"].as_str().unwrap(), step["outcome"].as_str().unwrap())
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"
    quarantine failed the quarantine ROOT/.registry-fsck/TIME cannot be made: Permission denied (os error 13); name another folder with --quarantine
    relink done 
    unlink failed the quarantine ROOT/.registry-fsck/TIME cannot be made: Permission denied (os error 13); name another folder with --quarantine
    ");
    // In a folder that is there for it, all is done.
    let own = tree.root().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = fsck();
    command.args(["repair", "--apply"]).arg(tree.root()).arg("--quarantine").arg(own.join("aside"));
    command.arg("--journal").arg(folder.path().join("second"));
    let ran = run(keeper(&mut command));
    assert_eq!(ran.0 & 8, 0, "{}", ran.1);
    // It could not be given to whoever owns the folder around it, so it is for its maker alone.
    let metadata = own.join("aside").metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o7777), (KEEPER.0, 0o700));
}
