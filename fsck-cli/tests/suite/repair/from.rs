//! `repair --from`: missing bytes from another tree, and from another registry.

use registry_fixtures::http::Fault;
use registry_fixtures::registry::{Profile, Server, World};
use registry_fixtures::{Image, Index, TreeBuilder};

use crate::support::{OLD, mask_snapshots};

use super::{differences, repair, tree_state, undo};

/// A sound tree with an index of two platforms and an image.
fn sound_tree() -> (TreeBuilder, Index, Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("web", Some("1"), "web");
    tree.age_all(OLD);
    (tree, index, image)
}

/// The same tree with a child missing entirely, a layer of wrong bytes, and a config without bytes.
fn damaged_copy() -> TreeBuilder {
    let (mut tree, index, image) = sound_tree();
    let child = &index.images[0];
    tree.break_revision_link_missing("team/app", &child.digest);
    tree.break_blob_missing(&child.digest).break_blob_missing(&child.layers[0]);
    tree.break_layer_link_missing("team/app", &child.layers[0]);
    tree.break_blob_zero(&image.layers[0]).break_blob_missing(&image.config);
    tree.age_all(OLD);
    tree
}

/// A registry that serves the sound tree.
fn sound_registry() -> World {
    let (tree, index, image) = sound_tree();
    let mut world = World::new(Profile::V2_8);
    for child in &index.images {
        world.push_blob("team/app", &tree.bytes(&child.config));
        child.layers.iter().for_each(|layer| drop(world.push_blob("team/app", &tree.bytes(layer))));
        world.push_manifest("team/app", None, &tree.bytes(&child.digest));
    }
    world.push_blob("web", &tree.bytes(&image.config));
    image.layers.iter().for_each(|layer| drop(world.push_blob("web", &tree.bytes(layer))));
    world.push_manifest("web", Some("1"), &tree.bytes(&image.digest));
    world
}

