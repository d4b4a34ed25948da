//! Turns the verdicts on all repositories into the findings of one audit: ordered, with texts instead of nodes.

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

/// The findings and tags of all repositories of one source.
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

    /// Adds the verdict on a repository. `tag` gives the name of a tag by its number, `digest` the digest of a node.
    pub(crate) fn add_verdict<N: Copy + Eq + Hash, A>(
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
        // Many findings of one image have the same tags: consecutive ones share one list.
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
            self.findings.push(draft.into_finding(&self.source, Some(Arc::clone(&name)), tags, &digest));
        }
    }

    /// Adds a finding that belongs to no tag.
    pub(super) fn push_draft(&mut self, graph: &Graph, repository: Option<&str>, draft: Draft) {
        let digest = |node| graph.digest(node);
        let finding =
            draft.into_finding(&self.source, repository.map(Into::into), SharedTags::default(), digest);
        self.findings.push(finding);
    }

    /// Adds a finding that is made already.
    pub(crate) fn push_finding(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds a path that could not be read.
    pub(crate) fn push_unread(&mut self, path: String, error: String) {
        self.unread.push(UnreadPath { source: Arc::clone(&self.source), path, error });
    }

    /// Adds a finding for every stray, and for every path that could not be read.
    pub(super) fn push_strays_and_unread(&mut self, graph: &Graph) {
        for stray in &graph.strays {
            let draft = Draft::new(Code::PathUnexpected, None, &stray.path, &*stray.reason);
            let draft = draft
                .with_repair((!is_repository_with_links(graph, &stray.path)).then_some(Repair::MoveAside));
            self.push_draft(graph, stray.repository.as_deref(), draft);
        }
        for unread in &graph.unread {
            let draft =
                Draft::new(Code::PathUnread, None, &unread.path, format!("not read: {}", unread.error));
            self.push_draft(graph, unread.repository.as_deref(), draft);
            self.push_unread(unread.path.clone(), unread.error.clone());
        }
    }

    /// The audit, with every tag covered and without garbage. Its source is complete if every path could be read.
    pub(crate) fn finish(mut self, source: AuditedSource) -> Audit {
        let mut order: Vec<usize> = (0..self.findings.len()).collect();
        order.sort_by(|a, b| self.findings[*a].order().cmp(&self.findings[*b].order()));
        let mut new_index = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            new_index[*old] = new;
        }
        for tag in &mut self.broken {
            tag.findings.iter_mut().for_each(|number| *number = new_index[*number]);
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

/// Whether a path is a repository with links, under a name that a registry refuses. Moved aside, its links would no
/// longer protect blobs from a collection.
fn is_repository_with_links(graph: &Graph, path: &str) -> bool {
    let Some(Place::Repository(name)) = Place::parse(path) else { return false };
    graph.repository(name).is_some_and(Repository::holds_links)
}
