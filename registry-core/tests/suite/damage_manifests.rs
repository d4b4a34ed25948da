//! Damage to revision links and to the bytes of manifests: one builder call, one report.

use insta::assert_snapshot;
use registry_fixtures::{DescriptorDamage, ImageSpec, JsonDamage, MediaTypes, Part};

use crate::support::{APP, after};

#[test]
fn tagged_link_missing_404() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_missing(APP, &base.one.digest); }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    ");
}

#[test]
fn index_link_missing_404() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_missing(APP, &base.index.digest); }), @"
    error tag-target-unlinked team/app:v2 sha256:index | its image index has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/index/link | Relink
    broken: team/app:v2 by tag-target-unlinked
    ");
}

#[test]
fn child_link_missing_404() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_missing(APP, &base.arm.digest); }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn child_folder_left_by_a_delete_404() {
    assert_snapshot!(after(|base| { base.tree.break_empty_folder_left(APP, &base.arm.digest); }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn child_link_missing_with_a_layer_link_in_its_place_200() {
    assert_snapshot!(after(|base| { base.tree.break_revision_only_as_layer(APP, &base.arm.digest); }), @"warning gc-hazard team/app sha256:arm | manifest sha256:arm is served only through its layer link: registry 3 answers 404, and every collector deletes its config and layers; writing its revision link mends it | repositories/team/app/_manifests/revisions/sha256/arm/link");
}

#[test]
fn tagged_link_empty_500() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_empty(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link is empty (0 bytes); its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn child_link_of_text_500() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_text(APP, &base.arm.digest); }), @"
    error revision-link-invalid team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link holds no digest; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    broken: team/app:v2 by revision-link-invalid
    ");
}

#[test]
fn tagged_link_with_newline_500() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_newline(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link has bytes beside the digest; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn tagged_link_is_a_folder_500() {
    assert_snapshot!(after(|base| { base.tree.break_revision_link_is_folder(APP, &base.one.digest); }), @"
    error revision-link-invalid team/app:v1 sha256:one | its manifest: the revision link is no file; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link
    broken: team/app:v1 by revision-link-invalid
    ");
}

#[test]
fn tagged_link_names_another_manifest_200_with_wrong_bytes() {
    assert_snapshot!(after(|base| {
        base.tree.break_revision_link_mismatch(APP, &base.one.digest, &base.amd.digest);
    }), @"
    error revision-link-mismatch team/app:v1 sha256:one | its manifest: the revision link names sha256:amd instead; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Rewrite
    broken: team/app:v1 by revision-link-mismatch
    ");
}

#[test]
fn child_link_names_a_config_500() {
    assert_snapshot!(after(|base| {
        base.tree.break_revision_link_mismatch(APP, &base.arm.digest, &base.one.config);
    }), @"
    error revision-link-mismatch team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link names sha256:one-config instead; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    broken: team/app:v2 by revision-link-mismatch
    ");
}

#[test]
fn tagged_bytes_missing_404() {
    assert_snapshot!(after(|base| { base.tree.break_blob_missing(&base.one.digest); }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error tag-target-missing team/app:v1 sha256:one | its manifest is gone: its revision link is here, its bytes are not | blobs/sha256/xx/one/data
    broken: team/app:v1 by tag-target-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn child_bytes_missing_404() {
    assert_snapshot!(after(|base| { base.tree.break_blob_missing(&base.arm.digest); }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: its revision link is here, its bytes are not | blobs/sha256/xx/arm/data
    broken: team/app:v2 by child-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn child_link_and_bytes_missing_404() {
    assert_snapshot!(after(|base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest).break_blob_missing(&base.arm.digest);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link
    broken: team/app:v2 by child-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn child_link_missing_and_bytes_wrong_404() {
    assert_snapshot!(after(|base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest).break_manifest_altered(&base.arm.digest);
    }), @"
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: it has no revision link, and the file under its digest holds something else | blobs/sha256/xx/arm/data | Quarantine
    broken: team/app:v2 by child-missing
    ");
}

#[test]
fn untagged_bytes_missing() {
    assert_snapshot!(after(|base| {
        let loose = base.image(APP, None, "loose").digest;
        base.tree.break_blob_missing(&loose);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 463 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    warning manifest-missing team/app sha256:loose | untagged manifest sha256:loose is gone: its revision link is here, its bytes are not | blobs/sha256/xx/loose/data
    garbage: 3 blobs (463 bytes) unreferenced, 3 layer links
    ");
}

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

/// The report after the push of an image `v3` with one wrong descriptor.
fn image_with(part: Part, damage: DescriptorDamage) -> String {
    after(|base| {
        let spec = ImageSpec { damage: vec![(part, damage)], ..ImageSpec::oci("three") };
        let image = base.tree.image_with(APP, Some("v3"), &spec);
        base.names.image(&image, "three");
    })
}

/// The report after the push of an index `v3` whose only entry, `amd`, is written wrongly.
fn index_with(damage: DescriptorDamage) -> String {
    after(|base| {
        let child = base.amd.child().damaged(damage);
        let index = base.tree.index_with(APP, Some("v3"), MediaTypes::Oci, &[child]);
        base.names.put(&index.digest, "three");
    })
}

#[test]
fn descriptor_with_a_negative_size() {
    assert_snapshot!(image_with(Part::Layer(1), DescriptorDamage::SizeNegative), @"
    error descriptor-invalid team/app:v3 sha256:three | /layers/1/size in manifest sha256:three: the size is negative (-1) | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-invalid
    ");
    assert_snapshot!(index_with(DescriptorDamage::SizeNegative), @"
    error descriptor-invalid team/app:v3 sha256:three | /manifests/0/size in manifest sha256:three: the size is negative (-1) | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-invalid
    ");
}

#[test]
fn descriptor_whose_digest_does_not_parse() {
    assert_snapshot!(image_with(Part::Config, DescriptorDamage::DigestText), @r#"
    info blob-unreferenced - | 1 blob that no manifest references, 262 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    error descriptor-invalid team/app:v3 sha256:three | /config/digest in manifest sha256:three: "no digest" is no digest: not of the form <algorithm>:<hex> | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-invalid
    garbage: 1 blobs (262 bytes) unreferenced, 1 layer links
    "#);
    assert_snapshot!(image_with(Part::Layer(0), DescriptorDamage::DigestTraversal), @r#"
    info blob-unreferenced - | 1 blob that no manifest references, 100 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    error descriptor-invalid team/app:v3 sha256:three | /layers/0/digest in manifest sha256:three: "sha256:../../x" is no digest: the hash is not exactly 64 lower-case hexadecimal characters | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-invalid
    garbage: 1 blobs (100 bytes) unreferenced, 1 layer links
    "#);
    assert_snapshot!(index_with(DescriptorDamage::DigestMissing), @r#"
    error descriptor-invalid team/app:v3 sha256:three | /manifests/0/digest in manifest sha256:three: "" is no digest: not of the form <algorithm>:<hex> | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-invalid
    "#);
}

#[test]
fn descriptor_with_a_size_that_is_a_lie() {
    assert_snapshot!(image_with(Part::Config, DescriptorDamage::SizeTooBig), @"
    error descriptor-size-mismatch team/app:v3 sha256:three-config of sha256:three | /config/size in manifest sha256:three says 263 bytes; sha256:three-config has 262 and they are right | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-size-mismatch
    ");
    assert_snapshot!(image_with(Part::Layer(1), DescriptorDamage::SizeMissing), @"
    error descriptor-size-mismatch team/app:v3 sha256:three-layer2 of sha256:three | /layers/1/size in manifest sha256:three says 0 bytes; sha256:three-layer2 has 101 and they are right | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-size-mismatch
    ");
    assert_snapshot!(index_with(DescriptorDamage::SizeTooSmall), @"
    error descriptor-size-mismatch team/app:v3 sha256:amd of sha256:three | /manifests/0/size in manifest sha256:three says 554 bytes; sha256:amd has 555 and they are right | blobs/sha256/xx/three/data
    broken: team/app:v3 by descriptor-size-mismatch
    ");
}

#[test]
fn descriptor_of_bytes_that_are_nowhere_404() {
    assert_snapshot!(image_with(Part::Layer(0), DescriptorDamage::DigestNowhere), @"
    info blob-unreferenced - | 1 blob that no manifest references, 100 bytes: a plain collection frees it | blobs
    info layer-link-unreferenced team/app | 1 layer link that no manifest needs | repositories/team/app/_layers | Remove
    error layer-link-missing team/app:v3 sha256:aac0f500bff8f0d43cdd38d2969513ae211884cb9be8beb90d99c1c970586867 of sha256:three | layer sha256:aac0f500bff8 has no layer link here; its bytes are gone too | repositories/team/app/_layers/sha256/aac0f500bff8f0d43cdd38d2969513ae211884cb9be8beb90d99c1c970586867/link
    broken: team/app:v3 by layer-link-missing
    garbage: 1 blobs (100 bytes) unreferenced, 1 layer links
    ");
    assert_snapshot!(index_with(DescriptorDamage::DigestNowhere), @"
    error child-missing team/app:v3 sha256:4f815980341a7b6f3cc9f7ec2a26d972ad3af8a520932d905047af27e122b686 of sha256:three for linux/amd64 | linux/amd64 is gone: neither a revision link nor its bytes are here | repositories/team/app/_manifests/revisions/sha256/4f815980341a7b6f3cc9f7ec2a26d972ad3af8a520932d905047af27e122b686/link
    broken: team/app:v3 by child-missing
    ");
}

#[test]
fn a_subject_that_is_nowhere_is_no_finding() {
    assert_snapshot!(after(|base| {
        let subject = Some(registry_fixtures::Digest::nowhere("subject"));
        base.tree.image_with(APP, Some("v3"), &ImageSpec { subject, ..ImageSpec::oci("three") });
    }), @"nothing");
}

#[test]
fn one_damage_is_one_finding_with_all_its_tags() {
    assert_snapshot!(after(|base| {
        let outer = base.tree.index(APP, Some("outer"), &[base.index.child(), base.one.child()]);
        base.tree.tag(APP, "same", &base.index.digest);
        base.names.put(&outer.digest, "outer");
        base.tree.break_revision_link_missing(APP, &base.arm.digest);
    }), @"
    error child-link-missing team/app:outer,same,v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:outer by child-link-missing
    broken: team/app:same by child-link-missing
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn a_damage_shadows_what_lies_below_it() {
    assert_snapshot!(after(|base| {
        base.tree.break_layer_link_missing(APP, &base.arm.layers[0]);
        base.tree.break_revision_link_empty(APP, &base.arm.digest);
        base.tree.break_tag_link_empty(APP, "v2");
    }), @"
    error revision-link-invalid team/app sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link is empty (0 bytes); its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    error tag-link-invalid team/app:v2 | its link is empty (0 bytes); its history has one entry that resolves, sha256:index | repositories/team/app/_manifests/tags/v2/current/link | Restore
    broken: team/app:v2 by tag-link-invalid
    ");
}
