//! Followers, the images with tags named after digests: they stay or are deleted with what they follow, through chains of any
//! length.

use std::collections::BTreeSet;

use proptest::prelude::*;
use registry_core::oci::Digest;
use registry_core::retention::{
    Action, Decision, ImagesInUse, LetterCase, ManifestState, OtherPackages, Package, Pattern, Plan, Policy,
    UnneededAction, plan,
};

use crate::effects::source;
use crate::support::{PackageBuilder, fallback_tag, keep, now, signature_tag};

/// A package of two images, `v1` and `v2`.
fn old_and_new() -> (PackageBuilder, Digest, Digest) {
    let mut builder = PackageBuilder::new();
    let (old, new) = (builder.push_image("v1", 400), builder.push_image("v2", 300));
    (builder, old, new)
}

/// An image with an attached SBOM, and a signature attached to the SBOM, both by fallback tags. As over HTTP, nothing is listed
/// under its digest.
fn signed_sbom(builder: &mut PackageBuilder, tag: &str, hours: i64) -> [Digest; 3] {
    let image = builder.push_image(tag, hours);
    let sbom = builder.artifact(&format!("{tag}/sbom"), "application/spdx+json", Some(image));
    let list = builder.index(&format!("{tag}/list"), &[sbom]);
    builder.tag(&fallback_tag(image), list, hours);
    let signature = builder.artifact(&format!("{tag}/signature"), "application/x", Some(sbom));
    let second = builder.index(&format!("{tag}/second"), &[signature]);
    builder.tag(&fallback_tag(sbom), second, hours);
    [image, sbom, signature]
}

/// <https://github.com/opencontainers/distribution-spec/issues/378>, <https://github.com/oras-project/oras/issues/1228>
#[test]
fn signature_of_sbom_shares_the_fate_of_the_image() {
    let mut builder = PackageBuilder::new();
    signed_sbom(&mut builder, "v1", 400);
    signed_sbom(&mut builder, "v2", 300);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   sha256-<v2/sbom>: follows <v2/sbom>, which stays
    keep   sha256-<v2/image>: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete sha256-<v1/sbom>: follows <v1/sbom>, which goes
    delete sha256-<v1/image>: follows <v1/image>, which goes
    delete v1: rank 2, beyond newest 1
    ");
    // On a tree every manifest is listed by digest as well, with a young time if the tree was copied.
    let mut builder = PackageBuilder::new();
    for tag in ["v1", "v2"] {
        let parts = signed_sbom(&mut builder, tag, if tag == "v1" { 400 } else { 300 });
        parts.iter().for_each(|part| builder.digest_row(*part, 1));
    }
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    leave  <v2/signature>: child of sha256-<v2/sbom>
    leave  <v2/sbom>: child of sha256-<v2/image>
    leave  <v2/image>: the manifest of v2
    leave  <v1/signature>: child of sha256-<v1/sbom>, which goes; left to the server's collector
    leave  <v1/sbom>: child of sha256-<v1/image>, which goes; left to the server's collector
    leave  <v1/image>: the manifest of v1, which goes; left to the server's collector
    keep   sha256-<v2/sbom>: follows <v2/sbom>, which stays
    keep   sha256-<v2/image>: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete sha256-<v1/sbom>: follows <v1/sbom>, which goes
    delete sha256-<v1/image>: follows <v1/image>, which goes
    delete v1: rank 2, beyond newest 1
    ");
}

