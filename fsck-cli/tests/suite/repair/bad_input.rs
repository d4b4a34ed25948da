//! What may obstruct a repair: other repairs, planted links, hard links, edited and foreign journals, a failing disk.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use registry_fixtures::TreeBuilder;

use crate::support::{copy_of, fsck, mask_snapshots, run};

use super::{differences, repair, repairable_tree, tree_state, undo};

#[test]
fn second_repair_is_refused_while_tree_is_locked() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let v2 = std::fs::File::open(tree.root().join("docker/registry/v2")).unwrap();
    v2.try_lock().unwrap();
    let before = tree_state(tree.root());
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--apply"]);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.err, @"ERROR another repair, undo or layout retention is at work on ROOT/docker/registry/v2: wait for it");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    // A dry run needs no lock.
    assert_eq!(repair(tree.root(), &folder.path().join("journal"), &[]).status, 4);
}

#[test]
fn planted_symlinks_are_not_followed() {
    let tree = repairable_tree();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("target");
    std::fs::write(&target, "not to be touched").unwrap();
    let link = tree.root().join("docker/registry/v2/repositories/team/app/_manifests/revisions/sha256");
    let folders = tree_state(
        &tree.root().join("docker/registry/v2/repositories/team/app/_manifests/tags/v1/index/sha256"),
    );
    assert!(link.is_dir() && !folders.is_empty());
    // One symbolic link at the temporary name of the link, then one at the link itself.
    let missing = missing_child_link(&tree);
    std::fs::create_dir_all(missing.parent().unwrap()).unwrap();
    symlink(&target, missing.with_file_name("link.registry-fsck.tmp")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ran =
        repair(tree.root(), &folder.path().join("journal"), &["--apply", "--only", "child-link-missing"]);
    assert_eq!(ran.status, 5, "{ran:?}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "not to be touched");
    assert!(missing.symlink_metadata().unwrap().is_file());

    let tree = repairable_tree();
    let missing = missing_child_link(&tree);
    std::fs::create_dir_all(missing.parent().unwrap()).unwrap();
    symlink(&target, &missing).unwrap();
    let ran =
        repair(tree.root(), &folder.path().join("second"), &["--apply", "--only", "child-link-missing"]);
    // The link could not be read, so only the other child is repaired.
    assert_eq!(ran.status & 8, 8, "{ran:?}");
    assert!(missing.symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "not to be touched");
}

/// The path of the first link that a repair would write.
fn missing_child_link(tree: &TreeBuilder) -> PathBuf {
    let ran =
        run(fsck().args(["repair", "--output", "json", "--only", "child-link-missing"]).arg(tree.root()));
    let path = ran.json()["steps"][0]["path"].as_str().unwrap().to_owned();
    tree.root().join("docker/registry/v2").join(path)
}

#[test]
fn rewritten_link_no_longer_shares_hard_link() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "v1");
    tree.break_revision_link_text("app", &image.digest);
    let elsewhere = tempfile::tempdir_in(tree.root()).unwrap();
    let twin = elsewhere.path().join("twin");
    let link = tree.revision_link("app", &image.digest);
    std::fs::hard_link(&link, &twin).unwrap();
    let text = std::fs::read(&twin).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 1);
    assert_eq!(std::fs::read(&twin).unwrap(), text);
    assert_eq!(std::fs::read_to_string(&link).unwrap(), image.digest.as_str());
    assert_ne!(link.metadata().unwrap().ino(), twin.metadata().unwrap().ino());
    assert_eq!(undo(&journal).status, 0);
    assert_eq!(std::fs::read(&link).unwrap(), text);
}

