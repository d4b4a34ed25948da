//! The plan for each kind of damage: the steps, and the findings that are left alone.

use registry_core::repair::{DeletedTags, RepairPlan, StepOutcome};
use registry_core::retention::layout::{Layout, ReadOptions};
use registry_fixtures::{DescriptorDamage, ImageSpec, Part, TreeBuilder};

use crate::support::{
    Budget, OLD, Registry, shorten_hashes, snapshot_tree, tree_supply, undo, undo_failures,
};

/// A tree with an index of two platforms and a single image, all old.
fn tree() -> (TreeBuilder, registry_fixtures::Index, registry_fixtures::Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("app", Some("v2"), "v2");
    (tree, index, image)
}

/// Ages a tree and returns its plan as text, one step or finding per line.
fn plan(tree: &mut TreeBuilder) -> String {
    tree.age_all(OLD);
    show(&Registry::open(tree.root()).plan(&[], None))
}

fn show(plan: &RepairPlan) -> String {
    let mut lines: Vec<String> = plan
        .steps()
        .iter()
        .map(|step| {
            let code = step.code.map_or("", |code| code.as_str());
            let digest = step.digest.map_or_else(String::new, |digest| format!(" -> {digest}"));
            format!("{} [{code}] {}{digest}", step.action.as_str(), step.path)
        })
        .collect();
    lines.extend(plan.left.iter().map(|left| {
        let why = left.why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        format!("left [{}] {}{why}", left.finding.code, left.finding.path.as_deref().unwrap_or(""))
    }));
    shorten_hashes(&lines.join("\n"))
}

#[test]
fn sound_tree_needs_no_repair() {
    insta::assert_snapshot!(plan(&mut tree().0), @"");
}