/// As above with `cosign attach sbom` and `cosign sign --attachment sbom`: <https://github.com/oras-project/oras/issues/1228>
#[test]
fn cosign_signature_of_attached_sbom_shares_the_fate_of_the_image() {
    let mut builder = PackageBuilder::new();
    for (tag, hours) in [("v1", 400), ("v2", 300)] {
        let image = builder.push_image(tag, hours);
        let sbom = builder.image(&format!("{tag}/sbom"));
        builder.tag(&format!("{}.sbom", fallback_tag(image)), sbom, hours);
        let signature = builder.image(&format!("{tag}/signature"));
        builder.tag(&signature_tag(sbom), signature, hours);
    }
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   sha256-<v2/sbom>.sig: follows <v2/sbom>, which stays
    keep   sha256-<v2/image>.sbom: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete sha256-<v1/sbom>.sig: follows <v1/sbom>, which goes
    delete sha256-<v1/image>.sbom: follows <v1/image>, which goes
    delete v1: rank 2, beyond newest 1
    ");
    // A follower that a pattern keeps stays with its own followers, although its image is deleted.
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("*.sbom", LetterCase::Ignored).unwrap());
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    keep   sha256-<v2/sbom>.sig: follows <v2/sbom>, which stays
    keep   sha256-<v2/image>.sbom: tag sha256-<v2/image>.sbom matches keep pattern *.sbom
    keep   v2: newest 1 of 1
    keep   sha256-<v1/sbom>.sig: follows <v1/sbom>, which stays
    keep   sha256-<v1/image>.sbom: tag sha256-<v1/image>.sbom matches keep pattern *.sbom
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn one_kept_subject_keeps_a_follower_of_several() {
    let (mut builder, old, new) = old_and_new();
    let both = builder.image("both");
    builder.tag(&signature_tag(old), both, 300);
    builder.tag(&signature_tag(new), both, 300);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    keep   sha256-<v1/image>.sig: follows <v2/image>, which stays
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    ");
}