/// A repair from another tree or registry mends everything, and can be undone.
fn check_repair_from(from: &str) {
    let tree = damaged_copy();
    let before = tree_state(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let dry = repair(tree.root(), &journal, &["--from", from]);
    assert_eq!(dry.status, 4, "{dry:?}");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
    let ran = repair(tree.root(), &journal, &["--from", from, "--apply"]);
    assert_eq!((ran.status, &*ran.err), (1, ""), "{}", ran.out);
    assert!(ran.out.contains("broken_tags_after=0"), "{}", ran.out);
    assert_eq!(ran.out.matches("done fetch").count(), 4, "{}", ran.out);
    assert_eq!(undo(&journal).status, 0);
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
}

#[test]
fn missing_bytes_are_fetched_from_tree() {
    let (copy, ..) = sound_tree();
    check_repair_from(copy.root().to_str().unwrap());
}

#[test]
fn missing_bytes_are_fetched_from_registry() {
    let server = Server::start(sound_registry());
    check_repair_from(&server.url);
}

#[test]
fn wrong_bytes_of_tree_are_refused_and_not_linked() {
    // Layer and config of the other tree have the right size and wrong bytes.
    let (mut copy, index, image) = sound_tree();
    copy.break_blob_flipped(&index.images[0].layers[0]).break_blob_flipped(&image.config);
    copy.break_manifest_altered(&index.images[0].digest);
    let tree = damaged_copy();
    let folder = tempfile::tempdir().unwrap();
    let from = copy.root().to_str().unwrap();
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--from", from, "--apply"]);
    assert_eq!(ran.status & 12, 12, "{ran:?}");
    assert!(ran.out.contains("does not hash to its digest"), "{}", ran.out);
    assert!(!tree.blob_path(&image.config).exists());
    assert!(!tree.revision_link("team/app", &index.images[0].digest).exists());
}

#[test]
fn failing_source_is_reported_and_absent_bytes_stay_missing() {
    let mut world = sound_registry();
    let (_, index, image) = sound_tree();
    world.unlink_manifest("team/app", index.images[0].digest.as_str());
    let server = Server::start(world);
    server.fail_requests("HEAD", &format!("/v2/web/blobs/{}", image.config), 99, Fault::Status(500));
    let tree = damaged_copy();
    let folder = tempfile::tempdir().unwrap();
    let options = ["--from", &server.url, "--apply", "--retries", "0"];
    let ran = repair(tree.root(), &folder.path().join("journal"), &options);
    assert_eq!(ran.status & 8, 8, "{ran:?}");
    assert!(ran.out.contains("does not have it either"), "{}", ran.out);
    assert!(ran.out.contains("not known"), "{}", ran.out);
    assert!(ran.err.starts_with("ERROR not known: blobs/sha256/"), "{}", ran.err);
}

#[test]
fn bytes_of_wrong_length_are_not_used() {
    let (mut copy, _, image) = sound_tree();
    copy.break_blob_truncated(&image.config);
    let tree = damaged_copy();
    let folder = tempfile::tempdir().unwrap();
    let _masked = mask_snapshots(copy.root());
    let from = copy.root().to_str().unwrap();
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--from", from]);
    let lines: Vec<_> = ran.out.lines().filter(|line| line.contains("web:1")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    would quarantine web:1: layer sha256:7aaa6cae350b is damaged: 0 bytes instead of 100, and they hash wrong
    would fetch web:1: layer sha256:7aaa6cae350b is gone: its layer link is here, its bytes are not; ROOT has it
    stays blob-missing web:1: config sha256:ac4af90fbff3 is gone: its layer link is here, its bytes are not; ROOT has 130 bytes under that digest, 260 are needed
    ");
    assert_eq!(ran.status, 4, "{ran:?}");
}

#[test]
fn repaired_tree_is_refused_as_source() {
    let tree = damaged_copy();
    let _masked = mask_snapshots(tree.root());
    let folder = tempfile::tempdir().unwrap();
    let v2 = tree.v2();
    let ran = repair(tree.root(), &folder.path().join("journal"), &["--from", v2.to_str().unwrap()]);
    assert_eq!(ran.status, 16, "{ran:?}");
    insta::assert_snapshot!(ran.err, @"ERROR --from ROOT/docker/registry/v2 is the tree that is repaired: name another one, or the address of a registry");
}

#[test]
fn unreachable_source_exits_8() {
    let tree = damaged_copy();
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let gone = repair(tree.root(), &journal, &["--from", "/no/such/place", "--apply"]);
    assert_eq!(gone.status, 8);
    insta::assert_snapshot!(gone.err, @"ERROR cannot open /no/such/place: No such file or directory (os error 2)");
    // Nothing listens on port 1.
    let silent = repair(tree.root(), &journal, &["--from", "http://127.0.0.1:1", "--retries", "0"]);
    assert_eq!(silent.status, 8, "{silent:?}");
}

#[test]
fn json_names_source_of_fetched_bytes() {
    let server = Server::start(sound_registry());
    let (tree, folder) = (damaged_copy(), tempfile::tempdir().unwrap());
    let options = ["--from", &server.url, "--apply", "--output", "json"];
    let ran = repair(tree.root(), &folder.path().join("journal"), &options);
    let report = ran.json();
    assert_eq!((ran.status, &report["exit_status"]), (1, &1.into()), "{report:#}");
    assert_eq!(report["options"]["from"], *server.url);
    assert_eq!(report["after"]["errors"], 0, "{report:#}");
    let steps = report["steps"].as_array().unwrap();
    let fetched: Vec<_> = steps.iter().filter(|step| step["action"] == "fetch").collect();
    assert_eq!(fetched.len(), 4, "{report:#}");
    let is_named = |step: &&&serde_json::Value| {
        step["message"].as_str().unwrap().ends_with(&format!("{} has it", server.url))
    };
    assert_eq!(fetched.iter().filter(is_named).count(), 4, "{report:#}");
}

#[test]
fn wrong_bytes_of_registry_are_refused_and_not_linked() {
    let (tree, index, image) = sound_tree();
    let (child, layer) = (&index.images[0].digest, &index.images[0].layers[0]);
    let server = Server::start(sound_registry());
    let other = |digest| Fault::Bytes(vec![b'x'; tree.bytes(digest).len()]);
    server.fail_requests("GET", &format!("/v2/team/app/manifests/{child}"), 99, other(child));
    server.fail_requests("GET", &format!("/v2/web/blobs/{}", image.config), 99, other(&image.config));
    let (tree, folder) = (damaged_copy(), tempfile::tempdir().unwrap());
    let options = ["--from", &server.url, "--apply", "--retries", "0"];
    let ran = repair(tree.root(), &folder.path().join("journal"), &options);
    assert_eq!(ran.status & 12, 12, "{ran:?}");
    assert!(ran.out.contains("does not hash to its digest"), "{}", ran.out);
    assert!(!tree.blob_path(&image.config).exists() && !tree.blob_path(child).exists());
    assert!(!tree.revision_link("team/app", child).exists());
    assert!(!tree.layer_link_path("team/app", layer).exists());
}
