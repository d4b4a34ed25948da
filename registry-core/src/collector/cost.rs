//! What a collection would cost: tags that are whole now and broken after it, and damage that can be repaired now and not after
//! it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::forecast::Forecast;
use crate::audit::{
    self, Audit, AuditOptions, Code, Finding, Repair, Severity, SharedTags, restorable_entry,
};
use crate::graph::{Graph, GraphLink, LinkEntry, NodeId, Presence, Repository, walk};
use crate::oci::Digest;
use crate::oci::manifest::ReferenceRole;
use crate::path::Place;

/// A tag that is whole now and would be broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct NewlyBrokenTag {
    /// The repository.
    pub repository: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
}

/// Damage that can be repaired from this disk now, by a repair or by hand, and not after the collection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostRepair {
    /// What is damaged.
    pub code: Code,
    /// The repository.
    pub repository: Arc<str>,
    /// Tags through which a client reaches it.
    pub tags: SharedTags,
    /// The damaged digest; for a tag, the digest that it would be set to.
    pub digest: Option<Digest>,
    /// What the repair needs and the collection would delete, ordered by digest.
    pub needs: Vec<Digest>,
    /// The size of these in bytes.
    pub bytes: u64,
}

/// What a collection would cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Ordered by repository and tag.
    pub breaks: Vec<NewlyBrokenTag>,
    /// In the order of the findings.
    pub loses: Vec<LostRepair>,
}

/// What a forecast would cost. `audit` is that of the graph before. The graph is left as it would be after the collection.
pub fn cost(graph: &mut Graph, audit: &Audit, options: &AuditOptions, forecast: &Forecast) -> Cost {
    if forecast.is_empty() {
        return Cost::default();
    }
    let loses = lost_repairs(graph, audit, forecast);
    let affected = affected_repositories(graph, forecast);
    forecast.apply(graph);
    let was_broken: HashSet<(&str, &str)> = audit
        .broken_tags
        .iter()
        .map(|tag| (&*tag.repository, &*tag.tag))
        .chain(audit.unknown_tags.iter().map(|tag| (&*tag.repository, &*tag.tag)))
        .collect();
    let broken = audit::broken_tags_in(graph, options, &affected);
    let mut breaks: Vec<NewlyBrokenTag> = broken
        .into_iter()
        .filter(|(repository, tag)| !was_broken.contains(&(&**repository, &**tag)))
        .map(|(repository, tag)| NewlyBrokenTag { repository, tag })
        .collect();
    breaks.sort_unstable();
    Cost { breaks, loses }
}

/// Whether each node's blob would be deleted, by the node's index.
fn deleted_blobs(graph: &Graph, forecast: &Forecast) -> Vec<bool> {
    let mut is_deleted = vec![false; graph.digests().len()];
    for node in &forecast.blobs {
        is_deleted[node.index()] = true;
    }
    is_deleted
}

/// Repositories that would lose a link, or have a link to a blob that would be deleted.
fn affected_repositories(graph: &Graph, forecast: &Forecast) -> Vec<usize> {
    let is_deleted = deleted_blobs(graph, forecast);
    let mut affected: BTreeSet<usize> =
        forecast.manifests.iter().chain(&forecast.layer_links).map(|(at, _)| *at as usize).collect();
    for (at, repository) in graph.repositories.iter().enumerate() {
        let mut links = repository.revisions().iter().chain(repository.layers());
        let is_lost = |entry: &LinkEntry| {
            let target = entry.link.target();
            target.is_some_and(|target| is_deleted[entry.node.index()] || is_deleted[target.index()])
        };
        if links.any(is_lost) {
            affected.insert(at);
        }
    }
    affected.into_iter().collect()
}

