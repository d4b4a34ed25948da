//! The ranking of images by versions, numbers, dates and groups of a rule, and what a plan says about images without a rank.

use jiff::Timestamp;
use registry_core::retention::{GroupBy, LetterCase, Pattern, Policy, RankBy, Rule};
use serde_json::json;

use crate::support::{IMAGE, INDEX, PackageBuilder, keep, rule, sha};

fn ranked_by(rank_by: RankBy, keep_last: u32) -> Policy {
    Policy { rank_by, ..keep(keep_last) }
}

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

/// What the plan says about images without a rank.
fn undecided(builder: &mut PackageBuilder, policy: &Policy) -> Vec<String> {
    builder.decide(policy).undecided.iter().map(ToString::to_string).collect()
}

fn grouped_rule(tags: &str, group_by: Option<&str>, keep_last: u32) -> Rule {
    Rule {
        group_by: group_by.map(|text| GroupBy::new(text, LetterCase::Ignored).unwrap()),
        ..rule(tags, keep_last)
    }
}

// https://github.com/akuity/kargo/issues/2438
// https://github.com/keel-hq/keel/issues/67
#[test]
fn numeric_tag_is_not_ranked_among_versions() {
    let mut builder = PackageBuilder::new();
    for (tag, hours) in
        [("1.0.0", 6), ("4839201", 5), ("1.1.0", 4), ("20240115", 3), ("1.2.0", 2), ("2024-01-15", 1)]
    {
        builder.push_image(tag, hours);
    }
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Semver, 2)), @"
    keep   2024-01-15: tag 2024-01-15 is a number alone, which is not compared with versions
    keep   1.2.0: newest 1 of 2
    keep   20240115: tag 20240115 is a number alone, which is not compared with versions
    keep   1.1.0: newest 2 of 2
    keep   4839201: tag 4839201 is a number alone, which is not compared with versions
    delete 1.0.0: rank 3, beyond newest 2
    ");
    assert_eq!(
        undecided(&mut builder, &ranked_by(RankBy::Semver, 2)),
        [
            "3 images have a number as a tag, which is not compared with the versions of other images, and stay"
        ]
    );
}

#[test]
fn build_numbers_alone_are_ranked() {
    let mut builder = PackageBuilder::new();
    for (tag, hours) in [("99", 1), ("100", 2), ("v7", 3), ("8-rc.1", 4)] {
        builder.push_image(tag, hours);
    }
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Semver, 2)), @"
    keep   99: newest 2 of 2
    keep   100: newest 1 of 2
    delete v7: rank 4, beyond newest 2
    delete 8-rc.1: rank 3, beyond newest 2
    ");
    assert_eq!(undecided(&mut builder, &ranked_by(RankBy::Semver, 2)), [""; 0]);
    // They are ranked also beside versions that have their own rule, or that always stay.
    builder.push_image("1.2.0", 9);
    let mut policy = ranked_by(RankBy::Semver, 2);
    policy.rules = vec![rule("*.*.*", 1), rule("*", 1)];
    assert_eq!(builder.decide(&policy).images_deleted, 3);
    let mut policy = ranked_by(RankBy::Semver, 2);
    policy.keep_tags = vec![Pattern::new("1.*", LetterCase::Ignored).unwrap()];
    assert_eq!(builder.decide(&policy).images_deleted, 2);
}

#[test]
fn major_number_beside_its_version_is_an_alias() {
    let mut builder = PackageBuilder::new();
    for (version, aliases) in [("1.1.0", vec![]), ("1.2.0", vec!["1"]), ("2.0.0", vec!["2", "4839201"])] {
        let image = builder.push_image(version, 5);
        aliases.into_iter().for_each(|alias| builder.tag(alias, image, 5));
    }
    builder.push_image("2.1.0", 1);
    // 4839201 is not the major number of its image, so it is no alias.
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Semver, 1)), @"
    keep   2.1.0: newest 1 of 1
    keep   4839201: tag 4839201 is a number alone, which is not compared with versions
    keep   2: tag 4839201 is a number alone, which is not compared with versions
    keep   2.0.0: tag 4839201 is a number alone, which is not compared with versions
    delete 1: rank 2, beyond newest 1
    delete 1.2.0: rank 2, beyond newest 1
    delete 1.1.0: rank 3, beyond newest 1
    ");
}

#[test]
fn broken_image_is_ranked_by_its_version_only() {
    let mut builder = PackageBuilder::new();
    for (tag, alias) in [("1.0.0", "1"), ("0.9.0", "7")] {
        let child = builder.image(&format!("child of {tag}"));
        let index = builder.index(tag, &[child]);
        builder.tag(tag, index, 9);
        builder.tag(alias, index, 9);
        builder.lose(child);
    }
    builder.push_image("1.1.0", 1);
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Semver, 1)), @"
    keep   1.1.0: newest 1 of 1
    leave  7: broken: <child of 0.9.0> is gone; stays until as many whole images as asked for are newer
    leave  0.9.0: broken: <child of 0.9.0> is gone; stays until as many whole images as asked for are newer
    delete 1: broken: <child of 1.0.0> is gone; below all that stay by rank
    delete 1.0.0: broken: <child of 1.0.0> is gone; below all that stay by rank
    broken: 0.9.0, 1, 1.0.0, 7
    ");
}

