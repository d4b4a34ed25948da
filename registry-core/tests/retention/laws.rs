//! Laws over random packages and policies.

use proptest::prelude::*;
use registry_core::oci::Digest;
use registry_core::retention::{
    Action, Decision, GroupBy, LetterCase, ManifestId, ManifestState, Package, Policy, Row, Rule,
    UnneededAction, decide,
};

use crate::support::{PackageBuilder, keep, now, signature_tag};

/// One push.
#[derive(Debug, Clone)]
pub struct Push {
    shape: u8,
    /// The earlier pushes that it builds on.
    on: [prop::sample::Index; 3],
    tag: Option<u8>,
    hours: i64,
    lost: bool,
}

pub fn push() -> impl Strategy<Value = Push> {
    let on = [any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()];
    (0_u8..7, on, prop::option::weighted(0.7, 0_u8..20), 0_i64..200, prop::bool::weighted(0.05))
        .prop_map(|(shape, on, tag, hours, lost)| Push { shape, on, tag, hours, lost })
}

pub fn build(pushes: &[Push]) -> PackageBuilder {
    let mut builder = PackageBuilder::new();
    let mut all: Vec<Digest> = Vec::new();
    for (number, push) in pushes.iter().enumerate() {
        let name = format!("{number}");
        let earlier = |which: usize| (!all.is_empty()).then(|| *push.on[which].get(&all));
        let digest = match (push.shape, earlier(0)) {
            (0 | 1, _) | (_, None) => builder.image(&name),
            (2 | 3, Some(first)) => {
                let mut children = vec![first];
                children.extend(earlier(1));
                builder.index(&name, &children)
            }
            (4, Some(subject)) => builder.artifact(&name, "application/spdx+json", Some(subject)),
            (5, Some(subject)) => {
                let signature = builder.image(&name);
                builder.tag(&signature_tag(subject), signature, push.hours);
                signature
            }
            (_, Some(mentioned)) => {
                let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/x", "n": number, "x": [mentioned]});
                builder.manifest(&name, "application/x", &value)
            }
        };
        match push.tag {
            Some(tag) if push.shape != 5 => {
                let text = match tag {
                    0 => "latest".to_owned(),
                    1 => "cache".to_owned(),
                    other => format!("v{other}-{number}"),
                };
                builder.package.rows.retain(|row| *row.version != *text);
                builder.tag(&text, digest, push.hours);
            }
            _ if push.shape != 5 => builder.digest_row(digest, push.hours),
            _ => {}
        }
        if push.lost {
            builder.lose(digest);
        }
        all.push(digest);
    }
    builder
}

/// A rule on some tags, often with groups: what a tag begins with, what it ends in, both, or every tag one of its own.
fn rule_strategy() -> impl Strategy<Value = Rule> {
    let tags = prop::sample::select(vec!["*", "v*", "v1*", "latest"]);
    let patterns = vec![r"^v(?P<stream>\d)", r"(\d)$", r"^v(\d).*?(?:-(\d))?", "(.*)"];
    let group_by = prop::option::weighted(0.7, prop::sample::select(patterns));
    let keep_cache = prop::option::weighted(0.2, any::<bool>());
    (tags, group_by, 1_u32..4, prop::option::weighted(0.2, 0_u64..500_000), keep_cache).prop_map(
        |(tags, group_by, keep_last, keep_within, keep_cache)| Rule {
            group_by: group_by.map(|text| GroupBy::new(text, LetterCase::Ignored).unwrap()),
            keep_within,
            keep_cache,
            ..crate::support::rule(tags, keep_last)
        },
    )
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let within = prop::option::of(0_u64..500_000);
    let rules = prop_oneof![Just(Vec::new()), prop::collection::vec(rule_strategy(), 1..4)];
    (1_u32..6, any::<bool>(), any::<bool>(), any::<bool>(), within, rules).prop_map(
        |(keep_last, untagged, orphans, cache, within, rules)| {
            let mut policy = keep(keep_last);
            policy.rules = rules;
            let fate = |prune| if prune { UnneededAction::Prune } else { UnneededAction::Leave };
            (policy.untagged, policy.orphan_signatures) = (fate(untagged), fate(orphans));
            (policy.keep_cache, policy.keep_within) = (cache, within);
            assume_lost(&mut policy);
            policy
        },
    )
}

