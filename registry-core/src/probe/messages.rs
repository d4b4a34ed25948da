//! The code, path and message of each damage found online. What counts as damage is decided elsewhere.
//!
//! Messages are fragments that read on after "team/app:v1 cannot be pulled: ".

use std::sync::Arc;

use super::responses::AnsweredManifest;
use super::visits::Visits;
use crate::audit::{self, Code, Finding, SharedTags, short};
use crate::graph::Content;
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::oci::{Digest, MediaType};

/// The finding for a list with illegal names, which no client can ask for.
pub(super) fn stray_names(source: &Arc<str>, list: &str, names: &[String]) -> Finding {
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

/// The path that answers for a manifest.
pub(super) fn manifest_path(visits: &Visits<'_>, reference: impl std::fmt::Display) -> String {
    format!("/v2/{}/manifests/{reference}", visits.repository)
}

/// The path that answers for a config or layer.
pub(super) fn blob_path(visits: &Visits<'_>, digest: Digest) -> String {
    format!("/v2/{}/blobs/{digest}", visits.repository)
}

pub(super) fn tag_absent(visits: &Visits<'_>, tag: &str) -> ProbeDraft {
    ProbeDraft::new(Code::TagTargetMissing, None, manifest_path(visits, tag), "the tag answers 404")
        .with_detail(tag)
}

pub(super) fn tag_fails(visits: &Visits<'_>, tag: &str, status: u16) -> ProbeDraft {
    let message = format!("the tag answers {status} on every try");
    ProbeDraft::new(Code::ServerError, None, manifest_path(visits, tag), message).with_detail(tag)
}

/// A draft about a manifest, which is named as somebody who pulls the tag knows it: `what` follows that name.
fn manifest_draft(visits: &Visits<'_>, digest: Digest, code: Code, what: &str) -> ProbeDraft {
    let visit = visits.get(digest);
    let mut parents: Vec<_> = visit.iter().flat_map(|visit| &visit.parents).copied().collect();
    parents.sort_unstable();
    let is_named = visit.is_some_and(|visit| !visit.tags.is_empty());
    let Some((parent, number)) = parents.first().copied().filter(|_| !is_named) else {
        let manifest = visits.answers.manifest(&digest);
        let is_index = manifest.is_some_and(|seen| seen.manifest.kind == Kind::Index);
        let who = if is_index { "its image index" } else { "its manifest" };
        return ProbeDraft::new(code, Some(digest), manifest_path(visits, digest), format!("{who} {what}"));
    };
    let seen = visits.answers.manifest(&parent);
    let descriptor =
        seen.and_then(|seen| seen.manifest.references.get(number)).map(|reference| &reference.descriptor);
    let platform = descriptor
        .and_then(|descriptor| descriptor.platform.clone())
        .filter(|platform| !platform.is_unknown());
    let is_attestation = descriptor.is_some_and(|descriptor| descriptor.is_attestation);
    let platform = platform.map(|platform| crate::text::escape(&platform.to_string()));
    let who = match &platform {
        Some(platform) => platform.clone(),
        None if is_attestation => "an attestation".to_owned(),
        None => format!("child {}", short(&digest)),
    };
    let draft = ProbeDraft::new(code, Some(digest), manifest_path(visits, digest), format!("{who} {what}"));
    ProbeDraft { platform, ..draft.with_parent(parent) }
}

pub(super) fn manifest_absent(visits: &Visits<'_>, digest: Digest) -> ProbeDraft {
    let is_named = visits.get(digest).is_some_and(|visit| !visit.tags.is_empty());
    let code = if is_named { Code::TagTargetMissing } else { Code::ChildMissing };
    manifest_draft(visits, digest, code, "answers 404")
}

pub(super) fn manifest_fails(visits: &Visits<'_>, digest: Digest, status: u16) -> ProbeDraft {
    manifest_draft(visits, digest, Code::ServerError, &format!("answers {status} on every try"))
}

pub(super) fn manifest_wrong(visits: &Visits<'_>, digest: Digest, found: Digest) -> ProbeDraft {
    manifest_draft(
        visits,
        digest,
        Code::ManifestDigestMismatch,
        &format!("is sent with bytes that hash to {found}"),
    )
}

pub(super) fn manifest_unreadable(visits: &Visits<'_>, digest: Digest, why: &str) -> ProbeDraft {
    manifest_draft(visits, digest, Code::ManifestUnreadable, &format!("is no manifest: {why}"))
}

/// The draft for a manifest whose `Content-Type` differs from its own media type, or from the one that an index gives it.
pub(super) fn wrong_media_type(
    visits: &Visits<'_>,
    digest: Digest,
    seen: &AnsweredManifest,
) -> Option<ProbeDraft> {
    let served = MediaType::new(&seen.media_type);
    // 2.8 signs schema 1 anew, whatever type was stored.
    if seen.media_type.is_empty() || seen.manifest.kind == Kind::Schema1 {
        return None;
    }
    let own = seen.manifest.media_type.as_ref().filter(|own| **own != served);
    let visit = visits.get(digest);
    let by_index = visit.iter().flat_map(|visit| &visit.parents).find_map(|(parent, number)| {
        let parent = visits.answers.manifest(parent)?;
        let declared = parent.manifest.references.get(*number)?.descriptor.media_type.clone()?;
        (declared != served).then_some(declared)
    });
    let (whose, declared) = match (own, by_index) {
        (Some(own), _) => ("it calls itself", own.clone()),
        (None, Some(declared)) => ("its index calls it", declared),
        (None, None) => return None,
    };
    let (served, declared) = (crate::text::escape(served.as_str()), crate::text::escape(declared.as_str()));
    Some(manifest_draft(
        visits,
        digest,
        Code::MediaTypeMismatch,
        &format!("is served as {served}, and {whose} {declared}"),
    ))
}

pub(super) fn invalid_descriptor(
    visits: &Visits<'_>,
    digest: Digest,
    pointer: &str,
    why: &str,
) -> ProbeDraft {
    let pointer = crate::text::escape(pointer);
    let draft = manifest_draft(
        visits,
        digest,
        Code::DescriptorInvalid,
        &format!("has a reference that nobody can follow: {pointer} {why}"),
    );
    draft.with_detail(pointer)
}

pub(super) fn wrong_declared_size(
    visits: &Visits<'_>,
    parent: Digest,
    number: usize,
    child: Digest,
    bytes: u64,
) -> ProbeDraft {
    let seen = visits.answers.manifest(&parent);
    let reference = seen.and_then(|seen| seen.manifest.references.get(number));
    let declared = reference.map_or(0, |reference| reference.descriptor.size);
    let message = format!("its index gives {} the size {declared}, and it has {bytes} bytes", short(&child));
    let draft =
        ProbeDraft::new(Code::DescriptorSizeMismatch, Some(child), manifest_path(visits, child), message);
    draft.with_parent(parent).with_detail(format!("{parent} {declared}"))
}

/// A reference of the manifest `parent` to a config or layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlobReference {
    pub(super) parent: Digest,
    pub(super) role: ReferenceRole,
    pub(super) target: Digest,
}

