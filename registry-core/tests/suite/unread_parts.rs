//! Law L2, one case each: a part that cannot be read is reported, and nothing is claimed about what it may hold.

use std::path::PathBuf;

use registry_core::audit::Code;
use registry_fixtures::ImageSpec;

use crate::planned::{Failing, Plan, Request, below, look_through_plan, report_with_failures};
use crate::support::{APP, Base, HOUR, View, set_age, text};

#[test]
fn unreadable_tree_gets_no_verdict() {
    let base = Base::new();
    for (path, known) in [("", 0), ("repositories", 0), ("blobs", 3)] {
        let plan = Plan::failing(&Failing::from([(PathBuf::from(path), None)]));
        let last =
            look_through_plan(&base.tree, plan, &View { content: true, strict: true, ..View::default() })
                .last;
        assert!(last.broken_tags.is_empty() && last.pieces.is_empty() && !last.source.complete, "{path:?}");
        assert_eq!(last.unknown_tags.len(), known, "{path:?}");
    }
}

#[test]
fn unread_platform_is_not_called_missing() {
    let base = Base::new();
    let config = below(&base.tree, &base.tree.blob_path(&base.one.config));
    let plan = Plan::failing(&Failing::from([(config, Some(Request::Read))]));
    let last =
        look_through_plan(&base.tree, plan, &View { platforms: &["linux/s390x"], ..View::default() }).last;
    let missing: Vec<_> = last.findings.iter().filter(|one| one.code == Code::PlatformMissing).collect();
    assert_eq!(missing.len(), 2, "{}", text(&last, &base.names));
    assert!(
        missing.iter().all(|one| one.tags.first().is_some_and(|tag| &**tag != "v1")
            || one.repository.as_deref() == Some("lib"))
    );
}

/// A bad sector is noticed only by hashing.
#[test]
fn blob_that_cannot_be_hashed_makes_its_tag_unknown() {
    let base = Base::new();
    let content = View { content: true, ..View::default() };
    let report = report_with_failures(
        &base,
        &[base.tree.blob_path(&base.one.layers[0])],
        Some(Request::Stream),
        &content,
    );
    assert!(!report.contains("broken:") && !report.contains("blob-digest-mismatch"), "{report}");
    assert!(report.contains("unknown: team/app:v1"), "{report}");
}

/// An alias that cannot be read may name any layer linked here.
#[test]
fn unread_alias_makes_no_garbage() {
    let mut base = Base::new();
    let spec = ImageSpec { sha512_layer: true, layers: 0, ..ImageSpec::oci("long") };
    let image = base.tree.image_with(APP, Some("long"), &spec);
    let link = base.tree.layer_link_path(APP, &image.layers[0]);
    let folder = base.tree.layers_folder(APP).join("sha512");
    for path in [link, folder] {
        let report = report_with_failures(&base, &[path], None, &View::default());
        assert!(!report.contains("unreferenced"), "{report}");
    }
}

/// A leaf two levels down, reached through layer links only, cannot be read: its parts are no garbage.
#[test]
fn unread_leaf_of_a_nested_index_makes_no_garbage() {
    let mut base = Base::new();
    let leaf = base.image(APP, None, "leaf");
    let inner = base.tree.index(APP, None, &[leaf.child()]);
    base.tree.index(APP, Some("outer"), &[inner.child()]);
    base.tree
        .break_revision_only_as_layer(APP, &inner.digest)
        .break_revision_only_as_layer(APP, &leaf.digest);
    let report = report_with_failures(&base, &[base.tree.blob_path(&leaf.digest)], None, &View::default());
    assert!(!report.contains("unreferenced"), "{report}");
}

/// A link that cannot be read may be a young one.
#[test]
fn unread_layer_link_keeps_its_blob() {
    let mut base = Base::new();
    let view = View::default();
    let layer = base.tree.layer(APP, b"nobody's");
    let link = base.tree.layer_link_path(APP, &layer);
    set_age(&link, &view, HOUR / 2);
    let report = report_with_failures(&base, &[link], None, &view);
    assert!(!report.contains("unreferenced"), "{report}");
}

/// An upload that cannot be looked at is not stale, and it is noted.
#[test]
fn unread_upload_is_not_stale() {
    let mut base = Base::new();
    let view = View::default();
    let id = base.tree.upload(APP, b"so far", Some("2020-01-02T03:04:05Z"));
    let folder = base.tree.upload_folder(APP, &id);
    set_age(&folder.join("data"), &view, HOUR / 2);
    for path in [folder.join("data"), folder.join("startedat"), folder] {
        let report = report_with_failures(&base, &[path], None, &view);
        assert!(report.contains("path-unread") && !report.contains("upload-stale"), "{report}");
    }
}

