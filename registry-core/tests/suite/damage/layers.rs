//! Damage to layer links: each test calls one `break_*` method and snapshots the report.

use insta::assert_snapshot;
use registry_core::storage::Symlinks;
use registry_fixtures::{Digest, ImageSpec};

use crate::support::{APP, Base, View, report_after, report_with_damage};

const CONTENT: View<'static> = View {
    content: true,
    strict: false,
    symlinks: Symlinks::Refuse,
    jobs: 4,
    role: None,
    sparse: &[],
    only: None,
    platforms: &[],
    later: crate::support::DAY,
};

#[test]
fn missing_layer_link_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_missing(APP, &base.one.layers[0]); }), @"
    error layer-link-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-missing
    ");
}

#[test]
fn missing_config_link_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_missing(APP, &base.arm.config); }), @"
    error layer-link-missing team/app:v2 sha256:arm-config of sha256:arm | config sha256:arm-config has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/arm-config/link | Relink
    broken: team/app:v2 by layer-link-missing
    ");
}

#[test]
fn layer_folder_left_by_a_delete_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_empty_folder_left(APP, &base.one.layers[1]); }), @"
    error layer-link-missing team/app:v1 sha256:one-layer2 of sha256:one | layer sha256:one-layer2 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/one-layer2/link | Relink
    broken: team/app:v1 by layer-link-missing
    ");
}

#[test]
fn missing_layer_link_and_bytes_are_one_finding_404() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layer_link_missing(APP, &base.one.layers[0]).break_blob_missing(&base.one.layers[0]);
    }), @"
    error layer-link-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; its bytes are gone too | repositories/team/app/_layers/sha256/one-layer1/link
    broken: team/app:v1 by layer-link-missing
    ");
}

#[test]
fn missing_layer_link_and_wrong_bytes_are_one_finding_404() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layer_link_missing(APP, &base.one.layers[0]).break_blob_flipped(&base.one.layers[0]);
    }), @"
    error layer-link-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; the file under its digest holds something else | repositories/team/app/_layers/sha256/one-layer1/link
    broken: team/app:v1 by layer-link-missing
    ");
}

#[test]
fn empty_layer_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_empty(APP, &base.one.layers[0]); }), @"
    error layer-link-invalid team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link is empty (0 bytes); its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-invalid
    ");
}

#[test]
fn layer_link_of_text_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_text(APP, &base.one.config); }), @"
    error layer-link-invalid team/app:v1 sha256:one-config of sha256:one | config sha256:one-config: the layer link holds no digest; its bytes are here | repositories/team/app/_layers/sha256/one-config/link | Relink
    broken: team/app:v1 by layer-link-invalid
    ");
}

#[test]
fn layer_link_with_newline_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_newline(APP, &base.one.layers[1]); }), @"
    error layer-link-invalid team/app:v1 sha256:one-layer2 of sha256:one | layer sha256:one-layer2: the layer link has bytes beside the digest; its bytes are here | repositories/team/app/_layers/sha256/one-layer2/link | Relink
    broken: team/app:v1 by layer-link-invalid
    ");
}

#[test]
fn folder_in_place_of_layer_link_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_layer_link_is_folder(APP, &base.one.layers[0]); }), @"
    error layer-link-invalid team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link is no file; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link
    broken: team/app:v1 by layer-link-invalid
    ");
}

/// `layer2` and a further layer of the same size, linked in the same repository.
fn of_same_size(base: &mut Base) -> (Digest, Digest) {
    let layer = base.one.layers[1].clone();
    let same = base.tree.layer(APP, &vec![b'x'; usize::try_from(base.tree.size(&layer)).unwrap()]);
    base.names.add(&same, "same-size");
    (layer, same)
}

#[test]
fn layer_link_to_a_layer_of_another_size_is_found() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layer_link_mismatch(APP, &base.one.layers[0], &base.one.layers[1]);
    }), @"
    error layer-link-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link names sha256:one-layer2 instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-mismatch
    ");
}

