//! Damage to revision links, and manifests that are gone: each test calls one `break_*` method and snapshots the report.

use insta::assert_snapshot;

use crate::support::{APP, Base, report_after};

#[test]
fn missing_revision_link_of_tagged_image_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_missing(APP, &base.one.digest); }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    ");
}

#[test]
fn missing_revision_link_of_index_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_missing(APP, &base.index.digest); }), @"
    error tag-target-unlinked team/app:v2 sha256:index | its image index has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/index/link | Relink
    broken: team/app:v2 by tag-target-unlinked
    ");
}

#[test]
fn missing_revision_link_of_child_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_missing(APP, &base.arm.digest); }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn child_folder_left_by_a_delete_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_empty_folder_left(APP, &base.arm.digest); }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn child_linked_only_as_a_layer_is_a_hazard_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_only_as_layer(APP, &base.arm.digest); }), @"warning gc-hazard team/app sha256:arm | manifest sha256:arm is served only through its layer link: registry 3 answers 404, and every collector deletes its config and layers; writing its revision link mends it | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink");
}

#[test]
fn empty_revision_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_empty(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link is empty (0 bytes); its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn revision_link_of_text_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_text(APP, &base.arm.digest); }), @"
    error revision-link-invalid team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link holds no digest; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    broken: team/app:v2 by revision-link-invalid
    ");
}

#[test]
fn revision_link_with_newline_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_newline(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link has bytes beside the digest; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn folder_in_place_of_revision_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_link_is_folder(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link is no file; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn revision_link_to_another_manifest_is_found_200_with_wrong_bytes() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_revision_link_mismatch(APP, &base.one.digest, &base.amd.digest);
    }), @"
    error revision-link-mismatch team/app:v1 sha256:one | its manifest: the revision link names sha256:amd instead; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-mismatch
    ");
}

#[test]
fn revision_link_to_a_config_is_found_500() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_revision_link_mismatch(APP, &base.arm.digest, &base.one.config);
    }), @"
    error revision-link-mismatch team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link names sha256:one-config instead; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    broken: team/app:v2 by revision-link-mismatch
    ");
}

#[test]
fn missing_bytes_of_tagged_manifest_are_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_missing(&base.one.digest); }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error tag-target-missing team/app:v1 sha256:one | its manifest is gone: its revision link is here, its bytes are not | blobs/sha256/xx/one/data
    broken: team/app:v1 by tag-target-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn missing_bytes_of_child_are_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_missing(&base.arm.digest); }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: its revision link is here, its bytes are not | blobs/sha256/xx/arm/data
    broken: team/app:v2 by child-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn missing_link_and_bytes_of_child_are_one_finding_404() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest).break_blob_missing(&base.arm.digest);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link
    broken: team/app:v2 by child-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn missing_link_and_wrong_bytes_of_child_are_one_finding_404() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest).break_manifest_altered(&base.arm.digest);
    }), @"
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: it has no revision link, and the file under its digest holds something else | blobs/sha256/xx/arm/data | Quarantine
    broken: team/app:v2 by child-missing
    ");
}

#[test]
fn missing_bytes_of_untagged_manifest_are_a_warning() {
    assert_snapshot!(report_after(|base| {
        let loose = base.image(APP, None, "loose").digest;
        base.tree.break_blob_missing(&loose);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 463 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    warning manifest-missing team/app sha256:loose | untagged manifest sha256:loose is gone: its revision link is here, its bytes are not | blobs/sha256/xx/loose/data
    garbage: 3 blobs (463 bytes) unreferenced, 3 layer links
    ");
}

/// the most frequent damage of all (a 2.8 collection with -m): the child's layers are gone as well.
#[test]
fn child_whose_parts_are_missing_is_not_said_to_need_only_a_link() {
    let mut base = Base::new();
    base.tree.break_revision_link_missing(APP, &base.arm.digest);
    for part in base.arm.layers.iter().chain([&base.arm.config]) {
        base.tree.break_blob_missing(part);
    }
    let report = base.report();
    assert!(report.contains("blob-missing") || !report.contains("| Relink"), "{report}");
}
