//! Corners of the decision where two of its sentences meet.

use registry_core::retention::{InUse, LetterCase, Pattern, RankBy, Rule, Unneeded};

use crate::support::{Maker, keep};

#[test]
fn an_untagged_index_of_a_child_in_use_stays_with_all_its_children() {
    let mut maker = Maker::singles(1);
    let children = ["amd64", "arm64"].map(|platform| maker.image(platform));
    let other = maker.image("other");
    for child in children.iter().chain([&other]) {
        maker.digest_row(*child, 500);
    }
    let index = maker.index("index", &children);
    maker.digest_row(index, 490);
    let mut policy = keep(1);
    policy.untagged = Unneeded::Prune;
    policy.in_use = InUse::parse(&children[0].to_string()).unwrap();
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v1: newest 1 of 1
    leave  <index>: no tag reaches it
    delete <other>: no root reaches it, and it is older than the grace
    leave  <arm64>: no tag reaches it
    leave  <amd64>: no tag reaches it
    ");
}

#[test]
fn a_referrer_of_a_signature_that_stays_stays() {
    let mut maker = Maker::singles(2);
    let subject = maker.image("v2/image");
    let signature = maker.image("signature");
    maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, 900);
    let timestamp = maker.artifact("timestamp", "application/x", Some(signature));
    maker.tag("timestamp", timestamp, 900);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   timestamp: refers to <signature>, which stays
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
}

