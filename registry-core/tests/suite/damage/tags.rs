//! Damage to tags: each test calls one `break_*` method and snapshots the report. What the server answers is in the name of the test.

use insta::assert_snapshot;

use crate::support::{APP, Base, report_after};

#[test]
fn missing_tag_link_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_missing(APP, "v1"); }), @"
    error tag-link-missing team/app:v1 | it has no current/link; its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-missing
    ");
}

#[test]
fn empty_tag_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_empty(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | its link is empty (0 bytes); its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn tag_link_of_text_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_text(APP, "v2"); }), @"
    error tag-link-invalid team/app:v2 | its link holds no digest; its history has one entry that resolves, sha256:index | repositories/team/app/_manifests/tags/v2/current/link | Restore
    broken: team/app:v2 by tag-link-invalid
    ");
}

#[test]
fn tag_link_with_newline_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_newline(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | its link has bytes beside the digest; its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn tag_link_of_binary_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_binary(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | its link holds no digest; its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn tag_link_of_5_gb_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_huge(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | its link holds no digest; its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn tag_link_to_a_sha512_digest_is_found_404() {
    let report = report_after(|base| {
        base.tree.break_tag_link_sha512(APP, "v1");
    });
    let lines: Vec<_> = report.lines().filter(|line| !line.starts_with("info")).take(2).collect();
    assert_snapshot!(lines.join("\n"), @"
    error tag-link-invalid team/app:v1 | its link names no sha256 digest; its history has one entry that resolves, sha256:one | repositories/team/app/_manifests/tags/v1/current/link | Restore
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn folder_in_place_of_tag_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_link_is_folder(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | its link is no file | repositories/team/app/_manifests/tags/v1/current/link
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn tag_to_an_absent_manifest_is_found_404() {
    assert_snapshot!(report_after(|base| {
        let target = base.tree.break_tag_target(APP, "v1");
        base.names.add(&target, "nowhere");
    }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    error tag-target-missing team/app:v1 sha256:nowhere | its manifest is gone: neither a revision link nor its bytes are here | repositories/team/app/_manifests/revisions/sha256/nowhere/link
    broken: team/app:v1 by tag-target-missing
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}

#[test]
fn tag_to_another_sound_image_is_sound_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_target_other(APP, "v1", &base.index.digest); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}

#[test]
fn tag_to_a_config_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_target_other(APP, "v1", &base.one.config); }), @"
    error manifest-unreadable team/app:v1 sha256:one-config | its manifest is unreadable: schemaVersion is 0, and only 1 and 2 are known | blobs/sha256/xx/one-config/data
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn tag_to_a_manifest_of_another_repository_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_target_other(APP, "v1", &base.lib.digest); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    error layer-link-missing team/app:v1 sha256:lib-layer2 of sha256:lib | layer sha256:lib-layer2 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/lib-layer2/link | Relink
    error layer-link-missing team/app:v1 sha256:lib-config of sha256:lib | config sha256:lib-config has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/lib-config/link | Relink
    error layer-link-missing team/app:v1 sha256:lib-layer1 of sha256:lib | layer sha256:lib-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/lib-layer1/link | Relink
    error tag-target-unlinked team/app:v1 sha256:lib | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/lib/link | Relink
    broken: team/app:v1 by layer-link-missing, layer-link-missing, layer-link-missing, tag-target-unlinked
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}

#[test]
fn file_in_place_of_a_tag_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_is_file(APP, "v1"); }), @"
    error tag-link-invalid team/app:v1 | a file stands in the place of its folder | repositories/team/app/_manifests/tags/v1
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn missing_tag_folder_leaves_an_untagged_manifest() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_folder_missing(APP, "v1"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}

#[test]
fn dangling_history_entry_is_found() {
    assert_snapshot!(report_after(|base| { base.tree.break_history_dangling(APP, "v1"); }), @"info tag-history-dangling team/app | 1 entry of tag histories that no longer resolve | repositories/team/app/_manifests/tags | Remove");
}

#[test]
fn missing_history_is_no_finding() {
    assert_snapshot!(report_after(|base| { base.tree.break_history_missing(APP, "v1"); }), @"nothing");
}

#[test]
fn empty_history_entry_is_no_finding() {
    assert_snapshot!(report_after(|base| { base.tree.break_history_empty(APP, "v1", &base.one.digest); }), @"nothing");
}

#[test]
fn missing_tag_link_with_two_history_entries_has_no_repair() {
    assert_snapshot!(report_after(|base| {
        let newer = base.image(APP, Some("v1"), "newer").digest;
        base.tree.break_tag_link_missing(APP, "v1");
        base.tree.break_tag_link_missing(APP, "v2");
        base.tree.tag(APP, "v2", &newer).break_tag_link_missing(APP, "v2");
    }), @"
    error tag-link-missing team/app:v1 | it has no current/link; 2 entries of its history resolve, so the right one is for you to choose | repositories/team/app/_manifests/tags/v1/current/link
    error tag-link-missing team/app:v2 | it has no current/link; 2 entries of its history resolve, so the right one is for you to choose | repositories/team/app/_manifests/tags/v2/current/link
    broken: team/app:v1 by tag-link-missing
    broken: team/app:v2 by tag-link-missing
    ");
}

#[test]
fn missing_tag_link_without_history_has_no_repair() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_tag_link_missing(APP, "v1").break_history_missing(APP, "v1");
    }), @"
    error tag-link-missing team/app:v1 | it has no current/link; no entry of its history resolves | repositories/team/app/_manifests/tags/v1/current/link
    broken: team/app:v1 by tag-link-missing
    ");
}

