//! Damage to the bytes of manifests: one builder call, one report.

use insta::assert_snapshot;
use registry_fixtures::JsonDamage;

use crate::support::{APP, after};

#[test]
fn bytes_altered_200_with_wrong_bytes() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_altered(&base.one.digest); }), @"
    error manifest-digest-mismatch team/app:v1 sha256:one | its manifest has bytes that do not hash to its digest | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-digest-mismatch
    ");
}

#[test]
fn bytes_with_white_space_at_the_end_200_with_wrong_bytes() {
    assert_snapshot!(after(|base| {
        let longer = [base.tree.bytes(&base.amd.digest).as_slice(), b" \n"].concat();
        base.tree.break_manifest_bytes(&base.amd.digest, &longer);
    }), @"
    error manifest-digest-mismatch team/app:v2 sha256:amd of sha256:index for linux/amd64 | linux/amd64 has bytes that do not hash to its digest | blobs/sha256/xx/amd/data | Quarantine
    broken: team/app:v2 by manifest-digest-mismatch
    ");
}

#[test]
fn bytes_truncated_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_truncated(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: not JSON: line 1, column 277 | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn child_without_bytes_500() {
    assert_snapshot!(after(|base| { base.tree.break_blob_zero(&base.arm.digest); }), @"
    error manifest-unreadable team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is unreadable: the file is empty (0 bytes) | blobs/sha256/xx/arm/data | Quarantine
    broken: team/app:v2 by manifest-unreadable
    ");
}

#[test]
fn bytes_of_text_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_not_json(&base.index.digest); }), @"
    error manifest-unreadable team/app:v2 sha256:index | its manifest is unreadable: not JSON: line 1, column 2 | blobs/sha256/xx/index/data | Quarantine
    broken: team/app:v2 by manifest-unreadable
    ");
}

#[test]
fn bytes_of_an_empty_object_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_empty_object(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: schemaVersion is 0, and only 1 and 2 are known | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn unknown_type_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_unknown_type(&base.one.digest); }), @r#"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    "#);
}

#[test]
fn too_large_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_too_large(&base.one.digest); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: larger than 4 MiB (4194305 bytes) | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn nested_too_deep_500() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_deep(&base.one.digest, 10_000); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: nested deeper than 10000 levels | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn nested_just_not_too_deep_200_with_wrong_bytes() {
    assert_snapshot!(after(|base| { base.tree.break_manifest_deep(&base.one.digest, 9_999); }), @"
    error manifest-digest-mismatch team/app:v1 sha256:one | its manifest has bytes that do not hash to its digest | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-digest-mismatch
    ");
}

#[test]
fn config_of_the_wrong_type_500() {
    let damage = JsonDamage::Top("config", "7");
    assert_snapshot!(after(|base| { base.tree.break_manifest_json(&base.one.digest, damage); }), @"
    error manifest-unreadable team/app:v1 sha256:one | its manifest is unreadable: /config should be an object | blobs/sha256/xx/one/data | Quarantine
    broken: team/app:v1 by manifest-unreadable
    ");
}

#[test]
fn unknown_type_with_the_right_hash_is_not_quarantined_500() {
    assert_snapshot!(after(|base| {
        let digest = base.tree.damaged_json(APP, Some("v3"), "three", JsonDamage::UnknownMediaType);
        base.names.put(&digest, "three");
    }), @r#"
    error manifest-unreadable team/app:v3 sha256:three | its manifest is unreadable: unknown manifest type "application/vnd.example.unknown+json" | blobs/sha256/xx/three/data
    broken: team/app:v3 by manifest-unreadable
    "#);
}

#[test]
fn too_large_with_the_right_hash_is_not_quarantined_500() {
    assert_snapshot!(after(|base| {
        let damage = JsonDamage::PaddedTo(JsonDamage::LIMIT + 1);
        let digest = base.tree.damaged_json(APP, Some("v3"), "three", damage);
        base.names.put(&digest, "three");
    }), @"
    error manifest-unreadable team/app:v3 sha256:three | its manifest is unreadable: larger than 4 MiB (4194305 bytes) | blobs/sha256/xx/three/data
    broken: team/app:v3 by manifest-unreadable
    ");
}

#[test]
fn exactly_4_mib_200() {
    assert_snapshot!(after(|base| {
        base.tree.damaged_json(APP, Some("v3"), "three", JsonDamage::PaddedTo(JsonDamage::LIMIT));
    }), @"nothing");
}
