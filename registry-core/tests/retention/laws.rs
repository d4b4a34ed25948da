//! Laws over random packages and policies.

use proptest::prelude::*;
use registry_core::oci::Digest;
use registry_core::retention::{
    Action, Decision, GroupBy, LetterCase, ManifestId, ManifestState, Package, Pattern, Policy, Row, Rule,
    Unneeded, decide,
};

use crate::support::{Maker, keep, now};

/// One thing that somebody pushed.
#[derive(Debug, Clone)]
pub struct Push {
    shape: u8,
    /// Which earlier things it builds on.
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

pub fn build(pushes: &[Push]) -> Maker {
    let mut maker = Maker::new();
    let mut all: Vec<Digest> = Vec::new();
    for (number, push) in pushes.iter().enumerate() {
        let name = format!("{number}");
        let earlier = |which: usize| (!all.is_empty()).then(|| *push.on[which].get(&all));
        let digest = match (push.shape, earlier(0)) {
            (0 | 1, _) | (_, None) => maker.image(&name),
            (2 | 3, Some(first)) => {
                let mut children = vec![first];
                children.extend(earlier(1));
                maker.index(&name, &children)
            }
            (4, Some(subject)) => maker.artifact(&name, "application/spdx+json", Some(subject)),
            (5, Some(subject)) => {
                let signature = maker.image(&name);
                maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, push.hours);
                signature
            }
            (_, Some(mentioned)) => {
                let value = serde_json::json!({"schemaVersion": 2, "mediaType": "application/x", "n": number, "x": [mentioned]});
                maker.manifest(&name, "application/x", &value)
            }
        };
        match push.tag {
            Some(tag) if push.shape != 5 => {
                let text = match tag {
                    0 => "latest".to_owned(),
                    1 => "cache".to_owned(),
                    other => format!("v{other}-{number}"),
                };
                maker.package.rows.retain(|row| *row.version != *text);
                maker.tag(&text, digest, push.hours);
            }
            _ if push.shape != 5 => maker.digest_row(digest, push.hours),
            _ => {}
        }
        if push.lost {
            maker.lose(digest);
        }
        all.push(digest);
    }
    maker
}

/// A rule on some tags, often with groups: what a tag begins with, what it ends in, both, or every tag one of its own.
fn rule() -> impl Strategy<Value = Rule> {
    let tags = prop::sample::select(vec!["*", "v*", "v1*", "latest"]);
    let patterns = vec![r"^v(?P<stream>\d)", r"(\d)$", r"^v(\d).*?(?:-(\d))?", "(.*)"];
    let group_by = prop::option::weighted(0.7, prop::sample::select(patterns));
    let keep_cache = prop::option::weighted(0.2, any::<bool>());
    (tags, group_by, 1_u32..4, prop::option::weighted(0.2, 0_u64..500_000), keep_cache).prop_map(
        |(tags, group_by, keep_last, keep_within, keep_cache)| Rule {
            package: Pattern::new("*", LetterCase::Ignored).unwrap(),
            tags: Pattern::new(tags, LetterCase::Ignored).unwrap(),
            group_by: group_by.map(|text| GroupBy::new(text, LetterCase::Ignored).unwrap()),
            keep_last,
            keep_within,
            keep_cache,
        },
    )
}

pub fn policy() -> impl Strategy<Value = Policy> {
    let within = prop::option::of(0_u64..500_000);
    let rules = prop_oneof![Just(Vec::new()), prop::collection::vec(rule(), 1..4)];
    (1_u32..6, any::<bool>(), any::<bool>(), any::<bool>(), within, rules).prop_map(
        |(keep_last, untagged, orphans, cache, within, rules)| {
            let mut policy = keep(keep_last);
            policy.rules = rules;
            let fate = |prune| if prune { Unneeded::Prune } else { Unneeded::Leave };
            (policy.untagged, policy.orphan_signatures) = (fate(untagged), fate(orphans));
            (policy.keep_cache, policy.keep_within) = (cache, within);
            assume_lost(&mut policy);
            policy
        },
    )
}

/// Says of every tag that a push may have that what it names may be lost.
fn assume_lost(policy: &mut Policy) {
    policy.assume_lost =
        (0..60).flat_map(|number| (0..20).map(move |tag| format!("app:v{tag}-{number}"))).collect();
    policy.assume_lost.extend(["app:latest".to_owned(), "app:cache".to_owned()]);
}

/// Whether a manifest and all that is below it answers. What a manifest of an unknown type mentions need not be a manifest.
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

