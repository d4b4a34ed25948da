//! Damage to the bytes of manifests: each test calls one `break_*` method and snapshots the report.

use insta::assert_snapshot;
use registry_fixtures::JsonDamage;

use crate::support::{APP, report_after};

#[test]
fn altered_manifest_is_found_200_with_wrong_bytes() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_altered(&base.one.digest); }), @"
    error manifest-digest-mismatch team/app:v1 sha256:one | its manifest has bytes that do not hash to its digest | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-digest-mismatch
    ");
}

#[test]
fn manifest_with_trailing_white_space_is_found_200_with_wrong_bytes() {
    assert_snapshot!(report_after(|base| {
        let longer = [base.tree.bytes(&base.amd.digest).as_slice(), b" \n"].concat();
        base.tree.break_manifest_bytes(&base.amd.digest, &longer);
    }), @"
    error manifest-digest-mismatch team/app:v2 sha256:amd of sha256:index for linux/amd64 | linux/amd64 has bytes that do not hash to its digest | blobs/sha256/xx/amd/data | Quarantine
    broken: team/app:v2 by manifest-digest-mismatch
    ");
}

#[test]
fn truncated_manifest_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_truncated(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: not JSON: line 1, column 277 | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn empty_child_manifest_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_blob_zero(&base.arm.digest); }), @"
    error manifest-unreadable team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is unreadable: the file is empty (0 bytes) | blobs/sha256/xx/arm/data | Quarantine
    broken: team/app:v2 by manifest-unreadable
    ");
}

#[test]
fn manifest_that_is_not_json_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_not_json(&base.index.digest); }), @"
    error manifest-unreadable team/app:v2 sha256:index | its manifest is unreadable: not JSON: line 1, column 2 | blobs/sha256/xx/index/data | Quarantine
    broken: team/app:v2 by manifest-unreadable
    ");
}

#[test]
fn manifest_of_an_empty_object_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_empty_object(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: schemaVersion is 0, and only 1 and 2 are known | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn manifest_of_unknown_type_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_unknown_type(&base.one.digest); }), @r#"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    "#);
}

#[test]
fn too_large_manifest_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_too_large(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: larger than 4 MiB (4194305 bytes) | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn too_deeply_nested_manifest_is_found_500() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_deep(&base.one.digest, 10_000); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: nested deeper than 10000 levels | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn manifest_nested_to_the_limit_is_parsed_200_with_wrong_bytes() {
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_deep(&base.one.digest, 9_999); }), @"
    error manifest-digest-mismatch team/app:v1 sha256:one | its manifest has bytes that do not hash to its digest | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-digest-mismatch
    ");
}

#[test]
fn config_descriptor_of_wrong_json_type_is_found_500() {
    let damage = JsonDamage::Top("config", "7");
    assert_snapshot!(report_after(|base| { base.tree.break_manifest_json(&base.one.digest, damage); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: /config should be an object | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn manifest_of_unknown_type_with_right_hash_is_not_quarantined_500() {
    assert_snapshot!(report_after(|base| {
        let digest = base.tree.damaged_json(APP, Some("v3"), "three", JsonDamage::UnknownMediaType);
        base.names.add(&digest, "three");
    }), @r#"
    error manifest-unreadable team/app:v3 sha256:three | its manifest is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/three/data
    broken: team/app:v3 by manifest-unreadable
    "#);
}

#[test]
fn too_large_manifest_with_right_hash_is_not_quarantined_500() {
    assert_snapshot!(report_after(|base| {
        let damage = JsonDamage::PaddedTo(JsonDamage::LIMIT + 1);
        let digest = base.tree.damaged_json(APP, Some("v3"), "three", damage);
        base.names.add(&digest, "three");
    }), @"
    error manifest-unreadable team/app:v3 sha256:three | its manifest is unreadable: larger than 4 MiB (4194305 bytes) | blobs/sha256/xx/three/data
    broken: team/app:v3 by manifest-unreadable
    ");
}

#[test]
fn manifest_of_exactly_4_mib_is_sound_200() {
    assert_snapshot!(report_after(|base| {
        base.tree.damaged_json(APP, Some("v3"), "three", JsonDamage::PaddedTo(JsonDamage::LIMIT));
    }), @"nothing");
}
