//! What is too young to be garbage, because a push may be under way.

use insta::assert_snapshot;

use crate::support::{APP, HOUR, View, report_with_damage, set_age};

/// Half an hour after the last write: everything is young.
fn soon() -> View<'static> {
    View { later: HOUR / 2, ..View::default() }
}

// S21: a tree that is being written holds young entries and no garbage.

#[test]
fn young_blobs_are_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| { base.tree.blob(b"nobody's"); }), @"info in-flight - | 1 young blob (8 bytes) that no manifest references yet: a push under way | blobs");
}

#[test]
fn young_layer_links_are_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| { base.tree.layer(APP, b"nobody's"); }), @"info in-flight team/app | 1 young layer link that no manifest needs yet: a push under way | repositories/team/app/_layers");
}

#[test]
fn young_layer_link_keeps_an_old_blob() {
    let view = View::default();
    assert_snapshot!(report_with_damage(&view, |base| {
        let layer = base.tree.layer(APP, b"nobody's");
        set_age(&base.tree.layer_link_path(APP, &layer), &view, HOUR / 2);
    }), @"info in-flight team/app | 1 young layer link that no manifest needs yet: a push under way | repositories/team/app/_layers");
}

#[test]
fn young_manifests_are_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| { base.image(APP, None, "loose"); }), @"info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions");
    let view = View::default();
    assert_snapshot!(report_with_damage(&view, |base| {
        let loose = base.image(APP, None, "loose");
        set_age(&base.tree.revision_link(APP, &loose.digest), &view, HOUR / 2);
    }), @"info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions");
}

#[test]
fn young_manifest_without_bytes_is_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_blob_missing(&loose.digest);
    }), @"
    info in-flight team/app | 3 young layer links that no manifest needs yet: a push under way | repositories/team/app/_layers
    info in-flight team/app sha256:loose | untagged manifest sha256:loose is gone: its revision link is here, its bytes are not; young, and no tag reaches it: a push under way | blobs/sha256/xx/loose/data
    ");
}

#[test]
fn young_parts_of_a_young_untagged_manifest_are_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| {
        let loose = base.image(APP, None, "loose");
        base.tree.break_layer_link_missing(APP, &loose.layers[0]);
    }), @"
    info in-flight team/app | 1 young manifest that no tag reaches yet: a push under way | repositories/team/app/_manifests/revisions
    info in-flight team/app sha256:loose-layer1 of sha256:loose | layer sha256:loose-layer1 has no layer link here; its bytes are here; young, and no tag reaches it: a push under way | repositories/team/app/_layers/sha256/loose-layer1/link
    ");
}

#[test]
fn damage_below_a_tag_is_never_in_flight() {
    assert_snapshot!(report_with_damage(&soon(), |base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest);
    }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn blob_is_young_for_one_hour() {
    let view = View::default();
    for (ago, is_young) in [(HOUR * 59 / 60, true), (HOUR * 61 / 60, false)] {
        let report = report_with_damage(&view, |base| {
            let blob = base.tree.blob(b"nobody's");
            set_age(&base.tree.blob_path(&blob), &view, ago);
        });
        assert_eq!(report.contains("in-flight"), is_young, "{report}");
        assert_eq!(report.contains("blob-unreferenced"), !is_young, "{report}");
    }
}
