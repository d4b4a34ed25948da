//! What is said about each damage met online: code, digest, message. What is damage is decided elsewhere.
//!
//! Messages are fragments that read on after "team/app:v1 cannot be pulled: ".

use std::sync::Arc;

use super::responses::RespondedManifest;
use super::visits::Visits;
use crate::audit::{self, Code, Finding, SharedTags, short};
use crate::graph::Content;
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::oci::{Digest, MediaType};

/// What is said of a list that shows names which no client can ask for.
pub(super) fn strays(source: &Arc<str>, list: &str, names: &[String]) -> Finding {
    let first = names.first().map(|name| crate::text::escape(&name.chars().take(100).collect::<String>()));
    let first = first.unwrap_or_default();
    let message = match names.len() {
        0 | 1 => format!("the list shows \"{first}\", a name that no client can ask for"),
        many => format!("the list shows {many} names that no client can ask for, such as \"{first}\""),
    };
    let repository = list.strip_prefix("/v2/").and_then(|rest| rest.strip_suffix("/tags/list"));
    Finding {
        code: Code::PathUnexpected,
        severity: Code::PathUnexpected.severity(),
        source: Arc::clone(source),
        repository: repository.map(Into::into),
        tags: SharedTags::new(Vec::new()),
        digest: None,
        parent: None,
        platform: None,
        path: Some(list.to_owned()),
        message,
        repair: None,
        cause: None,
        new: None,
    }
}

type ProbeDraft = audit::Draft<Digest>;

/// Where a manifest is asked for.
pub(super) fn manifest_path(visits: &Visits<'_>, reference: impl std::fmt::Display) -> String {
    format!("/v2/{}/manifests/{reference}", visits.repository)
}

/// Where a config or layer is asked for.
pub(super) fn blob_path(visits: &Visits<'_>, digest: Digest) -> String {
    format!("/v2/{}/blobs/{digest}", visits.repository)
}

pub(super) fn tag_absent(visits: &Visits<'_>, tag: &str) -> ProbeDraft {
    ProbeDraft::new(Code::TagTargetMissing, None, manifest_path(visits, tag), "the tag answers 404")
        .apart_by(tag)
}

pub(super) fn tag_fails(visits: &Visits<'_>, tag: &str, status: u16) -> ProbeDraft {
    let message = format!("the tag answers {status} on every try");
    ProbeDraft::new(Code::ServerError, None, manifest_path(visits, tag), message).apart_by(tag)
}

/// A draft about a manifest, with who it is to somebody who pulls the tag.
fn about(visits: &Visits<'_>, digest: Digest, code: Code, what: &str) -> ProbeDraft {
    let visit = visits.get(digest);
    let mut parents: Vec<_> = visit.iter().flat_map(|visit| &visit.parents).copied().collect();
    parents.sort_unstable();
    let is_named = visit.is_some_and(|visit| !visit.tags.is_empty());
    let Some((parent, number)) = parents.first().copied().filter(|_| !is_named) else {
        let is_index = visits.answers.manifest(&digest);
        let is_index = is_index.is_some_and(|seen| seen.manifest.kind == Kind::Index);
        let who = if is_index { "its image index" } else { "its manifest" };
        return ProbeDraft::new(code, Some(digest), manifest_path(visits, digest), format!("{who} {what}"));
    };
    let seen = visits.answers.manifest(&parent);
    let descriptor = seen.and_then(|seen| seen.manifest.references.get(number)).map(|one| &one.descriptor);
    let platform = descriptor.and_then(|one| one.platform.clone()).filter(|platform| !platform.is_unknown());
    let is_attestation = descriptor.is_some_and(|one| one.is_attestation);
    let platform = platform.map(|platform| crate::text::escape(&platform.to_string()));
    let who = match &platform {
        Some(platform) => platform.clone(),
        None if is_attestation => "an attestation".to_owned(),
        None => format!("child {}", short(&digest)),
    };
    let draft = ProbeDraft::new(code, Some(digest), manifest_path(visits, digest), format!("{who} {what}"));
    ProbeDraft { platform, ..draft.parent(parent) }
}

pub(super) fn manifest_absent(visits: &Visits<'_>, digest: Digest) -> ProbeDraft {
    let is_named = visits.get(digest).is_some_and(|visit| !visit.tags.is_empty());
    let code = if is_named { Code::TagTargetMissing } else { Code::ChildMissing };
    about(visits, digest, code, "answers 404")
}

pub(super) fn manifest_fails(visits: &Visits<'_>, digest: Digest, status: u16) -> ProbeDraft {
    about(visits, digest, Code::ServerError, &format!("answers {status} on every try"))
}

pub(super) fn manifest_wrong(visits: &Visits<'_>, digest: Digest, found: Digest) -> ProbeDraft {
    about(visits, digest, Code::ManifestDigestMismatch, &format!("is sent with bytes that hash to {found}"))
}

