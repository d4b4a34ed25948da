//! Garbage: what nothing references, and what only an untagged collection deletes.

mod sums;
mod young;

use insta::assert_snapshot;
use registry_fixtures::{ImageSpec, JsonDamage};

use crate::support::{APP, Base, HOUR, View, report_after, report_with_damage};

#[test]
fn unreferenced_blob_is_garbage() {
    assert_snapshot!(report_after(|base| { base.tree.blob(b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    garbage: 1 blobs (8 bytes) unreferenced
    ");
}

#[test]
fn blobs_of_an_unfinished_push_are_garbage() {
    assert_snapshot!(report_after(|base| { base.tree.layer("half", b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced half | 1 layer link that no manifest needs | repositories/half/_layers | Remove
    garbage: 1 blobs (8 bytes) unreferenced, 1 layer links
    ");
}

/// A full disk leaves manifests of 0 bytes, which the next push does not replace:
/// https://github.com/distribution/distribution/issues/4489
#[test]
fn unreferenced_wrong_bytes_are_found() {
    let damage = |base: &mut Base| {
        let [empty, cut, linked, right] =
            ["empty", "cut short", "linked", "right"].map(|text| base.tree.blob(text.as_bytes()));
        let nothing = base.tree.blob(b"");
        for (digest, name) in [(&empty, "empty"), (&cut, "cut"), (&linked, "linked"), (&nothing, "nothing")] {
            base.names.add(digest, name);
        }
        base.names.add(&right, "right");
        base.tree.layer_link(APP, &linked).layer_link("lib", &linked);
        base.tree.break_blob_zero(&empty).break_blob_truncated(&cut).break_blob_zero(&linked);
    };
    assert_snapshot!(report_after(damage), @"
    info blob-unreferenced - | 5 blobs that no manifest references, 9 bytes: a plain collection frees them | blobs
    error unreferenced-blob-wrong - sha256:linked | an empty file under the digest of something else, which no served manifest names; lib and 1 other link it, so clients skip the upload and pull it wrong | blobs/sha256/xx/linked/data | Quarantine
    warning unreferenced-blob-wrong - sha256:empty | an empty file under the digest of something else, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/empty/data | Quarantine
    info layer-link-unreferenced lib | 1 layer link that no manifest needs | repositories/lib/_layers | Remove
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 5 blobs (9 bytes) unreferenced, 2 layer links
    ");
    assert_snapshot!(report_with_damage(&View { content: true, ..View::default() }, damage), @"
    info blob-unreferenced - | 5 blobs that no manifest references, 9 bytes: a plain collection frees them | blobs
    error unreferenced-blob-wrong - sha256:linked | an empty file under the digest of something else, which no served manifest names; lib and 1 other link it, so clients skip the upload and pull it wrong | blobs/sha256/xx/linked/data | Quarantine
    warning unreferenced-blob-wrong - sha256:empty | an empty file under the digest of something else, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/empty/data | Quarantine
    warning unreferenced-blob-wrong - sha256:cut | 4 bytes that do not hash to this digest, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/cut/data | Quarantine
    info layer-link-unreferenced lib | 1 layer link that no manifest needs | repositories/lib/_layers | Remove
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 5 blobs (9 bytes) unreferenced, 2 layer links
    ");
    // 2.8 writes manifests in place, so a young file may be a push under way.
    let young = report_with_damage(&View { content: true, later: HOUR / 2, ..View::default() }, damage);
    assert!(!young.contains("unreferenced-blob-wrong") && young.contains("in-flight"), "{young}");
}

/// Wrong bytes that a manifest names are one finding, at the manifest. Wrong bytes that only a history or a shelved repository names
/// have no other finding.
#[test]
fn wrong_bytes_are_judged_in_one_place_only() {
    assert_snapshot!(report_with_damage(&View { content: true, ..View::default() }, |base| {
        base.image(APP, None, "loose");
        let past = base.image(APP, Some("v1"), "past");
        base.image(APP, Some("v1"), "now");
        base.tree.break_revision_link_missing(APP, &past.digest).break_manifest_altered(&past.digest);
        let shelved = base.image("tools", Some("v1"), "tools");
        base.tree.break_shelved("tools");
        for digest in [&base.one.layers[0], &shelved.layers[0]] {
            base.tree.break_blob_flipped(digest);
        }
    }), @"
    warning path-unexpected - | a repository that no server lists, for its name starts with _; it holds 1 tag and 1 manifest; a collection passes by and deletes its blobs; give it a legal name, or move it out of the tree | repositories/_tools
    info blob-unreferenced - | 4 blobs that no manifest references, 1017 bytes: a plain collection frees them | blobs
    warning unreferenced-blob-wrong - sha256:tools-layer1 | 100 bytes that do not hash to this digest, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/tools-layer1/data | Quarantine
    warning unreferenced-blob-wrong - sha256:past | 555 bytes that do not hash to this digest, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/past/data | Quarantine
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    info tag-history-dangling team/app | 1 entry of tag histories that no longer resolve | repositories/team/app/_manifests/tags | Remove
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    error blob-digest-mismatch team/app sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: its 100 bytes hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    garbage: 4 blobs (1017 bytes) unreferenced, 2 manifests untagged, 8 blobs (2034 bytes) untagged, 3 layer links
    ");
}

#[test]
fn untagged_image_and_its_own_blobs_are_garbage() {
    assert_snapshot!(report_after(|base| { base.image(APP, None, "loose"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1018 bytes) untagged
    ");
}

#[test]
fn untagged_index_frees_its_children() {
    assert_snapshot!(report_after(|base| { base.tree.break_tag_folder_missing(APP, "v2"); }), @"
    info manifest-untagged team/app | 3 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 3 manifests untagged, 9 blobs (2523 bytes) untagged
    ");
}

#[test]
fn children_of_a_deleted_index_are_untagged() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_tag_folder_missing(APP, "v2").break_revision_link_missing(APP, &base.index.digest);
    }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 491 bytes: a plain collection frees it | blobs
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 1 blobs (491 bytes) unreferenced, 2 manifests untagged, 8 blobs (2032 bytes) untagged
    ");
}

#[test]
fn blobs_shared_with_a_tagged_image_are_no_garbage() {
    let sharing = |base: &mut Base, repo: &str| {
        let shared = base.one.layers.clone();
        base.tree.image_with(repo, None, &ImageSpec { shared, layers: 0, ..ImageSpec::oci("loose") });
    };
    assert_snapshot!(report_after(|base| sharing(base, APP)), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
    assert_snapshot!(report_after(|base| sharing(base, "elsewhere")), @"
    info manifest-untagged elsewhere | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/elsewhere/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
}

#[test]
fn image_tagged_in_another_repository_keeps_its_blobs() {
    assert_snapshot!(report_after(|base| { base.tree.image("lib", None, "one"); }), @"
    info manifest-untagged lib | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/lib/_manifests/revisions
    garbage: 1 manifests untagged
    ");
}

#[test]
fn unreadable_manifest_protects_its_repository_from_garbage() {
    // `rest` may be a part of the unreadable manifest, and `loose` its child.
    let leave = |base: &mut Base| {
        base.tree.layer(APP, b"rest");
        base.image(APP, None, "loose");
        let bad = base.tree.damaged_json(APP, None, "three", JsonDamage::UnknownMediaType);
        base.names.add(&bad, "bad");
    };
    assert_snapshot!(report_after(leave), @r#"error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data"#);
    assert_snapshot!(report_after(|base| {
        leave(base);
        base.tree.blob(b"linked nowhere");
    }), @r#"
    info blob-unreferenced - | 1 blob that no manifest references, 14 bytes: a plain collection frees it | blobs
    error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data
    garbage: 1 blobs (14 bytes) unreferenced
    "#);
}

#[test]
fn tag_without_target_protects_its_repository_from_garbage() {
    assert_snapshot!(report_after(|base| {
        base.image(APP, None, "loose");
        base.tree.break_tag_link_empty(APP, "v1").break_history_missing(APP, "v1");
    }), @"
    error tag-link-invalid team/app:v1 | its link is empty (0 bytes); no entry of its history resolves | repositories/team/app/_manifests/tags/v1/current/link
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn audit_of_selected_repositories_lists_no_garbage() {
    let only = View { only: Some("team/*"), ..View::default() };
    assert_snapshot!(report_with_damage(&only, |base| {
        base.tree.blob(b"nobody's");
        base.image(APP, None, "loose");
        base.tree.break_layer_link_missing(APP, &base.one.layers[0]).break_tag_link_missing("lib", "v1");
    }), @"
    error layer-link-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-missing
    garbage: not known
    ");
}

// S22: a layer link without bytes is told apart by whether a manifest needs it.
#[test]
fn dangling_layer_links_are_damage_only_if_a_manifest_needs_them() {
    assert_snapshot!(report_after(|base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_revision_link_missing(APP, &loose.digest).break_blob_missing(&loose.layers[0]);
        base.tree.break_blob_missing(&base.arm.layers[0]);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 918 bytes: a plain collection frees them | blobs
    info layer-link-dangling team/app | 1 layer link that no manifest needs and whose bytes are gone | repositories/team/app/_layers | Remove
    info layer-link-unreferenced team/app | 2 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error blob-missing team/app:v2 sha256:arm-layer1 of sha256:arm | layer sha256:arm-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/arm-layer1/data
    broken: team/app:v2 by blob-missing
    garbage: 3 blobs (918 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn untagged_referrer_of_a_tagged_subject_is_a_warning() {
    assert_snapshot!(report_after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.names.add(&signature, "signature");
        let of_it = base.tree.referrer_with(APP, &signature, "application/vnd.example.countersignature");
        base.names.add(&of_it, "countersignature");
    }), @"
    warning referrer-untagged team/app sha256:countersignature | referrer of sha256:signature that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/countersignature/link
    warning referrer-untagged team/app sha256:signature | referrer of sha256:one that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/signature/link
    ");
}

#[test]
fn referrer_of_an_untagged_manifest_is_untagged() {
    assert_snapshot!(report_after(|base| {
        let loose = base.image(APP, None, "loose");
        base.tree.referrer(APP, &loose.digest);
    }), @"
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 2 manifests untagged, 7 blobs (1665 bytes) untagged
    ");
}

#[test]
fn referrer_in_a_fallback_index_is_tagged() {
    assert_snapshot!(report_after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.tree.fallback_tag(APP, &base.one.digest, &[signature]);
    }), @"nothing");
}

#[test]
fn moved_tag_leaves_its_former_manifest_untagged() {
    assert_snapshot!(report_after(|base| { base.image(APP, Some("v1"), "newer"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}
