//! Tags that a step would break although they were whole. The audit that found the damage tells them, on the graph as it would
//! be after the step.

use std::collections::{BTreeSet, HashSet};

use crate::audit::{self, Audit, AuditOptions};
use crate::graph::{Graph, GraphLink, NodeId, walk};

/// Broken and unknown tags before the repair: a step cannot make these worse.
#[derive(Debug, Default)]
pub(super) struct BrokenBefore(BTreeSet<(String, String)>);

impl BrokenBefore {
    pub(super) fn from_audit(audit: &Audit) -> Self {
        let broken = audit.broken_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string()));
        let unknown = audit.unknown_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string()));
        Self(broken.chain(unknown).collect())
    }
}

/// Tags, as (repository, tag), that were whole before and are broken in this graph.
pub(super) fn newly_broken_tags(
    graph: &Graph,
    options: &AuditOptions,
    before: &BrokenBefore,
) -> Vec<(String, String)> {
    let all: Vec<usize> = (0..graph.repositories.len()).collect();
    audit::broken_tags_in(graph, options, &all)
        .into_iter()
        .map(|(repository, tag)| (repository.to_string(), tag.to_string()))
        .filter(|tag| !before.0.contains(tag))
        .collect()
}

/// Everything that a pull of a tag may reach, through links and references.
pub(super) fn reached_from_tag(graph: &Graph, repository: &str, tag: &str) -> HashSet<NodeId> {
    let mut reached = HashSet::new();
    if let Some(repository) = graph.repository(repository) {
        let root = repository.tag(tag).and_then(|tag| tag.current.target());
        let links = |node| [repository.revision(node), repository.layer(node)];
        let targets = |node| links(node).into_iter().filter_map(GraphLink::target);
        walk::mark(&mut reached, root, |node| targets(node).chain(graph.references(node)));
    }
    reached
}