#[test]
fn illegal_tag_names_are_strays() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_stray_tag_name(APP, ".hidden").break_stray_tag_name(APP, &"t".repeat(129));
    }), @"
    warning path-unexpected team/app | no legal tag name, although the server lists it as a tag | repositories/team/app/_manifests/tags/.hidden | MoveAside
    warning path-unexpected team/app | no legal tag name, although the server lists it as a tag | repositories/team/app/_manifests/tags/ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt | MoveAside
    ");
}

/// what a tag would be restored to is no garbage, whatever the link holds.
#[test]
fn tag_to_a_sha512_digest_keeps_its_history() {
    let mut base = Base::new();
    base.tree.break_tag_link_sha512(APP, "v1");
    assert!(!base.report().contains("manifest-untagged"), "{}", base.report());
}

// https://github.com/Joxit/docker-registry-ui/issues/124, https://github.com/goharbor/harbor/issues/7924: a DELETE by digest whose tag
// stayed.
#[test]
fn tag_probably_deleted_through_the_api_is_told_from_a_lost_link() {
    assert_snapshot!(report_after(|base| { base.tree.break_empty_folder_left(APP, &base.one.digest); }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest was probably deleted through the API: the folder of its revision link is empty; its bytes are here until a collection | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    ");
    // A collection since took the bytes.
    assert_snapshot!(report_after(|base| {
        base.tree.break_empty_folder_left(APP, &base.one.digest).break_blob_missing(&base.one.digest);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error tag-target-missing team/app:v1 sha256:one | its manifest was probably deleted through the API and collected since: the folder of its revision link is empty, its bytes are gone | repositories/team/app/_manifests/revisions/sha256/one/link
    broken: team/app:v1 by tag-target-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
    // Never a child, whether it has a tag of its own or not.
    assert_snapshot!(report_after(|base| {
        base.tree.tag(APP, "arm", &base.arm.digest).break_empty_folder_left(APP, &base.arm.digest);
        base.tree.break_empty_folder_left(APP, &base.amd.digest);
    }), @"
    error tag-target-unlinked team/app:arm,v2 sha256:arm | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    error child-link-missing team/app:v2 sha256:amd of sha256:index for linux/amd64 | linux/amd64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/amd/link | Relink
    broken: team/app:arm by tag-target-unlinked
    broken: team/app:v2 by tag-target-unlinked, child-link-missing
    ");
    // But a child of an index that was deleted like it.
    assert_snapshot!(report_after(|base| {
        base.tree.tag(APP, "arm", &base.arm.digest).break_empty_folder_left(APP, &base.arm.digest);
        base.tree.break_empty_folder_left(APP, &base.index.digest);
    }), @"
    error tag-target-unlinked team/app:arm,v2 sha256:arm | its manifest was probably deleted through the API: the folder of its revision link is empty; its bytes are here until a collection | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    error tag-target-unlinked team/app:v2 sha256:index | its image index was probably deleted through the API: the folder of its revision link is empty; its bytes are here until a collection | repositories/team/app/_manifests/revisions/sha256/index/link | Relink
    broken: team/app:arm by tag-target-unlinked
    broken: team/app:v2 by tag-target-unlinked, tag-target-unlinked
    ");
    // Something in the folder is a trace of something else.
    assert_snapshot!(report_after(|base| {
        let link = base.tree.revision_link(APP, &base.one.digest);
        base.tree.break_temp_file(&link);
        base.tree.break_empty_folder_left(APP, &base.one.digest);
    }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    ");
}