/// A chart as `helm push` files it.
fn chart(builder: &mut PackageBuilder, tag: &str, created: Option<&str>) {
    let mut value = json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": sha(&format!("config of {tag}")), "size": 9},
        "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": sha(tag), "size": 9}],
    });
    if let Some(created) = created {
        value["annotations"] = json!({"org.opencontainers.image.created": created});
    }
    let digest = builder.manifest(tag, IMAGE, &value);
    builder.tag(tag, digest, 5);
}

// https://github.com/helm/helm/issues/10250
// https://github.com/helm/helm/issues/10166
#[test]
fn helm_chart_tag_with_build_metadata_is_a_version() {
    let mut builder = PackageBuilder::new();
    for tag in ["0.1.0", "0.2.0", "0.3.0_build.5", "0.3.0_build.6"] {
        chart(&mut builder, tag, None);
    }
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Semver, 1)), @"
    keep   0.3.0_build.6: newest 1 of 1
    keep   0.3.0_build.5: its version is that of the last image that stays, but for build metadata
    delete 0.2.0: rank 3, beyond newest 1
    delete 0.1.0: rank 4, beyond newest 1
    ");
    assert_eq!(
        undecided(&mut builder, &ranked_by(RankBy::Semver, 1)),
        ["1 image has the version of the last that stays, but for build metadata, and stays"]
    );
    // The tag of an image cannot contain build metadata in this form.
    builder.push_image("0.4.0_build.7", 1);
    assert_eq!(
        undecided(&mut builder, &ranked_by(RankBy::Semver, 2)),
        ["1 image has a tag that is no version and stays"]
    );
}

