//! The judgement alone, on constructed answers: one damage per snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use registry_core::graph::Content;
use registry_core::oci::{Algorithm, Digest};
use registry_core::probe::{
    AnsweredManifest, BlobAnswer, JudgeOptions, ManifestAnswer, ProbeJudgement, RepositoryResponses,
    Responses, TagAnswer, WhyUnknown, judge,
};
use registry_fixtures::registry::{image_of, index_of};

use crate::support::{NAME, mask_digests};

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::hash(Algorithm::Sha256, bytes)
}

fn blobs() -> JudgeOptions {
    JudgeOptions { blobs: true, ..JudgeOptions::default() }
}

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The answers for a whole index of two platforms under two tags.
struct WholeAnswers {
    seen: RepositoryResponses,
    index: Digest,
    arm: Digest,
    layer: Digest,
}

fn whole() -> WholeAnswers {
    let mut seen = RepositoryResponses { listed: 2, ..RepositoryResponses::default() };
    let mut children = Vec::new();
    let (mut arm, mut layer) = (digest(b""), digest(b""));
    for seed in ["one", "two"] {
        let (manifest, parts) = image_of(seed, None);
        arm = digest(&manifest);
        children.push((arm.to_string(), manifest.len()));
        seen.manifests.insert(arm, present(IMAGE, &manifest));
        for part in parts {
            layer = digest(&part);
            let size = Some(part.len() as u64);
            seen.blobs.insert(layer, BlobAnswer::Present { size, content: Content::Unhashed });
        }
    }
    let text = index_of(&children);
    let index = digest(&text);
    seen.manifests.insert(index, present(INDEX, &text));
    for tag in ["latest", "v1"] {
        seen.tags.insert(tag.into(), TagAnswer::Names(index));
    }
    WholeAnswers { seen, index, arm, layer }
}

pub fn present(media_type: &str, bytes: &[u8]) -> ManifestAnswer {
    ManifestAnswer::Present(Arc::new(AnsweredManifest::read(media_type, bytes)))
}

fn judged(repository: RepositoryResponses, options: &JudgeOptions) -> ProbeJudgement {
    let seen = Responses {
        repositories: BTreeMap::from([("team/app".to_owned(), repository)]),
        ..Responses::default()
    };
    judge(&seen, NAME, options)
}

/// Judges damaged answers: the findings in full, then broken and unknown tags, unread paths and counts.
fn judge_damaged(damage: impl FnOnce(&mut WholeAnswers)) -> String {
    let mut whole = whole();
    damage(&mut whole);
    let judgement = judged(whole.seen, &blobs());
    let audit = &judgement.audit;
    let mut lines: Vec<String> =
        audit.findings.iter().map(|finding| serde_json::to_string_pretty(finding).unwrap()).collect();
    lines.extend(audit.broken_tags.iter().map(|tag| format!("broken {}", tag.tag)));
    lines.extend(audit.unknown_tags.iter().map(|tag| format!("unknown {}: {}", tag.tag, tag.reason)));
    lines.extend(audit.unread.iter().map(|one| format!("unread {}: {}", one.path, one.error)));
    lines.push(format!("covered {}, judged {}", audit.covered, judgement.judged.len()));
    lines.join("\n")
}

#[test]
fn whole_answers_have_no_findings() {
    insta::assert_snapshot!(judge_damaged(|_| {}), @"covered 2, judged 2");
}

