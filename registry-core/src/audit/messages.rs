//! The code, place, message and repair of each damage. What counts as damage is decided elsewhere.
//!
//! Messages are fragments that read on after "team/app:v1 cannot be pulled: ".

use super::access::{LayerAccess, ManifestAccess, UnusableBytes};
use super::code::{Code, Severity};
use super::draft::Draft;
use super::finding::{Cause, Repair};
use super::verdict::Visit;
use crate::graph::{LinkFault, ManifestNode, NodeId, Presence, RepositoryView};
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;

/// A reference to a config or layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlobReference {
    pub(super) manifest: NodeId,
    pub(super) role: ReferenceRole,
    pub(super) target: NodeId,
}

/// Describes a bad link: "its link is empty (0 bytes)".
pub(super) fn link_fault(what: &str, fault: LinkFault) -> String {
    format!("{what} {}", fault.describe())
}

/// The first characters of a digest, enough to tell it from others.
pub(crate) fn short(digest: &Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(digest.algorithm().name().len() + 13);
    text
}

/// "1 blob", "2 blobs".
pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Names a manifest as somebody who pulls the tag knows it, and gives the platform if that is its name.
fn describe_manifest(
    view: RepositoryView<'_>,
    node: NodeId,
    visit: &Visit,
    edge: Option<(NodeId, usize)>,
) -> (String, Option<String>) {
    let digest = view.graph.digest(node);
    if !visit.tags.is_empty() {
        let is_index = view.graph.manifest(node).is_some_and(|manifest| manifest.kind == Kind::Index);
        return (if is_index { "its image index" } else { "its manifest" }.into(), None);
    }
    let Some((parent, number)) = edge else { return (format!("untagged manifest {}", short(&digest)), None) };
    let edge = view.graph.manifest(parent).and_then(|manifest| view.graph.edges(manifest).get(number));
    let platform = edge.and_then(|edge| view.graph.platform(edge)).filter(|platform| !platform.is_unknown());
    match (platform, edge.is_some_and(|edge| edge.is_attestation)) {
        (_, true) => (format!("an attestation ({})", short(&digest)), None),
        (Some(platform), false) => {
            // Whoever pushes chooses this text.
            let text = crate::text::escape(&platform.to_string());
            (text.clone(), Some(text))
        }
        (None, false) => (format!("child {}", short(&digest)), None),
    }
}

