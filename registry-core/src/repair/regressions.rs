//! What must not happen: that a step breaks a tag that was whole. Asked of the same audit that found the damage, on the
//! graph as it would be.

use std::collections::{BTreeSet, HashSet};

use crate::audit::{self, Audit, AuditOptions};
use crate::graph::{Graph, GraphLink, NodeId, walk};

/// Tags that are broken, or of which that is not known: a step cannot make these worse.
#[derive(Debug, Default)]
pub(super) struct NotWhole(BTreeSet<(String, String)>);

impl NotWhole {
    pub(super) fn from_audit(audit: &Audit) -> Self {
        let broken = audit.broken_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string()));
        let unknown = audit.unknown_tags.iter().map(|tag| (tag.repository.to_string(), tag.tag.to_string()));
        Self(broken.chain(unknown).collect())
    }
}

/// Tags, as (repository, tag), that were whole and would be broken now.
pub(super) fn broken_now(graph: &Graph, options: &AuditOptions, before: &NotWhole) -> Vec<(String, String)> {
    let all: Vec<usize> = (0..graph.repositories.len()).collect();
    let broken = audit::broken_in(graph, options, &all).into_iter();
    broken
        .map(|(repository, tag)| (repository.to_string(), tag.to_string()))
        .filter(|tag| !before.0.contains(tag))
        .collect()
}

/// Everything that a client may be sent on the way from a tag: what links name, what manifests reference.
pub(super) fn reach(graph: &Graph, repository: &str, tag: &str) -> HashSet<NodeId> {
    let mut reached = HashSet::new();
    if let Some(repository) = graph.repository(repository) {
        let root = repository.tag(tag).and_then(|tag| tag.current.target());
        let links = |node| [repository.revision(node), repository.layer(node)];
        let targets = |node| links(node).into_iter().filter_map(GraphLink::target);
        walk::mark(&mut reached, root, |node| targets(node).chain(graph.references(node)));
    }
    reached
}