/// Allows every tag that a push may have to be lost.
fn assume_lost(policy: &mut Policy) {
    policy.assume_lost =
        (0..60).flat_map(|number| (0..20).map(move |tag| format!("app:v{tag}-{number}"))).collect();
    policy.assume_lost.extend(["app:latest".to_owned(), "app:cache".to_owned()]);
}

/// Whether a manifest and everything below it answers. What a manifest of an unknown type mentions need not be a manifest.
fn is_whole(package: &Package, manifest: ManifestId) -> bool {
    let mut stack = vec![manifest];
    while let Some(one) = stack.pop() {
        match package.state(one) {
            ManifestState::Present(info) => stack.extend(&info.children),
            _ => return false,
        }
    }
    true
}

/// By manifest, whether a row is left after the deletions.
fn rows_left(package: &Package, decision: &Decision) -> Vec<bool> {
    let mut carried = vec![false; package.len()];
    for (row, verdict) in package.rows.iter().zip(&decision.rows) {
        if let Some(manifest) = row.manifest.filter(|_| verdict.action != Action::Delete) {
            carried[manifest.index()] = true;
        }
    }
    carried
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// No manifest that a kept row reaches loses its last row.
    #[test]
    fn kept_rows_keep_every_manifest_that_they_reach(pushes in prop::collection::vec(push(), 0..40), policy in policy()) {
        let mut builder = build(&pushes);
        let decision = builder.decide(&policy);
        let package = &builder.package;
        let before: Vec<bool> = {
            let mut carried = vec![false; package.len()];
            package.rows.iter().filter_map(|row| row.manifest).for_each(|manifest| carried[manifest.index()] = true);
            carried
        };
        let after = rows_left(package, &decision);
        let staying = package.rows.iter().zip(&decision.rows).filter(|(_, verdict)| verdict.action != Action::Delete);
        let reached = package.reach(staying.filter_map(|(row, _)| row.manifest));
        for manifest in package.manifests().filter(|manifest| reached[manifest.index()]) {
            prop_assert!(after[manifest.index()] || !before[manifest.index()], "{} lost its last row", builder.name_digests(&package.digest(manifest).to_string()));
        }
    }

    #[test]
    fn tags_of_one_image_share_its_fate(pushes in prop::collection::vec(push(), 0..40), policy in policy()) {
        let mut builder = build(&pushes);
        let decision = builder.decide(&policy);
        let mut fate = std::collections::BTreeMap::new();
        for (row, verdict) in builder.package.rows.iter().zip(&decision.rows).filter(|(row, _)| row.is_tag()) {
            let goes = verdict.action == Action::Delete;
            prop_assert_eq!(*fate.entry(row.manifest).or_insert(goes), goes);
        }
    }

    #[test]
    fn decision_does_not_depend_on_the_order_of_the_listing(pushes in prop::collection::vec(push(), 0..30), policy in policy(), seed in any::<u64>()) {
        let mut builder = build(&pushes);
        let one = builder.decision_text(&policy);
        let count = builder.package.rows.len().max(1);
        builder.package.rows.rotate_left(usize::try_from(seed % count as u64).unwrap());
        builder.package.rows.reverse();
        prop_assert_eq!(builder.decision_text(&policy), one);
    }

    /// The same holds for the reason why there is no decision.
    #[test]
    fn decision_does_not_depend_on_the_order_of_reading(pushes in prop::collection::vec(push(), 1..30), policy in policy(), unread in prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 2))) {
        let mut builder = build(&pushes);
        let all: Vec<_> = builder.package.manifests().collect();
        for which in unread.iter().flatten() {
            builder.package.set_unknown(*which.get(&all), "502");
        }
        let mut other = Package::new("app");
        other.elsewhere.clone_from(&builder.package.elsewhere);
        for one in all.iter().rev() {
            let digest = builder.package.digest(*one);
            let number = other.intern(&digest);
            match builder.package.state(*one) {
                ManifestState::Present(_) => {
                    let (media_type, bytes) = builder.bytes(&digest).unwrap();
                    other.set_bytes(number, &media_type, &bytes);
                }
                ManifestState::Absent => other.set_absent(number),
                ManifestState::Unknown(why) => other.set_unknown(number, why.clone()),
                ManifestState::Unasked => {}
            }
        }
        for row in builder.package.rows.iter().rev() {
            let manifest = row.manifest.map(|manifest| other.intern(&builder.package.digest(manifest)));
            other.rows.push(Row { manifest, ..row.clone() });
        }
        other.seal();
        prop_assert_eq!(decide(&other, "team/app", &policy, now()), builder.decide(&policy));
    }

    /// At least `keep_last` whole images stay, unless nothing is deleted.
    #[test]
    fn at_least_keep_last_whole_images_stay(pushes in prop::collection::vec(push(), 0..40), keep_last in 1_u32..6) {
        let mut builder = build(&pushes);
        let mut policy = keep(keep_last);
        assume_lost(&mut policy);
        let decision = builder.decide(&policy);
        if decision.images_deleted == 0 {
            return Ok(());
        }
        let package = &builder.package;
        let staying = package.rows.iter().zip(&decision.rows);
        let staying = staying.filter(|(row, verdict)| row.is_tag() && !row.version.starts_with("sha256-") && verdict.action != Action::Delete);
        let images: std::collections::BTreeSet<_> = staying.filter_map(|(row, _)| row.manifest).filter(|one| is_whole(package, *one)).collect();
        prop_assert!(images.len() >= keep_last as usize, "{} of {keep_last}", images.len());
    }

    /// In every group of a rule the newest `keep_last` whole images stay.
    #[test]
    fn at_least_keep_last_whole_images_stay_in_every_group(pushes in prop::collection::vec(push(), 0..40), keep_last in 1_u32..4) {
        let mut builder = build(&pushes);
        let mut policy = keep(keep_last);
        assume_lost(&mut policy);
        policy.rules = vec![Rule { group_by: Some(GroupBy::new(r"^v(\d)", LetterCase::Ignored).unwrap()), ..crate::support::rule("*", keep_last) }];
        let decision = builder.decide(&policy);
        // Only whole images that no tagged index names are ranked by their own tags.
        let package = &builder.package;
        let tagged = package.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest);
        let below = package.reach(tagged.flat_map(|manifest| package.named_manifests(manifest)));
        let mut groups: std::collections::BTreeMap<char, Vec<(Row, bool)>> = std::collections::BTreeMap::new();
        for (row, verdict) in package.rows.iter().zip(&decision.rows) {
            let stream = row.version.strip_prefix('v').and_then(|rest| rest.chars().next());
            let Some(manifest) = row.manifest.filter(|one| !below[one.index()] && is_whole(package, *one)) else { continue };
            let is_opaque = package.info(manifest).is_some_and(|info| info.is_opaque);
            if let Some(stream) = stream.filter(|_| !is_opaque) {
                groups.entry(stream).or_default().push((row.clone(), verdict.action == Action::Delete));
            }
        }
        for (stream, mut rows) in groups {
            rows.sort_by_key(|(row, _)| std::cmp::Reverse((row.created_at, row.id)));
            let newest: Vec<bool> = rows.iter().take(keep_last as usize).map(|(_, goes)| *goes).collect();
            prop_assert!(newest.iter().all(|goes| !goes), "of v{stream}: {newest:?}");
            let stays = rows.iter().filter(|(_, goes)| !goes).count();
            prop_assert!(stays >= rows.len().min(keep_last as usize));
        }
    }

    /// If one manifest could not be read, nothing is deleted.
    #[test]
    fn unread_manifest_keeps_every_row(pushes in prop::collection::vec(push(), 1..30), policy in policy(), which in any::<prop::sample::Index>()) {
        let mut builder = build(&pushes);
        let all: Vec<_> = builder.package.manifests().collect();
        builder.package.set_unknown(*which.get(&all), "502");
        builder.package.seal();
        let decision = decide(&builder.package, "team/app", &policy, now());
        prop_assert!(decision.not_planned.is_some());
        prop_assert!(decision.rows.iter().all(|row| row.action == Action::Leave));
    }
}
