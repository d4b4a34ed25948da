//! From findings to steps. Which findings there are is the audit's matter; whether a step does harm is looked at elsewhere.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::step::{Act, RepairStep};
use crate::audit::{Audit, Cause, Code, Finding, GarbagePiece, Repair, SharedTags, restorable};
use crate::graph::{Graph, GraphLink};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;

/// What a repair is limited to. The default is all findings of all repositories, apart from deleted tags.
#[derive(Default)]
pub struct Scope<'s> {
    /// Finding codes; all when empty.
    pub only: Vec<Code>,
    /// Whether a repository is meant; what lies in none is meant only without this.
    pub repository: Option<&'s dyn Fn(&str) -> bool>,
    /// What becomes of tags whose manifest was probably deleted through the API; `None` leaves them.
    pub deleted_tags: Option<DeletedTags>,
}

/// What becomes of a tag whose manifest was probably deleted through the API. Only an operator knows whether that was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DeletedTags {
    /// The manifest is brought back, as any other damage is mended.
    Restore,
    /// The tag is moved aside.
    Drop,
}

/// Tags of an audit whose manifests were probably deleted through the API, by repository.
#[derive(Debug, Default)]
pub(super) struct ProbablyDeleted<'a>(HashSet<(&'a str, &'a str)>);

impl<'a> ProbablyDeleted<'a> {
    pub(super) fn from_audit(audit: &'a Audit) -> Self {
        let deleted = audit.findings.iter().filter(|finding| finding.cause == Some(Cause::ProbablyDeleted));
        let tags = deleted.flat_map(|finding| {
            let repository = finding.repository.as_deref().unwrap_or_default();
            finding.tags.iter().map(move |tag| (repository, &**tag))
        });
        Self(tags.collect())
    }

    /// Whether only such tags lead to a damage: to mend it would bring back a part of what was deleted.
    pub(super) fn are_all_of(&self, finding: &Finding) -> bool {
        let repository = finding.repository.as_deref().unwrap_or_default();
        !finding.tags.is_empty() && finding.tags.iter().all(|tag| self.0.contains(&(repository, &**tag)))
    }
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Scope")
            .field("only", &self.only)
            .field("repository", &self.repository.is_some())
            .field("deleted_tags", &self.deleted_tags)
            .finish()
    }
}

impl Scope<'_> {
    pub(super) fn has(&self, code: Code, repository: Option<&str>) -> bool {
        let is_code = self.only.is_empty() || self.only.contains(&code);
        is_code && self.repository.is_none_or(|is_meant| repository.is_some_and(is_meant))
    }
}

/// A step with what all steps of findings share.
fn step(action: Act, path: impl ToString, finding: &Finding, digest: Option<Digest>) -> RepairStep {
    RepairStep {
        action,
        path: path.to_string(),
        repository: finding.repository.clone(),
        tag: None,
        digest,
        bytes: 0,
        code: Some(finding.code),
        tags: finding.tags.clone(),
        message: finding.message.clone(),
        modified: None,
    }
}

/// Steps that mend damage, each once. Layer links of a repository whose `_layers` is rebuilt belong to that finding.
pub(super) fn damage(
    audit: &Audit,
    graph: &Graph,
    scope: &Scope<'_>,
    rebuilt: &HashSet<Arc<str>>,
) -> Vec<RepairStep> {
    let of_rebuilt = |finding: &Finding| {
        finding.code == Code::LayerLinkMissing
            && finding.repository.as_ref().is_some_and(|name| rebuilt.contains(name))
            && scope.has(Code::LayersFolderMissing, finding.repository.as_deref())
    };
    let is_meant =
        |finding: &&Finding| scope.has(finding.code, finding.repository.as_deref()) || of_rebuilt(finding);
    let deleted = ProbablyDeleted::from_audit(audit);
    let mut steps = Vec::new();
    for finding in audit.findings.iter().filter(is_meant) {
        let adds = finding.repair != Some(Repair::Quarantine);
        match scope.deleted_tags {
            None | Some(DeletedTags::Drop) if adds && deleted.are_all_of(finding) => {
                if scope.deleted_tags == Some(DeletedTags::Drop) && finding.cause.is_some() {
                    steps.extend(dropped(finding, graph));
                }
            }
            _ => steps.extend(of_damage(finding, graph)),
        }
    }
    let mut seen = HashSet::new();
    steps.retain(|step| seen.insert(step.path.clone()));
    steps
}

