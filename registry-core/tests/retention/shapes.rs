//! Typical packages, each with its complete decision.

use registry_core::retention::{ImagesInUse, UnneededAction};

use crate::support::{IMAGE, PackageBuilder, keep, rule, sha, signature_tag};

#[test]
fn old_image_tagged_latest_stays_beside_keep_last() {
    let mut builder = PackageBuilder::new();
    builder.push_image("latest", 900);
    for number in 1..=3 {
        builder.push_image(&format!("v{number}"), 500 - number);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    keep   latest: tag latest matches keep pattern latest
    ");
}

#[test]
fn image_that_latest_was_rolled_back_to_stays() {
    let mut builder = PackageBuilder::with_images(4);
    let old = builder.image("v2/image");
    builder.tag("latest", old, 1);
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   latest: tag latest matches keep pattern latest
    keep   v4: newest 1 of 2
    keep   v3: newest 2 of 2
    keep   v2: tag latest matches keep pattern latest
    delete v1: rank 4, beyond newest 2
    ");
}

#[test]
fn children_never_count_and_never_go() {
    let mut builder = PackageBuilder::new();
    for number in 1..=3 {
        builder.push_index(&format!("v{number}"), 400 - number * 10);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3: newest 1 of 2
    leave  <v3/arm64>: child of v3
    leave  <v3/amd64>: child of v3
    keep   v2: newest 2 of 2
    leave  <v2/arm64>: child of v2
    leave  <v2/amd64>: child of v2
    delete v1: rank 3, beyond newest 2
    leave  <v1/arm64>: child of v1, which goes; left to the server's collector
    leave  <v1/amd64>: child of v1, which goes; left to the server's collector
    ");
}

#[test]
fn arch_tags_without_an_index_count() {
    let mut builder = PackageBuilder::with_images(2);
    builder.push_image("v3-amd64", 2);
    builder.push_image("v3-arm64", 2);
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3-arm64: newest 1 of 2
    keep   v3-amd64: newest 2 of 2
    delete v2: rank 3, beyond newest 2
    delete v1: rank 4, beyond newest 2
    ");
}

#[test]
fn arch_tags_stay_with_their_index() {
    let mut builder = PackageBuilder::with_images(2);
    let children = [builder.push_image("v3-amd64", 2), builder.push_image("v3-arm64", 2)];
    let index = builder.index("v3/index", &children);
    builder.tag("v3", index, 1);
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v3-arm64: child of v3
    keep   v3-amd64: child of v3
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    ");
}

#[test]
fn tag_on_child_is_deleted_with_its_index() {
    let mut builder = PackageBuilder::new();
    let child = builder.push_image("v1-amd64", 902);
    let index = builder.index("v1/index", &[child]);
    builder.tag("v1", index, 900);
    for number in 2..=3 {
        builder.push_image(&format!("v{number}"), 500 - number);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    delete v1-amd64: child of v1, which goes; below all that stay by rank
    ");
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v3: newest 1 of 1
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    delete v1-amd64: child of v1, which goes; below all that stay by rank
    ");
}

#[test]
fn both_tags_on_a_child_stay_with_its_index() {
    let mut builder = PackageBuilder::with_images(2);
    let child = builder.image("child");
    builder.tag("edge-amd64", child, 50);
    builder.tag("stable-amd64", child, 900);
    let index = builder.index("index", &[child]);
    builder.tag("edge", index, 49);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   edge: newest 1 of 1
    keep   edge-amd64: child of edge
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    keep   stable-amd64: child of edge
    ");
}

#[test]
fn signature_of_a_child_shares_the_fate_of_its_index() {
    let mut builder = PackageBuilder::new();
    for number in 1..=2 {
        let child = builder.image(&format!("v{number}/child"));
        builder.digest_row(child, 300 - number);
        let index = builder.index(&format!("v{number}/index"), &[child]);
        builder.tag(&format!("v{number}"), index, 300 - number);
        let signature = builder.image(&format!("v{number}/signature"));
        builder.tag(&signature_tag(child), signature, 299 - number);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   sha256-<v2/child>.sig: follows <v2/child>, which stays
    keep   v2: newest 1 of 1
    leave  <v2/child>: child of v2
    delete sha256-<v1/child>.sig: follows <v1/child>, which goes
    delete v1: rank 2, beyond newest 1
    leave  <v1/child>: child of v1, which goes; left to the server's collector
    ");
}

#[test]
fn signature_without_subject_is_left_unless_pruned() {
    let mut builder = PackageBuilder::with_images(2);
    let subject = builder.image("subject");
    builder.lose(subject);
    let signature = builder.image("signature");
    builder.tag(&signature_tag(subject), signature, 200);
    // No image here is signed in the same package, so the subject may be in another registry.
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    leave  sha256-<subject>.sig: follows <subject>, which is not in this package and may be elsewhere
    ");
    let (newest, own) = (builder.image("v2/image"), builder.image("own"));
    builder.tag(&signature_tag(newest), own, 210);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    leave  sha256-<subject>.sig: follows <subject>, which is gone
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
    let mut policy = keep(1);
    policy.orphan_signatures = UnneededAction::Prune;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    delete sha256-<subject>.sig: follows <subject>, which is gone
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
}

#[test]
fn broken_newest_image_takes_no_place() {
    let mut builder = PackageBuilder::with_images(3);
    let index = builder.push_index("v4", 1);
    let child = builder.image("v4/arm64");
    builder.lose(child);
    assert_ne!(index, child);
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    leave  v4: broken: <v4/arm64> is gone; stays until as many whole images as asked for are newer
    leave  <v4/amd64>: child of v4
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    broken: v4
    ");
}

#[test]
fn protected_image_shows_its_damage_and_its_rank() {
    let mut builder = PackageBuilder::new();
    builder.push_image("v1", 400);
    builder.push_image("v2", 300);
    let image = builder.push_image("v3", 200);
    builder.tag("latest", image, 200);
    let old = builder.push_index("cache", 100);
    let lost = builder.image("cache/arm64");
    builder.lose(lost);
    assert!(builder.package.find(&old).is_some());
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   cache: tag cache names a build cache; broken: <cache/arm64> is gone
    leave  <cache/amd64>: child of cache
    keep   latest: tag latest matches keep pattern latest; newest 1 of 2
    keep   v3: tag latest matches keep pattern latest; newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    broken: cache
    ");
}

#[test]
fn broken_image_stays_until_n_whole_images_are_newer() {
    let mut builder = PackageBuilder::with_images(2);
    builder.push_index("v0", 900);
    let child = builder.image("v0/arm64");
    builder.lose(child);
    insta::assert_snapshot!(builder.decision_text(&keep(3)), @"
    keep   v2: newest 1 of 3
    keep   v1: newest 2 of 3
    leave  v0: broken: <v0/arm64> is gone; stays until as many whole images as asked for are newer
    leave  <v0/amd64>: child of v0
    broken: v0
    ");
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    delete v0: broken: <v0/arm64> is gone; below all that stay by rank
    leave  <v0/amd64>: child of v0, which goes; left to the server's collector
    broken: v0
    ");
}

#[test]
fn pushes_in_one_second_are_ranked_by_id() {
    let mut builder = PackageBuilder::new();
    for tag in ["first", "second", "third"] {
        builder.push_image(tag, 100);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   third: newest 1 of 1
    delete second: rank 2, beyond newest 1
    delete first: rank 3, beyond newest 1
    ");
}

#[test]
fn most_pushes_in_one_second_are_refused_as_an_import() {
    let mut builder = PackageBuilder::new();
    for number in 0..6 {
        builder.push_image(&format!("v{number}"), 100);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(2)), @"
    refused: 6 of 6 ranked images have the same second as push time, and the cut falls inside it: an import or a restore, of which the times say nothing
    keep   v5: newest 1 of 2
    keep   v4: newest 2 of 2
    leave  v3: rank 3, beyond newest 2; spared: a guard refused this package
    leave  v2: rank 4, beyond newest 2; spared: a guard refused this package
    leave  v1: rank 5, beyond newest 2; spared: a guard refused this package
    leave  v0: rank 6, beyond newest 2; spared: a guard refused this package
    ");
}

#[test]
fn untagged_index_within_the_grace_holds_its_children() {
    let mut builder = PackageBuilder::with_images(2);
    for (name, hours) in [("young", 2), ("old", 200)] {
        let child = builder.image(&format!("{name}/child"));
        builder.digest_row(child, 300);
        let index = builder.index(&format!("{name}/index"), &[child]);
        builder.digest_row(index, hours);
    }
    let mut policy = keep(2);
    policy.untagged = UnneededAction::Prune;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    leave  <young/index>: no tag reaches it
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    delete <old/index>: no root reaches it, and it is older than the grace
    delete <old/child>: no root reaches it, and it is older than the grace
    leave  <young/child>: no tag reaches it
    ");
}

#[test]
fn untagged_image_is_left_by_default() {
    let mut builder = PackageBuilder::new();
    let image = builder.image("image");
    builder.digest_row(image, 300);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"leave  <image>: no tag reaches it");
}

#[test]
fn build_caches_stay_and_do_not_count() {
    let mut builder = PackageBuilder::with_images(2);
    let cache = builder.artifact("cache", "application/vnd.buildkit.cacheconfig.v0", None);
    builder.tag("bk-main", cache, 1);
    builder.push_image("buildcache-arm64", 2);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   bk-main: it is a build cache
    keep   buildcache-arm64: tag buildcache-arm64 names a build cache
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn rules_rank_pull_requests_and_releases_separately() {
    let mut builder = PackageBuilder::new();
    for number in 1..=3 {
        builder.push_image(&format!("pr-{number}"), 400 - number);
        builder.push_image(&format!("v{number}"), 300 - number);
    }
    let both = builder.image("pr-1/image");
    builder.tag("v0", both, 500);
    builder.push_image("nightly", 700);
    let mut policy = keep(10);
    policy.rules = vec![rule("pr-*", 1), rule("v*", 3)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v3: newest 1 of 3 of rule 2 (v*)
    keep   v2: newest 2 of 3 of rule 2 (v*)
    keep   v1: newest 3 of 3 of rule 2 (v*)
    keep   pr-3: newest 1 of 1 of rule 1 (pr-*)
    delete pr-2: rank 2, beyond newest 1 of rule 1 (pr-*)
    delete pr-1: rank 3, beyond newest 1 of rule 1 (pr-*); rank 4, beyond newest 3 of rule 2 (v*)
    delete v0: rank 3, beyond newest 1 of rule 1 (pr-*); rank 4, beyond newest 3 of rule 2 (v*)
    keep   nightly: no rule matches tag nightly
    ");
}

#[test]
fn image_in_use_stays_with_its_index_and_children() {
    let mut builder = PackageBuilder::new();
    for number in 1..=3 {
        builder.push_index(&format!("v{number}"), 300 - number);
    }
    let child = builder.image("v1/arm64");
    let mut policy = keep(1);
    policy.in_use =
        ImagesInUse::parse(&format!("git.example.org/team/other@{child}\ngit.example.org/team/app:v2"))
            .unwrap();
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v3: newest 1 of 1
    leave  <v3/arm64>: child of v3
    leave  <v3/amd64>: child of v3
    keep   v2: in use
    leave  <v2/arm64>: child of v2
    leave  <v2/amd64>: child of v2
    keep   v1: in use
    leave  <v1/arm64>: child of v1
    leave  <v1/amd64>: child of v1
    ");
}

#[test]
fn referrer_by_subject_stays_with_its_subject() {
    let mut builder = PackageBuilder::new();
    let kept = builder.push_image("v2", 100);
    let gone = builder.push_image("v1", 200);
    for (tag, subject) in [("sbom-2", kept), ("sbom-1", gone)] {
        let sbom = builder.artifact(tag, "application/spdx+json", Some(subject));
        builder.tag(tag, sbom, 900);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    delete sbom-1: rank 3, beyond newest 1
    keep   sbom-2: refers to <v2/image>, which stays
    ");
}

#[test]
fn manifest_of_unknown_type_stays_with_every_digest_it_mentions() {
    let mut builder = PackageBuilder::with_images(2);
    let mentioned = builder.push_image("mentioned", 800);
    let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.example.bundle", "refs": {"deep": [mentioned]}});
    let bundle = builder.manifest("bundle", "application/vnd.example.bundle", &value);
    builder.tag("bundle", bundle, 900);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   mentioned: child of bundle
    keep   bundle: its media type is not known, so what it needs is not known
    ");
}

#[test]
fn unread_manifest_stops_the_package() {
    let mut builder = PackageBuilder::with_images(3);
    let number = builder.package.intern(&sha("x"));
    builder.package.set_unknown(number, "502 Bad Gateway");
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    skipped: manifest sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 could not be read: 502 Bad Gateway
    leave  v3: the package is skipped
    leave  v2: the package is skipped
    leave  v1: the package is skipped
    ");
    let mut builder = PackageBuilder::with_images(3);
    let number = builder.package.intern(&sha("y"));
    builder.package.set_bytes(number, IMAGE, b"<html>");
    insta::assert_snapshot!(builder.decision_text(&keep(1)).lines().next().unwrap(), @"skipped: manifest sha256:a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa could not be read: it is no JSON, so what it references is not known");
}

#[test]
fn lost_tagged_manifest_stops_the_package_until_assumed_lost() {
    let mut builder = PackageBuilder::with_images(3);
    let lost = builder.image("v3/image");
    let number = builder.package.intern(&lost);
    builder.package.set_absent(number);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    skipped: tag v3 is listed and its manifest answers 404
    leave  v3: the package is skipped
    leave  v2: the package is skipped
    leave  v1: the package is skipped
    ");
    let mut policy = keep(1);
    policy.assume_lost.insert("app:v3".into());
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    leave  v3: broken: <v3/image> is gone; stays until as many whole images as asked for are newer
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    broken: v3
    ");
}

#[test]
fn guard_refuses_the_package_as_a_whole() {
    let mut builder = PackageBuilder::with_images(5);
    let mut policy = keep(2);
    policy.max_delete_percent = Some(50);
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    refused: 3 of 5 images would go, more than 50 percent
    keep   v5: newest 1 of 2
    keep   v4: newest 2 of 2
    leave  v3: rank 3, beyond newest 2; spared: a guard refused this package
    leave  v2: rank 4, beyond newest 2; spared: a guard refused this package
    leave  v1: rank 5, beyond newest 2; spared: a guard refused this package
    ");
}
