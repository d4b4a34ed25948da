//! Question 1: which references do not hold, and what does nothing reference any more?
//!
//! Pure: a graph and options in, findings out; the clock is an option. What it would like to have looked at once more
//! comes back as doubts, and whoever holds the source asks again until none is new ([`settled`] does).

mod access;
mod baseline;
mod code;
mod draft;
mod finding;
mod garbage;
mod hazards;
mod ignore;
mod options;
mod platforms;
mod report;
mod verdict;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use baseline::compare;
pub use code::{Code, Severity, UnknownCode};
pub use finding::{Finding, Repair, Tags};
pub use garbage::Piece;
pub use ignore::{Ignore, set_aside};
pub use options::{AuditOptions, UPLOAD_STALE_AFTER};
pub use report::{
    BrokenTag, Coverage, Garbage, IgnoreUse, Report, ReportOptions, Role, SCHEMA, Source, SourceKind,
    Summary, UnknownTag, UnreadPath, Unreferenced, Untagged,
};

use rayon::prelude::*;

use crate::graph::{Doubt, Graph, LinkEntry, NodeId, Part, Repository};
use crate::oci::manifest::Kind;
use access::View;
use draft::Draft;
use verdict::{Judge, Leniency, Verdict};

/// What an audit of one registry found.
#[derive(Debug)]
pub struct Audit {
    /// Counts and role.
    pub source: Source,
    /// Findings in the order of a report.
    pub findings: Vec<Finding>,
    /// Tags that cannot be pulled whole; numbers are indexes into `findings`.
    pub broken_tags: Vec<BrokenTag>,
    /// Tags of which that is not known.
    pub unknown_tags: Vec<UnknownTag>,
    /// What could not be read.
    pub unread: Vec<UnreadPath>,
    /// `None` when it cannot be known.
    pub garbage: Option<Garbage>,
    /// Garbage piece by piece; empty unless asked for.
    pub pieces: Vec<Piece>,
    /// What should be looked at once more before this is believed.
    pub doubts: Vec<Doubt>,
    /// Whether many manifests lack their layers although nothing marks this as a cache: a hint, not a finding.
    pub looks_like_cache: bool,
}

/// Audits the graph of the registry called `name`. With `list`, garbage comes piece by piece too.
pub fn audit(graph: &Graph, name: &str, options: &AuditOptions, list: bool) -> Audit {
    let found_role = if graph.has_scheduler_state { Role::Cache } else { Role::Primary };
    let role = options.role.unwrap_or(found_role);
    let source: Arc<str> = name.into();
    let mut collected = Collected::default();
    let plainly_named = hazards::plainly_named(graph);
    let legal: Vec<usize> =
        (0..graph.repositories.len()).filter(|at| graph.repositories[*at].is_legal).collect();
    let judge = |at: &usize| (*at, one_repository(graph, *at, role, options, &plainly_named));
    let verdicts: Vec<(usize, Verdict)> = legal.par_iter().map(judge).collect();
    for (at, verdict) in verdicts {
        collected.take(graph, &source, &graph.repositories[at], verdict);
    }
    for (index, draft) in hazards::across_repositories(graph) {
        collected.push(graph, &source, Some(&graph.repositories[index]), draft);
    }
    for draft in hazards::of_root(graph, role) {
        collected.push(graph, &source, None, draft);
    }
    let mut survey = garbage::Survey::default();
    if graph.blobs_listed {
        survey = garbage::survey(graph, options, list);
    }
    collected.doubts.append(&mut survey.doubts);
    for (index, draft) in survey.of_repository {
        collected.push(graph, &source, Some(&graph.repositories[index]), draft);
    }
    for draft in survey.of_root {
        collected.push(graph, &source, None, draft);
    }
    collected.oddities(graph, &source);
    collected.finish(graph, &source, role, (survey.garbage, survey.pieces), options.role.is_none())
}

/// Judges the repository with index `at`; what was visited on the way is dropped.
fn one_repository(
    graph: &Graph,
    at: usize,
    role: Role,
    options: &AuditOptions,
    plainly_named: &[bool],
) -> Verdict {
    let repository = &graph.repositories[at];
    let view = View { graph, repository };
    let leniency = Leniency {
        is_cache: role == Role::Cache,
        is_sparse: options.sparse.is_match(&*repository.name),
        content: options.content,
    };
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    let mut verdict = Judge::judge(view, at, leniency);
    platforms::check(view, &mut verdict, &options.require_platforms);
    if lacks_layers_folder(repository, &verdict) && role != Role::Cache {
        verdict.drafts.push(words::layers_folder(view, false));
    }
    verdict.drafts.extend(hazards::of_repository(view, &verdict, plainly_named));
    set_aside_young(view, at, &mut verdict, options);
    verdict.visits = HashMap::new();
    verdict
}

