//! Corner cases of the decision where two of its rules apply.

use registry_core::retention::{ImagesInUse, LetterCase, Pattern, RankBy, UnneededAction};

use crate::support::{PackageBuilder, fallback_tag, keep, rule, signature_tag};

#[test]
fn untagged_index_of_child_in_use_stays_with_all_its_children() {
    let mut builder = PackageBuilder::with_images(1);
    let children = ["amd64", "arm64"].map(|platform| builder.image(platform));
    let other = builder.image("other");
    for child in children.iter().chain([&other]) {
        builder.digest_row(*child, 500);
    }
    let index = builder.index("index", &children);
    builder.digest_row(index, 490);
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Prune;
    policy.in_use = ImagesInUse::parse(&children[0].to_string()).unwrap();
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v1: newest 1 of 1
    leave  <index>: no tag reaches it
    delete <other>: no root reaches it, and it is older than the grace
    leave  <arm64>: no tag reaches it
    leave  <amd64>: no tag reaches it
    ");
}

#[test]
fn referrer_of_kept_signature_stays() {
    let mut builder = PackageBuilder::with_images(2);
    let subject = builder.image("v2/image");
    let signature = builder.image("signature");
    builder.tag(&signature_tag(subject), signature, 900);
    let timestamp = builder.artifact("timestamp", "application/x", Some(signature));
    builder.tag("timestamp", timestamp, 900);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   timestamp: refers to <signature>, which stays
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
}

#[test]
fn package_of_digest_rows_only_is_not_emptied() {
    let mut builder = PackageBuilder::new();
    for name in ["one", "two"] {
        let image = builder.image(name);
        builder.digest_row(image, 300);
    }
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Prune;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    refused: no image would stay
    leave  <two>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    leave  <one>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    ");
    policy.allow_empty = true;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    delete <two>: no root reaches it, and it is older than the grace
    delete <one>: no root reaches it, and it is older than the grace
    ");
}

#[test]
fn long_chain_of_untagged_referrers_stays_with_its_subject() {
    let mut builder = PackageBuilder::with_images(1);
    let mut subject = builder.image("v1/image");
    for number in 0..500 {
        subject = builder.artifact(&format!("{number}"), "application/x", Some(subject));
        builder.digest_row(subject, 500);
    }
    let loose = builder.image("loose");
    builder.digest_row(loose, 500);
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Prune;
    let text = builder.decision_text(&policy);
    assert_eq!(text.lines().filter(|line| line.starts_with("delete")).count(), 1, "{text}");
}

