//! Whole folders that are gone: each test calls one `break_*` method and snapshots the report.

use insta::assert_snapshot;

use crate::support::{APP, report_after};

#[test]
fn missing_layers_folder_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_layers_folder(APP); }), @"
    error layers-folder-missing team/app:v1,v2 | the repository has no _layers folder, so no config and no layer is served; a 2.x collector takes every blob of this repository, a 3.x one aborts | repositories/team/app/_layers | Rebuild
    broken: team/app:v1 by layers-folder-missing
    broken: team/app:v2 by layers-folder-missing
    ");
}

#[test]
fn missing_layers_folder_that_no_manifest_needs_is_a_warning() {
    assert_snapshot!(report_after(|base| {
        base.tree.index("empty", Some("v1"), &[]);
        base.tree.layer("empty", b"x");
        base.tree.break_layers_folder("empty");
    }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 1 byte: a plain collection frees it | blobs
    warning layers-folder-missing empty | the repository has manifests and no _layers folder, though none needs it; a 2.x collector takes every blob of this repository, a 3.x one aborts | repositories/empty/_layers | Rebuild
    garbage: 1 blobs (1 bytes) unreferenced
    ");
}

#[test]
fn missing_manifests_folder_leaves_garbage_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifests_folder(APP); }), @"
    info blob-unreferenced - | 13 blobs that no manifest references, 3539 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 9 layer links that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 13 blobs (3539 bytes) unreferenced, 9 layer links
    ");
}

#[test]
fn missing_tags_folder_leaves_untagged_manifests() {
    assert_snapshot!(report_after(|base| { base.tree.break_tags_folder(APP); }), @"
    info manifest-untagged team/app | 4 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 4 manifests untagged, 13 blobs (3539 bytes) untagged
    ");
}

#[test]
fn missing_revisions_folder_breaks_every_tag_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_revisions_folder(APP); }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    error child-link-missing team/app:v2 sha256:amd of sha256:index for linux/amd64 | linux/amd64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/amd/link | Relink
    error tag-target-unlinked team/app:v2 sha256:index | its image index has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/index/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    broken: team/app:v2 by child-link-missing, child-link-missing, tag-target-unlinked
    ");
}

#[test]
fn missing_repositories_folder_is_a_hazard() {
    assert_snapshot!(report_after(|base| { base.tree.break_repositories_folder(); }), @"
    warning gc-hazard - | there is no repositories folder: every collector aborts on that | repositories
    info blob-unreferenced - | 17 blobs that no manifest references, 4555 bytes: a plain collection frees them | blobs
    garbage: 17 blobs (4555 bytes) unreferenced
    ");
}

#[test]
fn missing_blobs_folder_breaks_every_tag() {
    let report = report_after(|base| {
        base.tree.break_blobs_folder();
    });
    let lines: Vec<_> = report.lines().filter(|line| !line.starts_with("info")).collect();
    assert_snapshot!(lines.join("\n"), @"
    warning gc-hazard - | there is no blobs folder: every collector aborts on that | blobs
    error tag-target-missing lib:v1 sha256:lib | its manifest is gone: its revision link is here, its bytes are not | blobs/sha256/xx/lib/data
    warning manifest-missing team/app sha256:arm | untagged manifest sha256:arm is gone: its revision link is here, its bytes are not | blobs/sha256/xx/arm/data
    warning manifest-missing team/app sha256:amd | untagged manifest sha256:amd is gone: its revision link is here, its bytes are not | blobs/sha256/xx/amd/data
    error tag-target-missing team/app:v1 sha256:one | its manifest is gone: its revision link is here, its bytes are not | blobs/sha256/xx/one/data
    error tag-target-missing team/app:v2 sha256:index | its manifest is gone: its revision link is here, its bytes are not | blobs/sha256/xx/index/data
    broken: lib:v1 by tag-target-missing
    broken: team/app:v1 by tag-target-missing
    broken: team/app:v2 by tag-target-missing
    ");
}