#[test]
fn index_date_comes_from_its_images_before_its_own() {
    let mut builder = PackageBuilder::new();
    let date = |builder: &mut PackageBuilder, digest, text: &str| {
        let number = builder.package.find(&digest).unwrap();
        builder.package.set_built_at(number, at(text));
    };
    for (tag, own, child) in [
        ("a", "2026-01-09T00:00:00Z", Some("2026-01-01T00:00:00Z")),
        ("b", "2026-01-02T00:00:00Z", None),
        ("c", "2026-01-03T00:00:00Z", Some("1970-01-01T00:00:00Z")),
    ] {
        let image = builder.image(&format!("{tag}/image"));
        let value = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": IMAGE, "digest": image, "size": 1}]});
        let index = builder.manifest(tag, INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": value["manifests"], "annotations": {"tag": tag}}));
        builder.tag(tag, index, 5);
        date(&mut builder, index, own);
        if let Some(child) = child {
            date(&mut builder, image, child);
        }
    }
    builder.push_image("undated", 1);
    insta::assert_snapshot!(builder.decision_text(&ranked_by(RankBy::Created, 1)), @"
    keep   undated: when it was built is not known
    keep   c: newest 1 of 1
    delete b: rank 2, beyond newest 1
    delete a: rank 3, beyond newest 1
    ");
    assert_eq!(undecided(&mut builder, &ranked_by(RankBy::Created, 1)), ["1 image has no date and stays"]);
}

#[test]
fn guard_against_one_second_names_the_ranking_key() {
    let mut builder = PackageBuilder::new();
    for number in 0..6 {
        let image = builder.push_image(&format!("v{number}"), number);
        let number = builder.package.find(&image).unwrap();
        builder.package.set_built_at(number, at("2026-01-01T00:00:00Z"));
    }
    let text = builder.decision_text(&ranked_by(RankBy::Created, 2));
    insta::assert_snapshot!(text.lines().next().unwrap(), @"refused: 6 of 6 ranked images have the same second as build date, and the cut falls inside it: builds that were all given one date, of which the times say nothing");
}

#[test]
fn group_by_keeps_the_newest_of_every_minor_version() {
    let mut builder = PackageBuilder::new();
    for (hours, tag) in (1..)
        .zip(["1.3.0", "1.2.9", "1.2.8", "main-5", "1.2.7", "1.1.4", "1.1.3", "main-4", "1.1.2", "nightly"])
    {
        builder.push_image(tag, hours);
    }
    let mut policy = keep(1);
    policy.rules =
        vec![grouped_rule("*", Some(r"^(?P<minor>\d+\.\d+)\."), 2), grouped_rule("*", Some("^([a-z]+)-"), 1)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   1.3.0: newest 1 of 2 of rule 1 (*), group minor=1.3
    keep   1.2.9: newest 1 of 2 of rule 1 (*), group minor=1.2
    keep   1.2.8: newest 2 of 2 of rule 1 (*), group minor=1.2
    keep   main-5: newest 1 of 1 of rule 2 (*), group main
    delete 1.2.7: rank 3, beyond newest 2 of rule 1 (*), group minor=1.2
    keep   1.1.4: newest 1 of 2 of rule 1 (*), group minor=1.1
    keep   1.1.3: newest 2 of 2 of rule 1 (*), group minor=1.1
    delete main-4: rank 2, beyond newest 1 of rule 2 (*), group main
    delete 1.1.2: rank 3, beyond newest 2 of rule 1 (*), group minor=1.1
    keep   nightly: no rule matches tag nightly
    ");
}

#[test]
fn image_in_several_groups_is_deleted_only_when_every_group_allows_it() {
    let mut builder = PackageBuilder::new();
    let (old, older) = (builder.push_image("1.2.3-alpine", 8), builder.push_image("1.1.0-alpine", 9));
    builder.tag("1.2.3-edge", old, 8);
    builder.tag("1.1.0-edge", older, 9);
    for (tag, hours) in [("1.2.4-alpine", 2), ("1.1.1-Alpine", 3), ("1.1.2-edge", 4)] {
        builder.push_image(tag, hours);
    }
    let mut policy = keep(1);
    policy.rules = vec![grouped_rule("*", Some(r"^(\d+\.\d+)\.\d+-(\w+)$"), 1)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   1.2.4-alpine: newest 1 of 1 of rule 1 (*), group 1.2 alpine
    keep   1.1.1-Alpine: newest 1 of 1 of rule 1 (*), group 1.1 alpine
    keep   1.1.2-edge: newest 1 of 1 of rule 1 (*), group 1.1 edge
    keep   1.2.3-edge: newest 1 of 1 of rule 1 (*), group 1.2 edge
    keep   1.2.3-alpine: newest 1 of 1 of rule 1 (*), group 1.2 edge
    delete 1.1.0-edge: rank 2, beyond newest 1 of rule 1 (*), group 1.1 edge; rank 2, beyond newest 1 of rule 1 (*), group 1.1 alpine
    delete 1.1.0-alpine: rank 2, beyond newest 1 of rule 1 (*), group 1.1 edge; rank 2, beyond newest 1 of rule 1 (*), group 1.1 alpine
    ");
}

/// A tag as kaniko gives it to a cached layer.
fn kaniko_key(number: u32) -> String {
    sha(&number.to_string()).hex()
}

#[test]
fn kaniko_cache_stays_and_is_reported_until_a_rule_covers_it() {
    let mut builder = PackageBuilder::new();
    builder.package.name = "team/app/cache".into();
    for number in 0..4 {
        builder.push_image(&kaniko_key(number), i64::from(number) * 100);
    }
    assert_eq!(builder.decide(&keep(1)).images_deleted, 0);
    assert_eq!(
        undecided(&mut builder, &keep(1)),
        [
            "4 images are entries of a kaniko build cache and stay; a rule with `keep-cache = false` gives them an age"
        ]
    );
    let mut policy = keep(1);
    policy.rules = vec![Rule { keep_within: Some(150 * 3600), keep_cache: Some(false), ..rule("*", 1) }];
    assert_eq!(builder.decide(&policy).images_deleted, 2);
    assert_eq!(undecided(&mut builder, &policy), [""; 0]);
    // A rule without `keep-cache`, or for other packages, does not cover the cache.
    policy.rules[0].keep_cache = None;
    assert_eq!(builder.decide(&policy).images_deleted, 0);
    policy.rules[0].keep_cache = Some(false);
    policy.rules[0].package = Pattern::new("other/*", LetterCase::Ignored).unwrap();
    assert_eq!(builder.decide(&policy).images_deleted, 0);
    // With another package name, or one tag that is no key, the images are ranked like others.
    builder.package.name = "team/app/caches".into();
    assert_eq!(builder.decide(&keep(1)).images_deleted, 3);
    builder.package.name = "cache".into();
    assert_eq!(builder.decide(&keep(1)).images_deleted, 0);
    builder.push_image("v1", 1_000);
    assert_eq!(builder.decide(&keep(1)).images_deleted, 4);
}

#[test]
fn rule_lifts_cache_protection_for_its_own_tags_only() {
    let mut builder = PackageBuilder::new();
    for (tag, hours) in
        [("build-cache-1", 9), ("build-cache-2", 8), ("other-cache-1", 7), ("other-cache-2", 6)]
    {
        builder.push_image(tag, hours);
    }
    let mut policy = keep(1);
    policy.rules = vec![Rule { keep_cache: Some(false), ..rule("build-*", 1) }, rule("*", 1)];
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   other-cache-2: tag other-cache-2 names a build cache
    keep   other-cache-1: tag other-cache-1 names a build cache
    keep   build-cache-2: newest 1 of 1 of rule 1 (build-*)
    delete build-cache-1: rank 2, beyond newest 1 of rule 1 (build-*)
    ");
    // The reverse: a rule that keeps caches where the policy does not.
    (policy.keep_cache, policy.rules[1].keep_cache) = (false, Some(true));
    assert_eq!(builder.decide(&policy).images_deleted, 1);
}