#[test]
fn invalid_edited_and_foreign_journals_are_refused() {
    let tree = repairable_tree();
    let folder = tempfile::tempdir().unwrap();
    let _masked = mask_snapshots(folder.path());
    let journal = folder.path().join("journal");
    assert_eq!(repair(tree.root(), &journal, &["--apply"]).status, 5);
    let text = std::fs::read_to_string(&journal).unwrap();
    let after = tree_state(tree.root());
    let undo_text = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let ran = undo(&path);
        format!("{} {}", ran.status, ran.err.trim())
    };
    insta::assert_snapshot!(undo_text("empty", ""), @r#"16 ERROR the journal ROOT/empty cannot be used: it does not begin as a journal of schema "registry-fsck/journal/1""#);
    insta::assert_snapshot!(undo_text("text", "hello\n"), @r#"16 ERROR the journal ROOT/text cannot be used: it does not begin as a journal of schema "registry-fsck/journal/1""#);
    insta::assert_snapshot!(undo_text("retention", "{\"begin\":{}}\n"), @r#"16 ERROR the journal ROOT/retention cannot be used: it does not begin as a journal of schema "registry-fsck/journal/1""#);
    let root = tree.root().display().to_string();
    let moved = text.replace(&root, "/elsewhere");
    insta::assert_snapshot!(undo_text("edited", &moved), @"16 ERROR the journal ROOT/edited cannot be used: line 1 is not what was written there, or a line before it is gone: an edited journal is not undone");
    let lines: Vec<&str> = text.lines().collect();
    let gap = [&lines[..1], &lines[2..]].concat().join("\n") + "\n";
    insta::assert_snapshot!(undo_text("gap", &gap), @"16 ERROR the journal ROOT/gap cannot be used: line 2 is not what was written there, or a line before it is gone: an edited journal is not undone");
    assert_eq!(differences(&after, &tree_state(tree.root())), [""; 0]);
    // The change that a cut-off line announces was not made; the others are undone.
    let torn = folder.path().join("torn");
    std::fs::write(&torn, &text[..text.len() - 20]).unwrap();
    let ran = undo(&torn);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("cut off"), "{}", ran.out);

    // An intact journal of a tree that was deleted, and then replaced by another.
    std::fs::remove_dir_all(tree.root().join("docker")).unwrap();
    let gone = undo(&journal);
    assert_eq!(gone.status, 8);
    let gone = gone.err.replace(&root, "TREE");
    insta::assert_snapshot!(gone, @"ERROR cannot open TREE/docker/registry/v2: No such file or directory (os error 2)");
    std::fs::create_dir_all(tree.root().join("docker/registry/v2/repositories")).unwrap();
    let other = undo(&journal);
    assert_eq!(other.status, 8, "{other:?}");
}

#[test]
fn unusable_quarantine_and_journal_paths_are_refused() {
    let tree = repairable_tree();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::create_dir(folder.path().join("full")).unwrap();
    std::fs::write(folder.path().join("full/x"), "").unwrap();
    let before = tree_state(tree.root());
    let root = tree.root().display().to_string();
    let refusal = |options: &[&str]| {
        let options: Vec<String> = options
            .iter()
            .map(|word| word.replace("ROOT", &root).replace("FOLDER", &folder.path().to_string_lossy()))
            .collect();
        let mut command = fsck();
        command.args(["repair", "--apply"]).arg(tree.root()).args(&options).current_dir(folder.path());
        let ran = run(&mut command);
        let text = ran.err.replace(&root, "ROOT").replace(&*folder.path().to_string_lossy(), "FOLDER");
        format!("{} {}", ran.status, text.trim())
    };
    let answers = [
        &["--quarantine", "ROOT/docker/aside"][..],
        &["--quarantine", "FOLDER/full"],
        &["--quarantine", "FOLDER/file"],
        &["--quarantine", "FOLDER/none/aside"],
        &["--journal", "ROOT/docker/registry/v2/journal"],
        &["--journal", "FOLDER/none/journal"],
        &["--only", "no-such-code"],
    ]
    .map(refusal);
    insta::assert_snapshot!(answers.join("\n"), @"
    16 ERROR ROOT/docker/aside lies inside the registry: name a folder outside docker/
    16 ERROR FOLDER/full is there and is no quarantine: name a folder that is not there, or empty
    16 ERROR FOLDER/file is there and is no quarantine: name a folder that is not there, or empty
    16 ERROR cannot use FOLDER/none/aside for what is moved aside: No such file or directory (os error 2)
    16 ERROR the journal ROOT/docker/registry/v2/journal would lie inside the registry: name another place with --journal
    8 ERROR cannot write the journal FOLDER/none/journal, so nothing is changed: No such file or directory (os error 2)
    16 error: invalid value 'no-such-code' for '--only <CODE>': no such finding code (docs/findings.md lists them)

    For more information, try '--help'.
    ");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
}

#[test]
fn folder_without_marker_is_never_purged() {
    let folder = tempfile::tempdir().unwrap();
    let _masked = mask_snapshots(folder.path());
    std::fs::write(folder.path().join("precious"), "").unwrap();
    let purge = |path: &Path| run(fsck().args(["repair", "--apply", "--purge"]).arg(path));
    let ran = purge(folder.path());
    assert_eq!(ran.status, 16);
    insta::assert_snapshot!(ran.err, @"ERROR ROOT is no quarantine (it has no quarantine.json of schema registry-fsck/quarantine/1): nothing else is ever deleted");
    // A symbolic link to the folder is not followed.
    let link = tempfile::tempdir().unwrap();
    symlink(folder.path(), link.path().join("link")).unwrap();
    std::fs::write(folder.path().join("quarantine.json"), "{}").unwrap();
    assert_eq!(purge(&link.path().join("link")).status, 16);
    assert!(folder.path().join("precious").exists());
}

/// A repair under strace, which makes a system call fail.
fn repair_with_failing_call(inject: &str, tree: &Path, journal: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={inject}")]);
    command.arg(env!("CARGO_BIN_EXE_registry-fsck")).arg("repair").arg(tree);
    command.args(["--apply", "--jobs", "1", "--journal"]).arg(journal);
    command
}

#[test]
#[ignore = "needs strace"]
fn failing_disk_leaves_repair_undoable() {
    let source = repairable_tree();
    for (inject, why) in [
        ("mkdirat:error=EROFS", "Read-only file system"),
        ("mkdirat:error=EACCES", "Permission denied"),
        ("mkdirat:error=ENOSPC:when=2+", "No space left on device"),
        ("renameat2:error=ENOSPC:when=2+", "No space left on device"),
        ("fsync:error=EIO", "Input/output error"),
        ("fdatasync:error=ENOSPC", "the journal"),
        ("fdatasync:error=ENOSPC:when=2+", "the journal cannot be written"),
        ("flock:error=ENOLCK", "keeps no locks"),
    ] {
        let tree = copy_of(source.root());
        let before = tree_state(tree.path());
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        let ran = run(&mut repair_with_failing_call(inject, tree.path(), &journal));
        assert_eq!(ran.status & 8, 8, "{inject}: {ran:?}");
        assert!(ran.err.contains(why), "{inject}: {ran:?}");
        // Whatever the repair changed can be undone.
        if journal.exists() && std::fs::metadata(&journal).unwrap().len() > 0 {
            let undone = undo(&journal);
            assert_eq!(undone.status, 0, "{inject}: {undone:?}");
        }
        assert_eq!(differences(&before, &tree_state(tree.path())), [""; 0], "{inject}");
    }
}

#[test]
fn repair_does_not_advise_follow_symlinks() {
    let tree = repairable_tree();
    let _masked = mask_snapshots(tree.root());
    std::fs::rename(tree.root().join("docker"), tree.root().join("elsewhere")).unwrap();
    symlink("elsewhere", tree.root().join("docker")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ran = repair(tree.root(), &folder.path().join("journal"), &[]);
    assert_eq!(ran.status, 8);
    insta::assert_snapshot!(ran.err, @"ERROR ROOT/docker is a symbolic link, which is not followed: name the folder with blobs and repositories that it leads to");
    let ran = run(fsck().arg("scan").arg(tree.root()));
    insta::assert_snapshot!(ran.err, @"ERROR ROOT/docker is a symbolic link, which is not followed: name the folder with blobs and repositories that it leads to, or say --follow-symlinks");
    // The advised folder is accepted.
    let ran = repair(&tree.root().join("elsewhere/registry/v2"), &folder.path().join("journal"), &[]);
    assert_eq!((ran.status, &*ran.err), (4, ""), "{ran:?}");
}