/// The tags that name a manifest which was probably deleted.
fn dropped(finding: &Finding, graph: &Graph) -> Vec<RepairStep> {
    let (Some(name), Some(digest)) = (&finding.repository, finding.digest) else { return Vec::new() };
    let (Some(repository), Some(node)) = (graph.repository(name), graph.digests().find(&digest)) else {
        return Vec::new();
    };
    let names_it =
        |tag: &&Arc<str>| repository.tag(tag).is_some_and(|tag| tag.current == GraphLink::Names(node));
    let drop = |tag: &Arc<str>| {
        let mut step = step(Act::Drop, Place::TagFolder(name, tag), finding, Some(digest));
        step.tag = Some((&**tag).into());
        step.tags = SharedTags::new([Arc::clone(tag)]);
        step
    };
    finding.tags.iter().filter(names_it).map(drop).collect()
}

fn of_damage(finding: &Finding, graph: &Graph) -> Option<RepairStep> {
    let path = finding.path.as_deref()?;
    match (finding.repair?, Place::parse(path)?) {
        (Repair::Relink | Repair::Rewrite, Place::RevisionLink(name, digest)) => {
            let link = graph.repository(name)?.revision(graph.digests().find(&digest)?);
            Some(step(write(link), path, finding, Some(digest)))
        }
        (Repair::Relink | Repair::Rewrite, Place::LayerLink(name, digest)) => {
            let link = graph.repository(name)?.layer(graph.digests().find(&digest)?);
            Some(step(write(link), path, finding, Some(digest)))
        }
        (Repair::Restore, Place::TagLink(name, tag)) => {
            let node = restorable(graph, graph.repository(name)?, tag)?;
            let mut step = step(Act::Restore, path, finding, Some(graph.digest(node)));
            step.tag = Some(tag.into());
            Some(step)
        }
        (Repair::Rebuild, Place::Layers(_)) => Some(step(Act::Rebuild, path, finding, None)),
        (Repair::Quarantine, Place::BlobData(digest)) => {
            let mut step = step(Act::Quarantine, Place::BlobFolder(digest), finding, Some(digest));
            step.bytes = graph.digests().find(&digest).map_or(0, |node| graph.blob(node).size);
            Some(step)
        }
        _ => None,
    }
}

/// What bytes are missing that another registry may have.
pub(super) fn missing(audit: &Audit, graph: &Graph, scope: &Scope<'_>) -> Vec<RepairStep> {
    let (mut seen, deleted) = (HashSet::new(), ProbablyDeleted::from_audit(audit));
    let mut steps = Vec::new();
    for finding in &audit.findings {
        if scope.deleted_tags != Some(DeletedTags::Restore) && deleted.are_all_of(finding) {
            continue;
        }
        let (true, Some(digest)) = (scope.has(finding.code, finding.repository.as_deref()), finding.digest)
        else {
            continue;
        };
        let is_missing = match finding.code {
            Code::TagTargetMissing | Code::ChildMissing | Code::BlobMissing => finding.repair.is_none(),
            Code::LayerLinkMissing | Code::LayerLinkInvalid | Code::LayerLinkMismatch => {
                finding.repair.is_none()
            }
            Code::RevisionLinkInvalid | Code::RevisionLinkMismatch => finding.repair.is_none(),
            _ => false,
        };
        let is_gone = graph
            .digests()
            .find(&digest)
            .is_none_or(|node| graph.blob(node).presence == crate::graph::Presence::Absent);
        if is_missing && is_gone && digest.algorithm() == Algorithm::Sha256 && seen.insert(digest) {
            steps.push(step(Act::Fetch, Place::BlobData(digest), finding, Some(digest)));
        }
    }
    steps
}

