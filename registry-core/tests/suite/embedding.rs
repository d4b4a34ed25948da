//! Runs the examples of the crate.

#[expect(dead_code, reason = "its `main` is not run")]
#[path = "../../examples/audit_tree.rs"]
mod audit_tree;
#[expect(dead_code, reason = "its `main` is not run")]
#[path = "../../examples/custom_source.rs"]
mod custom_source;

use insta::assert_snapshot;
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::random_tree;

use crate::support::{APP, Base, DAY, Names, View, text};

#[test]
fn example_audits_a_tree() {
    let mut base = Base::new();
    assert!(audit_tree::broken_tags(base.tree.root()).unwrap().is_empty());
    base.tree.break_revision_link_missing(APP, &base.arm.digest).break_tag_link_empty("lib", "v1");
    assert_snapshot!(audit_tree::broken_tags(base.tree.root()).unwrap().join("\n"), @"
    lib:v1: its link is empty (0 bytes); its history has one entry that resolves, sha256:f7772bfa3cc8088ae40e3114b337f4874002a9f2324ff95e7a9928121ca6bc16
    team/app:v2: linux/arm64 has lost its revision link; its bytes are here
    ");
    assert!(audit_tree::broken_tags(&base.tree.root().join("nothing")).is_err());
}

/// All files of a tree as an archive holds them.
fn archive(tree: &TreeBuilder) -> custom_source::Files {
    let walk = walkdir::WalkDir::new(tree.v2()).into_iter().map(|entry| entry.unwrap());
    walk.filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(tree.v2()).unwrap().to_path_buf();
            (path, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn archive_gives_the_same_report_as_its_tree() {
    for seed in 0..30 {
        let (tree, story) = random_tree(seed);
        let holds_empty_folders = walkdir::WalkDir::new(tree.v2()).into_iter().any(|entry| {
            let entry = entry.unwrap();
            let is_empty = entry.file_type().is_dir() && entry.path().read_dir().unwrap().next().is_none();
            is_empty && entry.file_name() != "_uploads"
        });
        if holds_empty_folders {
            continue; // An archive of files does not hold empty folders.
        }
        let archived = custom_source::audit_archive(archive(&tree)).unwrap();
        let on_disk = View { content: true, later: 300 * DAY, ..View::default() }.look(tree.root());
        let lines = |audit: &_| text(audit, &Names::default());
        assert_eq!(lines(&archived), lines(&on_disk), "{story:#?}");
    }
}

#[test]
fn archive_of_a_sound_tree_is_sound() {
    let base = Base::new();
    let audit = custom_source::audit_archive(archive(&base.tree)).unwrap();
    assert_eq!(text(&audit, &base.names), "nothing");
    assert_eq!((audit.source.repositories, audit.source.tags), (2, 3));
}
