//! The judgement alone: answers that are made up, one damage for each snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use registry_core::graph::Content;
use registry_core::oci::{Algorithm, Digest};
use registry_core::probe::{
    BlobAnswer, JudgeOptions, ManifestAnswer, ProbeJudgement, RepositoryResponses, RespondedManifest,
    Responses, TagAnswer, Trouble, judge,
};
use registry_fixtures::registry::{image_of, index_of};

use crate::support::{NAME, masked};

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

fn blobs() -> JudgeOptions {
    JudgeOptions { blobs: true, ..JudgeOptions::default() }
}

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A whole index of two platforms under two tags.
struct Whole {
    seen: RepositoryResponses,
    index: Digest,
    arm: Digest,
    layer: Digest,
}

fn whole() -> Whole {
    let mut seen = RepositoryResponses { listed: 2, ..RepositoryResponses::default() };
    let mut children = Vec::new();
    let (mut arm, mut layer) = (digest(b""), digest(b""));
    for seed in ["one", "two"] {
        let (manifest, parts) = image_of(seed, None);
        arm = digest(&manifest);
        children.push((arm.to_string(), manifest.len()));
        seen.manifests.insert(arm, there(IMAGE, &manifest));
        for part in parts {
            layer = digest(&part);
            let size = Some(part.len() as u64);
            seen.blobs.insert(layer, BlobAnswer::Present { size, content: Content::Unhashed });
        }
    }
    let text = index_of(&children);
    let index = digest(&text);
    seen.manifests.insert(index, there(INDEX, &text));
    for tag in ["latest", "v1"] {
        seen.tags.insert(tag.into(), TagAnswer::Names(index));
    }
    Whole { seen, index, arm, layer }
}

pub fn there(media_type: &str, bytes: &[u8]) -> ManifestAnswer {
    ManifestAnswer::Present(Arc::new(RespondedManifest::read(media_type, bytes)))
}

fn judged(repository: RepositoryResponses, options: &JudgeOptions) -> ProbeJudgement {
    let seen = Responses {
        repositories: BTreeMap::from([("team/app".to_owned(), repository)]),
        ..Responses::default()
    };
    judge(&seen, NAME, options)
}

/// Findings with all that they hold, then broken and unknown tags.
fn told(damage: impl FnOnce(&mut Whole)) -> String {
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
    insta::assert_snapshot!(told(|_| {}), @"covered 2, judged 2");
}

#[test]
fn an_absent_child() {
    let _guard = masked();
    insta::assert_snapshot!(told(|whole| drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Absent))), @r#"
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
fn an_absent_index() {
    let _guard = masked();
    insta::assert_snapshot!(told(|whole| drop(whole.seen.manifests.insert(whole.index, ManifestAnswer::Absent))), @r#"
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
fn an_absent_tag() {
    let _guard = masked();
    insta::assert_snapshot!(told(|whole| drop(whole.seen.tags.insert("v1".into(), TagAnswer::Absent))), @r#"
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
fn an_absent_layer() {
    let _guard = masked();
    insta::assert_snapshot!(told(|whole| drop(whole.seen.blobs.insert(whole.layer, BlobAnswer::Absent))), @r#"
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
fn a_layer_of_another_size() {
    let _guard = masked();
    let sized = |content| {
        move |whole: &mut Whole| {
            let answer = BlobAnswer::Present { size: Some(7), content };
            drop(whole.seen.blobs.insert(whole.layer, answer));
        }
    };
    insta::assert_snapshot!(told(sized(Content::Unhashed)), @r#"
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
    assert_eq!(told(sized(Content::Unhashed)), told(sized(Content::Wrong)));
    insta::assert_snapshot!(told(sized(Content::Right)), @r#"
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
fn a_layer_of_unknown_size_is_whole() {
    let unsized_layer = |whole: &mut Whole| {
        let answer = BlobAnswer::Present { size: None, content: Content::Unhashed };
        drop(whole.seen.blobs.insert(whole.layer, answer));
    };
    assert_eq!(told(unsized_layer), "covered 2, judged 2");
}

#[test]
fn wrong_bytes_of_a_child() {
    let _guard = masked();
    let wrong = |whole: &mut Whole| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::WrongBytes(digest(b"x"))));
    };
    insta::assert_snapshot!(told(wrong), @r#"
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
fn a_server_error_of_one_object() {
    let _guard = masked();
    let fails = |whole: &mut Whole| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Unknown(Trouble::Server(500))));
    };
    insta::assert_snapshot!(told(fails), @r#"
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
fn trouble_that_is_no_damage() {
    let _guard = masked();
    for trouble in
        [Trouble::Forbidden(403), Trouble::Silent("no answer".into()), Trouble::Odd("status 404".into())]
    {
        let text =
            told(|whole| drop(whole.seen.blobs.insert(whole.layer, BlobAnswer::Unknown(trouble.clone()))));
        assert!(!text.contains("\"code\"") && !text.contains("broken"), "{text}");
        assert!(text.contains("unknown v1") && text.contains("unread /v2/team/app/blobs/sha256:"), "{text}");
        assert!(text.ends_with("covered 2, judged 0"), "{text}");
    }
}

#[test]
fn what_was_not_asked_for_is_neither_broken_nor_unknown() {
    let not_asked = |whole: &mut Whole| {
        drop(whole.seen.manifests.insert(whole.arm, ManifestAnswer::Unknown(Trouble::NotAsked)));
    };
    assert_eq!(told(not_asked), "covered 0, judged 0");
}

#[test]
fn certain_damage_beats_what_is_not_known() {
    let both = |whole: &mut Whole| {
        whole.seen.manifests.insert(whole.arm, ManifestAnswer::Unknown(Trouble::Silent("no answer".into())));
        let other = digest(b"layer of one");
        whole.seen.blobs.insert(other, BlobAnswer::Absent);
    };
    let text = told(both);
    assert!(text.contains("broken latest\nbroken v1") && !text.contains("unknown"), "{text}");
    assert!(text.contains("unread"), "the hole is told all the same: {text}");
}

#[test]
fn everything_failing_is_no_damage() {
    let mut whole = whole();
    for answer in whole.seen.tags.values_mut() {
        *answer = TagAnswer::Unknown(Trouble::Server(503));
    }
    whole.seen.manifests.clear();
    whole.seen.blobs.clear();
    let audit = judged(whole.seen, &blobs()).audit;
    assert!(audit.findings.is_empty() && audit.broken_tags.is_empty() && !audit.source.complete);
}

#[test]
fn a_manifest_that_is_no_json_is_unreadable() {
    let _guard = masked();
    let page =
        |whole: &mut Whole| drop(whole.seen.manifests.insert(whole.arm, there("text/html", b"<html>")));
    insta::assert_snapshot!(told(page), @r#"
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
        whole.seen.manifests.insert(digest(&other), there(INDEX, &other));
        whole.seen.tags.insert(format!("t{number}"), TagAnswer::Names(digest(&other)));
    }
    whole.seen.manifests.insert(whole.arm, ManifestAnswer::Absent);
    let audit = judged(whole.seen, &blobs()).audit;
    assert_eq!((audit.findings.len(), audit.broken_tags.len()), (1, 7));
    assert_eq!(audit.findings[0].tags.iter().count(), 7);
}