/// A draft about a config or layer, which is named with its manifest: `what` follows these names.
fn blob_draft(visits: &Visits<'_>, blob: BlobReference, code: Code, what: &str) -> ProbeDraft {
    let BlobReference { parent, role, target } = blob;
    let manifest = manifest_draft(visits, parent, code, "");
    let of_child = match manifest.parent {
        Some(_) => format!(" of {}", manifest.message.trim_end()),
        None => String::new(),
    };
    let word = if role == ReferenceRole::Config { "config" } else { "layer" };
    let message = format!("{word} {}{of_child} {what}", short(&target));
    ProbeDraft::new(code, Some(target), blob_path(visits, target), message).with_parent(parent)
}

pub(super) fn blob_absent(visits: &Visits<'_>, blob: BlobReference) -> ProbeDraft {
    blob_draft(visits, blob, Code::BlobMissing, "answers 404")
}

pub(super) fn blob_fails(visits: &Visits<'_>, blob: BlobReference, status: u16) -> ProbeDraft {
    blob_draft(visits, blob, Code::ServerError, &format!("answers {status} on every try"))
}

pub(super) fn blob_size(
    visits: &Visits<'_>,
    blob: BlobReference,
    declared: u64,
    size: u64,
    content: Content,
) -> ProbeDraft {
    if content == Content::Right {
        let what = format!("has {size} bytes, which are right, and its manifest says {declared}");
        let draft = blob_draft(visits, blob, Code::DescriptorSizeMismatch, &what);
        return draft.with_detail(format!("{} {declared}", blob.parent));
    }
    let what = format!("has {size} bytes, and its manifest says {declared}");
    blob_draft(visits, blob, Code::BlobSizeMismatch, &what).with_detail(declared.to_string())
}

pub(super) fn blob_wrong(visits: &Visits<'_>, blob: BlobReference) -> ProbeDraft {
    let what = "is sent with bytes that do not hash to its digest";
    blob_draft(visits, blob, Code::BlobDigestMismatch, what)
}