/// Audits, asks `settle` to look again at what is doubted, and repeats until nothing new is doubted. Everything is
/// looked at a second time at most once.
pub fn settled(
    graph: &mut Graph,
    name: &str,
    options: &AuditOptions,
    list: bool,
    mut settle: impl FnMut(&mut Graph, &[Doubt]),
) -> Audit {
    let mut seen = HashSet::new();
    loop {
        let audit = audit(graph, name, options, list);
        let doubts: Vec<Doubt> = audit.doubts.iter().copied().filter(|doubt| seen.insert(*doubt)).collect();
        if doubts.is_empty() {
            return audit;
        }
        settle(graph, &doubts);
    }
}

/// Whether the folder is missing and no finding says so because no manifest needs a layer.
fn lacks_layers_folder(repository: &Repository, verdict: &Verdict) -> bool {
    repository.manifests == Part::Present
        && repository.layers_part == Part::Absent
        && !repository.revisions().is_empty()
        && !verdict.drafts.iter().any(|draft| draft.code == Code::LayersFolderMissing)
}

/// Calls what is wrong with young manifests that no tag reaches a push under way.
fn set_aside_young(view: View<'_>, at: u32, verdict: &mut Verdict, options: &AuditOptions) {
    let mut doubts = Vec::new();
    let mut newest = |node: NodeId| {
        let (revision, layer) = (view.repository.revision_entry(node), view.repository.layer_entry(node));
        for (entry, doubt) in [(revision, Doubt::Revision(at, node)), (layer, Doubt::Layer(at, node))] {
            if entry.is_some_and(|entry| entry.modified == LinkEntry::UNASKED) {
                doubts.push(doubt);
            }
        }
        let link = |entry: Option<&LinkEntry>| entry.map_or(0, |entry| entry.modified);
        link(revision).max(link(layer)).max(view.graph.blob(node).modified)
    };
    // Broken tags refer to drafts by number, and none of those is set aside: a tag reaches it.
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

#[derive(Default)]
struct Collected {
    findings: Vec<Finding>,
    broken: Vec<BrokenTag>,
    unknown: Vec<UnknownTag>,
    unread: Vec<UnreadPath>,
    doubts: Vec<Doubt>,
}

impl Collected {
    fn take(&mut self, graph: &Graph, source: &Arc<str>, repository: &Repository, verdict: Verdict) {
        let name: Arc<str> = (&*repository.name).into();
        let first = self.findings.len();
        let tag = |index: u32| -> Arc<str> {
            repository.tags.get(index as usize).map_or_else(|| "".into(), |tag| (&*tag.name).into())
        };
        for (index, drafts) in &verdict.broken {
            self.broken.push(BrokenTag {
                source: Arc::clone(source),
                repository: Arc::clone(&name),
                tag: tag(*index),
                findings: drafts.iter().map(|draft| first + draft).collect(),
            });
        }
        for (index, reason) in verdict.unknown {
            let (source, repository) = (Arc::clone(source), Arc::clone(&name));
            self.unknown.push(UnknownTag { source, repository, tag: tag(index), reason });
        }
        self.doubts.extend(verdict.doubts);
        // The same tags reach many findings of one image: they share one list.
        let mut last: Option<(Arc<[u32]>, Tags)> = None;
        for draft in verdict.drafts {
            let tags = match &last {
                Some((numbers, tags)) if *numbers == draft.tags => tags.clone(),
                _ => {
                    let tags = Tags::new(draft.tags.iter().map(|index| tag(*index)));
                    last = Some((Arc::clone(&draft.tags), tags.clone()));
                    tags
                }
            };
            self.findings.push(finding(graph, source, Some(Arc::clone(&name)), tags, draft));
        }
    }

    fn push(&mut self, graph: &Graph, source: &Arc<str>, repository: Option<&Repository>, draft: Draft) {
        let name = repository.map(|repository| (&*repository.name).into());
        self.findings.push(finding(graph, source, name, Tags::default(), draft));
    }

    /// Strays, and what could not be read.
    fn oddities(&mut self, graph: &Graph, source: &Arc<str>) {
        let name = |repository: &Option<Box<str>>| repository.as_deref().map(Arc::from);
        for stray in &graph.strays {
            let draft = Draft::new(Code::PathUnexpected, None, &stray.path, &*stray.reason);
            let draft = draft.repair(Some(Repair::MoveAside));
            self.findings.push(finding(graph, source, name(&stray.repository), Tags::default(), draft));
        }
        for unread in &graph.unread {
            let draft =
                Draft::new(Code::PathUnread, None, &unread.path, format!("not read: {}", unread.error));
            self.findings.push(finding(graph, source, name(&unread.repository), Tags::default(), draft));
            let (path, error) = (unread.path.clone(), unread.error.clone());
            self.unread.push(UnreadPath { source: Arc::clone(source), path, error });
        }
    }

    fn finish(
        mut self,
        graph: &Graph,
        source: &Arc<str>,
        role: Role,
        (garbage, mut pieces): (Option<Garbage>, Vec<Piece>),
        role_is_found: bool,
    ) -> Audit {
        let mut order: Vec<usize> = (0..self.findings.len()).collect();
        order.sort_by(|a, b| self.findings[*a].order().cmp(&self.findings[*b].order()));
        let mut place = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new;
        }
        for tag in &mut self.broken {
            for number in &mut tag.findings {
                *number = place[*number];
            }
            tag.findings.sort_unstable();
        }
        let mut findings: Vec<Option<Finding>> = self.findings.into_iter().map(Some).collect();
        let findings = order.iter().filter_map(|old| findings[*old].take()).collect();
        pieces.sort_by(|a, b| a.path.cmp(&b.path));
        self.broken.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        self.unknown.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        Audit {
            source: count(graph, source, role, self.unread.is_empty()),
            findings,
            broken_tags: self.broken,
            unknown_tags: self.unknown,
            unread: self.unread,
            garbage,
            pieces,
            doubts: self.doubts,
            looks_like_cache: role == Role::Primary && role_is_found && looks_like_cache(graph),
        }
    }
}