fn lost_repairs(graph: &Graph, audit: &Audit, forecast: &Forecast) -> Vec<LostRepair> {
    let is_deleted = deleted_blobs(graph, forecast);
    let deleted_links: HashSet<(&str, NodeId)> = forecast
        .manifests
        .iter()
        .map(|(at, node)| (&*graph.repositories[*at as usize].name, *node))
        .collect();
    let mut repairs = Vec::new();
    for finding in &audit.findings {
        let Some((repository, roots, digest)) = needed_by_repair(graph, finding) else { continue };
        let mut lost = BTreeSet::new();
        let mut bytes = 0;
        for node in walk::reach(HashSet::new(), roots, |node| graph.references(node)) {
            let blob = graph.blob(node);
            if is_deleted[node.index()] && blob.presence == Presence::Present {
                bytes += blob.size;
                lost.insert(graph.digest(node));
            } else if deleted_links.contains(&(&*repository, node)) {
                lost.insert(graph.digest(node));
            }
        }
        if !lost.is_empty() {
            repairs.push(LostRepair {
                code: finding.code,
                repository,
                tags: finding.tags.clone(),
                digest,
                needs: lost.into_iter().collect(),
                bytes,
            });
        }
    }
    repairs
}

/// Every node that a tag, a link or the path of a link in a repository names.
fn named_nodes(repository: &Repository) -> impl Iterator<Item = NodeId> + '_ {
    let links =
        repository.revisions().iter().chain(repository.layers()).map(|entry| (entry.node, entry.link));
    let current = repository.tags.iter().map(|tag| tag.current);
    let named = links.clone().map(|(_, link)| link).chain(current).filter_map(GraphLink::target);
    let history = repository.tags.iter().flat_map(|tag| tag.history.iter().copied());
    links.map(|(node, _)| node).chain(named).chain(history)
}

/// What the repair of a finding needs: the repository, nodes of which everything reached from them is needed, and the damaged digest.
fn needed_by_repair(graph: &Graph, finding: &Finding) -> Option<(Arc<str>, Vec<NodeId>, Option<Digest>)> {
    if finding.code == Code::PathUnexpected {
        let Place::Repository(name) = Place::parse(finding.path.as_deref()?)? else { return None };
        let repository = graph.repository(name)?;
        // If it is renamed to a legal name, it is served again.
        return Some((name.into(), named_nodes(repository).collect(), None));
    }
    let name = finding.repository.clone()?;
    let repository = graph.repository(&name)?;
    let find_node = |digest: &Digest| graph.digests().find(digest);
    if matches!(finding.code, Code::TagLinkMissing | Code::TagLinkInvalid)
        && let Some(Place::TagLink(_, tag) | Place::TagFolder(_, tag)) =
            finding.path.as_deref().and_then(Place::parse)
    {
        // Any entry of the history counts: an operator may set the tag to another one than a repair would.
        let node = restorable_entry(graph, repository, tag).map(|node| graph.digest(node));
        return Some((name, repository.tag(tag)?.history.to_vec(), node));
    }
    let Some(repair) = finding.repair else {
        // No repair is known for it. Where a tag leads to it, an operator may still repair it by hand.
        let is_reached = finding.severity == Severity::Error && !finding.tags.is_empty();
        let digest = finding.digest.filter(|_| is_reached)?;
        return Some((name, vec![find_node(&digest)?], Some(digest)));
    };
    match (repair, Place::parse(finding.path.as_deref()?)?) {
        (Repair::Relink | Repair::Rewrite, Place::RevisionLink(_, digest) | Place::LayerLink(_, digest)) => {
            Some((name, vec![find_node(&digest)?], Some(digest)))
        }
        (Repair::Rebuild, _) => {
            // Layer links are needed for the parts of the manifests that are linked here. Children count only if linked here too.
            let manifests = repository.revisions().iter().filter_map(|entry| graph.manifest(entry.node));
            let parts = manifests.flat_map(|manifest| graph.edges(manifest));
            let parts = parts.filter(|edge| edge.role != ReferenceRole::Child).filter_map(|edge| edge.target);
            Some((name, parts.collect(), None))
        }
        _ => None,
    }
}
