//! A table: for each damage and each of four collectors, what would be deleted, where the collector stops, and what that costs.

use std::collections::BTreeSet;

use registry_core::collector::Engine;
use registry_fixtures::{Image, Index, TreeBuilder};

use crate::support::{expected_files, files, forecast_tree};

/// A tree with an index of two platforms and a single image.
fn tree() -> (TreeBuilder, Index, Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("app", Some("v2"), "v2");
    (tree, index, image)
}

/// The forecast as text: where the collector stops, the deleted files by kind, and the number of broken tags and lost repairs.
fn row(tree: &TreeBuilder, engine: Engine, delete_untagged: bool) -> String {
    let seen = forecast_tree(tree.root(), engine, delete_untagged);
    let files = files(tree.root());
    let expected = expected_files(&seen, &files);
    let all: BTreeSet<&String> = expected.sure.union(&expected.perhaps).collect();
    let kind = |is: &dyn Fn(&str) -> bool| all.iter().filter(|path| is(path)).count();
    let mut text = format!(
        "{} blobs, {} manifests, {} links",
        kind(&|path| path.starts_with("blobs/")),
        kind(&|path| path.contains("/revisions/")),
        kind(&|path| path.contains("/_layers/") || path.contains("/index/")),
    );
    if let Some(abort) = &seen.forecast.would_abort {
        text = format!("STOPS in the {:?} ({}); {text}", abort.during, abort.why);
    }
    let cost = &seen.cost;
    if !cost.breaks.is_empty() || !cost.loses.is_empty() {
        text = format!("{text}; breaks {}, loses {}", cost.breaks.len(), cost.loses.len());
    }
    text
}

fn rows(tree: &TreeBuilder) -> String {
    let columns = [
        ("2.8", Engine::V2_8, false),
        ("2.8 -m", Engine::V2_8, true),
        ("3", Engine::V3, false),
        ("3 -m", Engine::V3, true),
    ];
    let lines = columns.map(|(name, engine, untagged)| format!("{name:6} {}", row(tree, engine, untagged)));
    lines.join("\n")
}

/// Applies one damage.
type Damage = fn(&mut TreeBuilder, &Index, &Image);

