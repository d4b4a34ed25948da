//! Descriptors that say something wrong, and what one damage hides of another.

use insta::assert_snapshot;
use registry_fixtures::{DescriptorDamage, ImageSpec, MediaTypes, Part};

use crate::support::{APP, report_after};

/// The report after the push of an image `v3` with one wrong descriptor.
fn image_with(part: Part, damage: DescriptorDamage) -> String {
    report_after(|base| {
        let spec = ImageSpec { damage: vec![(part, damage)], ..ImageSpec::oci("three") };
        let image = base.tree.image_with(APP, Some("v3"), &spec);
        base.names.image(&image, "three");
    })
}

/// The report after the push of an index `v3` whose only entry, `amd`, is written wrongly.
fn index_with(damage: DescriptorDamage) -> String {
    report_after(|base| {
        let child = base.amd.child().damaged(damage);
        let index = base.tree.index_with(APP, Some("v3"), MediaTypes::Oci, &[child]);
        base.names.add(&index.digest, "three");
    })
}

#[test]
fn negative_descriptor_size_is_found() {
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
fn invalid_descriptor_digest_is_found() {
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
fn wrong_descriptor_size_is_found() {
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
fn descriptor_of_absent_bytes_is_found_404() {
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
fn absent_subject_is_no_finding() {
    assert_snapshot!(report_after(|base| {
        let subject = Some(registry_fixtures::Digest::absent("subject"));
        base.tree.image_with(APP, Some("v3"), &ImageSpec { subject, ..ImageSpec::oci("three") });
    }), @"nothing");
}

#[test]
fn one_damage_is_one_finding_with_all_its_tags() {
    assert_snapshot!(report_after(|base| {
        let outer = base.tree.index(APP, Some("outer"), &[base.index.child(), base.one.child()]);
        base.tree.tag(APP, "same", &base.index.digest);
        base.names.add(&outer.digest, "outer");
        base.tree.break_revision_link_missing(APP, &base.arm.digest);
    }), @"
    error child-link-missing team/app:outer,same,v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:outer by child-link-missing
    broken: team/app:same by child-link-missing
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn damage_to_a_tag_hides_the_damage_below_from_it() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_layer_link_missing(APP, &base.arm.layers[0]);
        base.tree.break_revision_link_empty(APP, &base.arm.digest);
        base.tree.break_tag_link_empty(APP, "v2");
    }), @"
    error revision-link-invalid team/app sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link is empty (0 bytes); its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    error tag-link-invalid team/app:v2 | its link is empty (0 bytes); its history has one entry that resolves, sha256:index | repositories/team/app/_manifests/tags/v2/current/link | Restore
    broken: team/app:v2 by tag-link-invalid
    ");
}