/// Steps that move leftovers aside. What cannot be named on disk is left.
pub(super) fn leftovers(audit: &Audit, graph: &Graph, scope: &Scope<'_>) -> Vec<RepairStep> {
    let mut steps: Vec<RepairStep> = Vec::new();
    for piece in audit.pieces.iter().filter(|piece| scope.has(piece.code, piece.repository.as_deref())) {
        steps.extend(of_piece(piece, graph));
    }
    for finding in audit.findings.iter().filter(|one| scope.has(one.code, one.repository.as_deref())) {
        let Some(path) = finding.path.as_deref() else { continue };
        match (finding.repair, finding.code) {
            (Some(Repair::Reset), _) => steps.push(step(Act::Reset, path, finding, None)),
            (Some(Repair::MoveAside), _) => steps.extend(stray(finding, graph, path)),
            (Some(Repair::Remove), Code::GcHazard) => {
                if let Some(Place::LayerLink(name, digest)) = Place::parse(path) {
                    steps.push(step(Act::Unlink, Place::LayerFolder(name, digest), finding, None));
                }
            }
            _ => {}
        }
    }
    // Names were escaped when they were read: what was changed by that cannot be found by its name.
    steps.retain(|step| !step.path.contains('\\'));
    let mut seen = HashSet::new();
    steps.retain(|step| seen.insert(step.path.clone()));
    steps
}

/// An entry without a place. Of a repository with an illegal name only its own folders are moved: legal repositories may
/// lie below it.
fn stray(finding: &Finding, graph: &Graph, path: &str) -> Vec<RepairStep> {
    match Place::parse(path) {
        Some(Place::Repository(name)) if graph.repository(name).is_some_and(|one| !one.is_legal) => {
            [Place::Layers(name), Place::Manifests(name), Place::Uploads(name)]
                .into_iter()
                .map(|place| step(Act::MoveAside, place, finding, None))
                .collect()
        }
        _ => vec![step(Act::MoveAside, path, finding, None)],
    }
}

fn of_piece(piece: &GarbagePiece, graph: &Graph) -> Option<RepairStep> {
    let link = |name: &str, digest: &Digest| {
        let link = graph.repository(name)?.layer(graph.digests().find(digest)?);
        link.target().map(|target| graph.digest(target))
    };
    let (action, path, digest, message) = match (piece.code, Place::parse(&piece.path)) {
        (
            code @ (Code::LayerLinkDangling | Code::LayerLinkUnreferenced),
            Some(Place::LayerLink(name, digest)),
        ) => {
            let gone = if code == Code::LayerLinkDangling { ", and its bytes are gone" } else { "" };
            let folder = Place::LayerFolder(name, digest).to_string();
            (
                Act::Unlink,
                folder,
                link(name, &digest),
                format!("no manifest here needs this layer link{gone}"),
            )
        }
        (Code::TagHistoryDangling, Some(Place::TagIndexLink(name, tag, digest))) => {
            let folder = Place::TagIndexFolder(name, tag, digest).to_string();
            (
                Act::Unlink,
                folder,
                Some(digest),
                format!("this entry of the history of {tag} does not resolve"),
            )
        }
        (Code::UploadStale, _) => {
            (Act::Clear, piece.path.clone(), None, "an upload that nobody finishes any more".into())
        }
        (Code::TempFileStale, _) => {
            (Act::Clear, piece.path.clone(), None, "a write that never finished".into())
        }
        _ => return None,
    };
    Some(RepairStep {
        action,
        path,
        repository: piece.repository.as_deref().map(Arc::from),
        tag: None,
        digest,
        bytes: piece.bytes,
        code: Some(piece.code),
        tags: SharedTags::default(),
        message,
        modified: None,
    })
}

/// How a link comes to be, by what stands in its place.
const fn write(link: GraphLink) -> Act {
    if matches!(link, GraphLink::Absent) { Act::Relink } else { Act::Rewrite }
}