#[test]
fn child_without_revision_link_is_relinked() {
    let (mut tree, index, _) = tree();
    tree.break_revision_link_missing("app", &index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [child-link-missing] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn tagged_manifest_without_revision_link_is_relinked() {
    let (mut tree, _, image) = tree();
    tree.break_revision_link_missing("app", &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/e74cb118/link -> sha256:e74cb118");
}

#[test]
fn empty_revision_link_of_index_is_rewritten_and_its_children_are_relinked() {
    let (mut tree, index, _) = tree();
    tree.break_revision_link_empty("app", &index.digest);
    tree.break_revision_link_missing("app", &index.images[1].digest);
    tree.break_layer_link_missing("app", &index.images[1].layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"
    rewrite [revision-link-invalid] repositories/app/_manifests/revisions/sha256/ab8eac21/link -> sha256:ab8eac21
    relink [child-link-missing] repositories/app/_manifests/revisions/sha256/628969a3/link -> sha256:628969a3
    relink [layer-link-missing] repositories/app/_layers/sha256/f9e39ae4/link -> sha256:f9e39ae4
    ");
}

#[test]
fn revision_link_to_another_manifest_is_rewritten() {
    let (mut tree, index, image) = tree();
    tree.break_revision_link_mismatch("app", &index.images[0].digest, &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"rewrite [revision-link-mismatch] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn revision_link_that_is_a_folder_is_left() {
    let (mut tree, _, image) = tree();
    tree.break_revision_link_is_folder("app", &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"left [revision-link-invalid] repositories/app/_manifests/revisions/sha256/e74cb118/link");
}

#[test]
fn tag_without_link_is_restored_from_its_only_history_entry() {
    let (mut tree, ..) = tree();
    tree.break_tag_link_missing("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"restore [tag-link-missing] repositories/app/_manifests/tags/v2/current/link -> sha256:e74cb118");
}

#[test]
fn restored_tag_has_no_push_time() {
    let (mut tree, ..) = tree();
    tree.break_tag_link_missing("app", "v2");
    tree.age_all(OLD);
    let registry = Registry::open(tree.root());
    registry.repair();
    let layout = Layout::open(&registry.located, 0).unwrap();
    let record = layout.record(&ReadOptions::default(), jiff::Timestamp::now()).unwrap();
    let [package] = &record.packages[..] else { panic!("not one package: {record:?}") };
    let tag = |tag: &str| package.versions.iter().find(|row| row.version == tag).unwrap();
    // The history lists what was pushed under this tag, not which push was the last.
    assert!(tag("v2").digest.is_some() && tag("v2").created_at.is_none(), "{:?}", tag("v2"));
    assert!(tag("v1").created_at.is_some());
    assert_eq!(package.copied, None);
}

#[test]
fn tag_with_two_history_entries_is_left() {
    let (mut tree, ..) = tree();
    tree.image("app", Some("v2"), "v2 again");
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"left [tag-link-invalid] repositories/app/_manifests/tags/v2/current/link");
}

#[test]
fn tag_is_not_restored_to_older_push_while_newer_manifest_exists() {
    let (mut tree, ..) = tree();
    let newer = tree.image("app", Some("v2"), "v2 again");
    tree.break_revision_link_missing("app", &newer.digest);
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"left [tag-link-invalid] repositories/app/_manifests/tags/v2/current/link");
    Registry::open(tree.root()).repair();
    let path = tree.history_link("app", "v2", &newer.digest);
    assert!(path.is_file(), "only the history lists what the tag named");
}

#[test]
fn tag_is_restored_to_older_push_when_newer_manifest_is_missing() {
    let (mut tree, ..) = tree();
    let newer = tree.image("app", Some("v2"), "v2 again");
    tree.break_blob_missing(&newer.digest);
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"
    restore [tag-link-invalid] repositories/app/_manifests/tags/v2/current/link -> sha256:e74cb118
    unlink [tag-history-dangling] repositories/app/_manifests/tags/v2/index/sha256/284538c1 -> sha256:284538c1
    left [manifest-missing] blobs/sha256/28/284538c1/data
    ");
    let registry = Registry::open(tree.root());
    registry.repair();
    assert!(registry.plan(&[], None).steps().is_empty(), "a second repair has nothing to do");
}

#[test]
fn folder_at_blob_path_is_moved_aside_before_blob_is_fetched() {
    let (mut tree, _, image) = tree();
    let mut source = TreeBuilder::new();
    source.image("app", Some("v2"), "v2");
    tree.break_blob_data_is_folder(&image.layers[0]);
    tree.age_all(OLD);
    let supply = tree_supply(&source);
    let registry = Registry::open(tree.root());
    insta::assert_snapshot!(show(&registry.plan(&[], Some(&supply))), @"
    move-aside [path-unexpected] blobs/sha256/58/58095ed7/data
    fetch [blob-missing] blobs/sha256/58/58095ed7/data -> sha256:58095ed7
    ");
    registry.repair_from(Some(&supply));
    assert_eq!(show(&registry.plan(&[], Some(&supply))), "");
}

#[test]
fn missing_child_is_left() {
    let (mut tree, index, _) = tree();
    tree.break_blob_missing(&index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"left [child-missing] blobs/sha256/76/765f7e57/data");
}

#[test]
fn missing_layer_link_is_relinked() {
    let (mut tree, _, image) = tree();
    tree.break_layer_link_missing("app", &image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"relink [layer-link-missing] repositories/app/_layers/sha256/58095ed7/link -> sha256:58095ed7");
}

#[test]
fn empty_layer_link_is_rewritten() {
    let (mut tree, _, image) = tree();
    tree.break_layer_link_empty("app", &image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"rewrite [layer-link-invalid] repositories/app/_layers/sha256/58095ed7/link -> sha256:58095ed7");
}

#[test]
fn missing_layers_folder_is_rebuilt() {
    let mut tree = TreeBuilder::new();
    let image = tree.image("app", Some("v1"), "v1");
    tree.break_layers_folder("app");
    assert_eq!(image.layers.len(), 2);
    insta::assert_snapshot!(plan(&mut tree), @"
    rebuild [layers-folder-missing] repositories/app/_layers
    relink [layer-link-missing] repositories/app/_layers/sha256/464599bb/link -> sha256:464599bb
    relink [layer-link-missing] repositories/app/_layers/sha256/694a73d7/link -> sha256:694a73d7
    relink [layer-link-missing] repositories/app/_layers/sha256/7c8eba92/link -> sha256:7c8eba92
    ");
}

#[test]
fn manifest_with_wrong_bytes_is_quarantined() {
    let (mut tree, _, image) = tree();
    tree.break_manifest_altered(&image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"
    quarantine [manifest-digest-mismatch] blobs/sha256/e7/e74cb118 -> sha256:e74cb118
    left [tag-target-missing] blobs/sha256/e7/e74cb118/data
    ");
}

#[test]
fn empty_layer_is_quarantined() {
    let (mut tree, _, image) = tree();
    tree.break_blob_zero(&image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"
    quarantine [blob-size-mismatch] blobs/sha256/58/58095ed7 -> sha256:58095ed7
    left [blob-missing] blobs/sha256/58/58095ed7/data
    ");
}

#[test]
fn flipped_layer_is_quarantined_only_when_content_is_hashed() {
    let (mut tree, _, image) = tree();
    tree.break_blob_flipped(&image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"");
    insta::assert_snapshot!(show(&Registry::open(tree.root()).content().plan(&[], None)), @"
    quarantine [blob-digest-mismatch] blobs/sha256/58/58095ed7 -> sha256:58095ed7
    left [blob-missing] blobs/sha256/58/58095ed7/data
    ");
}

/// Two images share a layer with wrong bytes. Its size is wrong for the first image and right for the second, so the second is
/// whole unless the layer is hashed.
#[test]
fn wrong_bytes_that_a_whole_tag_needs_are_left() {
    let mut tree = TreeBuilder::new();
    let whole = tree.image("app", Some("whole"), "whole");
    let layer = whole.layers[0].clone();
    let lie = ImageSpec {
        shared: vec![layer.clone()],
        damage: vec![(Part::Layer(2), DescriptorDamage::SizeTooBig)],
        ..ImageSpec::oci("lie")
    };
    tree.image_with("app", Some("lie"), &lie);
    tree.break_blob_flipped(&layer);
    insta::assert_snapshot!(plan(&mut tree), @"left [blob-digest-mismatch] blobs/sha256/23/239f1fbd/data (app:whole is served as a whole only with what is filed there now)");
}

#[test]
fn unreferenced_layer_link_is_unlinked() {
    let (mut tree, ..) = tree();
    tree.layer("app", b"nobody needs this");
    insta::assert_snapshot!(plan(&mut tree), @"unlink [layer-link-unreferenced] repositories/app/_layers/sha256/52c04b39 -> sha256:52c04b39");
}

#[test]
fn dangling_layer_link_is_unlinked() {
    let (mut tree, ..) = tree();
    let layer = tree.layer("app", b"nobody needs this");
    tree.break_blob_missing(&layer);
    insta::assert_snapshot!(plan(&mut tree), @"unlink [layer-link-dangling] repositories/app/_layers/sha256/52c04b39 -> sha256:52c04b39");
}

#[test]
fn dangling_history_entry_is_unlinked() {
    let (mut tree, ..) = tree();
    tree.break_history_dangling("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"unlink [tag-history-dangling] repositories/app/_manifests/tags/v2/index/sha256/e49b0338 -> sha256:e49b0338");
}

#[test]
fn old_upload_and_temporary_file_are_cleared() {
    let (mut tree, ..) = tree();
    tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    tree.break_temp_file(&tree.tag_link("app", "v1"));
    tree.age_all(OLD);
    // Folders of links and data are searched for leftovers only in strict mode.
    let text = show(&Registry::open(tree.root()).strict().plan(&[], None));
    insta::assert_snapshot!(without_ids(&text), @"
    clear [temp-file-stale] repositories/app/_manifests/tags/v1/current/link.ID.tmp
    clear [upload-stale] repositories/app/_uploads/ID
    ");
}

/// Masks upload ids, which differ from run to run.
fn without_ids(text: &str) -> String {
    text.split_inclusive(['/', '.', '\n', ' '])
        .map(|part| {
            let id = part.trim_end_matches(['/', '.', '\n', ' ']);
            let is_id = id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4;
            if is_id { part.replace(id, "ID") } else { part.to_owned() }
        })
        .collect()
}

#[test]
fn strays_are_moved_aside_and_legal_repositories_below_an_illegal_one_stay() {
    let (mut tree, ..) = tree();
    tree.break_stray_data().break_illegal_repository_name("UPPER").break_stray_tag_name("app", ".hidden");
    tree.image("UPPER/legal", Some("v1"), "legal");
    insta::assert_snapshot!(plan(&mut tree), @"
    move-aside [path-unexpected] blobs/data
    move-aside [path-unexpected] repositories/UPPER/_layers
    move-aside [path-unexpected] repositories/UPPER/_manifests
    move-aside [path-unexpected] repositories/UPPER/_uploads
    move-aside [path-unexpected] repositories/app/_manifests/tags/.hidden
    ");
}

/// A shelved repository, or one with another illegal name, would no longer protect its blobs once it is moved aside.
#[test]
fn unlisted_repositories_stay_in_place() {
    let (mut tree, ..) = tree();
    for name in ["tools", "Tools"] {
        tree.image(name, Some("v1"), name);
    }
    tree.break_shelved("tools");
    std::fs::create_dir_all(tree.repositories().join("_notes")).unwrap();
    insta::assert_snapshot!(plan(&mut tree), @"
    move-aside [path-unexpected] repositories/_notes
    left [path-unexpected] repositories/Tools
    left [path-unexpected] repositories/_tools
    ");
}

/// https://github.com/distribution/distribution/issues/4489
#[test]
fn unreferenced_wrong_bytes_are_quarantined() {
    let (mut tree, ..) = tree();
    let digest = tree.blob(b"a manifest that a full disk left empty");
    tree.break_blob_zero(&digest);
    insta::assert_snapshot!(plan(&mut tree), @"quarantine [unreferenced-blob-wrong] blobs/sha256/b5/b5bcc506 -> sha256:b5bcc506");
}

#[test]
fn child_served_only_through_layer_link_is_relinked() {
    let (mut tree, index, _) = tree();
    tree.break_revision_only_as_layer("app", &index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [gc-hazard] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn young_untagged_layer_link_is_left() {
    let (mut tree, ..) = tree();
    tree.age_all(OLD);
    tree.layer("app", b"a push under way");
    insta::assert_snapshot!(show(&Registry::open(tree.root()).plan(&[], None)), @"");
}

// https://github.com/Joxit/docker-registry-ui/issues/124, https://github.com/goharbor/harbor/issues/7924: a DELETE by digest that left
// the tag.
#[test]
fn tag_probably_deleted_through_api_is_left_restored_or_dropped_as_asked() {
    let deleted = |tags: Option<DeletedTags>| {
        let (mut tree, index, image) = tree();
        tree.tag("app", "v2.0", &image.digest);
        tree.break_empty_folder_left("app", &image.digest).break_empty_folder_left("app", &index.digest);
        tree.break_revision_link_missing("app", &index.images[0].digest);
        tree.age_all(OLD);
        let registry = Registry::open(tree.root());
        let registry = if let Some(tags) = tags { registry.deleted_tags(tags) } else { registry };
        show(&registry.plan(&[], None))
    };
    insta::assert_snapshot!(deleted(None), @"
    left [child-link-missing] repositories/app/_manifests/revisions/sha256/765f7e57/link (only tags lead there whose manifests were probably deleted)
    left [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/ab8eac21/link (it can be brought back, or its tag moved aside, where that is asked for)
    left [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/e74cb118/link (it can be brought back, or its tag moved aside, where that is asked for)
    ");
    insta::assert_snapshot!(deleted(Some(DeletedTags::Restore)), @"
    relink [child-link-missing] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57
    relink [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/ab8eac21/link -> sha256:ab8eac21
    relink [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/e74cb118/link -> sha256:e74cb118
    ");
    insta::assert_snapshot!(deleted(Some(DeletedTags::Drop)), @"
    drop [tag-target-unlinked] repositories/app/_manifests/tags/v1 -> sha256:ab8eac21
    drop [tag-target-unlinked] repositories/app/_manifests/tags/v2 -> sha256:e74cb118
    drop [tag-target-unlinked] repositories/app/_manifests/tags/v2.0 -> sha256:e74cb118
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/48abd940 -> sha256:48abd940
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/58095ed7 -> sha256:58095ed7
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/5f103f53 -> sha256:5f103f53
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/9af58315 -> sha256:9af58315
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/9b486915 -> sha256:9b486915
    unlink [layer-link-unreferenced] repositories/app/_layers/sha256/d9cf2341 -> sha256:d9cf2341
    ");
}

#[test]
fn dropped_tag_is_quarantined_and_undo_restores_it() {
    let (mut tree, _, image) = tree();
    tree.break_empty_folder_left("app", &image.digest);
    tree.age_all(OLD);
    let before = snapshot_tree(&tree.v2());
    let registry = Registry::open(tree.root()).deleted_tags(DeletedTags::Drop);
    let repaired = registry.repair();
    // Nothing needs its layer links any more, so they are removed as well.
    assert_eq!(repaired.outcomes, [const { StepOutcome::Done }; 4]);
    assert!(!tree.tag_folder("app", "v2").try_exists().unwrap());
    assert!(registry.audit().broken_tags.is_empty());
    assert_eq!(undo_failures(&undo(&repaired.journal)), "");
    assert_eq!(before, snapshot_tree(&tree.v2()));
}

#[test]
fn tag_pushed_since_the_plan_is_not_dropped() {
    let (mut tree, _, image) = tree();
    tree.break_empty_folder_left("app", &image.digest);
    tree.age_all(OLD);
    let registry = Registry::open(tree.root()).deleted_tags(DeletedTags::Drop);
    let plan = registry.plan(&[], None);
    tree.revision("app", &image.digest);
    let (outcomes, _) = registry.apply(&plan, &Budget::unlimited(), None);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, StepOutcome::Spared(_))), "{outcomes:?}");
    assert!(tree.tag_folder("app", "v2").try_exists().unwrap());
}
