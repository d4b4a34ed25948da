//! Drafts of all repositories as the findings of one audit: numbered, ordered, with texts instead of nodes.

use std::sync::Arc;

use super::code::Code;
use super::counts::Garbage;
use super::draft::Draft;
use super::finding::{Finding, Repair, Tags};
use super::garbage::Piece;
use super::report::{BrokenTag, Role, Source, SourceKind, UnknownTag, UnreadPath};
use super::result::Audit;
use super::verdict::Verdict;
use crate::graph::{Doubt, Graph, LinkEntry, Repository};
use crate::oci::manifest::Kind;
use crate::path::Place;

#[derive(Default)]
pub(super) struct Collected {
    findings: Vec<Finding>,
    broken: Vec<BrokenTag>,
    unknown: Vec<UnknownTag>,
    unread: Vec<UnreadPath>,
    pub(super) doubts: Vec<Doubt>,
}

impl Collected {
    pub(super) fn take(
        &mut self,
        graph: &Graph,
        source: &Arc<str>,
        repository: &Repository,
        verdict: Verdict,
    ) {
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

    pub(super) fn push(
        &mut self,
        graph: &Graph,
        source: &Arc<str>,
        repository: Option<&Repository>,
        draft: Draft,
    ) {
        let name = repository.map(|repository| (&*repository.name).into());
        self.findings.push(finding(graph, source, name, Tags::default(), draft));
    }

    /// Strays, and what could not be read.
    pub(super) fn oddities(&mut self, graph: &Graph, source: &Arc<str>) {
        let name = |repository: &Option<Box<str>>| repository.as_deref().map(Arc::from);
        for stray in &graph.strays {
            let draft = Draft::new(Code::PathUnexpected, None, &stray.path, &*stray.reason);
            let draft = draft.repair((!is_full_repository(graph, &stray.path)).then_some(Repair::MoveAside));
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

    pub(super) fn finish(
        mut self,
        graph: &Graph,
        source: &Arc<str>,
        role: Role,
        (garbage, mut pieces): (Option<Garbage>, Vec<Piece>),
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
        let source = count(graph, source, role, self.unread.is_empty());
        Audit {
            covered: source.tags,
            source,
            findings,
            broken_tags: self.broken,
            unknown_tags: self.unknown,
            unread: self.unread,
            garbage,
            pieces,
            doubts: self.doubts,
            looks_like_cache: false,
        }
    }
}

/// Whether a path is that of a repository under a name that a registry refuses, with links in it: moved aside, these would
/// protect no blob from a collection any more.
fn is_full_repository(graph: &Graph, path: &str) -> bool {
    let Some(Place::Repository(name)) = Place::parse(path) else { return false };
    graph.repository(name).is_some_and(Repository::holds_links)
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
        cause: draft.cause,
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