const DAMAGES: &[(&str, Damage)] = &[
    ("nothing is wrong", |_, _, _| {}),
    ("a tag without its link", |tree, _, _| _ = tree.break_tag_link_missing("app", "v2")),
    ("an empty tag link", |tree, _, _| _ = tree.break_tag_link_empty("app", "v2")),
    ("a tag that names nothing", |tree, _, _| _ = tree.break_tag_target("app", "v2")),
    ("a missing revision link", |tree, _, image| _ = tree.break_revision_link_missing("app", &image.digest)),
    ("an empty revision link", |tree, _, image| _ = tree.break_revision_link_empty("app", &image.digest)),
    ("a revision link that names another", |tree, index, image| {
        _ = tree.break_revision_link_mismatch("app", &image.digest, &index.digest);
    }),
    ("a revision link that names the config", |tree, _, image| {
        _ = tree.break_revision_link_mismatch("app", &image.digest, &image.config);
    }),
    ("a revision link that is a folder", |tree, _, image| {
        _ = tree.break_revision_link_is_folder("app", &image.digest);
    }),
    ("a manifest that is gone", |tree, _, image| _ = tree.break_blob_missing(&image.digest)),
    ("a manifest of 0 bytes", |tree, _, image| _ = tree.break_blob_zero(&image.digest)),
    ("an altered manifest", |tree, _, image| _ = tree.break_manifest_altered(&image.digest)),
    ("a missing layer link", |tree, _, image| _ = tree.break_layer_link_missing("app", &image.layers[0])),
    ("an empty layer link", |tree, _, image| _ = tree.break_layer_link_empty("app", &image.layers[0])),
    ("a layer link that names another", |tree, _, image| {
        _ = tree.break_layer_link_mismatch("app", &image.layers[0], &image.layers[1]);
    }),
    ("a layer that is gone", |tree, _, image| _ = tree.break_blob_missing(&image.layers[0])),
    ("a child without its revision link", |tree, index, _| {
        _ = tree.break_revision_link_missing("app", &index.images[0].digest);
    }),
    ("a child linked as a layer", |tree, index, _| {
        _ = tree.break_revision_only_as_layer("app", &index.images[0].digest);
    }),
    ("a child that is gone", |tree, index, _| _ = tree.break_blob_missing(&index.images[0].digest)),
    ("a child of 0 bytes", |tree, index, _| _ = tree.break_blob_zero(&index.images[0].digest)),
    ("a dangling history", |tree, _, _| _ = tree.break_history_dangling("app", "v2")),
    ("a tag folder that is gone", |tree, _, _| _ = tree.break_tag_folder_missing("app", "v2")),
    ("no manifests folder", |tree, _, _| _ = tree.break_manifests_folder("app")),
    ("no layers folder", |tree, _, _| _ = tree.break_layers_folder("app")),
    ("no tags folder", |tree, _, _| _ = tree.break_tags_folder("app")),
    ("no revisions folder", |tree, _, _| _ = tree.break_revisions_folder("app")),
    ("a stray data file", |tree, _, _| _ = tree.break_stray_data()),
    ("a shard of one character", |tree, _, _| _ = tree.break_short_blob_folder()),
    ("a refused repository name", |tree, _, _| _ = tree.break_illegal_repository_name("UPPER")),
    ("a file among tags", |tree, _, _| _ = tree.break_tag_is_file("app", "v2")),
    ("harmless strays", |tree, _, image| _ = tree.break_harmless_strays(&image.layers[0])),
    ("schema 1", |tree, _, image| drop(tree.schema1("app", "old", &image.layers))),
    ("a layer by sha512", |tree, _, _| {
        drop(tree.image_with(
            "app",
            Some("v3"),
            &registry_fixtures::ImageSpec { sha512_layer: true, ..registry_fixtures::ImageSpec::oci("x") },
        ));
    }),
];