/// The draft for a damaged manifest. `is_deleted` tells that it was probably deleted through the API.
pub(super) fn manifest_damage(
    view: RepositoryView<'_>,
    node: NodeId,
    visit: &Visit,
    is_deleted: bool,
) -> Draft {
    // The smallest parent, so that every run names the same one.
    let edge =
        visit.parents.iter().copied().min_by_key(|(parent, number)| (view.graph.digest(*parent), *number));
    let edge = edge.filter(|_| visit.tags.is_empty());
    let (who, platform) = describe_manifest(view, node, visit, edge);
    let digest = view.graph.digest(node);
    let link_path = Place::RevisionLink(&view.repository.name, digest).to_string();
    let data_path = Place::BlobData(digest).to_string();
    let is_tagged = !visit.tags.is_empty();
    let whole = view.has_right_bytes(node) == Some(true)
        && view.graph.manifest(node).is_some_and(|manifest| manifest.refusal().is_none());
    let rewrite = whole.then_some(Repair::Rewrite);
    let bytes = match (whole, view.graph.blob(node).presence) {
        (true, _) => "; its bytes are here",
        (false, Presence::Unread) => "; its bytes could not be read",
        (false, _) => "; its bytes are not here whole",
    };
    let mut draft = match &visit.answer {
        ManifestAccess::Unlinked => {
            let code = if is_tagged { Code::TagTargetUnlinked } else { Code::ChildLinkMissing };
            let message = if is_deleted {
                format!(
                    "{who} was probably deleted through the API: the folder of its revision link is empty; its bytes are here until \
                     a collection"
                )
            } else {
                format!("{who} has lost its revision link; its bytes are here")
            };
            Draft::new(code, Some(node), link_path, message).with_repair(Some(Repair::Relink))
        }
        ManifestAccess::Missing(lack) => {
            let code = match (is_tagged, edge) {
                (true, _) => Code::TagTargetMissing,
                (false, Some(_)) => Code::ChildMissing,
                (false, None) => Code::ManifestMissing,
            };
            let (path, how) = match lack {
                UnusableBytes::Both if is_deleted => (
                    link_path,
                    "was probably deleted through the API and collected since: the folder of its revision link is empty, its bytes \
                     are gone",
                ),
                UnusableBytes::Both => (link_path, "is gone: neither a revision link nor its bytes are here"),
                UnusableBytes::Bytes => (data_path, "is gone: its revision link is here, its bytes are not"),
                UnusableBytes::LinkAndRightBytes => (
                    data_path,
                    "is gone: it has no revision link, and the file under its digest holds something else",
                ),
            };
            // A push does not replace a file that exists (`registry/storage/blobstore.go @ v2.8.3`, `Put`).
            let is_wrong =
                *lack == UnusableBytes::LinkAndRightBytes && view.has_right_bytes(node) == Some(false);
            Draft::new(code, Some(node), path, format!("{who} {how}"))
                .with_repair(is_wrong.then_some(Repair::Quarantine))
        }
        ManifestAccess::LinkInvalid(fault) => {
            let message = link_fault(&format!("{who}: the revision link"), *fault) + bytes;
            let repair = rewrite.filter(|_| *fault != LinkFault::NoFile);
            Draft::new(Code::RevisionLinkInvalid, Some(node), link_path, message).with_repair(repair)
        }
        ManifestAccess::LinkMismatch { target, .. } => {
            let other = short(&view.graph.digest(*target));
            let message = format!("{who}: the revision link names {other} instead{bytes}");
            Draft::new(Code::RevisionLinkMismatch, Some(node), link_path, message).with_repair(rewrite)
        }
        ManifestAccess::Unreadable(why) => {
            let wrong = view.has_right_bytes(node) == Some(false);
            let message = format!("{who} is unreadable: {why}");
            let repair = wrong.then_some(Repair::Quarantine);
            Draft::new(Code::ManifestUnreadable, Some(node), data_path, message).with_repair(repair)
        }
        ManifestAccess::WrongBytes
        | ManifestAccess::Served { .. }
        | ManifestAccess::Unknown(_)
        | ManifestAccess::Unasked => {
            let message = format!("{who} has bytes that do not hash to its digest");
            Draft::new(Code::ManifestDigestMismatch, Some(node), data_path, message)
                .with_repair(Some(Repair::Quarantine))
        }
    };
    draft.cause = is_deleted.then_some(Cause::ProbablyDeleted);
    draft.parent = edge.map(|(parent, _)| parent);
    draft.platform = platform;
    draft
}

/// The draft for a descriptor whose digest or size is invalid.
pub(super) fn invalid_descriptor(
    view: RepositoryView<'_>,
    manifest: NodeId,
    pointer: &str,
    message: &str,
) -> Draft {
    let digest = view.graph.digest(manifest);
    let text = format!("{pointer} in manifest {}: {message}", short(&digest));
    Draft::new(Code::DescriptorInvalid, Some(manifest), Place::BlobData(digest), text).with_detail(pointer)
}

/// The draft for right bytes to which a descriptor gives another size.
pub(super) fn wrong_declared_size(
    view: RepositoryView<'_>,
    (node, manifest, number): (NodeId, &ManifestNode, usize),
    target: NodeId,
    actual: u64,
) -> Draft {
    let edges = view.graph.edges(manifest);
    let pointer = match (manifest.kind, edges.get(number).map(|edge| edge.role)) {
        (Kind::Index, _) => format!("/manifests/{number}/size"),
        (_, Some(ReferenceRole::Config)) => "/config/size".into(),
        _ => {
            let configs = edges.iter().filter(|edge| edge.role == ReferenceRole::Config).count();
            format!("/layers/{}/size", number.saturating_sub(configs))
        }
    };
    let declared = edges.get(number).map_or(0, |edge| edge.size);
    let message = format!(
        "{pointer} in manifest {} says {declared} bytes; {} has {actual} and they are right",
        short(&view.graph.digest(node)),
        short(&view.graph.digest(target)),
    );
    let path = Place::BlobData(view.graph.digest(node));
    Draft::new(Code::DescriptorSizeMismatch, Some(target), path, message)
        .with_detail(view.graph.digest(node).to_string())
        .with_parent(node)
}

/// The draft for a repository without `_layers`; a warning if no manifest needs a layer link.
pub(super) fn missing_layers_folder(view: RepositoryView<'_>, is_needed: bool) -> Draft {
    let path = Place::Layers(&view.repository.name);
    let collectors = "a 2.x collector takes every blob of this repository, a 3.x one aborts";
    let (severity, what) = if is_needed {
        (Severity::Error, "the repository has no _layers folder, so no config and no layer is served")
    } else {
        (Severity::Warning, "the repository has manifests and no _layers folder, though none needs it")
    };
    Draft::new(Code::LayersFolderMissing, None, path, format!("{what}; {collectors}"))
        .with_severity(severity)
        .with_repair(Some(Repair::Rebuild))
}

