//! What --quiet leaves on standard error: what could not be read, or only its number would be known.

use registry_fixtures::TreeBuilder;

use crate::support::{OLD, fsck, masked, run};

/// A tree with so many tags behind symbolic links.
fn unread(count: usize) -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    for number in 1..=count {
        let tag = format!("v{number}");
        tree.image("app", Some(&tag), &tag);
        let link = tree.tag_link("app", &tag);
        std::fs::remove_file(&link).unwrap();
        tree.break_symlink(&link, std::path::Path::new("/nowhere"));
    }
    tree.age_all(OLD);
    tree
}

#[test]
fn what_could_not_be_read_is_named_all_the_same() {
    let tree = unread(1);
    let _masked = masked(tree.root());
    for verb in ["scan", "gc-preview", "repair"] {
        let ran = run(fsck().args([verb, "--quiet"]).arg(tree.root()));
        assert_eq!(ran.status & 8, 8, "{ran:?}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(ran.stderr, @"ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)");
        }
        // Otherwise the report tells it, and once is enough.
        assert_eq!(run(fsck().arg(verb).arg(tree.root())).stderr, "");
        assert_eq!(run(fsck().args([verb, "--quiet", "--output", "json"]).arg(tree.root())).stderr, "");
    }
}

#[test]
fn of_many_a_few_are_named() {
    let tree = unread(8);
    let _masked = masked(tree.root());
    let ran = run(fsck().args(["scan", "--quiet"]).arg(tree.root()));
    insta::assert_snapshot!(ran.stderr, @"
    ERROR not read: ROOT: repositories/app/_manifests/tags/v1/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v2/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v3/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v4/current/link: a symbolic link (not followed)
    ERROR not read: ROOT: repositories/app/_manifests/tags/v5/current/link: a symbolic link (not followed)
    ERROR not read: 3 more; without --quiet all are told
    ");
}
