//! Verdicts on all repositories as the findings of one audit: numbered, ordered, with texts instead of nodes.

use std::hash::Hash;
use std::sync::Arc;

use super::code::Code;
use super::draft::Draft;
use super::finding::{Finding, Repair, SharedTags};
use super::report::{AuditedSource, BrokenTag, UnknownTag, UnreadPath};
use super::result::Audit;
use super::verdict::RepositoryVerdict;
use crate::graph::{Graph, Recheck, Repository};
use crate::oci::Digest;
use crate::path::Place;

/// What all repositories of one source came to.
#[derive(Debug)]
pub(crate) struct CollectedFindings {
    source: Arc<str>,
    findings: Vec<Finding>,
    broken: Vec<BrokenTag>,
    unknown: Vec<UnknownTag>,
    unread: Vec<UnreadPath>,
    pub(super) doubts: Vec<Recheck>,
}

impl CollectedFindings {
    pub(crate) fn new(source: Arc<str>) -> Self {
        let (findings, broken, unknown, unread, doubts) = Default::default();
        Self { source, findings, broken, unknown, unread, doubts }
    }

    /// Takes the verdict on a repository; `tag` gives the name of a tag by its number, `digest` the digest that a node names.
    pub(crate) fn take<N: Copy + Eq + Hash, A>(
        &mut self,
        repository: &str,
        verdict: RepositoryVerdict<N, A>,
        tag: impl Fn(u32) -> Arc<str>,
        digest: impl Fn(N) -> Digest,
    ) {
        let name: Arc<str> = repository.into();
        let first = self.findings.len();
        for (number, drafts) in &verdict.broken {
            self.broken.push(BrokenTag {
                source: Arc::clone(&self.source),
                repository: Arc::clone(&name),
                tag: tag(*number),
                findings: drafts.iter().map(|draft| first + draft).collect(),
            });
        }
        for (number, reason) in verdict.unknown {
            let (source, repository) = (Arc::clone(&self.source), Arc::clone(&name));
            self.unknown.push(UnknownTag { source, repository, tag: tag(number), reason });
        }
        self.doubts.extend(verdict.doubts);
        // The same tags reach many findings of one image: they share one list.
        let mut last: Option<(Arc<[u32]>, SharedTags)> = None;
        for draft in verdict.drafts {
            let tags = match &last {
                Some((numbers, tags)) if *numbers == draft.tags => tags.clone(),
                _ => {
                    let tags = SharedTags::new(draft.tags.iter().map(|number| tag(*number)));
                    last = Some((Arc::clone(&draft.tags), tags.clone()));
                    tags
                }
            };
            self.findings.push(draft.finding(&self.source, Some(Arc::clone(&name)), tags, &digest));
        }
    }

    /// Takes a finding that belongs to no tag.
    pub(super) fn push(&mut self, graph: &Graph, repository: Option<&str>, draft: Draft) {
        let digest = |node| graph.digest(node);
        let finding = draft.finding(&self.source, repository.map(Into::into), SharedTags::default(), digest);
        self.findings.push(finding);
    }

    /// Takes a finding about no repository's manifests.
    pub(crate) fn push_finding(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Takes a path that could not be read.
    pub(crate) fn push_unread(&mut self, path: String, error: String) {
        self.unread.push(UnreadPath { source: Arc::clone(&self.source), path, error });
    }

    /// Strays, and what could not be read.
    pub(super) fn oddities(&mut self, graph: &Graph) {
        for stray in &graph.strays {
            let draft = Draft::new(Code::PathUnexpected, None, &stray.path, &*stray.reason);
            let draft = draft.repair((!is_full_repository(graph, &stray.path)).then_some(Repair::MoveAside));
            self.push(graph, stray.repository.as_deref(), draft);
        }
        for unread in &graph.unread {
            let draft =
                Draft::new(Code::PathUnread, None, &unread.path, format!("not read: {}", unread.error));
            self.push(graph, unread.repository.as_deref(), draft);
            self.push_unread(unread.path.clone(), unread.error.clone());
        }
    }

    /// The audit, of which all tags were covered and no garbage is known; the source is complete when nothing is unread.
    pub(crate) fn finish(mut self, source: AuditedSource) -> Audit {
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
        self.broken.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        self.unknown.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        Audit {
            covered: source.tags,
            source: AuditedSource { complete: self.unread.is_empty(), ..source },
            findings,
            broken_tags: self.broken,
            unknown_tags: self.unknown,
            unread: self.unread,
            garbage: None,
            pieces: Vec::new(),
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