#[test]
fn absent_child_breaks_its_tags() {
    let _guard = mask_digests();
    insta::assert_snapshot!(judge_damaged(|whole| drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Absent))), @r#"
    {
      "code": "child-missing",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:1f7f40a4a401…",
      "parent": "sha256:101831dc9442…",
      "platform": "linux/arm64",
      "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
      "message": "linux/arm64 answers 404"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn absent_index_breaks_its_tags() {
    let _guard = mask_digests();
    insta::assert_snapshot!(judge_damaged(|whole| drop(whole.seen.manifests.insert(whole.index, ManifestAnswer::Absent))), @r#"
    {
      "code": "tag-target-missing",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:101831dc9442…",
      "path": "/v2/team/app/manifests/sha256:101831dc9442…",
      "message": "its manifest answers 404"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn absent_tag_is_broken() {
    let _guard = mask_digests();
    insta::assert_snapshot!(judge_damaged(|whole| drop(whole.seen.tags.insert("v1".into(), TagAnswer::Absent))), @r#"
    {
      "code": "tag-target-missing",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "v1"
      ],
      "path": "/v2/team/app/manifests/v1",
      "message": "the tag answers 404"
    }
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn absent_layer_breaks_its_tags() {
    let _guard = mask_digests();
    insta::assert_snapshot!(judge_damaged(|whole| drop(whole.seen.blobs.insert(whole.layer, BlobAnswer::Absent))), @r#"
    {
      "code": "blob-missing",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:60b43aad9e85…",
      "parent": "sha256:1f7f40a4a401…",
      "path": "/v2/team/app/blobs/sha256:60b43aad9e85…",
      "message": "layer sha256:60b43aad9e85 of linux/arm64 answers 404"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn wrong_layer_size_is_blamed_on_bytes_or_descriptor() {
    let _guard = mask_digests();
    let sized = |content| {
        move |whole: &mut WholeAnswers| {
            let answer = BlobAnswer::Present { size: Some(7), content };
            drop(whole.seen.blobs.insert(whole.layer, answer));
        }
    };
    insta::assert_snapshot!(judge_damaged(sized(Content::Unhashed)), @r#"
    {
      "code": "blob-size-mismatch",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:60b43aad9e85…",
      "parent": "sha256:1f7f40a4a401…",
      "path": "/v2/team/app/blobs/sha256:60b43aad9e85…",
      "message": "layer sha256:60b43aad9e85 of linux/arm64 has 7 bytes, and its manifest says 12"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
    assert_eq!(judge_damaged(sized(Content::Unhashed)), judge_damaged(sized(Content::Wrong)));
    insta::assert_snapshot!(judge_damaged(sized(Content::Right)), @r#"
    {
      "code": "descriptor-size-mismatch",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:60b43aad9e85…",
      "parent": "sha256:1f7f40a4a401…",
      "path": "/v2/team/app/blobs/sha256:60b43aad9e85…",
      "message": "layer sha256:60b43aad9e85 of linux/arm64 has 7 bytes, which are right, and its manifest says 12"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn layer_of_unknown_size_is_whole() {
    let unsized_layer = |whole: &mut WholeAnswers| {
        let answer = BlobAnswer::Present { size: None, content: Content::Unhashed };
        drop(whole.seen.blobs.insert(whole.layer, answer));
    };
    assert_eq!(judge_damaged(unsized_layer), "covered 2, judged 2");
}

#[test]
fn wrong_bytes_of_a_child_break_its_tags() {
    let _guard = mask_digests();
    let wrong = |whole: &mut WholeAnswers| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::WrongBytes(digest(b"x"))));
    };
    insta::assert_snapshot!(judge_damaged(wrong), @r#"
    {
      "code": "manifest-digest-mismatch",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:1f7f40a4a401…",
      "parent": "sha256:101831dc9442…",
      "platform": "linux/arm64",
      "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
      "message": "linux/arm64 is sent with bytes that hash to sha256:2d711642b726…"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn server_error_of_one_object_breaks_its_tags() {
    let _guard = mask_digests();
    let fails = |whole: &mut WholeAnswers| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Unknown(WhyUnknown::Server(500))));
    };
    insta::assert_snapshot!(judge_damaged(fails), @r#"
    {
      "code": "server-error",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:1f7f40a4a401…",
      "parent": "sha256:101831dc9442…",
      "platform": "linux/arm64",
      "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
      "message": "linux/arm64 answers 500 on every try"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn refusals_and_silence_are_no_damage() {
    let _guard = mask_digests();
    for trouble in [
        WhyUnknown::Forbidden(403),
        WhyUnknown::Silent("no answer".into()),
        WhyUnknown::Odd("status 404".into()),
    ] {
        let text = judge_damaged(|whole| {
            drop(whole.seen.blobs.insert(whole.layer, BlobAnswer::Unknown(trouble.clone())));
        });
        assert!(!text.contains("\"code\"") && !text.contains("broken"), "{text}");
        assert!(text.contains("unknown v1") && text.contains("unread /v2/team/app/blobs/sha256:"), "{text}");
        assert!(text.ends_with("covered 2, judged 0"), "{text}");
    }
}

#[test]
fn unrequested_objects_are_neither_broken_nor_unknown() {
    let not_asked = |whole: &mut WholeAnswers| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Unknown(WhyUnknown::NotAsked)));
    };
    assert_eq!(judge_damaged(not_asked), "covered 0, judged 0");
}

#[test]
fn certain_damage_outweighs_unknown_objects() {
    let both = |whole: &mut WholeAnswers| {
        whole
            .seen
            .manifests
            .insert(whole.arm, ManifestAnswer::Unknown(WhyUnknown::Silent("no answer".into())));
        let other = digest(b"layer of one");
        whole.seen.blobs.insert(other, BlobAnswer::Absent);
    };
    let text = judge_damaged(both);
    assert!(text.contains("broken latest\nbroken v1") && !text.contains("unknown"), "{text}");
    assert!(text.contains("unread"), "the unread object is reported as well: {text}");
}

#[test]
fn failure_of_every_object_is_no_damage() {
    let mut whole = whole();
    for answer in whole.seen.tags.values_mut() {
        *answer = TagAnswer::Unknown(WhyUnknown::Server(503));
    }
    whole.seen.manifests.clear();
    whole.seen.blobs.clear();
    let audit = judged(whole.seen, &blobs()).audit;
    assert!(audit.findings.is_empty() && audit.broken_tags.is_empty() && !audit.source.complete);
}

#[test]
fn manifest_that_is_not_json_is_unreadable() {
    let _guard = mask_digests();
    let page = |whole: &mut WholeAnswers| {
        drop(whole.seen.manifests.insert(whole.arm, present("text/html", b"<html>")));
    };
    insta::assert_snapshot!(judge_damaged(page), @r#"
    {
      "code": "manifest-unreadable",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:1f7f40a4a401…",
      "parent": "sha256:101831dc9442…",
      "platform": "linux/arm64",
      "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
      "message": "linux/arm64 is no manifest: not JSON: line 1, column 1"
    }
    {
      "code": "descriptor-size-mismatch",
      "severity": "error",
      "source": "https://registry.example",
      "repository": "team/app",
      "tags": [
        "latest",
        "v1"
      ],
      "digest": "sha256:1f7f40a4a401…",
      "parent": "sha256:101831dc9442…",
      "path": "/v2/team/app/manifests/sha256:1f7f40a4a401…",
      "message": "its index gives sha256:1f7f40a4a401 the size 399, and it has 6 bytes"
    }
    broken latest
    broken v1
    covered 2, judged 2
    "#);
}

#[test]
fn one_damage_under_many_parents_is_one_finding() {
    let mut whole = whole();
    let (manifest, _) = image_of("two", None);
    for number in 0..5 {
        let other = index_of(&[
            (whole.arm.to_string(), manifest.len()),
            (whole.arm.to_string(), manifest.len() + number),
        ]);
        whole.seen.manifests.insert(digest(&other), present(INDEX, &other));
        whole.seen.tags.insert(format!("t{number}"), TagAnswer::Names(digest(&other)));
    }
    whole.seen.manifests.insert(whole.arm, ManifestAnswer::Absent);
    let audit = judged(whole.seen, &blobs()).audit;
    assert_eq!((audit.findings.len(), audit.broken_tags.len()), (1, 7));
    assert_eq!(audit.findings[0].tags.iter().count(), 7);
}
