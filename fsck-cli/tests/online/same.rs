//! `verify --same-as`: both sides of a dual push have the same image.

use registry_fixtures::registry::Server;

use crate::support::{
    ProgramOutput, fsck, images, images_with_lost_child, mask_snapshots, reference, registry,
};

fn verify(server: &Server, image: &str, other: &Server, same: &str) -> ProgramOutput {
    fsck(&["verify", &reference(server, image), "--same-as", &reference(other, same)])
}

#[test]
fn same_as_accepts_equal_images_on_one_host_or_two() {
    let (one, two) = (registry(images), registry(images));
    assert_eq!(verify(&one, "team/app:v1", &one, "team/app:stable").status, 0);
    let ran = verify(&one, "team/app:v1", &two, "team/app:v1");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(ran.out.matches(": complete\n").count(), 2, "{}", ran.out);
}

#[test]
fn same_as_reports_different_digests() {
    let _masked = mask_snapshots();
    let (one, two) = (registry(images), registry(images));
    two.world().push_image("team/app", Some("v1"), "five");
    let ran = verify(&one, "team/app:v1", &two, "team/app:v1");
    assert_eq!(ran.status, 4);
    let finding = ran.out.lines().find(|line| line.contains("[reference-mismatch]")).unwrap_or(&ran.out);
    insta::assert_snapshot!(finding, @"error team/app:v1: it names sha256:101831dc9442…, and HOST/team/app:v1 names sha256:8452f4a5278e… [reference-mismatch]");
}

#[test]
fn same_as_reports_incomplete_side() {
    let (one, two) = (registry(images), registry(images_with_lost_child));
    let ran = verify(&one, "team/app:v1", &two, "team/app:v1");
    assert_eq!(ran.status, 4);
    assert!(ran.out.contains("[child-missing]") && !ran.out.contains("[reference-mismatch]"), "{}", ran.out);
}

#[test]
fn same_as_reports_side_without_image() {
    let (one, two) = (registry(images), registry(|_| {}));
    let ran = verify(&one, "team/app:v1", &two, "team/app:v1");
    assert_eq!(ran.status, 4);
    assert!(ran.out.contains("[tag-target-missing]"), "{}", ran.out);
}
