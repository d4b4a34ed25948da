//! The audit: which references do not hold, and what nothing references any more.
//!
//! Pure: a graph and options in, findings out; the clock is an option. What a finding rests on is returned as doubts.
//! [`audit_with_recheck`] has the source read these again, until no doubt is new.

pub(crate) mod access;
#[cfg(feature = "storage")]
mod audit_tree;
mod baseline;
mod code;
mod collect;
mod counts;
mod draft;
mod finding;
mod garbage;
mod hazards;
mod history;
mod ignore;
mod judge;
mod messages;
mod options;
mod platforms;
mod report;
mod result;
mod role;
mod tree_source;
mod unnamed;
mod verdict;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

#[cfg(feature = "storage")]
pub use audit_tree::{audit_tree, scan_and_audit};
pub use baseline::mark_new_and_resolved;
pub use code::{Code, Severity, UnknownCode};
pub use counts::{AuditSummary, Coverage, Garbage, Unreferenced, Untagged};
pub use finding::{Cause, Finding, Repair, SharedTags};
pub use garbage::GarbagePiece;
pub use ignore::{Ignore, apply_ignores};
pub use options::AuditOptions;
pub use report::{
    AuditedKind, AuditedSource, BrokenTag, IgnoreUse, OnlineOptions, RegistryRole, Report, ReportOptions,
    SCHEMA, UnknownTag, UnreadPath,
};
pub use result::Audit;
pub use role::looks_like_cache;

pub(crate) use collect::CollectedFindings;
pub(crate) use draft::Draft;
pub(crate) use messages::short;
pub(crate) use platforms::{PlatformReference, PlatformSource, missing_platforms};
pub(crate) use verdict::{RepositoryVerdict, Visit};

use rayon::prelude::*;

use crate::graph::{FolderState, Graph, LinkEntry, NodeId, Recheck, Repository, RepositoryView};
use judge::{Judge, Leniency};

/// The only entry of a tag's history that still resolves: a tag whose link is missing or invalid can be set to it.
pub(crate) fn restorable_entry(graph: &Graph, repository: &Repository, tag: &str) -> Option<NodeId> {
    history::restorable_entry(RepositoryView { graph, repository }, repository.tag(tag)?)
}

/// Audits the graph of the registry called `name`.
pub fn audit(graph: &Graph, name: &str, options: &AuditOptions) -> Audit {
    let role = effective_role(graph, options);
    let source: Arc<str> = name.into();
    let mut collected = CollectedFindings::new(Arc::clone(&source));
    let named_by_manifests = hazards::named_by_manifests(graph);
    let legal: Vec<usize> =
        (0..graph.repositories.len()).filter(|at| graph.repositories[*at].is_legal).collect();
    let judge = |at: &usize| (*at, audit_repository(graph, *at, options, &named_by_manifests));
    let verdicts: Vec<(usize, RepositoryVerdict)> = legal.par_iter().map(judge).collect();
    for (at, verdict) in verdicts {
        let repository = &graph.repositories[at];
        let tag = |number: u32| {
            repository.tags.get(number as usize).map_or_else(|| "".into(), |tag| (&*tag.name).into())
        };
        collected.add_verdict(&repository.name, verdict, tag, |node| graph.digest(node));
    }
    let name = |at: usize| Some(&*graph.repositories[at].name);
    for (at, draft) in hazards::find_across_repositories(graph) {
        collected.push_draft(graph, name(at), draft);
    }
    // A registry reads that file only as a pull-through cache.
    let scheduler =
        hazards::find_in_scheduler_state(graph).filter(|_| options.role != Some(RegistryRole::Primary));
    if let Some(draft) = scheduler {
        collected.push_draft(graph, None, draft);
    }
    for draft in hazards::find_in_registry(graph, role) {
        collected.push_draft(graph, None, draft);
    }
    let mut survey = garbage::Survey::default();
    if graph.blobs_listed {
        survey = garbage::survey(graph, options);
        let (mut drafts, mut doubts) = unnamed::find_wrong_bytes(graph, options);
        survey.registry_drafts.append(&mut drafts);
        survey.doubts.append(&mut doubts);
    }
    collected.doubts.append(&mut survey.doubts);
    for (at, draft) in survey.repository_drafts {
        collected.push_draft(graph, name(at), draft);
    }
    for draft in survey.registry_drafts {
        collected.push_draft(graph, None, draft);
    }
    collected.push_strays_and_unread(graph);
    let mut audit = collected.finish(tree_source::count_tree(graph, &source, role));
    (audit.garbage, audit.pieces) = (survey.garbage, survey.pieces);
    audit.pieces.sort_by(|a, b| a.path.cmp(&b.path));
    audit.looks_like_cache = options.role.is_none()
        && role == RegistryRole::Primary
        && looks_like_cache(graph, |name| options.sparse.is_match(name));
    audit
}

/// The role that the options give, else what `scheduler-state.json` tells: only a pull-through cache writes that file.
fn effective_role(graph: &Graph, options: &AuditOptions) -> RegistryRole {
    let found = if graph.has_scheduler_state { RegistryRole::Cache } else { RegistryRole::Primary };
    options.role.unwrap_or(found)
}