fn finding(
    graph: &Graph,
    source: &Arc<str>,
    repository: Option<Arc<str>>,
    tags: Tags,
    draft: Draft,
) -> Finding {
    Finding {
        code: draft.code,
        severity: draft.severity,
        source: Arc::clone(source),
        repository,
        tags,
        digest: draft.node.map(|node| graph.digest(node)),
        parent: draft.parent.map(|node| graph.digest(node)),
        platform: draft.platform,
        path: Some(draft.path),
        message: draft.message,
        repair: draft.repair,
        new: None,
    }
}

fn count(graph: &Graph, name: &Arc<str>, role: Role, complete: bool) -> Source {
    let legal = || graph.repositories.iter().filter(|repository| repository.is_legal);
    let sum = |of: &dyn Fn(&Repository) -> usize| legal().map(of).sum::<usize>() as u64;
    let is_index = |entry: &&LinkEntry| graph.manifest(entry.node).is_some_and(|one| one.kind == Kind::Index);
    let present = graph.nodes().map(|node| graph.blob(node));
    let present = present.filter(|blob| blob.presence == crate::graph::Presence::Present);
    let (blobs, blob_bytes) = present.fold((0, 0), |(count, bytes), blob| (count + 1, bytes + blob.size));
    Source {
        kind: SourceKind::Tree,
        name: Arc::clone(name),
        role,
        complete,
        repositories: legal().count() as u64,
        tags: sum(&|repository| repository.numbered_tags().count()),
        manifests: sum(&|repository| repository.revisions().len()),
        indexes: sum(&|repository| repository.revisions().iter().filter(is_index).count()),
        layer_links: sum(&|repository| repository.layers().len()),
        blobs,
        blob_bytes,
        uploads: sum(&|repository| repository.uploads.len()),
    }
}

/// Most repositories have manifests and no layers: so looks a cache whose `scheduler-state.json` is elsewhere.
fn looks_like_cache(graph: &Graph) -> bool {
    let with_manifests = graph.repositories.iter().filter(|one| !one.revisions().is_empty());
    let (all, bare) = with_manifests
        .fold((0, 0), |(all, bare), one| (all + 1, bare + usize::from(one.layers().is_empty())));
    bare > 0 && bare * 2 >= all
}
