//! One damage, one plan: what each finding that has a repair comes to, and what is left alone.

use registry_core::repair::{DeletedTags, RepairPlan, StepOutcome};
use registry_core::retention::layout::{Layout, Reading};
use registry_fixtures::{DescriptorDamage, ImageSpec, Part, TreeBuilder};

use crate::support::{Budget, OLD, Registry, left, names_of, picture};

/// A tree with an index of two platforms and a single image, all old.
fn tree() -> (TreeBuilder, registry_fixtures::Index, registry_fixtures::Image) {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("app", Some("v2"), "v2");
    (tree, index, image)
}

/// The plan for a tree, one step or finding a line.
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
    names_of(&lines.join("\n"))
}

#[test]
fn a_sound_tree_needs_nothing() {
    insta::assert_snapshot!(plan(&mut tree().0), @"");
}

#[test]
fn a_child_without_its_revision_link() {
    let (mut tree, index, _) = tree();
    tree.break_revision_link_missing("app", &index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [child-link-missing] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn a_tag_whose_manifest_has_no_revision_link() {
    let (mut tree, _, image) = tree();
    tree.break_revision_link_missing("app", &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [tag-target-unlinked] repositories/app/_manifests/revisions/sha256/e74cb118/link -> sha256:e74cb118");
}

#[test]
fn an_empty_revision_link_of_an_index_and_what_lies_behind_it() {
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
fn a_revision_link_that_names_another_manifest() {
    let (mut tree, index, image) = tree();
    tree.break_revision_link_mismatch("app", &index.images[0].digest, &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"rewrite [revision-link-mismatch] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn a_revision_link_that_is_a_folder_is_left() {
    let (mut tree, _, image) = tree();
    tree.break_revision_link_is_folder("app", &image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"left [revision-link-invalid] repositories/app/_manifests/revisions/sha256/e74cb118/link");
}

#[test]
fn a_tag_without_its_link_and_one_entry_in_its_history() {
    let (mut tree, ..) = tree();
    tree.break_tag_link_missing("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"restore [tag-link-missing] repositories/app/_manifests/tags/v2/current/link -> sha256:e74cb118");
}

#[test]
fn a_restored_tag_has_no_push_time() {
    let (mut tree, ..) = tree();
    tree.break_tag_link_missing("app", "v2");
    tree.age_all(OLD);
    let registry = Registry::open(tree.root());
    registry.repair();
    let layout = Layout::open(&registry.located, 0).unwrap();
    let record = layout.record(&Reading::default(), jiff::Timestamp::now()).unwrap();
    let [package] = &record.packages[..] else { panic!("not one package: {record:?}") };
    let tag = |tag: &str| package.versions.iter().find(|row| row.version == tag).unwrap();
    // Its history tells what was pushed under this tag, and not whether that was the last.
    assert!(tag("v2").digest.is_some() && tag("v2").created_at.is_none(), "{:?}", tag("v2"));
    assert!(tag("v1").created_at.is_some());
    assert_eq!(package.copied, None);
}

#[test]
fn a_tag_with_two_entries_in_its_history_is_left() {
    let (mut tree, ..) = tree();
    tree.image("app", Some("v2"), "v2 again");
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"left [tag-link-invalid] repositories/app/_manifests/tags/v2/current/link");
}

#[test]
fn a_tag_is_not_set_back_to_an_older_push_while_the_bytes_of_the_newer_are_here() {
    let (mut tree, ..) = tree();
    let newer = tree.image("app", Some("v2"), "v2 again");
    tree.break_revision_link_missing("app", &newer.digest);
    tree.break_tag_link_empty("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"left [tag-link-invalid] repositories/app/_manifests/tags/v2/current/link");
    Registry::open(tree.root()).repair();
    let path = tree.history_link("app", "v2", &newer.digest);
    assert!(path.is_file(), "what the tag was only its history tells");
}

#[test]
fn a_tag_of_which_only_an_older_push_is_left() {
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
    assert!(registry.plan(&[], None).steps().is_empty(), "once is enough");
}

#[test]
fn a_folder_in_the_place_of_bytes_goes_before_they_are_fetched() {
    let (mut tree, _, image) = tree();
    let mut source = TreeBuilder::new();
    source.image("app", Some("v2"), "v2");
    tree.break_blob_data_is_folder(&image.layers[0]);
    tree.age_all(OLD);
    let supply = registry_core::repair::TreeSupply::open(
        &registry_core::storage::locate(source.root(), registry_core::storage::Symlinks::Refuse).registries
            [0],
    )
    .unwrap();
    let registry = Registry::open(tree.root());
    insta::assert_snapshot!(show(&registry.plan(&[], Some(&supply))), @"
    move-aside [path-unexpected] blobs/sha256/58/58095ed7/data
    fetch [blob-missing] blobs/sha256/58/58095ed7/data -> sha256:58095ed7
    ");
    registry.repair_from(Some(&supply));
    assert_eq!(show(&registry.plan(&[], Some(&supply))), "");
}

#[test]
fn a_child_that_is_gone_is_left() {
    let (mut tree, index, _) = tree();
    tree.break_blob_missing(&index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"left [child-missing] blobs/sha256/76/765f7e57/data");
}

#[test]
fn a_missing_layer_link() {
    let (mut tree, _, image) = tree();
    tree.break_layer_link_missing("app", &image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"relink [layer-link-missing] repositories/app/_layers/sha256/58095ed7/link -> sha256:58095ed7");
}

#[test]
fn an_empty_layer_link() {
    let (mut tree, _, image) = tree();
    tree.break_layer_link_empty("app", &image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"rewrite [layer-link-invalid] repositories/app/_layers/sha256/58095ed7/link -> sha256:58095ed7");
}

#[test]
fn a_repository_without_layers_folder() {
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
fn a_manifest_of_wrong_bytes() {
    let (mut tree, _, image) = tree();
    tree.break_manifest_altered(&image.digest);
    insta::assert_snapshot!(plan(&mut tree), @"
    quarantine [manifest-digest-mismatch] blobs/sha256/e7/e74cb118 -> sha256:e74cb118
    left [tag-target-missing] blobs/sha256/e7/e74cb118/data
    ");
}

#[test]
fn a_layer_of_0_bytes() {
    let (mut tree, _, image) = tree();
    tree.break_blob_zero(&image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"
    quarantine [blob-size-mismatch] blobs/sha256/58/58095ed7 -> sha256:58095ed7
    left [blob-missing] blobs/sha256/58/58095ed7/data
    ");
}

#[test]
fn a_flipped_layer_is_seen_only_when_it_is_hashed() {
    let (mut tree, _, image) = tree();
    tree.break_blob_flipped(&image.layers[0]);
    insta::assert_snapshot!(plan(&mut tree), @"");
    insta::assert_snapshot!(show(&Registry::open(tree.root()).content().plan(&[], None)), @"
    quarantine [blob-digest-mismatch] blobs/sha256/58/58095ed7 -> sha256:58095ed7
    left [blob-missing] blobs/sha256/58/58095ed7/data
    ");
}

/// One layer in two images: to the first its size is wrong, to the second it is as it should be, so without hashing what is
/// sent the second is whole.
#[test]
fn wrong_bytes_that_a_whole_tag_is_served_with_are_left() {
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
fn a_layer_link_that_no_manifest_needs() {
    let (mut tree, ..) = tree();
    tree.layer("app", b"nobody needs this");
    insta::assert_snapshot!(plan(&mut tree), @"unlink [layer-link-unreferenced] repositories/app/_layers/sha256/52c04b39 -> sha256:52c04b39");
}

#[test]
fn a_layer_link_that_dangles() {
    let (mut tree, ..) = tree();
    let layer = tree.layer("app", b"nobody needs this");
    tree.break_blob_missing(&layer);
    insta::assert_snapshot!(plan(&mut tree), @"unlink [layer-link-dangling] repositories/app/_layers/sha256/52c04b39 -> sha256:52c04b39");
}

#[test]
fn a_dangling_entry_of_a_history() {
    let (mut tree, ..) = tree();
    tree.break_history_dangling("app", "v2");
    insta::assert_snapshot!(plan(&mut tree), @"unlink [tag-history-dangling] repositories/app/_manifests/tags/v2/index/sha256/e49b0338 -> sha256:e49b0338");
}

#[test]
fn an_old_upload_and_a_temporary_file() {
    let (mut tree, ..) = tree();
    tree.upload("app", b"half a layer", Some("2024-01-02T03:04:05Z"));
    tree.break_temp_file(&tree.tag_link("app", "v1"));
    tree.age_all(OLD);
    // Beside links and data nobody looks unless told to.
    let text = show(&Registry::open(tree.root()).strict().plan(&[], None));
    insta::assert_snapshot!(without_ids(&text), @"
    clear [temp-file-stale] repositories/app/_manifests/tags/v1/current/link.ID.tmp
    clear [upload-stale] repositories/app/_uploads/ID
    ");
}

/// Upload ids and the like differ from run to run.
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
fn strays_are_moved_and_legal_repositories_below_an_illegal_one_stay() {
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

/// Moved aside, a shelved repository would protect its blobs no more; nor would one under another illegal name.
#[test]
fn repositories_that_no_server_lists_stay_where_they_are() {
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
fn wrong_bytes_that_nothing_names_are_moved_aside() {
    let (mut tree, ..) = tree();
    let digest = tree.blob(b"a manifest that a full disk left empty");
    tree.break_blob_zero(&digest);
    insta::assert_snapshot!(plan(&mut tree), @"quarantine [unreferenced-blob-wrong] blobs/sha256/b5/b5bcc506 -> sha256:b5bcc506");
}

#[test]
fn a_child_served_only_through_its_layer_link() {
    let (mut tree, index, _) = tree();
    tree.break_revision_only_as_layer("app", &index.images[0].digest);
    insta::assert_snapshot!(plan(&mut tree), @"relink [gc-hazard] repositories/app/_manifests/revisions/sha256/765f7e57/link -> sha256:765f7e57");
}

#[test]
fn what_is_young_and_reached_by_no_tag_is_left() {
    let (mut tree, ..) = tree();
    tree.age_all(OLD);
    tree.layer("app", b"a push under way");
    insta::assert_snapshot!(show(&Registry::open(tree.root()).plan(&[], None)), @"");
}

// https://github.com/Joxit/docker-registry-ui/issues/124, https://github.com/goharbor/harbor/issues/7924: a DELETE by digest whose tag
// stayed.
#[test]
fn a_tag_that_was_probably_deleted_through_the_api() {
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
fn a_dropped_tag_goes_to_the_quarantine_and_comes_back() {
    let (mut tree, _, image) = tree();
    tree.break_empty_folder_left("app", &image.digest);
    tree.age_all(OLD);
    let before = picture(&tree.v2());
    let registry = Registry::open(tree.root()).deleted_tags(DeletedTags::Drop);
    let repaired = registry.repair();
    // Its layer links are needed by nothing then, and go with it.
    assert_eq!(repaired.outcomes, [const { StepOutcome::Done }; 4]);
    assert!(!tree.tag_folder("app", "v2").try_exists().unwrap());
    assert!(registry.audit().broken_tags.is_empty());
    assert_eq!(left(&registry.undo(&repaired.journal)), "");
    assert_eq!(before, picture(&tree.v2()));
}

#[test]
fn a_tag_pushed_since_is_not_dropped() {
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