fn blob_name(view: RepositoryView<'_>, part: BlobReference, node: NodeId) -> String {
    let role = if part.role == ReferenceRole::Config { "config" } else { "layer" };
    format!("{role} {}", short(&view.graph.digest(node)))
}

/// The draft for a config or layer whose layer link is missing or bad.
pub(super) fn layer_link_damage(
    view: RepositoryView<'_>,
    part: BlobReference,
    answer: &LayerAccess,
) -> Draft {
    let path = |node| Place::LayerLink(&view.repository.name, view.graph.digest(node));
    let bytes = |node| match (view.has_right_bytes(node), view.graph.blob(node).presence) {
        (Some(true), _) => ("; its bytes are here", true),
        (None, Presence::Present) => ("; its bytes are here, not hashed", false),
        (None, _) => ("; its bytes could not be read", false),
        (Some(false), Presence::Absent) if view.graph.digest(node).algorithm() != Algorithm::Sha256 => {
            ("; bytes are filed by sha256, so they may be here", false)
        }
        (Some(false), Presence::Present) => ("; the file under its digest holds something else", false),
        (Some(false), _) => ("; its bytes are gone too", false),
    };
    let draft = match answer {
        LayerAccess::Invalid(node, fault) => {
            let (text, whole) = bytes(*node);
            let message =
                link_fault(&format!("{}: the layer link", blob_name(view, part, *node)), *fault) + text;
            let repair = (whole && *fault != LinkFault::NoFile).then_some(Repair::Relink);
            Draft::new(Code::LayerLinkInvalid, Some(*node), path(*node), message).with_repair(repair)
        }
        LayerAccess::Mismatch(node, other, _) => {
            let (text, whole) = bytes(*node);
            let other = short(&view.graph.digest(*other));
            let message =
                format!("{}: the layer link names {other} instead{text}", blob_name(view, part, *node));
            let repair = whole.then_some(Repair::Relink);
            Draft::new(Code::LayerLinkMismatch, Some(*node), path(*node), message).with_repair(repair)
        }
        LayerAccess::WrongAlias(node, target) => {
            let target = short(&view.graph.digest(*target));
            let message = format!(
                "{}: the layer link names {target}, whose bytes are others",
                blob_name(view, part, *node)
            );
            Draft::new(Code::LayerLinkMismatch, Some(*node), path(*node), message)
        }
        LayerAccess::Unlinked(node) => {
            let (text, whole) = bytes(*node);
            let message = format!("{} has no layer link here{text}", blob_name(view, part, *node));
            let repair = whole.then_some(Repair::Relink);
            Draft::new(Code::LayerLinkMissing, Some(*node), path(*node), message).with_repair(repair)
        }
        LayerAccess::Served(_) | LayerAccess::NoFolder | LayerAccess::NoBytes(_) | LayerAccess::Unread(_) => {
            Draft::new(Code::LayerLinkMissing, Some(part.target), path(part.target), "no layer link")
        }
    };
    draft.with_parent(part.manifest)
}

/// The draft for a config or layer whose bytes are gone.
pub(super) fn missing_blob(view: RepositoryView<'_>, part: BlobReference, node: NodeId) -> Draft {
    let message =
        format!("{} is gone: its layer link is here, its bytes are not", blob_name(view, part, node));
    Draft::new(Code::BlobMissing, Some(node), Place::BlobData(view.graph.digest(node)), message)
        .with_parent(part.manifest)
}

/// The draft for a config or layer whose bytes are wrong; `declared` is its size by the manifest.
pub(super) fn wrong_blob(
    view: RepositoryView<'_>,
    part: BlobReference,
    node: NodeId,
    code: Code,
    declared: Option<u64>,
) -> Draft {
    let actual = view.graph.blob(node).size;
    let who = blob_name(view, part, node);
    let message = match declared.filter(|declared| *declared != actual) {
        Some(declared) => {
            format!("{who} is damaged: {actual} bytes instead of {declared}, and they hash wrong")
        }
        None => format!("{who} is damaged: its {actual} bytes hash wrong"),
    };
    Draft::new(code, Some(node), Place::BlobData(view.graph.digest(node)), message)
        .with_key_code(Code::BlobSizeMismatch)
        .with_parent(part.manifest)
        .with_repair(Some(Repair::Quarantine))
}
