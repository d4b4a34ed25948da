//! States with which the server answers correctly, and a collector aborts or deletes what is reachable.

use insta::assert_snapshot;

use registry_fixtures::ImageSpec;

use crate::support::{APP, Base, View, report_after, report_with_damage};

#[test]
fn schema_1_manifests_are_a_hazard_for_registry_3() {
    assert_snapshot!(report_after(|base| {
        let layers = base.one.layers.clone();
        let old = base.tree.schema1(APP, "old", &layers);
        let older = base.tree.schema1(APP, "older", &layers);
        base.names.add(&old, "old");
        base.names.add(&older, "older");
    }), @"warning gc-hazard team/app sha256:old | 2 schema 1 manifests: registry 3 cannot read them, and its collector aborts on them | repositories/team/app/_manifests/revisions/sha256/old/link");
}

#[test]
fn child_served_only_through_its_layer_link_is_a_hazard() {
    assert_snapshot!(report_after(|base| { base.tree.break_revision_only_as_layer(APP, &base.arm.digest); }), @"warning gc-hazard team/app sha256:arm | manifest sha256:arm is served only through its layer link: registry 3 answers 404, and every collector deletes its config and layers; writing its revision link mends it | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink");
}

#[test]
fn index_with_a_gap_in_an_earlier_repository_is_a_hazard() {
    let push = |base: &mut Base, with_gap: &str| {
        let mut index = None;
        for repo in ["aaa", "bbb"] {
            let child = base.image(repo, None, "child");
            index = Some((base.tree.index(repo, Some("v1"), &[child.child()]), child));
        }
        let (index, child) = index.unwrap();
        base.names.add(&index.digest, "both");
        base.tree.break_revision_link_missing(with_gap, &child.digest);
    };
    assert_snapshot!(report_after(|base| push(base, "aaa")), @"
    error child-link-missing aaa:v1 sha256:child of sha256:both for linux/amd64 | linux/amd64 has lost its revision link; its bytes are here | repositories/aaa/_manifests/revisions/sha256/child/link | Relink
    warning gc-hazard bbb sha256:child | child sha256:child is linked here and not in aaa, which holds the same index: an untagged 3.x collection would delete its config and layers; mend aaa first | repositories/bbb/_manifests/revisions/sha256/child/link
    broken: aaa:v1 by child-link-missing
    ");
    assert_snapshot!(report_after(|base| push(base, "bbb")), @"
    error child-link-missing bbb:v1 sha256:child of sha256:both for linux/amd64 | linux/amd64 has lost its revision link; its bytes are here | repositories/bbb/_manifests/revisions/sha256/child/link | Relink
    broken: bbb:v1 by child-link-missing
    ");
}

#[test]
fn cache_without_layers_folders_is_a_hazard() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layers_folder(APP).break_scheduler_state("{}");
    }), @"warning gc-hazard - | a pull-through cache with 1 repository without _layers: a 2.x collector deletes what they hold, a 3.x one aborts | repositories");
}

// `registry/storage/garbagecollect.go @ v3.1.1`: the collector takes the digest from the content of a layer link, and exits 1 when
// it has to remove the same digest twice.
#[test]
fn unreferenced_sha512_alias_is_a_hazard_for_registry_3() {
    let leave = |base: &mut Base| {
        let (alias, stored) = base.tree.sha512_layer(APP, b"left");
        base.names.add(&alias, "alias");
        base.names.add(&stored, "stored");
    };
    assert_snapshot!(report_after(leave), @"
    info blob-unreferenced - | 1 blob that no manifest references, 4 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced team/app | 2 layer links that no manifest needs | repositories/team/app/_layers | Remove
    warning gc-hazard team/app sha512:alias | the layer link of sha512:alias, which no manifest needs, and that of the digest it names are one and the same to a 3.x collector: it removes that twice and exits 1, once, after everything else; remove it | repositories/team/app/_layers/sha512/alias/link | Remove
    garbage: 1 blobs (4 bytes) unreferenced, 2 layer links
    ");
    // A blob that some manifest names is marked, so its links are not listed.
    assert!(
        !report_after(|base| {
            let (_, stored) = base.tree.sha512_layer(APP, b"left");
            let shared = ImageSpec { shared: vec![stored], ..ImageSpec::oci("shares") };
            base.tree.image_with("other", Some("v1"), &shared);
        })
        .contains("twice")
    );
}

#[test]
fn empty_tree_has_no_findings() {
    let tree = registry_fixtures::TreeBuilder::new();
    assert_eq!(crate::support::text(&View::default().look(tree.root()), &Default::default()), "nothing");
}

#[test]
fn buildkit_cache_is_sound() {
    let content = View { content: true, strict: true, ..View::default() };
    assert_snapshot!(report_with_damage(&content, |base| {
        let layers = base.one.layers.clone();
        base.tree.buildkit_cache(APP, Some("cache"), &layers);
    }), @"nothing");
}
