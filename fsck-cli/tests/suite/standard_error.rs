//! What is written to standard error whatever standard output shows: paths that could not be read, steps that were refused or
//! failed, changes that could not be undone.

use std::path::Path;

use registry_fixtures::TreeBuilder;

use crate::repair::at_work::FakeRegistry;
use crate::support::{OLD, ProgramOutput, fsck, mask_snapshots, run, scan};

/// The forms of standard output.
const OUTPUTS: [&[&str]; 3] = [&[], &["--quiet"], &["--output", "json"]];

/// A tree with `count` tags whose links are symbolic links.
fn tree_with_unread_tags(count: usize) -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    for number in 1..=count {
        let tag = format!("v{number}");
        tree.image("app", Some(&tag), &tag);
        let link = tree.tag_link("app", &tag);
        std::fs::remove_file(&link).unwrap();
        tree.break_symlink(&link, Path::new("/nowhere"));
    }
    tree.age_all(OLD);
    tree
}

/// A tree in which a repair writes a link and moves a layer aside.
fn repairable_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    tree.break_revision_link_missing("app", &image.digest).break_blob_zero(&image.layers[0]);
    tree.age_all(OLD);
    tree
}

fn repair(tree: &TreeBuilder, journal: &Path, options: &[&str]) -> ProgramOutput {
    run(fsck().args(["repair", "--apply"]).args(options).arg("--journal").arg(journal).arg(tree.root()))
}

#[test]
fn unread_path_is_on_standard_error() {
    let tree = tree_with_unread_tags(1);
    let _masked = mask_snapshots(tree.root());
    for verb in ["scan", "gc-preview", "repair"] {
        for options in OUTPUTS {
            let ran = run(fsck().arg(verb).args(options).arg(tree.root()));
            assert_eq!(ran.status & 8, 8, "{ran:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(ran.err, @"ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)");
            }
        }
    }
}

#[test]
fn only_first_unread_paths_are_named() {
    let tree = tree_with_unread_tags(8);
    let _masked = mask_snapshots(tree.root());
    insta::assert_snapshot!(scan(tree.root(), &["--quiet"]).err, @"
    ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v2/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v3/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v4/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v5/current/link: a symbolic link (not followed)
    ERROR not read: 3 more; without --quiet the report has them
    ");
    for options in [&[][..], &["--quiet", "--output", "json"]] {
        let errors = scan(tree.root(), options).err;
        assert_eq!(errors.lines().last(), Some("ERROR not read: 3 more; the report has them"), "{errors}");
    }
}

#[test]
fn glob_that_matches_no_registry_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        TreeBuilder::in_folder(&folder.path().join(name)).image(name, Some("v1"), name);
    }
    let _masked = mask_snapshots(folder.path());
    insta::assert_snapshot!(scan(folder.path(), &["--quiet", "--repository", "nosuch"]).err, @"
    ERROR ROOT/a: no repository matches --repository
    ERROR ROOT/b: no repository matches --repository
    ");
    assert_eq!(scan(folder.path(), &["--quiet", "--repository", "a"]).err, "");
    insta::assert_snapshot!(scan(folder.path(), &["--repository", "a"]).err, @" WARN ROOT/b: no repository matches --repository");
}

#[test]
fn refused_repair_step_is_on_standard_error() {
    let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let _masked = mask_snapshots(tree.root());
    let _server = FakeRegistry::start(tree.root(), folder.path(), "serve", "");
    for (number, options) in OUTPUTS.into_iter().enumerate() {
        let journal = folder.path().join(format!("journal {number}"));
        let ran = repair(&tree, &journal, options);
        let (message, process) = ran.err.split_once(" (process ").unwrap_or_else(|| panic!("{ran:?}"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(message, @"ERROR refused: quarantine blobs/sha256/ef/ef32416ef5c6…: registry serve");
        }
        assert!(process.ends_with(") is at work on this tree: stop it, or say --online\n"), "{process}");
    }
}

#[test]
fn failed_repair_step_is_on_standard_error() {
    for options in OUTPUTS {
        let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
        let _masked = mask_snapshots(tree.root());
        // A file in the place of the quarantine.
        std::fs::write(tree.root().join(".registry-fsck"), "").unwrap();
        let journal = folder.path().join("journal");
        let ran = repair(&tree, &journal, options);
        assert_eq!(ran.status & 8, 8, "{ran:?}");
        let (before, after) = ran.err.split_once("/.registry-fsck/").unwrap_or_else(|| panic!("{ran:?}"));
        let after = after.split_once(' ').unwrap_or_default().1;
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{before}/.registry-fsck/TIME {after}"), @"ERROR failed: quarantine blobs/sha256/ef/ef32416ef5c6…: the quarantine ROOT/.registry-fsck/TIME cannot be made: a file in the place of a folder; name another folder with --quarantine");
        }
    }
}

#[test]
fn incomplete_undo_is_on_standard_error() {
    for options in OUTPUTS {
        let (tree, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
        let _masked = mask_snapshots(tree.root());
        let journal = folder.path().join("journal");
        repair(&tree, &journal, &["--quiet"]);
        // Somebody rewrites the link, and purges what was moved aside.
        let links: Vec<_> = walkdir::WalkDir::new(tree.revisions_folder("app")).into_iter().collect();
        let link = links.iter().flatten().find(|entry| entry.file_name() == "link").unwrap();
        std::fs::write(link.path(), "something else").unwrap();
        let aside = tree.root().join(".registry-fsck");
        let quarantine = std::fs::read_dir(&aside).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_dir_all(quarantine.join("blobs")).unwrap();
        let ran = run(fsck().arg("undo").args(options).arg(&journal));
        assert_eq!(ran.status, 4 | 8, "{ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.err, @"
            ERROR left: repositories/app/_manifests/revisions/sha256/c75041ddf75e…/link: it was written again since
            ERROR not undone: blobs/sha256/ef/ef32416ef5c6…: it is neither here nor in the quarantine: it was purged, or this is another tree
            ");
        }
    }
}
