//! Proposes steps for findings. Whether a step would break a tag is checked in `regressions`.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::step::{RepairStep, StepAction};
use crate::audit::{Audit, Cause, Code, Finding, GarbagePiece, Repair, SharedTags, restorable_entry};
use crate::graph::{Graph, GraphLink, Presence};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;

/// What a repair is limited to. The default is all findings of all repositories, apart from deleted tags.
#[derive(Default)]
pub struct Scope<'s> {
    /// Finding codes; all when empty.
    pub only: Vec<Code>,
    /// Tells whether a repository is included. What lies in no repository is included only when this is `None`.
    pub repository: Option<&'s dyn Fn(&str) -> bool>,
    /// What to do with tags whose manifest was probably deleted through the API; `None` leaves them.
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

    /// Whether only such tags lead to a finding: its repair would bring back a part of what was deleted.
    pub(super) fn include_all_tags_of(&self, finding: &Finding) -> bool {
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
    pub(super) fn includes_code(&self, code: Code) -> bool {
        self.only.is_empty() || self.only.contains(&code)
    }

    pub(super) fn includes(&self, code: Code, repository: Option<&str>) -> bool {
        self.includes_code(code)
            && self.repository.is_none_or(|is_included| repository.is_some_and(is_included))
    }

    fn includes_finding(&self, finding: &Finding) -> bool {
        self.includes(finding.code, finding.repository.as_deref())
    }
}

