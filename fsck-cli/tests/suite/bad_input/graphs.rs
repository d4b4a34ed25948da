//! Graphs that no server writes: cycles, long chains, and more paths than could be walked.

use registry_fixtures::{Child, Digest};
use serde_json::json;

use super::{OCI_INDEX, app, broken_tag_names, verdict};
use crate::support::{AuditReport as _, scan_json};

fn index_of(digests: &[&Digest]) -> Vec<u8> {
    let entry = |digest: &&Digest| json!({"mediaType": OCI_INDEX, "digest": digest.as_str(), "size": 300});
    let entries: Vec<_> = digests.iter().map(entry).collect();
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string().into_bytes()
}

#[test]
fn index_that_names_itself_is_judged() {
    let (mut tree, image) = app();
    tree.break_manifest_bytes(&image.digest, &index_of(&[&image.digest, &image.digest]));
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
    insta::assert_snapshot!(verdict(&tree, &["--content", "--strict"]), @r#"4 ["in-flight", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
}

#[test]
fn indexes_that_name_each_other_are_judged() {
    let (mut tree, image) = app();
    let other = tree.image("app", None, "other");
    tree.break_manifest_bytes(&image.digest, &index_of(&[&other.digest]));
    tree.break_manifest_bytes(&other.digest, &index_of(&[&image.digest]));
    insta::assert_snapshot!(verdict(&tree, &["--min-age", "0s"]), @r#"4 ["blob-unreferenced", "layer-link-unreferenced", "manifest-digest-mismatch", "manifest-digest-mismatch"] broken ["v1"] unknown []"#);
}

#[test]
fn circular_revision_links_are_judged() {
    let (mut tree, image) = app();
    let other = tree.image("app", None, "other");
    tree.break_revision_link_mismatch("app", &image.digest, &other.digest);
    tree.break_revision_link_mismatch("app", &other.digest, &image.digest);
    insta::assert_snapshot!(verdict(&tree, &[]), @r#"4 ["in-flight", "revision-link-mismatch"] broken ["v1"] unknown []"#);
}

#[test]
fn circular_layer_links_are_judged() {
    let (mut tree, image) = app();
    tree.break_layer_link_mismatch("app", &image.layers[0], &image.layers[1]);
    tree.break_layer_link_mismatch("app", &image.layers[1], &image.layers[0]);
    insta::assert_snapshot!(verdict(&tree, &["--content"]), @r#"4 ["layer-link-mismatch", "layer-link-mismatch"] broken ["v1"] unknown []"#);
}

#[test]
fn chain_of_3000_indexes_is_judged() {
    let (mut tree, image) = app();
    let mut child = image.child();
    for _ in 0..3000 {
        child = Child { platform: None, ..tree.index("app", None, &[child]).child() };
    }
    tree.tag("app", "chain", &child.digest);
    tree.break_blob_missing(&image.config);
    let report = scan_json(tree.root(), &[]).audit_report();
    assert_eq!(broken_tag_names(&report), ["chain", "v1"]);
}

#[test]
fn graph_with_a_trillion_paths_is_judged() {
    // Each of the 10 indexes of a level names all of the level below: 120 indexes, 10^12 paths.
    let (mut tree, image) = app();
    let mut level = vec![image.child()];
    for depth in 0..12 {
        let indexes = (0..10).map(|number| {
            let mut children = level.clone();
            children[0].annotations = vec![("n".to_owned(), format!("{depth}.{number}"))];
            tree.index("app", None, &children).child()
        });
        level = indexes.collect();
    }
    tree.index("app", Some("top"), &level);
    tree.break_blob_missing(&image.layers[0]);
    assert_eq!(broken_tag_names(&scan_json(tree.root(), &[]).audit_report()), ["top", "v1"]);
}
