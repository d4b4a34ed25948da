//! What reaches standard error whatever standard output shows, and where that goes: what could not be read, steps that were refused
//! or failed, changes that could not be taken back.

use std::path::Path;

use registry_fixtures::TreeBuilder;

use crate::repair::at_work::Lookalike;
use crate::support::{OLD, Ran, fsck, masked, ran, run};

/// What standard output may be asked to show.
const SHOWN: [&[&str]; 3] = [&[], &["--quiet"], &["--output", "json"]];

/// A tree with so many tags behind symbolic links.
fn unread(count: usize) -> TreeBuilder {
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

/// A tree of which a repair writes a link and moves a layer aside.
fn damaged() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "app");
    tree.break_revision_link_missing("app", &image.digest).break_blob_zero(&image.layers[0]);
    tree.age_all(OLD);
    tree
}

fn repair(tree: &TreeBuilder, journal: &Path, options: &[&str]) -> Ran {
    run(fsck().args(["repair", "--apply"]).args(options).arg("--journal").arg(journal).arg(tree.root()))
}

#[test]
fn unread_path_is_on_standard_error() {
    let tree = unread(1);
    let _masked = masked(tree.root());
    for verb in ["scan", "gc-preview", "repair"] {
        for shown in SHOWN {
            let ran = run(fsck().arg(verb).args(shown).arg(tree.root()));
            assert_eq!(ran.status & 8, 8, "{ran:?}");
            insta::allow_duplicates! {
                insta::assert_snapshot!(ran.stderr, @"ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)");
            }
        }
    }
}

#[test]
fn only_first_unread_paths_are_named() {
    let tree = unread(8);
    let _masked = masked(tree.root());
    insta::assert_snapshot!(ran(tree.root(), &["--quiet"]).stderr, @"
    ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v2/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v3/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v4/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v5/current/link: a symbolic link (not followed)
    ERROR not read: 3 more; without --quiet the report has them
    ");
    for shown in [&[][..], &["--quiet", "--output", "json"]] {
        let said = ran(tree.root(), shown).stderr;
        assert_eq!(said.lines().last(), Some("ERROR not read: 3 more; the report has them"), "{said}");
    }
}

#[test]
fn glob_that_matches_no_registry_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        TreeBuilder::in_folder(&folder.path().join(name)).image(name, Some("v1"), name);
    }
    let _masked = masked(folder.path());
    insta::assert_snapshot!(ran(folder.path(), &["--quiet", "--repository", "nosuch"]).stderr, @"
    ERROR ROOT/a: no repository matches --repository
    ERROR ROOT/b: no repository matches --repository
    ");
    assert_eq!(ran(folder.path(), &["--quiet", "--repository", "a"]).stderr, "");
    insta::assert_snapshot!(ran(folder.path(), &["--repository", "a"]).stderr, @" WARN ROOT/b: no repository matches --repository");
}

#[test]
fn refused_repair_step_is_on_standard_error() {
    let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
    let _masked = masked(tree.root());
    let _server = Lookalike::start(tree.root(), folder.path(), "serve", "");
    for (number, shown) in SHOWN.into_iter().enumerate() {
        let journal = folder.path().join(format!("journal {number}"));
        let ran = repair(&tree, &journal, shown);
        let (said, process) = ran.stderr.split_once(" (process ").unwrap_or_else(|| panic!("{ran:?}"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"ERROR refused: quarantine blobs/sha256/ef/ef32416ef5c6…: registry serve");
        }
        assert!(process.ends_with(") is at work on this tree: stop it, or say --online\n"), "{process}");
    }
}

#[test]
fn failed_repair_step_is_on_standard_error() {
    for shown in SHOWN {
        let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
        let _masked = masked(tree.root());
        // Where the quarantine would be made.
        std::fs::write(tree.root().join(".registry-fsck"), "").unwrap();
        let journal = folder.path().join("journal");
        let ran = repair(&tree, &journal, shown);
        assert_eq!(ran.status & 8, 8, "{ran:?}");
        let (before, after) = ran.stderr.split_once("/.registry-fsck/").unwrap_or_else(|| panic!("{ran:?}"));
        let after = after.split_once(' ').unwrap_or_default().1;
        insta::allow_duplicates! {
            insta::assert_snapshot!(format!("{before}/.registry-fsck/TIME {after}"), @"ERROR failed: quarantine blobs/sha256/ef/ef32416ef5c6…: the quarantine ROOT/.registry-fsck/TIME cannot be made: a file in the place of a folder; name another folder with --quarantine");
        }
    }
}

#[test]
fn incomplete_undo_is_on_standard_error() {
    for shown in SHOWN {
        let (tree, folder) = (damaged(), tempfile::tempdir().unwrap());
        let _masked = masked(tree.root());
        let journal = folder.path().join("journal");
        repair(&tree, &journal, &["--quiet"]);
        // The link is written again, and what was moved aside is purged.
        let links: Vec<_> = walkdir::WalkDir::new(tree.revisions_folder("app")).into_iter().collect();
        let link = links.iter().flatten().find(|entry| entry.file_name() == "link").unwrap();
        std::fs::write(link.path(), "something else").unwrap();
        let aside = tree.root().join(".registry-fsck");
        let quarantine = std::fs::read_dir(&aside).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_dir_all(quarantine.join("blobs")).unwrap();
        let ran = run(fsck().arg("undo").args(shown).arg(&journal));
        assert_eq!(ran.status, 4 | 8, "{ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.stderr, @"
            ERROR left: repositories/app/_manifests/revisions/sha256/c75041ddf75e…/link: it was written again since
            ERROR not undone: blobs/sha256/ef/ef32416ef5c6…: it is neither here nor in the quarantine: it was purged, or this is another tree
            ");
        }
    }
}