#[test]
fn forecast_of_each_collector_for_each_damage_is_as_listed() {
    let mut table = String::new();
    for (name, damage) in DAMAGES {
        let (mut tree, index, image) = tree();
        damage(&mut tree, &index, &image);
        table.push_str(&format!("{name}\n{}\n", rows(&tree)));
    }
    insta::assert_snapshot!(table, @"
    nothing is wrong
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    a tag without its link
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 14 blobs, 5 manifests, 1 links; breaks 1, loses 1
    3      0 blobs, 0 manifests, 0 links
    3 -m   4 blobs, 1 manifests, 4 links; breaks 0, loses 1
    an empty tag link
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (a tag's link that is no digest); 0 blobs, 0 manifests, 0 links
    3      0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (a tag's link that is no digest); 0 blobs, 0 manifests, 0 links
    a tag that names nothing
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 14 blobs, 5 manifests, 1 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   4 blobs, 1 manifests, 4 links
    a missing revision link
    2.8    4 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 14 blobs, 4 manifests, 0 links; breaks 1, loses 1
    3      4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    an empty revision link
    2.8    STOPS in the Mark (a revision link that is no digest); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (a revision link that is no digest); 0 blobs, 0 manifests, 0 links
    3      STOPS in the Mark (a revision link that is no digest); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (a revision link that is no digest); 0 blobs, 0 manifests, 0 links
    a revision link that names another
    2.8    4 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 14 blobs, 4 manifests, 0 links; breaks 1, loses 1
    3      4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    a revision link that names the config
    2.8    STOPS in the Mark (it leads to a manifest that cannot be read: schemaVersion is 0, and only 1 and 2 are known); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Sweep (an untagged manifest without a folder to remove); 0 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    a revision link that is a folder
    2.8    4 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 14 blobs, 4 manifests, 0 links; breaks 1, loses 1
    3      4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    a manifest that is gone
    2.8    3 blobs, 0 manifests, 0 links
    2.8 -m 13 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      3 blobs, 0 manifests, 3 links
    3 -m   3 blobs, 0 manifests, 3 links
    a manifest of 0 bytes
    2.8    STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    3      STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    an altered manifest
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    a missing layer link
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    an empty layer link
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      STOPS in the Mark (a layer link that is no digest); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (a layer link that is no digest); 0 blobs, 0 manifests, 0 links
    a layer link that names another
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    a layer that is gone
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    a child without its revision link
    2.8    3 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 10 blobs, 3 manifests, 0 links; breaks 0, loses 1
    3      3 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   3 blobs, 0 manifests, 3 links; breaks 0, loses 1
    a child linked as a layer
    2.8    3 blobs, 0 manifests, 0 links; breaks 1, loses 1
    2.8 -m 10 blobs, 3 manifests, 0 links; breaks 1, loses 1
    3      3 blobs, 0 manifests, 3 links; breaks 1, loses 1
    3 -m   3 blobs, 0 manifests, 3 links; breaks 1, loses 1
    a child that is gone
    2.8    3 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 3 manifests, 0 links
    3      3 blobs, 0 manifests, 3 links
    3 -m   3 blobs, 0 manifests, 3 links
    a child of 0 bytes
    2.8    STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links
    3      STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (it leads to a manifest that cannot be read: the file is empty (0 bytes)); 0 blobs, 0 manifests, 0 links
    a dangling history
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    a tag folder that is gone
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 14 blobs, 5 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   4 blobs, 1 manifests, 3 links
    no manifests folder
    2.8    19 blobs, 0 manifests, 0 links
    2.8 -m 19 blobs, 0 manifests, 0 links
    3      19 blobs, 0 manifests, 0 links
    3 -m   19 blobs, 0 manifests, 0 links
    no layers folder
    2.8    19 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 19 blobs, 0 manifests, 0 links; breaks 0, loses 1
    3      STOPS in the Mark (there is no such folder); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (there is no such folder); 0 blobs, 0 manifests, 0 links
    no tags folder
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (there is no such folder); 0 blobs, 0 manifests, 0 links
    3      0 blobs, 0 manifests, 0 links
    3 -m   19 blobs, 0 manifests, 13 links
    no revisions folder
    2.8    19 blobs, 0 manifests, 0 links; breaks 0, loses 6
    2.8 -m 19 blobs, 0 manifests, 0 links; breaks 0, loses 6
    3      19 blobs, 0 manifests, 13 links; breaks 0, loses 6
    3 -m   19 blobs, 0 manifests, 13 links; breaks 0, loses 6
    a stray data file
    2.8    STOPS in the Sweep (a data file whose path names no digest); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Sweep (a data file whose path names no digest); 0 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      STOPS in the Sweep (a data file whose path names no digest); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Sweep (a data file whose path names no digest); 0 blobs, 0 manifests, 0 links
    a shard of one character
    2.8    STOPS in the Sweep (a data file in a folder of one character: the collector crashes on it); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Sweep (a data file in a folder of one character: the collector crashes on it); 0 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      STOPS in the Sweep (a data file in a folder of one character: the collector crashes on it); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Sweep (a data file in a folder of one character: the collector crashes on it); 0 blobs, 0 manifests, 0 links
    a refused repository name
    2.8    STOPS in the Mark (a registry refuses this repository name); 0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (a registry refuses this repository name); 0 blobs, 0 manifests, 0 links
    3      STOPS in the Mark (a registry refuses this repository name); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (a registry refuses this repository name); 0 blobs, 0 manifests, 0 links
    a file among tags
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (a file in the place of a tag's folder); 0 blobs, 0 manifests, 0 links
    3      0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (a file in the place of a tag's folder); 0 blobs, 0 manifests, 0 links
    harmless strays
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    schema 1
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m 10 blobs, 4 manifests, 0 links; breaks 1, loses 0
    3      STOPS in the Mark (it leads to a manifest that cannot be read: schema 1 is unknown to registry 3); 0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (it leads to a manifest that cannot be read: schema 1 is unknown to registry 3); 0 blobs, 0 manifests, 0 links
    a layer by sha512
    2.8    1 blobs, 0 manifests, 0 links; breaks 1, loses 0
    2.8 -m 11 blobs, 4 manifests, 0 links; breaks 2, loses 0
    3      STOPS in the Sweep (a layer link that is to be removed twice); 1 blobs, 0 manifests, 1 links; breaks 1, loses 0
    3 -m   STOPS in the Sweep (a layer link that is to be removed twice); 1 blobs, 0 manifests, 1 links; breaks 1, loses 0
    ");
}

/// Untagged collection by 3.x of an index in two repositories, where the first that is visited lacks a child's link.
#[test]
fn gap_in_an_earlier_repository_costs_a_whole_tag() {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("aaa", Some("v1"), &["linux/amd64"]);
    tree.multi_platform("bbb", Some("v1"), &["linux/amd64"]);
    tree.break_revision_link_missing("aaa", &index.images[0].digest);
    insta::assert_snapshot!(rows(&tree), @"
    2.8    3 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m 10 blobs, 3 manifests, 0 links; breaks 1, loses 1
    3      3 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   3 blobs, 0 manifests, 3 links; breaks 0, loses 1
    ");
}

/// A file whose name starts with `_` ends the walk of 2.8: it does not see the repositories after it, and deletes everything of theirs.
#[test]
fn file_with_underscore_hides_later_repositories_from_2_8() {
    let (tree, _, _) = tree();
    std::fs::write(tree.repositories().join("_note"), b"odd").unwrap();
    insta::assert_snapshot!(rows(&tree), @"
    2.8    19 blobs, 0 manifests, 0 links; breaks 2, loses 0
    2.8 -m 19 blobs, 0 manifests, 0 links; breaks 2, loses 0
    3      0 blobs, 0 manifests, 0 links
    3 -m   0 blobs, 0 manifests, 0 links
    ");
}

/// No collector visits a repository shelved as `_name`: both delete what only it reaches, with exit status 0.
/// https://github.com/distribution/distribution/issues/225
#[test]
fn shelved_repository_loses_its_blobs() {
    let (mut tree, _, _) = tree();
    tree.image("tools", Some("v1"), "tools");
    tree.image("team/lib", Some("v1"), "lib");
    tree.break_shelved("tools");
    tree.break_shelved("team/lib");
    insta::assert_snapshot!(rows(&tree), @"
    2.8    8 blobs, 0 manifests, 0 links; breaks 0, loses 2
    2.8 -m 18 blobs, 4 manifests, 0 links; breaks 1, loses 2
    3      8 blobs, 0 manifests, 0 links; breaks 0, loses 2
    3 -m   8 blobs, 0 manifests, 0 links; breaks 0, loses 2
    ");
}

/// Files that desktops leave are harmless except among tags, where the server lists them.
#[test]
fn desktop_file_among_tags_stops_an_untagged_collection() {
    let (tree, _, _) = tree();
    std::fs::write(tree.tags_folder("app").join(".DS_Store"), b"odd").unwrap();
    insta::assert_snapshot!(rows(&tree), @"
    2.8    0 blobs, 0 manifests, 0 links
    2.8 -m STOPS in the Mark (an entry of tags/ whose link is no digest); 0 blobs, 0 manifests, 0 links
    3      0 blobs, 0 manifests, 0 links
    3 -m   STOPS in the Mark (an entry of tags/ whose link is no digest); 0 blobs, 0 manifests, 0 links
    ");
}

/// A tag has lost its link, and its newer push the revision link, so a collection deletes the newer image for good.
#[test]
fn image_known_only_from_a_tag_history_is_lost() {
    let (mut tree, _, _) = tree();
    let newer = tree.image("app", Some("v2"), "v2 again");
    tree.break_revision_link_missing("app", &newer.digest);
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(rows(&tree), @"
    2.8    4 blobs, 0 manifests, 0 links; breaks 0, loses 1
    2.8 -m STOPS in the Mark (a tag's link that is no digest); 0 blobs, 0 manifests, 0 links
    3      4 blobs, 0 manifests, 3 links; breaks 0, loses 1
    3 -m   STOPS in the Mark (a tag's link that is no digest); 0 blobs, 0 manifests, 0 links
    ");
}
