//! What nothing references any more, and what only an untagged collection would take.

mod sums;
mod young;

use insta::assert_snapshot;
use registry_fixtures::{ImageSpec, JsonDamage};

use crate::support::{APP, Base, HOUR, Sight, after, after_seen};

#[test]
fn a_blob_that_nothing_names() {
    assert_snapshot!(after(|base| { base.tree.blob(b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    garbage: 1 blobs (8 bytes) unreferenced
    ");
}

#[test]
fn half_a_push_whose_manifest_never_came() {
    assert_snapshot!(after(|base| { base.tree.layer("half", b"nobody's"); }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 8 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced half | 1 layer link that no manifest needs | repositories/half/_layers | Remove
    garbage: 1 blobs (8 bytes) unreferenced, 1 layer links
    ");
}

/// A full disk leaves manifests of 0 bytes, which the next push does not replace:
/// https://github.com/distribution/distribution/issues/4489
#[test]
fn unreferenced_wrong_bytes() {
    let damage = |base: &mut Base| {
        let [empty, cut, linked, right] =
            ["empty", "cut short", "linked", "right"].map(|text| base.tree.blob(text.as_bytes()));
        let nothing = base.tree.blob(b"");
        for (digest, name) in [(&empty, "empty"), (&cut, "cut"), (&linked, "linked"), (&nothing, "nothing")] {
            base.names.put(digest, name);
        }
        base.names.put(&right, "right");
        base.tree.layer_link(APP, &linked).layer_link("lib", &linked);
        base.tree.break_blob_zero(&empty).break_blob_truncated(&cut).break_blob_zero(&linked);
    };
    assert_snapshot!(after(damage), @"
    info blob-unreferenced - | 5 blobs that no manifest references, 9 bytes: a plain collection frees them | blobs
    error unreferenced-blob-wrong - sha256:linked | an empty file under the digest of something else, which no served manifest names; lib and 1 other link it, so clients skip the upload and pull it wrong | blobs/sha256/xx/linked/data | Quarantine
    warning unreferenced-blob-wrong - sha256:empty | an empty file under the digest of something else, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/empty/data | Quarantine
    info layer-link-unreferenced lib | 1 layer link that no manifest needs | repositories/lib/_layers | Remove
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 5 blobs (9 bytes) unreferenced, 2 layer links
    ");
    assert_snapshot!(after_seen(&Sight { content: true, ..Sight::default() }, damage), @"
    info blob-unreferenced - | 5 blobs that no manifest references, 9 bytes: a plain collection frees them | blobs
    error unreferenced-blob-wrong - sha256:linked | an empty file under the digest of something else, which no served manifest names; lib and 1 other link it, so clients skip the upload and pull it wrong | blobs/sha256/xx/linked/data | Quarantine
    warning unreferenced-blob-wrong - sha256:empty | an empty file under the digest of something else, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/empty/data | Quarantine
    warning unreferenced-blob-wrong - sha256:cut | 4 bytes that do not hash to this digest, which no served manifest names; the next push of it is answered 201 and keeps them | blobs/sha256/xx/cut/data | Quarantine
    info layer-link-unreferenced lib | 1 layer link that no manifest needs | repositories/lib/_layers | Remove
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 5 blobs (9 bytes) unreferenced, 2 layer links
    ");
    // 2.8 writes manifests in place: what is young is a push under way.
    let young = after_seen(&Sight { content: true, later: HOUR / 2, ..Sight::default() }, damage);
    assert!(!young.contains("unreferenced-blob-wrong") && young.contains("in-flight"), "{young}");
}

/// What a manifest names is judged there, and is one finding only; what only a history names, or a repository that no server
/// serves, is not judged anywhere else.
#[test]
fn wrong_bytes_are_one_finding() {
    assert_snapshot!(after_seen(&Sight { content: true, ..Sight::default() }, |base| {
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
fn an_untagged_image_and_its_own_blobs() {
    assert_snapshot!(after(|base| { base.image(APP, None, "loose"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1018 bytes) untagged
    ");
}

#[test]
fn an_untagged_index_frees_its_children() {
    assert_snapshot!(after(|base| { base.tree.break_tag_folder_missing(APP, "v2"); }), @"
    info manifest-untagged team/app | 3 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 3 manifests untagged, 9 blobs (2523 bytes) untagged
    ");
}

#[test]
fn children_of_a_deleted_index() {
    assert_snapshot!(after(|base| {
        base.tree.break_tag_folder_missing(APP, "v2").break_revision_link_missing(APP, &base.index.digest);
    }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 491 bytes: a plain collection frees it | blobs
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 1 blobs (491 bytes) unreferenced, 2 manifests untagged, 8 blobs (2032 bytes) untagged
    ");
}

#[test]
fn what_an_untagged_image_shares_with_a_tagged_one_stays() {
    let sharing = |base: &mut Base, repo: &str| {
        let shared = base.one.layers.clone();
        base.tree.image_with(repo, None, &ImageSpec { shared, layers: 0, ..ImageSpec::oci("loose") });
    };
    assert_snapshot!(after(|base| sharing(base, APP)), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
    assert_snapshot!(after(|base| sharing(base, "elsewhere")), @"
    info manifest-untagged elsewhere | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/elsewhere/_manifests/revisions
    garbage: 1 manifests untagged, 2 blobs (817 bytes) untagged
    ");
}

#[test]
fn an_image_untagged_here_and_tagged_there_stays_with_its_blobs() {
    assert_snapshot!(after(|base| { base.tree.image("lib", None, "one"); }), @"
    info manifest-untagged lib | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/lib/_manifests/revisions
    garbage: 1 manifests untagged
    ");
}

#[test]
fn an_unreadable_manifest_makes_no_garbage_of_its_repository() {
    // `rest` was linked for the manifest that nobody can read, `loose` may be its child.
    let leave = |base: &mut Base| {
        base.tree.layer(APP, b"rest");
        base.image(APP, None, "loose");
        let bad = base.tree.damaged_json(APP, None, "three", JsonDamage::UnknownMediaType);
        base.names.put(&bad, "bad");
    };
    assert_snapshot!(after(leave), @r#"error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data"#);
    assert_snapshot!(after(|base| {
        leave(base);
        base.tree.blob(b"linked nowhere");
    }), @r#"
    info blob-unreferenced - | 1 blob that no manifest references, 14 bytes: a plain collection frees it | blobs
    error manifest-unreadable team/app sha256:bad | untagged manifest sha256:bad is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/bad/data
    garbage: 1 blobs (14 bytes) unreferenced
    "#);
}

#[test]
fn a_tag_that_names_nothing_makes_no_garbage_of_its_repository() {
    assert_snapshot!(after(|base| {
        base.image(APP, None, "loose");
        base.tree.break_tag_link_empty(APP, "v1").break_history_missing(APP, "v1");
    }), @"
    error tag-link-invalid team/app:v1 | its link is empty (0 bytes); no entry of its history resolves | repositories/team/app/_manifests/tags/v1/current/link
    broken: team/app:v1 by tag-link-invalid
    ");
}

#[test]
fn a_repository_chosen_leaves_garbage_out() {
    let only = Sight { only: Some("team/*"), ..Sight::default() };
    assert_snapshot!(after_seen(&only, |base| {
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
fn links_without_bytes_that_a_collection_left() {
    assert_snapshot!(after(|base| {
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
fn a_referrer_stays_with_its_subject() {
    assert_snapshot!(after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.names.put(&signature, "signature");
        let of_it = base.tree.referrer_with(APP, &signature, "application/vnd.example.countersignature");
        base.names.put(&of_it, "countersignature");
    }), @"
    warning referrer-untagged team/app sha256:countersignature | referrer of sha256:signature that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/countersignature/link
    warning referrer-untagged team/app sha256:signature | referrer of sha256:one that no tag and no index names: every untagged collection deletes it | repositories/team/app/_manifests/revisions/sha256/signature/link
    ");
}

#[test]
fn a_referrer_of_an_untagged_manifest_goes_with_it() {
    assert_snapshot!(after(|base| {
        let loose = base.image(APP, None, "loose");
        base.tree.referrer(APP, &loose.digest);
    }), @"
    info manifest-untagged team/app | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/team/app/_manifests/revisions
    garbage: 2 manifests untagged, 7 blobs (1665 bytes) untagged
    ");
}

#[test]
fn a_referrer_in_a_fallback_index_is_tagged() {
    assert_snapshot!(after(|base| {
        let signature = base.tree.referrer(APP, &base.one.digest);
        base.tree.fallback_tag(APP, &base.one.digest, &[signature]);
    }), @"nothing");
}

#[test]
fn a_tag_that_moved_on_leaves_its_former_manifest() {
    assert_snapshot!(after(|base| { base.image(APP, Some("v1"), "newer"); }), @"
    info manifest-untagged team/app | 1 manifest that no tag reaches: only an untagged collection frees it | repositories/team/app/_manifests/revisions
    garbage: 1 manifests untagged, 4 blobs (1016 bytes) untagged
    ");
}