/// Digests that answer once the rows that go are gone.
fn answering(package: &Package, decision: &Decision) -> Vec<bool> {
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

    /// No manifest that something kept reaches, and that was there, loses its last row.
    #[test]
    fn what_is_kept_keeps_all_that_it_reaches(pushes in prop::collection::vec(push(), 0..40), policy in policy()) {
        let mut maker = build(&pushes);
        let decision = maker.decide(&policy);
        let package = &maker.package;
        let before: Vec<bool> = {
            let mut carried = vec![false; package.len()];
            package.rows.iter().filter_map(|row| row.manifest).for_each(|manifest| carried[manifest.index()] = true);
            carried
        };
        let after = answering(package, &decision);
        let staying = package.rows.iter().zip(&decision.rows).filter(|(_, verdict)| verdict.action != Action::Delete);
        let reached = package.reach(staying.filter_map(|(row, _)| row.manifest));
        for manifest in package.manifests().filter(|manifest| reached[manifest.index()]) {
            prop_assert!(after[manifest.index()] || !before[manifest.index()], "{} lost its last row", maker.named(&package.digest(manifest).to_string()));
        }
    }

    /// All tags of an image share its fate.
    #[test]
    fn tags_of_one_image_go_together(pushes in prop::collection::vec(push(), 0..40), policy in policy()) {
        let mut maker = build(&pushes);
        let decision = maker.decide(&policy);
        let mut fate = std::collections::BTreeMap::new();
        for (row, verdict) in maker.package.rows.iter().zip(&decision.rows).filter(|(row, _)| row.is_tag()) {
            let goes = verdict.action == Action::Delete;
            prop_assert_eq!(*fate.entry(row.manifest).or_insert(goes), goes);
        }
    }

    /// Whatever the order of the listing, the decision is the same.
    #[test]
    fn the_order_of_a_listing_means_nothing(pushes in prop::collection::vec(push(), 0..30), policy in policy(), seed in any::<u64>()) {
        let mut maker = build(&pushes);
        let one = maker.text(&policy);
        let count = maker.package.rows.len().max(1);
        maker.package.rows.rotate_left(usize::try_from(seed % count as u64).unwrap());
        maker.package.rows.reverse();
        prop_assert_eq!(maker.text(&policy), one);
    }

    /// Whatever the order in which manifests were read, the decision is the same, and so is why there is none.
    #[test]
    fn the_order_of_reading_means_nothing(pushes in prop::collection::vec(push(), 1..30), policy in policy(), unread in prop::option::of(prop::collection::vec(any::<prop::sample::Index>(), 2))) {
        let mut maker = build(&pushes);
        let all: Vec<_> = maker.package.manifests().collect();
        for which in unread.iter().flatten() {
            maker.package.set_unknown(*which.get(&all), "502");
        }
        let mut other = Package::new("app");
        other.elsewhere.clone_from(&maker.package.elsewhere);
        for one in all.iter().rev() {
            let digest = maker.package.digest(*one);
            let number = other.intern(&digest);
            match maker.package.state(*one) {
                ManifestState::Present(_) => {
                    let (media_type, bytes) = maker.bytes(&digest).unwrap();
                    other.set_bytes(number, &media_type, &bytes);
                }
                ManifestState::Absent => other.set_absent(number),
                ManifestState::Unknown(why) => other.set_unknown(number, why.clone()),
                ManifestState::Unasked => {}
            }
        }
        for row in maker.package.rows.iter().rev() {
            let manifest = row.manifest.map(|manifest| other.intern(&maker.package.digest(manifest)));
            other.rows.push(Row { manifest, ..row.clone() });
        }
        other.seal();
        prop_assert_eq!(decide(&other, "team/app", &policy, now()), maker.decide(&policy));
    }

    /// N whole images stay, or all that there are.
    #[test]
    fn as_many_whole_images_stay_as_asked_for(pushes in prop::collection::vec(push(), 0..40), keep_last in 1_u32..6) {
        let mut maker = build(&pushes);
        let mut policy = keep(keep_last);
        assume_lost(&mut policy);
        let decision = maker.decide(&policy);
        if decision.images_deleted == 0 {
            return Ok(());
        }
        let package = &maker.package;
        let staying = package.rows.iter().zip(&decision.rows);
        let staying = staying.filter(|(row, verdict)| row.is_tag() && !row.version.starts_with("sha256-") && verdict.action != Action::Delete);
        let images: std::collections::BTreeSet<_> = staying.filter_map(|(row, _)| row.manifest).filter(|one| is_whole(package, *one)).collect();
        prop_assert!(images.len() >= keep_last as usize, "{} of {keep_last}", images.len());
    }

    /// Of every group of a rule, as many of the newest whole images stay as it keeps.
    #[test]
    fn as_many_stay_of_every_group_as_asked_for(pushes in prop::collection::vec(push(), 0..40), keep_last in 1_u32..4) {
        let mut maker = build(&pushes);
        let mut policy = keep(keep_last);
        assume_lost(&mut policy);
        policy.rules = vec![Rule {
            package: Pattern::new("*", LetterCase::Ignored).unwrap(),
            tags: Pattern::new("*", LetterCase::Ignored).unwrap(),
            group_by: Some(GroupBy::new(r"^v(\d)", LetterCase::Ignored).unwrap()),
            keep_last,
            keep_within: None,
            keep_cache: None,
        }];
        let decision = maker.decide(&policy);
        // Images whose tags stand for themselves: no tagged index names them, and all that they need answers.
        let package = &maker.package;
        let tagged = package.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest);
        let below = package.reach(tagged.flat_map(|manifest| package.named(manifest)));
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

    /// One manifest that could not be read, and nothing goes.
    #[test]
    fn an_unread_manifest_stops_everything(pushes in prop::collection::vec(push(), 1..30), policy in policy(), which in any::<prop::sample::Index>()) {
        let mut maker = build(&pushes);
        let all: Vec<_> = maker.package.manifests().collect();
        maker.package.set_unknown(*which.get(&all), "502");
        maker.package.seal();
        let decision = decide(&maker.package, "team/app", &policy, now());
        prop_assert!(decision.not_planned.is_some());
        prop_assert!(decision.rows.iter().all(|row| row.action == Action::Leave));
    }
}