#[test]
fn a_package_of_digest_rows_only_is_not_emptied() {
    let mut maker = Maker::new();
    for name in ["one", "two"] {
        let image = maker.image(name);
        maker.digest_row(image, 300);
    }
    let mut policy = keep(1);
    policy.untagged = Unneeded::Prune;
    insta::assert_snapshot!(maker.text(&policy), @"
    refused: no image would stay
    leave  <two>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    leave  <one>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    ");
    policy.allow_empty = true;
    insta::assert_snapshot!(maker.text(&policy), @"
    delete <two>: no root reaches it, and it is older than the grace
    delete <one>: no root reaches it, and it is older than the grace
    ");
}

#[test]
fn a_long_chain_of_untagged_referrers_stays_with_its_subject() {
    let mut maker = Maker::singles(1);
    let mut subject = maker.image("v1/image");
    for number in 0..500 {
        subject = maker.artifact(&format!("{number}"), "application/x", Some(subject));
        maker.digest_row(subject, 500);
    }
    let loose = maker.image("loose");
    maker.digest_row(loose, 500);
    let mut policy = keep(1);
    policy.untagged = Unneeded::Prune;
    let text = maker.text(&policy);
    assert_eq!(text.lines().filter(|line| line.starts_with("delete")).count(), 1, "{text}");
}

/// A tag named after a digest ranks nothing, and what it stands for lives as long as what it follows.
#[test]
fn a_signature_with_a_tag_of_its_own_stays_with_its_subject() {
    let mut maker = Maker::new();
    let subject = maker.single("v2", 300);
    let signature = maker.single("signature", 900);
    maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, 1);
    maker.single("v1", 400);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   signature: follows <v2/image>, which stays
    ");
    // An image whose own digest is one of its tags does not hold itself.
    let mut maker = Maker::singles(2);
    let old = maker.image("v1/image");
    maker.tag(&format!("sha256-{}", old.hex()), old, 1);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    delete sha256-<v1/image>: rank 2, beyond newest 1
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn a_lost_digest_that_an_unknown_manifest_mentions_breaks_nothing() {
    let mut maker = Maker::singles(2);
    let lost = maker.image("lost");
    maker.lose(lost);
    let signature = maker.image("signature");
    maker.tag(&format!("sha256-{}.sig", lost.hex()), signature, 900);
    let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/x", "of": lost});
    let odd = maker.manifest("odd", "application/x", &value);
    maker.digest_row(odd, 50);
    let index = maker.index("index", &[odd]);
    maker.tag("v3", index, 50);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v3: newest 1 of 1
    leave  <odd>: child of v3
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    keep   sha256-<lost>.sig: follows <lost>, which stays
    ");
}

fn rule(tags: &str, keep_last: u32) -> Rule {
    Rule {
        package: Pattern::new("*", LetterCase::Ignored).unwrap(),
        tags: Pattern::new(tags, LetterCase::Ignored).unwrap(),
        group_by: None,
        keep_last,
        keep_within: None,
        keep_cache: None,
    }
}

#[test]
fn an_image_with_a_tag_that_is_no_version_counts_in_no_rule() {
    let mut maker = Maker::singles(2);
    let newest = maker.single("v3", 50);
    maker.tag("nightly", newest, 50);
    let mut policy = keep(1);
    (policy.rank_by, policy.rules) = (RankBy::Semver, vec![rule("v*", 1), rule("*", 1)]);
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   nightly: it has a tag that is no version
    keep   v3: it has a tag that is no version
    keep   v2: newest 1 of 1 of rule 1 (v*)
    delete v1: rank 2, beyond newest 1 of rule 1 (v*)
    ");
}

/// The newest index is the one of the highest version where versions rank.
#[test]
fn a_child_tag_goes_by_the_rule_of_its_newest_index() {
    let mut maker = Maker::new();
    let child = maker.single("v1.0.0-amd64", 900);
    for (tag, hours) in [("pr-9", 300), ("v2", 400)] {
        let other = maker.image(tag);
        maker.digest_row(other, hours);
        let index = maker.index(tag, &[child, other]);
        maker.tag(if tag == "v2" { "v2.0.0" } else { "v1.5.0-pr" }, index, hours);
    }
    maker.single("v3.0.0", 200);
    maker.single("v1.6.0-pr", 100);
    let mut policy = keep(1);
    policy.rules = vec![rule("*-pr", 1), rule("v*", 2)];
    policy.rank_by = RankBy::Semver;
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v1.6.0-pr: newest 1 of 1 of rule 1 (*-pr)
    keep   v3.0.0: newest 1 of 2 of rule 2 (v*)
    delete v1.5.0-pr: rank 2, beyond newest 1 of rule 1 (*-pr)
    leave  <pr-9>: child of v1.5.0-pr, which goes; left to the server's collector
    keep   v2.0.0: newest 2 of 2 of rule 2 (v*)
    leave  <v2>: child of v2.0.0
    keep   v1.0.0-amd64: child of v2.0.0
    ");
    policy.rules = vec![rule("*-pr", 1), rule("v*", 1)];
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v1.6.0-pr: newest 1 of 1 of rule 1 (*-pr)
    keep   v3.0.0: newest 1 of 1 of rule 2 (v*)
    delete v1.5.0-pr: rank 2, beyond newest 1 of rule 1 (*-pr)
    leave  <pr-9>: child of v1.5.0-pr, which goes; left to the server's collector
    delete v2.0.0: rank 2, beyond newest 1 of rule 2 (v*)
    leave  <v2>: child of v2.0.0, which goes; left to the server's collector
    delete v1.0.0-amd64: child of v2.0.0, which goes; below all that stay by rank
    ");
    policy.rules = vec![rule("*-pr", 2), rule("v*", 1)];
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v1.6.0-pr: newest 1 of 2 of rule 1 (*-pr)
    keep   v3.0.0: newest 1 of 1 of rule 2 (v*)
    keep   v1.5.0-pr: newest 2 of 2 of rule 1 (*-pr)
    leave  <pr-9>: child of v1.5.0-pr
    delete v2.0.0: rank 2, beyond newest 1 of rule 2 (v*)
    leave  <v2>: child of v2.0.0, which goes; left to the server's collector
    keep   v1.0.0-amd64: child of v1.5.0-pr
    ");
}

#[test]
fn tagged_indexes_of_indexes_go_together() {
    let mut maker = Maker::new();
    let mut inner = maker.single("leaf", 900);
    for depth in 0..100 {
        inner = maker.index(&format!("depth {depth}"), &[inner]);
        maker.tag(&format!("depth-{depth}"), inner, 800 - depth);
    }
    maker.single("v1", 100);
    let decision = maker.decide(&keep(1));
    assert_eq!((decision.images_kept, decision.images_deleted), (1, 101));
    let decision = maker.decide(&keep(2));
    assert_eq!((decision.images_kept, decision.images_deleted), (102, 0));
}

/// Whatever the digests, a chain is judged from its subject on.
#[test]
fn chains_of_referrers_and_signatures_go_with_their_subject() {
    let mut maker = Maker::new();
    let (mut referrer, mut signed) = (maker.single("v0", 900), maker.single("v1", 890));
    for number in 0..100 {
        referrer = maker.artifact(&format!("r{number}"), "application/x", Some(referrer));
        maker.tag(&format!("r{number}"), referrer, 880 - number);
        let signature = maker.image(&format!("s{number}"));
        maker.tag(&format!("sha256-{}.sig", signed.hex()), signature, 880 - number);
        signed = signature;
    }
    maker.single("v2", 100);
    let decision = maker.decide(&keep(1));
    assert_eq!((decision.images_kept, decision.images_deleted), (1, 202));
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("v[01]", LetterCase::Ignored).unwrap());
    assert_eq!(maker.decide(&policy).images_deleted, 0);
}