#[test]
fn circular_chain_of_followers_is_left() {
    let mut builder = PackageBuilder::new();
    let (one, other, own, behind) =
        (builder.image("one"), builder.image("other"), builder.image("own"), builder.image("behind"));
    builder.tag(&signature_tag(one), other, 400);
    builder.tag(&signature_tag(other), one, 400);
    builder.tag(&signature_tag(own), own, 400);
    builder.tag(&format!("{}.att", fallback_tag(other)), behind, 400);
    let old = builder.push_image("v1", 400);
    // The deleted v1 is one more subject of a follower in the circle.
    builder.tag(&format!("{}.att", fallback_tag(old)), other, 400);
    builder.push_image("v2", 300);
    insta::assert_snapshot!(builder.decision_text(&keep(1)), @"
    keep   v2: newest 1 of 1
    leave  sha256-<v1/image>.att: follows <one>, which nothing holds but what follows it
    delete v1: rank 2, beyond newest 1
    leave  sha256-<other>.att: follows <other>, which nothing holds but what follows it
    leave  sha256-<own>.sig: follows <own>, which nothing holds but what follows it
    leave  sha256-<other>.sig: follows <other>, which nothing holds but what follows it
    leave  sha256-<one>.sig: follows <one>, which nothing holds but what follows it
    ");
}

#[test]
fn reasons_of_a_refused_package_say_that_nothing_goes() {
    let mut builder = PackageBuilder::new();
    signed_sbom(&mut builder, "v0", 500);
    for (tag, hours) in [("v1", 400), ("v2", 300)] {
        let index = builder.push_index(tag, hours);
        let child = builder.image(&format!("{tag}/amd64"));
        builder.tag(&format!("{tag}-amd64"), child, hours);
        let signature = builder.image(&format!("{tag}/signature"));
        builder.tag(&signature_tag(index), signature, hours);
    }
    let mut policy = keep(1);
    policy.max_delete_percent = Some(1);
    insta::assert_snapshot!(builder.decision_text(&policy), @"
    refused: 6 of 9 images would go, more than 1 percent
    keep   sha256-<v2/index>.sig: follows <v2/index>, which stays
    keep   v2-amd64: child of v2
    keep   v2: newest 1 of 1
    leave  <v2/arm64>: child of v2
    leave  <v2/amd64>: the manifest of v2-amd64
    leave  sha256-<v1/index>.sig: follows <v1/index>, which stays; spared: a guard refused this package
    leave  v1-amd64: child of v1; spared: a guard refused this package
    leave  v1: rank 2, beyond newest 1; spared: a guard refused this package
    leave  <v1/arm64>: child of v1
    leave  <v1/amd64>: the manifest of v1-amd64
    leave  sha256-<v0/sbom>: follows <v0/sbom>, which stays; spared: a guard refused this package
    leave  sha256-<v0/image>: follows <v0/image>, which stays; spared: a guard refused this package
    leave  v0: rank 3, beyond newest 1; spared: a guard refused this package
    ");
}

/// One push: an image, an index of earlier pushes, or a follower of earlier pushes.
#[derive(Debug, Clone)]
struct Push {
    shape: u8,
    on: [prop::sample::Index; 3],
    /// Whether a pattern keeps it.
    kept: bool,
    in_use: bool,
    hours: i64,
}

fn push() -> impl Strategy<Value = Push> {
    let on = [any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()];
    (0_u8..8, on, prop::bool::weighted(0.05), prop::bool::weighted(0.05), 0_i64..200)
        .prop_map(|(shape, on, kept, in_use, hours)| Push { shape, on, kept, in_use, hours })
}

/// A package of such pushes. Of each pair in `circles`, each manifest gets a tag named after the other.
fn build(pushes: &[Push], circles: &[[prop::sample::Index; 2]]) -> (PackageBuilder, BTreeSet<Digest>) {
    let (mut builder, mut all, mut used) = (PackageBuilder::new(), Vec::<Digest>::new(), BTreeSet::new());
    for (number, push) in pushes.iter().enumerate() {
        let earlier = |which: usize| (!all.is_empty()).then(|| *push.on[which].get(&all));
        let end = if push.kept { ".sbom" } else { ".sig" };
        let digest = match (push.shape, earlier(0), earlier(1)) {
            (0 | 1, ..) | (_, None, _) | (_, _, None) => {
                builder.push_image(&format!("v{number}"), push.hours)
            }
            (2, Some(one), Some(two)) => {
                let index = builder.index(&number.to_string(), &[one, two]);
                builder.tag(&format!("v{number}"), index, push.hours);
                index
            }
            // A fallback list, which may also name its own subject.
            (3, Some(subject), Some(listed)) => {
                let referrer = builder.artifact(&format!("{number}/r"), "application/x", Some(subject));
                let children = if push.kept { vec![referrer, listed] } else { vec![referrer] };
                let list = builder.index(&number.to_string(), &children);
                builder.package.rows.retain(|row| *row.version != *fallback_tag(subject));
                builder.tag(&fallback_tag(subject), list, push.hours);
                all.push(referrer);
                list
            }
            (shape, Some(subject), Some(second)) => {
                let signature = builder.image(&number.to_string());
                for subject in [subject, second].iter().take(if shape < 6 { 1 } else { 2 }) {
                    let tag = fallback_tag(*subject) + end;
                    builder.package.rows.retain(|row| *row.version != *tag);
                    builder.tag(&tag, signature, push.hours);
                }
                signature
            }
        };
        all.push(digest);
        if push.in_use {
            used.insert(digest);
        }
    }
    for [one, other] in circles.iter().filter(|_| !all.is_empty()) {
        let (one, other) = (*one.get(&all), *other.get(&all));
        for (subject, follower) in [(one, other), (other, one)] {
            let tag = fallback_tag(subject) + ".att";
            builder.package.rows.retain(|row| *row.version != *tag);
            builder.tag(&tag, follower, 100);
        }
    }
    (builder, used)
}

fn policy(keep_last: u32, prune: bool, used: &BTreeSet<Digest>) -> Policy {
    let mut policy = keep(keep_last);
    policy.keep_tags.push(Pattern::new("*.sbom", LetterCase::Ignored).unwrap());
    if prune {
        (policy.untagged, policy.orphan_signatures) = (UnneededAction::Prune, UnneededAction::Prune);
    }
    let lines: Vec<String> = used.iter().map(Digest::to_string).collect();
    if !lines.is_empty() {
        policy.in_use = ImagesInUse::parse(&lines.join("\n")).unwrap();
    }
    policy
}

/// The subjects of each manifest whose tags are all named after digests.
fn followers(builder: &PackageBuilder) -> Vec<(Digest, Vec<Digest>)> {
    let package = &builder.package;
    let subject = |tag: &str| -> Option<Digest> {
        format!("sha256:{}", tag.strip_prefix("sha256-")?.get(..64)?).parse().ok()
    };
    let tagged: BTreeSet<_> = package.rows.iter().filter_map(|row| row.manifest).collect();
    let tagged = tagged.into_iter().map(|manifest| {
        let rows = package.rows.iter().filter(|row| row.manifest == Some(manifest));
        (package.digest(manifest), rows.map(|row| subject(&row.version)).collect::<Option<Vec<_>>>())
    });
    tagged.filter_map(|(digest, subjects)| Some((digest, subjects?))).collect()
}

/// Whether a tag that stays, or an image in use, reaches a manifest; those with the digest `but` do not count.
fn is_held(
    builder: &PackageBuilder,
    decision: &Decision,
    used: &BTreeSet<Digest>,
    wanted: Digest,
    but: Digest,
) -> bool {
    let package = &builder.package;
    let rows = package.rows.iter().zip(&decision.rows);
    let tags =
        rows.filter(|(_, verdict)| verdict.action != Action::Delete).filter_map(|(row, _)| row.manifest);
    let used =
        used.iter().filter_map(|digest| package.find(digest)).filter(|one| package.digest(*one) != but);
    let roots = tags.filter(|one| package.digest(*one) != but).chain(used);
    package.find(&wanted).is_some_and(|wanted| package.reach(roots)[wanted.index()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// What stays keeps all that follows it, and what follows only what goes goes, through chains of any length.
    #[test]
    fn followers_share_the_fate_of_what_they_follow(
        pushes in prop::collection::vec(push(), 0..30),
        circles in prop::collection::vec([any::<prop::sample::Index>(), any::<prop::sample::Index>()], 0..2),
        keep_last in 1_u32..5,
        prune in any::<bool>(),
    ) {
        let (mut builder, used) = build(&pushes, &circles);
        let policy = policy(keep_last, prune, &used);
        let text = builder.decision_text(&policy);
        let decision = builder.decide(&policy);
        let mut everything = decision.clone();
        everything.rows.iter_mut().for_each(|row| row.action = Action::Keep);
        for (digest, subjects) in followers(&builder) {
            let rows = || builder.package.rows.iter().zip(&decision.rows).filter(|(row, _)| row.manifest.map(|one| builder.package.digest(one)) == Some(digest));
            let goes = rows().any(|(_, row)| row.action == Action::Delete);
            let name = builder.name_digests(&digest.to_string());
            if goes {
                for subject in &subjects {
                    prop_assert!(!is_held(&builder, &decision, &used, *subject, digest), "{name} goes before what it follows\n{text}");
                }
                continue;
            }
            let has_own_reason = rows().any(|(row, _)| row.version.ends_with(".sbom")) || is_held(&builder, &decision, &used, digest, digest);
            let follows_what_stays = subjects.iter().any(|subject| is_held(&builder, &decision, &used, *subject, digest));
            let all_went = subjects.iter().all(|subject| is_held(&builder, &everything, &used, *subject, digest));
            prop_assert!(
                has_own_reason || follows_what_stays || !all_went || decision.not_planned.is_some() || used.contains(&digest),
                "{name} stays after all that it followed\n{text}"
            );
            let is_there = |subject: &Digest| builder.package.find(subject).is_some_and(|one| matches!(builder.package.state(one), ManifestState::Present(_)));
            prop_assert!(subjects.iter().all(is_there));
        }
    }
}

/// A package of signatures whose subjects are in the given other packages.
fn signatures(subjects: &[(Digest, &[&str])]) -> PackageBuilder {
    let mut builder = PackageBuilder::new();
    builder.package.name = "signatures".into();
    for (number, (subject, packages)) in subjects.iter().enumerate() {
        let signature = builder.image(&format!("signature {number}"));
        builder.tag(&signature_tag(*subject), signature, 100);
        builder.lose(*subject);
        let packages = packages.iter().map(|name| (*name).to_owned()).collect();
        builder.package.elsewhere.insert(*subject, OtherPackages { packages, unread: None });
    }
    builder
}

/// The rows of a plan as text, digests by name.
fn rows(plan: &Plan, builders: &[&PackageBuilder]) -> String {
    let mut lines = Vec::new();
    for package in &plan.packages {
        lines.push(
            format!("{} {:?} {}", package.name, package.state, package.reason.as_deref().unwrap_or(""))
                .trim()
                .to_owned(),
        );
        for row in &package.versions {
            let after: Vec<_> = row
                .after
                .iter()
                .map(|after| format!(" after {} of {}", after.digest, after.package))
                .collect();
            lines.push(format!(
                "  {:?} {}: {}{}",
                row.action,
                row.version,
                row.reasons.join("; "),
                after.concat()
            ));
        }
    }
    builders.iter().fold(lines.join("\n"), |text, builder| builder.name_digests(&text))
}

fn planned(builders: &mut [&mut PackageBuilder], policy: &Policy) -> Plan {
    builders.iter_mut().for_each(|builder| builder.package.seal());
    let packages: Vec<Package> = builders.iter().map(|builder| builder.package.clone()).collect();
    plan(source(), packages, policy, now(), "0")
}

/// <https://github.com/sigstore/cosign/issues/2045>, <https://github.com/kyverno/kyverno/issues/2504>
#[test]
fn signatures_in_another_repository_share_the_fate_of_their_images() {
    let mut app = PackageBuilder::new();
    let subjects: Vec<Digest> =
        (1..=3).map(|number| app.push_image(&format!("v{number}"), 400 - number)).collect();
    let of_app: &[&str] = &["app"];
    let each: Vec<(Digest, &[&str])> = subjects.iter().map(|subject| (*subject, of_app)).collect();
    let mut all = signatures(&each);
    // A signature of a signature, and a signature of an image that no package has.
    let second = all.image("second");
    let first = all.image("signature 0");
    all.tag(&signature_tag(first), second, 90);
    let lost = all.image("lost");
    let orphan = all.image("orphan");
    all.tag(&signature_tag(lost), orphan, 80);
    all.lose(lost);
    let mut policy = keep(1);
    (policy.orphan_signatures, policy.grace) = (UnneededAction::Prune, 0);
    insta::assert_snapshot!(rows(&planned(&mut [&mut app, &mut all], &policy), &[&app, &all]), @"
    app Planned
      Keep v3: newest 1 of 1
      Delete v2: rank 2, beyond newest 1
      Delete v1: rank 3, beyond newest 1
    signatures Planned
      Leave sha256-<lost>.sig: follows <lost>, which is not in this package and may be elsewhere
      Delete sha256-<signature 0>.sig: follows <signature 0>, which goes
      Keep sha256-<v3/image>.sig: follows <v3/image> of app, which stays
      Delete sha256-<v2/image>.sig: follows <v2/image> of app, which goes after <v2/image> of app
      Delete sha256-<v1/image>.sig: follows <v1/image> of app, which goes after <v1/image> of app
    ");
    // The order of the packages does not matter.
    let (one, other) =
        (planned(&mut [&mut app, &mut all], &policy), planned(&mut [&mut all, &mut app], &policy));
    assert_eq!(one, other);
    // A guard that refuses the images spares their signatures.
    policy.max_delete_percent = Some(50);
    insta::assert_snapshot!(rows(&planned(&mut [&mut app, &mut all], &policy), &[&app, &all]), @"
    app Refused 2 of 3 images would go, more than 50 percent
      Keep v3: newest 1 of 1
      Leave v2: rank 2, beyond newest 1; spared: a guard refused this package
      Leave v1: rank 3, beyond newest 1; spared: a guard refused this package
    signatures Planned
      Leave sha256-<lost>.sig: follows <lost>, which is not in this package and may be elsewhere
      Keep sha256-<signature 0>.sig: follows <signature 0>, which stays
      Keep sha256-<v3/image>.sig: follows <v3/image> of app, which stays
      Keep sha256-<v2/image>.sig: follows <v2/image> of app, which stays
      Keep sha256-<v1/image>.sig: follows <v1/image> of app, which stays
    ");
}

/// <https://github.com/eumel8/cosignwebhook/issues/44>
#[test]
fn subject_that_may_be_elsewhere_is_never_called_gone() {
    let (mut app, old, _) = old_and_new();
    let foreign = app.image("foreign");
    let mut tools = signatures(&[(old, &["app", "not-selected"]), (foreign, &[])]);
    tools.package.name = "tools".into();
    tools.push_image("own", 10);
    tools.package.elsewhere.get_mut(&foreign).unwrap().unread =
        Some("team/secret could not be asked: 403".into());
    let mut policy = keep(1);
    (policy.orphan_signatures, policy.grace) = (UnneededAction::Prune, 0);
    insta::assert_snapshot!(rows(&planned(&mut [&mut app, &mut tools], &policy), &[&app, &tools]), @"
    app Planned
      Keep v2: newest 1 of 1
      Delete v1: rank 2, beyond newest 1
    tools Planned
      Keep own: newest 1 of 1
      Leave sha256-<foreign>.sig: follows <foreign>, which is not in this package and may be elsewhere
      Keep sha256-<v1/image>.sig: follows <v1/image> of app and not-selected, which stays
    ");
    // An inventory of an earlier version does not record where subjects are.
    tools.package.elsewhere.clear();
    insta::assert_snapshot!(rows(&planned(&mut [&mut tools], &policy), &[&app, &tools]), @"
    tools Planned
      Keep own: newest 1 of 1
      Leave sha256-<foreign>.sig: follows <foreign>, which is not in this package and may be elsewhere
      Leave sha256-<v1/image>.sig: follows <v1/image>, which is not in this package and may be elsewhere
    ");
}