/// A tag named after a digest is not ranked: its image stays as long as that digest.
#[test]
fn signature_with_its_own_tag_stays_with_its_subject() {
    let mut builder = PackageBuilder::new();
    let subject = builder.push_image("v2", 300);
    let signature = builder.push_image("signature", 900);
    builder.tag(&signature_tag(subject), signature, 1);
    builder.push_image("v1", 400);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   signature: follows <v2/image>, which stays
    ");
    // An image with a tag named after its own digest does not keep itself.
    let mut builder = PackageBuilder::with_images(2);
    let old = builder.image("v1/image");
    builder.tag(&fallback_tag(old), old, 1);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    delete sha256-<v1/image>: rank 2, beyond newest 1
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn lost_digest_mentioned_by_unknown_manifest_breaks_nothing() {
    let mut builder = PackageBuilder::with_images(2);
    let lost = builder.image("lost");
    builder.lose(lost);
    let signature = builder.image("signature");
    builder.tag(&signature_tag(lost), signature, 900);
    let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/x", "of": lost});
    let odd = builder.manifest("odd", "application/x", &value);
    builder.digest_row(odd, 50);
    let index = builder.index("index", &[odd]);
    builder.tag("v3", index, 50);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v3: newest 1 of 1
    leave  <odd>: child of v3
    delete v2: rank 2, beyond newest 1
    delete v1: rank 3, beyond newest 1
    keep   sha256-<lost>.sig: follows <lost>, which stays
    ");
}

#[test]
fn image_with_a_non_version_tag_counts_in_no_rule() {
    let mut builder = PackageBuilder::with_images(2);
    let newest = builder.push_image("v3", 50);
    builder.tag("nightly", newest, 50);
    let mut policy = keep(1);
    (policy.rank_by, policy.rules) = (RankBy::Semver, vec![rule("v*", 1), rule("*", 1)]);
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   nightly: it has a tag that is no version
    keep   v3: it has a tag that is no version
    keep   v2: newest 1 of 1 of rule 1 (v*)
    delete v1: rank 2, beyond newest 1 of rule 1 (v*)
    ");
}

/// Ranked by version, the newest index is the one with the highest version.
#[test]
fn child_tag_follows_the_rule_of_its_newest_index() {
    let mut builder = PackageBuilder::new();
    let child = builder.push_image("v1.0.0-amd64", 900);
    for (tag, hours) in [("pr-9", 300), ("v2", 400)] {
        let other = builder.image(tag);
        builder.digest_row(other, hours);
        let index = builder.index(tag, &[child, other]);
        builder.tag(if tag == "v2" { "v2.0.0" } else { "v1.5.0-pr" }, index, hours);
    }
    builder.push_image("v3.0.0", 200);
    builder.push_image("v1.6.0-pr", 100);
    let mut policy = keep(1);
    policy.rules = vec![rule("*-pr", 1), rule("v*", 2)];
    policy.rank_by = RankBy::Semver;
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v1.6.0-pr: newest 1 of 1 of rule 1 (*-pr)
    keep   v3.0.0: newest 1 of 2 of rule 2 (v*)
    delete v1.5.0-pr: rank 2, beyond newest 1 of rule 1 (*-pr)
    leave  <pr-9>: child of v1.5.0-pr, which goes; left to the server's collector
    keep   v2.0.0: newest 2 of 2 of rule 2 (v*)
    leave  <v2>: child of v2.0.0
    keep   v1.0.0-amd64: child of v2.0.0
    ");
    policy.rules = vec![rule("*-pr", 1), rule("v*", 1)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   v1.6.0-pr: newest 1 of 1 of rule 1 (*-pr)
    keep   v3.0.0: newest 1 of 1 of rule 2 (v*)
    delete v1.5.0-pr: rank 2, beyond newest 1 of rule 1 (*-pr)
    leave  <pr-9>: child of v1.5.0-pr, which goes; left to the server's collector
    delete v2.0.0: rank 2, beyond newest 1 of rule 2 (v*)
    leave  <v2>: child of v2.0.0, which goes; left to the server's collector
    delete v1.0.0-amd64: child of v2.0.0, which goes; below all that stay by rank
    ");
    policy.rules = vec![rule("*-pr", 2), rule("v*", 1)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
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
fn tagged_nested_indexes_are_deleted_together() {
    let mut builder = PackageBuilder::new();
    let mut inner = builder.push_image("leaf", 900);
    for depth in 0..100 {
        inner = builder.index(&format!("depth {depth}"), &[inner]);
        builder.tag(&format!("depth-{depth}"), inner, 800 - depth);
    }
    builder.push_image("v1", 100);
    let decision = builder.decide(&keep(1));
    assert_eq!((decision.images_kept, decision.images_deleted), (1, 101));
    let decision = builder.decide(&keep(2));
    assert_eq!((decision.images_kept, decision.images_deleted), (102, 0));
}

/// A chain is judged from its subject on, in whatever order its digests sort.
#[test]
fn chains_of_referrers_and_signatures_are_deleted_with_their_subject() {
    let mut builder = PackageBuilder::new();
    let (mut referrer, mut signed) = (builder.push_image("v0", 900), builder.push_image("v1", 890));
    for number in 0..100 {
        referrer = builder.artifact(&format!("r{number}"), "application/x", Some(referrer));
        builder.tag(&format!("r{number}"), referrer, 880 - number);
        let signature = builder.image(&format!("s{number}"));
        builder.tag(&signature_tag(signed), signature, 880 - number);
        signed = signature;
    }
    builder.push_image("v2", 100);
    let decision = builder.decide(&keep(1));
    assert_eq!((decision.images_kept, decision.images_deleted), (1, 202));
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("v[01]", LetterCase::Ignored).unwrap());
    assert_eq!(builder.decide(&policy).images_deleted, 0);
}
