//! Repairs by root and by the user that keeps the registry, one after the other, and by a user that may not make a quarantine.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use walkdir::WalkDir;

use crate::support::{fsck, run};

use super::{damaged, differences, picture};

/// Who keeps the registry, and their group.
const KEEPER: (u32, u32) = (4321, 8765);

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
fn what_root_moved_aside_is_undone_by_whoever_keeps_the_registry() {
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
    assert_eq!(run(&mut repair("root")).status, 5);
    let aside = tree.root().join(".registry-fsck");
    for entry in WalkDir::new(&aside).into_iter().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), KEEPER, "{}", entry.path().display());
    }
    let undone = run(keeper(fsck().arg("undo").arg(journal("root"))));
    assert_eq!(undone.status, 0, "{undone:?}");
    assert_eq!(differences(&before, &picture(tree.root())), [""; 0]);
    // And in their own repair nothing that root left is in the way.
    let ran = run(keeper(&mut repair("own")));
    assert_eq!(ran.status, 5, "{ran:?}");
    assert_eq!(run(keeper(fsck().arg("undo").arg(journal("own")))).status, 0);
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn who_may_not_make_a_quarantine_is_told_and_links_are_written() {
    let (tree, folder) = (damaged(), open_folder());
    std::fs::set_permissions(tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    give(&tree.root().join("docker"));
    let mut command = fsck();
    command.args(["repair", "--apply", "--output", "json"]).arg(tree.root());
    command.arg("--journal").arg(folder.path().join("journal"));
    let ran = run(keeper(&mut command));
    assert_eq!(ran.status, 1 | 4 | 8, "{ran:?}");
    let report = ran.json();
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
    assert_eq!(ran.status & 8, 0, "{ran:?}");
    // It could not be given to whoever owns the folder around it, so it is for its maker alone.
    let metadata = own.join("aside").metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o7777), (KEEPER.0, 0o700));
}