/// A manifest that cannot be read may name a blob that is linked nowhere.
#[test]
fn unread_manifest_protects_unlinked_blobs() {
    let mut base = Base::new();
    base.tree.break_layer_link_missing(APP, &base.one.layers[0]);
    let report =
        report_with_failures(&base, &[base.tree.blob_path(&base.one.digest)], None, &View::default());
    assert!(!report.contains("blob-unreferenced"), "{report}");
}

/// An entry of a tag's history that cannot be looked at is noted, and may be what the tag names.
#[test]
fn unread_history_protects_manifests_and_is_reported() {
    let mut base = Base::new();
    let newer = base.image(APP, Some("v1"), "newer");
    let paths = [base.tree.tag_link(APP, "v1"), base.tree.history_link(APP, "v1", &newer.digest)];
    let report = report_with_failures(&base, &paths, None, &View::default());
    assert!(!report.contains("manifest-untagged"), "{report}");
    let report = report_with_failures(&base, &paths[1..], None, &View::default());
    assert!(report.contains("path-unread"), "{report}");
}

/// Unread bytes may be there.
#[test]
fn unread_bytes_are_not_called_gone() {
    let mut base = Base::new();
    base.tree.break_layer_link_missing(APP, &base.one.layers[0]);
    let report =
        report_with_failures(&base, &[base.tree.blob_path(&base.one.layers[0])], None, &View::default());
    assert!(!report.contains("gone"), "{report}");
}

/// How old a temporary file is cannot be told, so it is not called stale; and it is noted.
#[test]
fn unread_temporary_file_is_not_stale() {
    let base = Base::new();
    let strict = View { strict: true, ..View::default() };
    let name = "data.0190b5c2-7e2c-7d3e-8f1a-2b3c4d5e6f70.tmp";
    let temp = base.tree.blob_path(&base.one.layers[0]).with_file_name(name);
    std::fs::write(&temp, "so far").unwrap();
    assert!(base.report_with(&strict).contains("temp-file-stale"));
    let report = report_with_failures(&base, &[temp], None, &strict);
    assert!(report.contains("path-unread") && !report.contains("temp-file-stale"), "{report}");
}

/// A revision link that names another manifest is fine when that one holds the right bytes, or is schema 1.
#[test]
fn unread_target_of_a_revision_link_breaks_nothing() {
    let mut base = Base::new();
    let layers = [base.tree.layer(APP, b"a layer"), base.tree.layer(APP, b"another layer")];
    let old = base.tree.schema1(APP, "old", &layers[..1]);
    let other = base.tree.schema1(APP, "other", &layers[1..]);
    base.tree.break_revision_link_mismatch(APP, &old, &other);
    let report = report_with_failures(&base, &[base.tree.blob_path(&other)], None, &View::default());
    assert!(!report.contains("broken:") && report.contains("unknown: team/app:old"), "{report}");
}

/// A layer link that names another layer of the same size breaks nothing; whether it does takes that layer's link.
#[test]
fn unread_target_of_a_layer_link_breaks_nothing() {
    let mut base = Base::new();
    let other = base.image(APP, Some("v3"), "two").layers[0].clone();
    base.tree.break_layer_link_mismatch(APP, &base.one.layers[0], &other);
    assert!(!base.report().contains("broken:"), "{}", base.report());
    for path in [base.tree.layer_link_path(APP, &other), base.tree.blob_path(&other)] {
        let report = report_with_failures(&base, &[path], None, &View::default());
        assert!(!report.contains("broken:") && report.contains("unknown: team/app:v1"), "{report}");
    }
}

/// A tag may name anything; its history, if it can be read, tells what.
#[test]
fn unread_tag_makes_no_garbage() {
    let mut base = Base::new();
    base.tree.break_revision_link_missing(APP, &base.one.digest);
    let report = report_with_failures(&base, &[base.tree.tag_link(APP, "v1")], None, &View::default());
    assert!(!report.contains("garbage"), "{report}");
    let report = report_with_failures(&base, &[base.tree.tag_folder(APP, "v1")], None, &View::default());
    assert!(report.ends_with("garbage: not known"), "{report}");
}

/// Where a tag's link says nothing, its history is the last trace of what it named.
#[test]
fn unread_history_of_a_damaged_tag_makes_no_garbage() {
    let mut base = Base::new();
    base.tree.break_tag_link_sha512(APP, "v1");
    let history = base.tree.history_link(APP, "v1", &base.one.digest);
    let report = report_with_failures(&base, &[history], None, &View::default());
    assert!(report.ends_with("garbage: not known"), "{report}");
}
