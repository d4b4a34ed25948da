//! Damage to the bytes of configs and layers: each test calls one `break_*` method and snapshots the report.

use insta::assert_snapshot;
use registry_fixtures::ImageSpec;

use crate::support::{APP, View, report_after, report_with_damage};

#[test]
fn missing_layer_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_missing(&base.one.layers[0]); }), @"
    error blob-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/one-layer1/data
    broken: team/app:v1 by blob-missing
    ");
}

#[test]
fn config_without_data_file_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_data_missing(&base.arm.config); }), @"
    error blob-missing team/app:v2 sha256:arm-config of sha256:arm | config sha256:arm-config is gone: its layer link is here, its bytes are not | blobs/sha256/xx/arm-config/data
    broken: team/app:v2 by blob-missing
    ");
}

#[test]
fn folder_in_place_of_data_is_found_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_data_is_folder(&base.one.layers[0]); }), @"
    warning path-unexpected - | a folder in the place of a file | blobs/sha256/xx/one-layer1/data | MoveAside
    error blob-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/one-layer1/data
    broken: team/app:v1 by blob-missing
    ");
}

#[test]
fn empty_layer_is_found_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_zero(&base.one.layers[0]); }), @"
    error blob-size-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: 0 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    broken: team/app:v1 by blob-size-mismatch
    ");
}

#[test]
fn truncated_layer_is_found_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_truncated(&base.one.layers[0]); }), @"
    error blob-size-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: 50 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    broken: team/app:v1 by blob-size-mismatch
    ");
}

#[test]
fn grown_config_is_found_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_grown(&base.one.config); }), @"
    error blob-size-mismatch team/app:v1 sha256:one-config of sha256:one | config sha256:one-config is damaged: 261 bytes instead of 260, and they hash wrong | blobs/sha256/xx/one-config/data | Quarantine
    broken: team/app:v1 by blob-size-mismatch
    ");
}

#[test]
fn replaced_layer_is_found_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_replaced(&base.one.layers[0], b"other"); }), @"
    error blob-size-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: 5 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    broken: team/app:v1 by blob-size-mismatch
    ");
}

#[test]
fn flipped_layer_is_found_only_by_hashing_200() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_flipped(&base.one.layers[0]); }), @"nothing");
    let content = View { content: true, ..View::default() };
    assert_snapshot!(report_with_damage(&content, |base| {
        base.tree.break_blob_flipped(&base.one.layers[0]);
    }), @"
    error blob-digest-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: its 100 bytes hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    broken: team/app:v1 by blob-digest-mismatch
    ");
}

#[test]
fn empty_layer_can_be_right() {
    let content = View { content: true, ..View::default() };
    assert_snapshot!(report_with_damage(&content, |base| {
        base.tree.image_with(APP, Some("v3"), &ImageSpec { empty_layer: true, ..ImageSpec::oci("three") });
    }), @"nothing");
}

#[test]
fn layer_in_the_wrong_shard_is_missing_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_wrong_shard(&base.one.layers[0]); }), @"
    warning path-unexpected - | a folder that is no digest of this shard; a collector aborts on a data file there | blobs/sha256/00/one-layer1 | MoveAside
    error blob-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/one-layer1/data
    broken: team/app:v1 by blob-missing
    ");
}

#[test]
fn layer_with_upper_case_hash_is_missing_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_upper_case_hex(&base.one.layers[0]); }), @"
    warning path-unexpected - | a folder that is no digest of this shard; a collector aborts on a data file there | blobs/sha256/64/ONE-LAYER1 | MoveAside
    error blob-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/one-layer1/data
    broken: team/app:v1 by blob-missing
    ");
}

#[test]
fn layer_without_its_shard_is_missing_404() {
    assert_snapshot!(report_after(|base| { base.tree.break_missing_shard_level(&base.one.layers[0]); }), @"
    warning path-unexpected - | a folder that is no shard; a collector aborts on a data file there | blobs/sha256/one-layer1 | MoveAside
    error blob-missing team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is gone: its layer link is here, its bytes are not | blobs/sha256/xx/one-layer1/data
    broken: team/app:v1 by blob-missing
    ");
}

#[test]
fn damaged_blob_is_a_finding_in_each_repository() {
    assert_snapshot!(report_after(|base| {
        let shared = vec![base.one.layers[0].clone()];
        let more = base.tree.image_with("lib", Some("v3"), &ImageSpec { shared, ..ImageSpec::oci("more") });
        base.names.image(&more, "more");
        base.tree.break_blob_truncated(&base.one.layers[0]);
    }), @"
    error blob-size-mismatch lib:v3 sha256:one-layer1 of sha256:more | layer sha256:one-layer1 is damaged: 50 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    error blob-size-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: 50 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    broken: lib:v3 by blob-size-mismatch
    broken: team/app:v1 by blob-size-mismatch
    ");
}

#[test]
fn foreign_layer_need_not_be_present() {
    assert_snapshot!(report_after(|base| {
        let foreign = vec!["https://example.com/base.tgz".into()];
        base.tree.image_with(APP, Some("v3"), &ImageSpec { foreign, ..ImageSpec::docker("three") });
    }), @"nothing");
}