/// Tags that cannot be pulled whole, as (repository, tag), in the repositories with these indexes.
pub(crate) fn broken_tags_in(
    graph: &Graph,
    options: &AuditOptions,
    repositories: &[usize],
) -> Vec<(Arc<str>, Arc<str>)> {
    let legal = repositories.par_iter().filter(|at| graph.repositories[**at].is_legal);
    let broken = legal.flat_map_iter(|at| {
        let repository = &graph.repositories[*at];
        let verdict = judge_repository(graph, *at, options);
        let name: Arc<str> = (&*repository.name).into();
        let tag = |index: &u32| repository.tags.get(*index as usize).map(|tag| Arc::from(&*tag.name));
        let tags: Vec<Arc<str>> = verdict.broken.keys().filter_map(tag).collect();
        tags.into_iter().map(move |tag| (Arc::clone(&name), tag))
    });
    broken.collect()
}

/// Judges the references of the repository with index `at`.
fn judge_repository(graph: &Graph, at: usize, options: &AuditOptions) -> RepositoryVerdict {
    let repository = &graph.repositories[at];
    let leniency = Leniency {
        is_cache: effective_role(graph, options) == RegistryRole::Cache,
        is_sparse: options.sparse.is_match(&*repository.name),
        content: options.content,
    };
    Judge::judge(RepositoryView { graph, repository }, u32::try_from(at).unwrap_or(u32::MAX), leniency)
}

/// Judges the repository with index `at`: references, platforms and hazards. The visits are dropped from the verdict.
fn audit_repository(
    graph: &Graph,
    at: usize,
    options: &AuditOptions,
    named_by_manifests: &[bool],
) -> RepositoryVerdict {
    let repository = &graph.repositories[at];
    let view = RepositoryView { graph, repository };
    let mut verdict = judge_repository(graph, at, options);
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    platforms::check_platforms(view, &mut verdict, &options.require_platforms);
    if lacks_layers_folder(repository, &verdict) && effective_role(graph, options) != RegistryRole::Cache {
        verdict.drafts.push(messages::missing_layers_folder(view, false));
    }
    verdict.drafts.extend(hazards::find_in_repository(view, &verdict, named_by_manifests));
    mark_young_as_in_flight(view, at, &mut verdict, options);
    verdict.visits = HashMap::new();
    verdict
}

/// Audits, has `recheck` look at the doubts again, each once, and repeats that until no doubt is new.
pub fn audit_with_recheck(
    graph: &mut Graph,
    name: &str,
    options: &AuditOptions,
    mut recheck: impl FnMut(&mut Graph, &[Recheck]),
) -> Audit {
    let mut seen = HashSet::new();
    loop {
        let audit = audit(graph, name, options);
        let doubts: Vec<Recheck> = audit.doubts.iter().copied().filter(|doubt| seen.insert(*doubt)).collect();
        if doubts.is_empty() {
            return audit;
        }
        recheck(graph, &doubts);
    }
}

/// Whether `_layers` is missing and has no finding yet, because no manifest needs a layer link.
fn lacks_layers_folder(repository: &Repository, verdict: &RepositoryVerdict) -> bool {
    repository.manifests == FolderState::Present
        && repository.layers_part == FolderState::Absent
        && !repository.revisions().is_empty()
        && !verdict.drafts.iter().any(|draft| draft.code == Code::LayersFolderMissing)
}

/// Turns findings about young manifests that no tag reaches into [`Code::InFlight`]: a push may be under way.
fn mark_young_as_in_flight(
    view: RepositoryView<'_>,
    at: u32,
    verdict: &mut RepositoryVerdict,
    options: &AuditOptions,
) {
    let mut doubts = Vec::new();
    let mut newest = |node: NodeId| {
        let (revision, layer) = (view.repository.revision_entry(node), view.repository.layer_entry(node));
        for (entry, doubt) in [(revision, Recheck::Revision(at, node)), (layer, Recheck::Layer(at, node))] {
            if entry.is_some_and(|entry| entry.modified == LinkEntry::UNASKED) {
                doubts.push(doubt);
            }
        }
        let link = |entry: Option<&LinkEntry>| entry.map_or(0, |entry| entry.modified);
        link(revision).max(link(layer)).max(view.graph.blob(node).modified)
    };
    // A draft that breaks a tag has tags, so it is never changed here.
    for draft in &mut verdict.drafts {
        if !draft.tags.is_empty() || draft.code >= Code::GcHazard {
            continue;
        }
        let involved = [draft.node, draft.parent].into_iter().flatten();
        if involved.map(&mut newest).max().is_some_and(|newest| options.is_young(newest)) {
            (draft.code, draft.severity, draft.repair) = (Code::InFlight, Severity::Info, None);
            draft.message.push_str("; young, and no tag reaches it: a push under way");
        }
    }
    verdict.doubts.append(&mut doubts);
}