pub(super) fn manifest_unreadable(visits: &Visits<'_>, digest: Digest, why: &str) -> ProbeDraft {
    about(visits, digest, Code::ManifestUnreadable, &format!("is no manifest: {why}"))
}

/// What is said when a manifest is served as something else than it, or the index that names it, says.
pub(super) fn wrong_type(
    visits: &Visits<'_>,
    digest: Digest,
    seen: &RespondedManifest,
) -> Option<ProbeDraft> {
    let served = MediaType::new(&seen.media_type);
    // 2.8 signs schema 1 anew, whatever was stored.
    if seen.media_type.is_empty() || seen.manifest.kind == Kind::Schema1 {
        return None;
    }
    let own = seen.manifest.media_type.as_ref().filter(|own| **own != served);
    let visit = visits.get(digest);
    let told = visit.iter().flat_map(|visit| &visit.parents).find_map(|(parent, number)| {
        let parent = visits.answers.manifest(parent)?;
        let told = parent.manifest.references.get(*number)?.descriptor.media_type.clone()?;
        (told != served).then_some(told)
    });
    let (whose, told) = match (own, told) {
        (Some(own), _) => ("it calls itself", own.clone()),
        (None, Some(told)) => ("its index calls it", told),
        (None, None) => return None,
    };
    let (served, told) = (crate::text::escape(served.as_str()), crate::text::escape(told.as_str()));
    Some(about(
        visits,
        digest,
        Code::MediaTypeMismatch,
        &format!("is served as {served}, and {whose} {told}"),
    ))
}

pub(super) fn descriptor(visits: &Visits<'_>, digest: Digest, pointer: &str, why: &str) -> ProbeDraft {
    let pointer = crate::text::escape(pointer);
    let draft = about(
        visits,
        digest,
        Code::DescriptorInvalid,
        &format!("has a reference that nobody can follow: {pointer} {why}"),
    );
    draft.apart_by(pointer)
}

pub(super) fn size_lie(
    visits: &Visits<'_>,
    parent: Digest,
    number: usize,
    child: Digest,
    bytes: u64,
) -> ProbeDraft {
    let seen = visits.answers.manifest(&parent);
    let told =
        seen.and_then(|seen| seen.manifest.references.get(number)).map_or(0, |one| one.descriptor.size);
    let message = format!("its index gives {} the size {told}, and it has {bytes} bytes", short(&child));
    let draft =
        ProbeDraft::new(Code::DescriptorSizeMismatch, Some(child), manifest_path(visits, child), message);
    draft.parent(parent).apart_by(format!("{parent} {told}"))
}

/// A draft about a config or layer.
fn part(
    visits: &Visits<'_>,
    parent: Digest,
    role: ReferenceRole,
    target: Digest,
    code: Code,
    what: &str,
) -> ProbeDraft {
    let who = about(visits, parent, code, "");
    let who = if who.parent.is_some() { format!(" of {}", who.message.trim_end()) } else { String::new() };
    let word = if role == ReferenceRole::Config { "config" } else { "layer" };
    let message = format!("{word} {}{who} {what}", short(&target));
    ProbeDraft::new(code, Some(target), blob_path(visits, target), message).parent(parent)
}

pub(super) fn blob_absent(
    visits: &Visits<'_>,
    parent: Digest,
    role: ReferenceRole,
    target: Digest,
) -> ProbeDraft {
    part(visits, parent, role, target, Code::BlobMissing, "answers 404")
}

pub(super) fn blob_fails(
    visits: &Visits<'_>,
    parent: Digest,
    role: ReferenceRole,
    target: Digest,
    status: u16,
) -> ProbeDraft {
    part(visits, parent, role, target, Code::ServerError, &format!("answers {status} on every try"))
}

pub(super) fn blob_size(
    visits: &Visits<'_>,
    parent: Digest,
    role: ReferenceRole,
    target: Digest,
    (wanted, size): (u64, u64),
    content: Content,
) -> ProbeDraft {
    if content == Content::Right {
        let what = format!("has {size} bytes, which are right, and its manifest says {wanted}");
        let draft = part(visits, parent, role, target, Code::DescriptorSizeMismatch, &what);
        return draft.apart_by(format!("{parent} {wanted}"));
    }
    let what = format!("has {size} bytes, and its manifest says {wanted}");
    part(visits, parent, role, target, Code::BlobSizeMismatch, &what).apart_by(wanted.to_string())
}

pub(super) fn blob_wrong(
    visits: &Visits<'_>,
    parent: Digest,
    role: ReferenceRole,
    target: Digest,
) -> ProbeDraft {
    part(
        visits,
        parent,
        role,
        target,
        Code::BlobDigestMismatch,
        "is sent with bytes that do not hash to its digest",
    )
}
