//! Shapes worked out by hand, one readable decision each.

use registry_core::retention::{InUse, LetterCase, Pattern, Rule, Unneeded};

use crate::support::{IMAGE, Maker, keep, sha};

#[test]
fn latest_alone_on_an_old_image() {
    let mut maker = Maker::new();
    maker.single("latest", 900);
    for number in 1..=3 {
        maker.single(&format!("v{number}"), 500 - number);
    }
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    keep   latest: tag latest matches keep pattern latest
    ");
}

#[test]
fn a_rollback_of_latest() {
    let mut maker = Maker::singles(4);
    let old = maker.image("v2/image");
    maker.tag("latest", old, 1);
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   latest: tag latest matches keep pattern latest
    keep   v4: newest 1 of 2
    keep   v3: newest 2 of 2
    keep   v2: tag latest matches keep pattern latest
    delete v1: rank 4, beyond newest 2
    ");
}

#[test]
fn children_never_count_and_never_go() {
    let mut maker = Maker::new();
    for number in 1..=3 {
        maker.multi(&format!("v{number}"), 400 - number * 10);
    }
    insta::assert_snapshot!(maker.text(&keep(2)), @"
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
fn arch_tags_before_they_are_combined_count() {
    let mut maker = Maker::singles(2);
    maker.single("v3-amd64", 2);
    maker.single("v3-arm64", 2);
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v3-arm64: newest 1 of 2
    keep   v3-amd64: newest 2 of 2
    delete v2: rank 3, beyond newest 2
    delete v1: rank 4, beyond newest 2
    ");
}

#[test]
fn arch_tags_after_they_are_combined_stay_with_their_index() {
    let mut maker = Maker::singles(2);
    let children = [maker.single("v3-amd64", 2), maker.single("v3-arm64", 2)];
    let index = maker.index("v3/index", &children);
    maker.tag("v3", index, 1);
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v3-arm64: child of v3
    keep   v3-amd64: child of v3
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    ");
}

#[test]
fn a_tag_on_a_child_whose_index_goes() {
    let mut maker = Maker::new();
    let child = maker.single("v1-amd64", 902);
    let index = maker.index("v1/index", &[child]);
    maker.tag("v1", index, 900);
    for number in 2..=3 {
        maker.single(&format!("v{number}"), 500 - number);
    }
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    delete v1-amd64: child of v1, which goes; below all that stay by rank
    ");
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v3: newest 1 of 1
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    delete v1-amd64: child of v1, which goes; below all that stay by rank
    ");
}

#[test]
fn two_tags_on_one_child() {
    let mut maker = Maker::singles(2);
    let child = maker.image("child");
    maker.tag("edge-amd64", child, 50);
    maker.tag("stable-amd64", child, 900);
    let index = maker.index("index", &[child]);
    maker.tag("edge", index, 49);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   edge: newest 1 of 1
    keep   edge-amd64: child of edge
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    keep   stable-amd64: child of edge
    ");
}

#[test]
fn a_signature_of_a_child() {
    let mut maker = Maker::new();
    for number in 1..=2 {
        let child = maker.image(&format!("v{number}/child"));
        maker.digest_row(child, 300 - number);
        let index = maker.index(&format!("v{number}/index"), &[child]);
        maker.tag(&format!("v{number}"), index, 300 - number);
        let signature = maker.image(&format!("v{number}/signature"));
        maker.tag(&format!("sha256-{}.sig", child.hex()), signature, 299 - number);
    }
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   sha256-<v2/child>.sig: follows <v2/child>, which stays
    keep   v2: newest 1 of 1
    leave  <v2/child>: child of v2
    delete sha256-<v1/child>.sig: follows <v1/child>, which goes
    delete v1: rank 2, beyond newest 1
    leave  <v1/child>: child of v1, which goes; left to the server's collector
    ");
}

#[test]
fn a_signature_whose_subject_is_gone() {
    let mut maker = Maker::singles(2);
    let subject = maker.image("subject");
    maker.lose(subject);
    let signature = maker.image("signature");
    maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, 200);
    // It may sign what another registry has, for nothing here is signed in place.
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    leave  sha256-<subject>.sig: follows <subject>, which is not in this package and may be elsewhere
    ");
    let (newest, own) = (maker.image("v2/image"), maker.image("own"));
    maker.tag(&format!("sha256-{}.sig", newest.hex()), own, 210);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    leave  sha256-<subject>.sig: follows <subject>, which is gone
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
    let mut policy = keep(1);
    policy.orphan_signatures = Unneeded::Prune;
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    delete sha256-<subject>.sig: follows <subject>, which is gone
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
}

#[test]
fn a_broken_newest_image_takes_no_place() {
    let mut maker = Maker::singles(3);
    let index = maker.multi("v4", 1);
    let child = maker.image("v4/arm64");
    maker.lose(child);
    assert_ne!(index, child);
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    leave  v4: broken: <v4/arm64> is gone; stays until as many whole images as asked for are newer
    leave  <v4/amd64>: child of v4
    keep   v3: newest 1 of 2
    keep   v2: newest 2 of 2
    delete v1: rank 3, beyond newest 2
    broken: v4
    ");
}

#[test]
fn a_protected_image_tells_what_it_lacks_and_which_place_it_takes() {
    let mut maker = Maker::new();
    maker.single("v1", 400);
    maker.single("v2", 300);
    let image = maker.single("v3", 200);
    maker.tag("latest", image, 200);
    let old = maker.multi("cache", 100);
    let lost = maker.image("cache/arm64");
    maker.lose(lost);
    assert!(maker.package.find(&old).is_some());
    insta::assert_snapshot!(maker.text(&keep(2)), @"
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
fn fewer_than_n_images_of_which_one_is_broken() {
    let mut maker = Maker::singles(2);
    maker.multi("v0", 900);
    let child = maker.image("v0/arm64");
    maker.lose(child);
    insta::assert_snapshot!(maker.text(&keep(3)), @"
    keep   v2: newest 1 of 3
    keep   v1: newest 2 of 3
    leave  v0: broken: <v0/arm64> is gone; stays until as many whole images as asked for are newer
    leave  <v0/amd64>: child of v0
    broken: v0
    ");
    insta::assert_snapshot!(maker.text(&keep(2)), @"
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    delete v0: broken: <v0/arm64> is gone; below all that stay by rank
    leave  <v0/amd64>: child of v0, which goes; left to the server's collector
    broken: v0
    ");
}

#[test]
fn two_pushes_in_one_second_are_told_apart_by_their_numbers() {
    let mut maker = Maker::new();
    for tag in ["first", "second", "third"] {
        maker.single(tag, 100);
    }
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   third: newest 1 of 1
    delete second: rank 2, beyond newest 1
    delete first: rank 3, beyond newest 1
    ");
}

#[test]
fn most_pushes_in_one_second_are_an_import() {
    let mut maker = Maker::new();
    for number in 0..6 {
        maker.single(&format!("v{number}"), 100);
    }
    insta::assert_snapshot!(maker.text(&keep(2)), @"
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
fn an_untagged_index_younger_than_the_grace_holds_its_children() {
    let mut maker = Maker::singles(2);
    for (name, hours) in [("young", 2), ("old", 200)] {
        let child = maker.image(&format!("{name}/child"));
        maker.digest_row(child, 300);
        let index = maker.index(&format!("{name}/index"), &[child]);
        maker.digest_row(index, hours);
    }
    let mut policy = keep(2);
    policy.untagged = Unneeded::Prune;
    insta::assert_snapshot!(maker.text(&policy), @"
    leave  <young/index>: no tag reaches it
    keep   v2: newest 1 of 2
    keep   v1: newest 2 of 2
    delete <old/index>: no root reaches it, and it is older than the grace
    delete <old/child>: no root reaches it, and it is older than the grace
    leave  <young/child>: no tag reaches it
    ");
}

#[test]
fn a_package_of_digest_rows_only() {
    let mut maker = Maker::new();
    let image = maker.image("image");
    maker.digest_row(image, 300);
    insta::assert_snapshot!(maker.text(&keep(1)), @"leave  <image>: no tag reaches it");
}

#[test]
fn build_caches_stay_and_do_not_count() {
    let mut maker = Maker::singles(2);
    let cache = maker.artifact("cache", "application/vnd.buildkit.cacheconfig.v0", None);
    maker.tag("bk-main", cache, 1);
    maker.single("buildcache-arm64", 2);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   bk-main: it is a build cache
    keep   buildcache-arm64: tag buildcache-arm64 names a build cache
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn pull_requests_beside_releases_under_two_rules() {
    let mut maker = Maker::new();
    for number in 1..=3 {
        maker.single(&format!("pr-{number}"), 400 - number);
        maker.single(&format!("v{number}"), 300 - number);
    }
    let both = maker.image("pr-1/image");
    maker.tag("v0", both, 500);
    maker.single("nightly", 700);
    let rule = |tags: &str, keep_last| Rule {
        package: Pattern::new("*", LetterCase::Ignored).unwrap(),
        tags: Pattern::new(tags, LetterCase::Ignored).unwrap(),
        group_by: None,
        keep_last,
        keep_within: None,
        keep_cache: None,
    };
    let mut policy = keep(10);
    policy.rules = vec![rule("pr-*", 1), rule("v*", 3)];
    insta::assert_snapshot!(maker.text(&policy), @"
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
fn what_is_in_use_stays_with_its_index_and_its_children() {
    let mut maker = Maker::new();
    for number in 1..=3 {
        maker.multi(&format!("v{number}"), 300 - number);
    }
    let child = maker.image("v1/arm64");
    let mut policy = keep(1);
    policy.in_use =
        InUse::parse(&format!("git.example.org/team/other@{child}\ngit.example.org/team/app:v2")).unwrap();
    insta::assert_snapshot!(maker.text(&policy), @"
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
fn a_referrer_by_subject_stays_with_it() {
    let mut maker = Maker::new();
    let kept = maker.single("v2", 100);
    let gone = maker.single("v1", 200);
    for (tag, subject) in [("sbom-2", kept), ("sbom-1", gone)] {
        let sbom = maker.artifact(tag, "application/spdx+json", Some(subject));
        maker.tag(tag, sbom, 900);
    }
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    delete sbom-1: rank 3, beyond newest 1
    keep   sbom-2: refers to <v2/image>, which stays
    ");
}

#[test]
fn a_manifest_of_an_unknown_type_stays_with_what_it_mentions() {
    let mut maker = Maker::singles(2);
    let mentioned = maker.single("mentioned", 800);
    let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.example.bundle", "refs": {"deep": [mentioned]}});
    let bundle = maker.manifest("bundle", "application/vnd.example.bundle", &value);
    maker.tag("bundle", bundle, 900);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   mentioned: child of bundle
    keep   bundle: its media type is not known, so what it needs is not known
    ");
}

#[test]
fn what_could_not_be_read_stops_the_package() {
    let mut maker = Maker::singles(3);
    let number = maker.package.intern(&sha("x"));
    maker.package.set_unknown(number, "502 Bad Gateway");
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    skipped: manifest sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 could not be read: 502 Bad Gateway
    leave  v3: the package is skipped
    leave  v2: the package is skipped
    leave  v1: the package is skipped
    ");
    let mut maker = Maker::singles(3);
    let number = maker.package.intern(&sha("y"));
    maker.package.set_bytes(number, IMAGE, b"<html>");
    insta::assert_snapshot!(maker.text(&keep(1)).lines().next().unwrap(), @"skipped: manifest sha256:a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa could not be read: it is no JSON, so what it references is not known");
}

#[test]
fn a_lost_root_stops_the_package_until_it_is_named() {
    let mut maker = Maker::singles(3);
    let lost = maker.image("v3/image");
    let number = maker.package.intern(&lost);
    maker.package.set_absent(number);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    skipped: tag v3 is listed and its manifest answers 404
    leave  v3: the package is skipped
    leave  v2: the package is skipped
    leave  v1: the package is skipped
    ");
    let mut policy = keep(1);
    policy.assume_lost.insert("app:v3".into());
    insta::assert_snapshot!(maker.text(&policy), @"
    leave  v3: broken: <v3/image> is gone; stays until as many whole images as asked for are newer
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    broken: v3
    ");
}

#[test]
fn guards_refuse_and_never_cut_short() {
    let mut maker = Maker::singles(5);
    let mut policy = keep(2);
    policy.max_delete_percent = Some(50);
    insta::assert_snapshot!(maker.text(&policy), @"
    refused: 3 of 5 images would go, more than 50 percent
    keep   v5: newest 1 of 2
    keep   v4: newest 2 of 2
    leave  v3: rank 3, beyond newest 2; spared: a guard refused this package
    leave  v2: rank 4, beyond newest 2; spared: a guard refused this package
    leave  v1: rank 5, beyond newest 2; spared: a guard refused this package
    ");
}