#[test]
fn layer_link_to_a_layer_of_the_same_size_breaks_the_tag_only_by_hashing() {
    assert_snapshot!(report_after(|base| {
        let (layer, same) = of_same_size(base);
        base.tree.break_layer_link_mismatch(APP, &layer, &same);
    }), @"error layer-link-mismatch team/app:v1 sha256:one-layer2 of sha256:one | layer sha256:one-layer2: the layer link names sha256:same-size instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer2/link | Relink");
    assert_snapshot!(report_with_damage(&CONTENT, |base| {
        let (layer, same) = of_same_size(base);
        base.tree.break_layer_link_mismatch(APP, &layer, &same);
    }), @"
    error layer-link-mismatch team/app:v1 sha256:one-layer2 of sha256:one | layer sha256:one-layer2: the layer link names sha256:same-size instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer2/link | Relink
    broken: team/app:v1 by layer-link-mismatch
    ");
}

#[test]
fn layer_link_to_an_unlinked_layer_is_found() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layer_link_mismatch(APP, &base.one.layers[0], &base.lib.layers[0]);
    }), @"
    error layer-link-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link names sha256:lib-layer1 instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-mismatch
    ");
}

#[test]
fn layer_link_to_an_absent_layer_is_found() {
    assert_snapshot!(report_after(|base| {
        let nowhere = Digest::absent("layer");
        base.names.add(&nowhere, "nowhere");
        base.tree.break_layer_link_mismatch(APP, &base.one.layers[0], &nowhere);
    }), @"
    error layer-link-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link names sha256:nowhere instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-mismatch
    ");
}

#[test]
fn chain_of_layer_links_is_found() {
    assert_snapshot!(report_after(|base| {
        let chain = [base.one.config.clone(), base.one.layers[0].clone(), base.one.layers[1].clone()];
        base.tree.break_layer_link_chain(APP, &chain);
    }), @"
    error layer-link-mismatch team/app:v1 sha256:one-config of sha256:one | config sha256:one-config: the layer link names sha256:one-layer1 instead; its bytes are here | repositories/team/app/_layers/sha256/one-config/link | Relink
    error layer-link-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1: the layer link names sha256:one-layer2 instead; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-mismatch, layer-link-mismatch
    ");
}

/// An image with a layer by its sha512 digest: the alias, and what it is filed under.
fn with_alias(base: &mut Base) -> (Digest, Digest) {
    let spec = ImageSpec { sha512_layer: true, layers: 0, ..ImageSpec::oci("long") };
    let image = base.tree.image_with(APP, Some("long"), &spec);
    let alias = image.layers[0].clone();
    let text = std::fs::read_to_string(base.tree.layer_link_path(APP, &alias)).unwrap();
    let stored = Digest::from_text(text);
    base.names.add(&image.digest, "long");
    base.names.add(&alias, "alias");
    base.names.add(&stored, "stored");
    (alias, stored)
}

#[test]
fn sound_alias_is_a_hazard_and_no_damage() {
    assert_snapshot!(report_with_damage(&CONTENT, |base| { with_alias(base); }), @"warning gc-hazard team/app sha512:alias | layer sha256:stored is referenced by sha512 only: every collector deletes its bytes; push the image again with sha256 digests, and run no collector before | repositories/team/app/_layers/sha512/alias/link");
}

#[test]
fn alias_without_linked_target_is_found_404() {
    assert_snapshot!(report_after(|base| {
        let (alias, _) = with_alias(base);
        base.tree.break_alias_target_unlinked(APP, &alias);
    }), @"
    error layer-link-missing team/app:long sha256:stored of sha256:long | layer sha256:stored has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/stored/link | Relink
    broken: team/app:long by layer-link-missing
    ");
}

#[test]
fn alias_of_other_bytes_is_found_200_with_wrong_bytes() {
    assert_snapshot!(report_with_damage(&CONTENT, |base| {
        let (alias, stored) = with_alias(base);
        base.tree.image_with(APP, Some("v3"), &ImageSpec { shared: vec![stored], ..ImageSpec::oci("three") });
        base.tree.break_layer_link_mismatch(APP, &alias, &base.one.layers[0]);
    }), @"
    error layer-link-mismatch team/app:long sha512:alias of sha256:long | layer sha512:alias: the layer link names sha256:one-layer1, whose bytes are others | repositories/team/app/_layers/sha512/alias/link
    broken: team/app:long by layer-link-mismatch
    ");
}

/// The server follows the alias and the link of what it names, and no third one.
#[test]
fn bug_alias_into_a_chain_of_links_is_served_by_the_second_link() {
    assert_snapshot!(report_after(|base| {
        let (_, stored) = with_alias(base);
        let same = base.tree.layer(APP, &vec![b'x'; usize::try_from(base.tree.size(&stored)).unwrap()]);
        base.names.add(&same, "same-size");
        base.tree.break_layer_link_mismatch(APP, &stored, &same);
        base.tree.break_layer_link_mismatch(APP, &same, &base.one.config);
    }), @"
    info blob-unreferenced - | 1 blob that no manifest references, 100 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    error layer-link-mismatch team/app:long sha256:stored of sha256:long | layer sha256:stored: the layer link names sha256:same-size instead; its bytes are here | repositories/team/app/_layers/sha256/stored/link | Relink
    garbage: 1 blobs (100 bytes) unreferenced, 1 layer links
    ");
}

#[test]
fn alias_whose_bytes_are_missing_is_found_404() {
    assert_snapshot!(report_after(|base| {
        let (_, stored) = with_alias(base);
        base.tree.break_blob_missing(&stored);
    }), @"
    error blob-missing team/app:long sha256:stored of sha256:long | layer sha256:stored is gone: its layer link is here, its bytes are not | blobs/sha256/xx/stored/data
    broken: team/app:long by blob-missing
    ");
}

#[test]
fn missing_link_of_several_images_is_one_finding() {
    assert_snapshot!(report_after(|base| {
        let shared = vec![base.one.layers[0].clone()];
        let more = base.tree.image_with(APP, Some("v3"), &ImageSpec { shared, ..ImageSpec::oci("more") });
        base.names.image(&more, "more");
        base.tree.break_layer_link_missing(APP, &base.one.layers[0]);
    }), @"
    error layer-link-missing team/app:v1,v3 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/one-layer1/link | Relink
    broken: team/app:v1 by layer-link-missing
    broken: team/app:v3 by layer-link-missing
    ");
}

#[test]
fn link_missing_in_one_repository_breaks_no_other_repository() {
    assert_snapshot!(report_after(|base| {
        let shared = vec![base.lib.layers[0].clone()];
        let more = base.tree.image_with(APP, Some("v3"), &ImageSpec { shared, ..ImageSpec::oci("more") });
        base.names.image(&more, "more");
        base.tree.break_layer_link_missing(APP, &base.lib.layers[0]);
    }), @"
    error layer-link-missing team/app:v3 sha256:lib-layer1 of sha256:more | layer sha256:lib-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/lib-layer1/link | Relink
    broken: team/app:v3 by layer-link-missing
    ");
}

/// an alias' bytes lie under another digest; they are not gone, and no garbage while a manifest wants them.
#[test]
fn empty_alias_link_does_not_make_its_bytes_garbage() {
    let mut base = Base::new();
    let spec = ImageSpec { sha512_layer: true, layers: 0, ..ImageSpec::oci("long") };
    let image = base.tree.image_with(APP, Some("long"), &spec);
    base.tree.break_layer_link_empty(APP, &image.layers[0]);
    let report = base.report();
    assert!(!report.contains("gone too"), "{report}");
}
