//! Law L5 for the judgement: random answers, even ones that no registry can give, never panic, and every tag gets one verdict.

use std::collections::BTreeSet;

use proptest::prelude::*;
use registry_core::graph::Content;
use registry_core::oci::Digest;
use registry_core::probe::{
    BlobAnswer, JudgeOptions, ManifestAnswer, ProbeJudgement, RepositoryResponses, Responses, TagAnswer,
    WhyUnknown, judge,
};

use crate::judge::{IMAGE, INDEX, digest, present};
use crate::support::NAME;

fn trouble() -> impl Strategy<Value = WhyUnknown> {
    prop_oneof![
        Just(WhyUnknown::Server(500)),
        Just(WhyUnknown::Forbidden(401)),
        "[ -~]{0,9}".prop_map(WhyUnknown::Silent),
        Just(WhyUnknown::NotAsked),
    ]
}

/// One of a few digests, so that answers refer to each other.
fn some_digest() -> impl Strategy<Value = Digest> {
    (0_u8..9).prop_map(|number| digest(&[number]))
}

fn manifest() -> impl Strategy<Value = ManifestAnswer> {
    let parts = || (some_digest(), -1_i64..40, prop_oneof![Just(IMAGE), Just(INDEX), Just("x/y"), Just("")]);
    let descriptor = || {
        parts().prop_map(|(digest, size, kind)| {
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"a"}}}}"#)
    })
    };
    let list = || proptest::collection::vec(descriptor(), 0..4).prop_map(|all| all.join(","));
    let text = prop_oneof![
        (list(), descriptor()).prop_map(|(list, config)| {
            format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{list}]}}"#)
        }),
        list()
            .prop_map(|list| format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{list}]}}"#)),
        "[ -~]{0,30}",
    ];
    prop_oneof![
        5 => (prop_oneof![Just(IMAGE), Just(INDEX), Just("")], text).prop_map(|(kind, text)| present(kind, text.as_bytes())),
        1 => Just(ManifestAnswer::Absent),
        1 => some_digest().prop_map(ManifestAnswer::WrongBytes),
        1 => trouble().prop_map(ManifestAnswer::Unknown),
    ]
}

fn blob() -> impl Strategy<Value = BlobAnswer> {
    let content = prop_oneof![
        Just(Content::Unhashed),
        Just(Content::Right),
        Just(Content::Wrong),
        Just(Content::Unread)
    ];
    prop_oneof![
        (proptest::option::of(0_u64..40), content)
            .prop_map(|(size, content)| BlobAnswer::Present { size, content }),
        Just(BlobAnswer::Absent),
        trouble().prop_map(BlobAnswer::Unknown),
    ]
}

fn repository() -> impl Strategy<Value = RepositoryResponses> {
    let tag = prop_oneof![
        4 => some_digest().prop_map(TagAnswer::Names),
        1 => Just(TagAnswer::Absent),
        1 => Just(TagAnswer::Vanished),
        1 => trouble().prop_map(TagAnswer::Unknown),
    ];
    let tags = proptest::collection::btree_map("[a-c]{1,2}", tag, 0..6);
    let manifests = proptest::collection::hash_map(some_digest(), manifest(), 0..9);
    let blobs = proptest::collection::hash_map(some_digest(), blob(), 0..9);
    (tags, manifests, blobs).prop_map(|(tags, manifests, blobs)| RepositoryResponses {
        listed: tags.len() as u64,
        tags,
        manifests,
        blobs,
        ..RepositoryResponses::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// This holds also for manifests that refer to each other in a circle: no hash allows that, but a registry can claim it.
    #[test]
    fn every_tag_is_whole_broken_unknown_or_left_out(
        repositories in proptest::collection::btree_map("[a-b]", repository(), 0..3), blobs in any::<bool>(), platforms in any::<bool>(),
    ) {
        let tags: usize = repositories.values().map(|one| one.tags.len()).sum();
        let seen = Responses { repositories, ..Responses::default() };
        let require_platforms = if platforms { vec!["linux/arm64".parse().unwrap()] } else { Vec::new() };
        let options = JudgeOptions { blobs, require_platforms };
        let ProbeJudgement { audit, judged } = judge(&seen, NAME, &options);
        let broken: BTreeSet<_> = audit.broken_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string())).collect();
        let unknown: BTreeSet<_> = audit.unknown_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string())).collect();
        prop_assert!(broken.is_disjoint(&unknown));
        prop_assert!(broken.iter().all(|tag| judged.contains(tag)) && !unknown.iter().any(|tag| judged.contains(tag)));
        prop_assert_eq!(judged.len() + unknown.len(), usize::try_from(audit.covered).unwrap());
        prop_assert!(audit.covered <= tags as u64);
        for tag in &audit.broken_tags {
            prop_assert!(!tag.findings.is_empty());
            for number in &tag.findings {
                prop_assert!(audit.findings[*number].tags.contains(&tag.tag));
            }
        }
        // Judging the same answers again gives the same findings.
        let again = judge(&seen, NAME, &options).audit;
        prop_assert_eq!(audit.findings, again.findings);
    }
}