/// A step for a finding, with the fields that all such steps share.
fn finding_step(
    action: StepAction,
    path: impl ToString,
    finding: &Finding,
    digest: Option<Digest>,
) -> RepairStep {
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

/// Steps that repair damage, one for each path. When a `_layers` folder is made, its layer links are written too, whether or not
/// their code is in the scope.
pub(super) fn damage_steps(
    audit: &Audit,
    graph: &Graph,
    scope: &Scope<'_>,
    rebuilt: &HashSet<Arc<str>>,
) -> Vec<RepairStep> {
    let is_in_rebuilt = |finding: &Finding| {
        finding.code == Code::LayerLinkMissing
            && finding.repository.as_ref().is_some_and(|name| rebuilt.contains(name))
            && scope.includes(Code::LayersFolderMissing, finding.repository.as_deref())
    };
    let is_included = |finding: &&Finding| scope.includes_finding(finding) || is_in_rebuilt(finding);
    let deleted = ProbablyDeleted::from_audit(audit);
    let mut steps = Vec::new();
    for finding in audit.findings.iter().filter(is_included) {
        let adds = finding.repair != Some(Repair::Quarantine);
        match scope.deleted_tags {
            None | Some(DeletedTags::Drop) if adds && deleted.include_all_tags_of(finding) => {
                if scope.deleted_tags == Some(DeletedTags::Drop) && finding.cause.is_some() {
                    steps.extend(drop_steps(finding, graph));
                }
            }
            _ => steps.extend(damage_step(finding, graph)),
        }
    }
    retain_first_of_each_path(&mut steps);
    steps
}

fn retain_first_of_each_path(steps: &mut Vec<RepairStep>) {
    let mut seen = HashSet::new();
    steps.retain(|step| seen.insert(step.path.clone()));
}

/// Steps that drop the tags of a manifest that was probably deleted.
fn drop_steps(finding: &Finding, graph: &Graph) -> Vec<RepairStep> {
    let (Some(name), Some(digest)) = (&finding.repository, finding.digest) else { return Vec::new() };
    let (Some(repository), Some(node)) = (graph.repository(name), graph.digests().find(&digest)) else {
        return Vec::new();
    };
    let names_it =
        |tag: &&Arc<str>| repository.tag(tag).is_some_and(|tag| tag.current == GraphLink::Names(node));
    let drop = |tag: &Arc<str>| {
        let mut step = finding_step(StepAction::Drop, Place::TagFolder(name, tag), finding, Some(digest));
        step.tag = Some((&**tag).into());
        step.tags = SharedTags::new([Arc::clone(tag)]);
        step
    };
    finding.tags.iter().filter(names_it).map(drop).collect()
}

fn damage_step(finding: &Finding, graph: &Graph) -> Option<RepairStep> {
    let path = finding.path.as_deref()?;
    match (finding.repair?, Place::parse(path)?) {
        (Repair::Relink | Repair::Rewrite, Place::RevisionLink(name, digest)) => {
            let link = graph.repository(name)?.revision(graph.digests().find(&digest)?);
            Some(finding_step(link_act(link), path, finding, Some(digest)))
        }
        (Repair::Relink | Repair::Rewrite, Place::LayerLink(name, digest)) => {
            let link = graph.repository(name)?.layer(graph.digests().find(&digest)?);
            Some(finding_step(link_act(link), path, finding, Some(digest)))
        }
        (Repair::Restore, Place::TagLink(name, tag)) => {
            let node = restorable_entry(graph, graph.repository(name)?, tag)?;
            let mut step = finding_step(StepAction::Restore, path, finding, Some(graph.digest(node)));
            step.tag = Some(tag.into());
            Some(step)
        }
        (Repair::Rebuild, Place::Layers(_)) => Some(finding_step(StepAction::Rebuild, path, finding, None)),
        (Repair::Quarantine, Place::BlobData(digest)) => {
            let mut step =
                finding_step(StepAction::Quarantine, Place::BlobFolder(digest), finding, Some(digest));
            step.bytes = graph.digests().find(&digest).map_or(0, |node| graph.blob(node).size);
            Some(step)
        }
        _ => None,
    }
}

/// Steps that fetch missing bytes, if another registry has them.
pub(super) fn fetch_steps(audit: &Audit, graph: &Graph, scope: &Scope<'_>) -> Vec<RepairStep> {
    let (mut seen, deleted) = (HashSet::new(), ProbablyDeleted::from_audit(audit));
    let mut steps = Vec::new();
    for finding in &audit.findings {
        if scope.deleted_tags != Some(DeletedTags::Restore) && deleted.include_all_tags_of(finding) {
            continue;
        }
        let (true, Some(digest)) = (scope.includes_finding(finding), finding.digest) else { continue };
        let may_need_bytes = matches!(
            finding.code,
            Code::TagTargetMissing
                | Code::ChildMissing
                | Code::BlobMissing
                | Code::LayerLinkMissing
                | Code::LayerLinkInvalid
                | Code::LayerLinkMismatch
                | Code::RevisionLinkInvalid
                | Code::RevisionLinkMismatch
        );
        let is_missing = may_need_bytes && finding.repair.is_none();
        let is_absent =
            graph.digests().find(&digest).is_none_or(|node| graph.blob(node).presence == Presence::Absent);
        if is_missing && is_absent && digest.algorithm() == Algorithm::Sha256 && seen.insert(digest) {
            steps.push(finding_step(StepAction::Fetch, Place::BlobData(digest), finding, Some(digest)));
        }
    }
    steps
}

/// Steps that move leftovers aside.
pub(super) fn leftover_steps(audit: &Audit, graph: &Graph, scope: &Scope<'_>) -> Vec<RepairStep> {
    let is_included = |piece: &&GarbagePiece| scope.includes(piece.code, piece.repository.as_deref());
    let pieces = audit.pieces.iter().filter(is_included);
    let mut steps: Vec<RepairStep> = pieces.filter_map(|piece| garbage_step(piece, graph)).collect();
    for finding in audit.findings.iter().filter(|finding| scope.includes_finding(finding)) {
        let Some(path) = finding.path.as_deref() else { continue };
        match (finding.repair, finding.code) {
            (Some(Repair::Reset), _) => steps.push(finding_step(StepAction::Reset, path, finding, None)),
            (Some(Repair::MoveAside), _) => steps.extend(stray_steps(finding, graph, path)),
            (Some(Repair::Remove), Code::GcHazard) => {
                if let Some(Place::LayerLink(name, digest)) = Place::parse(path) {
                    steps.push(finding_step(
                        StepAction::Unlink,
                        Place::LayerFolder(name, digest),
                        finding,
                        None,
                    ));
                }
            }
            _ => {}
        }
    }
    // An entry whose name had to be escaped cannot be found by it.
    steps.retain(|step| !step.path.contains('\\'));
    retain_first_of_each_path(&mut steps);
    steps
}

/// Steps that move a stray aside. Of a repository with an illegal name only its own folders are moved: legal repositories may lie
/// below it.
fn stray_steps(finding: &Finding, graph: &Graph, path: &str) -> Vec<RepairStep> {
    match Place::parse(path) {
        Some(Place::Repository(name)) if graph.repository(name).is_some_and(|found| !found.is_legal) => {
            [Place::Layers(name), Place::Manifests(name), Place::Uploads(name)]
                .into_iter()
                .map(|place| finding_step(StepAction::MoveAside, place, finding, None))
                .collect()
        }
        _ => vec![finding_step(StepAction::MoveAside, path, finding, None)],
    }
}

fn garbage_step(piece: &GarbagePiece, graph: &Graph) -> Option<RepairStep> {
    let linked_digest = |name: &str, digest: &Digest| {
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
            let message = format!("no manifest here needs this layer link{gone}");
            (StepAction::Unlink, folder, linked_digest(name, &digest), message)
        }
        (Code::TagHistoryDangling, Some(Place::TagIndexLink(name, tag, digest))) => {
            let folder = Place::TagIndexFolder(name, tag, digest).to_string();
            let message = format!("this entry of the history of {tag} does not resolve");
            (StepAction::Unlink, folder, Some(digest), message)
        }
        (Code::UploadStale, _) => {
            (StepAction::Clear, piece.path.clone(), None, "an upload that nobody finishes any more".into())
        }
        (Code::TempFileStale, _) => {
            (StepAction::Clear, piece.path.clone(), None, "a write that never finished".into())
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

/// The act that writes a link, by what is in its place now.
const fn link_act(link: GraphLink) -> StepAction {
    if matches!(link, GraphLink::Absent) { StepAction::Relink } else { StepAction::Rewrite }
}
