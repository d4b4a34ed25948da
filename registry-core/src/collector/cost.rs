//! What a collection would cost: tags that are whole now and broken after, and damage that can be mended now and not after.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::forecast::Forecast;
use crate::audit::{self, Audit, AuditOptions, Code, Finding, Repair, Severity, SharedTags, restorable};
use crate::graph::{Graph, GraphLink, NodeId, Presence, Repository, walk};
use crate::oci::Digest;
use crate::oci::manifest::ReferenceRole;
use crate::path::Place;

/// A tag that is whole now and would be broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Break {
    /// The repository.
    pub repository: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
}

/// Damage that can be mended from this disk now, by a repair or by hand, and could not be after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostRepair {
    /// What is damaged.
    pub code: Code,
    /// The repository.
    pub repository: Arc<str>,
    /// Tags through which a client reaches it.
    pub tags: SharedTags,
    /// The digest that is concerned; of a tag, what it would be set to.
    pub digest: Option<Digest>,
    /// What mending it needs and would be gone, ordered by digest.
    pub needs: Vec<Digest>,
    /// Bytes of these.
    pub bytes: u64,
}

/// What a collection would cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Ordered by repository and tag.
    pub breaks: Vec<Break>,
    /// In the order of the findings.
    pub loses: Vec<LostRepair>,
}

/// What a forecast would cost, by the audit of the graph as it is; the graph is left as it would be after the collection.
pub fn cost(graph: &mut Graph, audit: &Audit, options: &AuditOptions, forecast: &Forecast) -> Cost {
    if forecast.is_empty() {
        return Cost::default();
    }
    let loses = loses(graph, audit, forecast);
    let concerned = concerned(graph, forecast);
    forecast.apply(graph);
    let was_broken: HashSet<(&str, &str)> = audit
        .broken_tags
        .iter()
        .map(|tag| (&*tag.repository, &*tag.tag))
        .chain(audit.unknown_tags.iter().map(|tag| (&*tag.repository, &*tag.tag)))
        .collect();
    let broken = audit::broken_in(graph, options, &concerned);
    let mut breaks: Vec<Break> = broken
        .into_iter()
        .filter(|(repository, tag)| !was_broken.contains(&(&**repository, &**tag)))
        .map(|(repository, tag)| Break { repository, tag })
        .collect();
    breaks.sort_unstable();
    Cost { breaks, loses }
}

/// Repositories that lose something, or hold a link to something that is lost.
fn concerned(graph: &Graph, forecast: &Forecast) -> Vec<usize> {
    let mut gone = vec![false; graph.digests().len()];
    for node in &forecast.blobs {
        gone[node.index()] = true;
    }
    let mut concerned: BTreeSet<usize> =
        forecast.manifests.iter().chain(&forecast.layer_links).map(|(at, _)| *at as usize).collect();
    for (at, repository) in graph.repositories.iter().enumerate() {
        let links = repository.revisions().iter().chain(repository.layers());
        let is_lost = |node: NodeId| gone[node.index()];
        let mut names = links.filter_map(|entry| match entry.link {
            GraphLink::Names(target) => Some((entry.node, target)),
            _ => None,
        });
        if names.any(|(node, target)| is_lost(node) || is_lost(target)) {
            concerned.insert(at);
        }
    }
    concerned.into_iter().collect()
}

fn loses(graph: &Graph, audit: &Audit, forecast: &Forecast) -> Vec<LostRepair> {
    let mut gone = vec![false; graph.digests().len()];
    for node in &forecast.blobs {
        gone[node.index()] = true;
    }
    let links: HashSet<(&str, NodeId)> = forecast
        .manifests
        .iter()
        .map(|(at, node)| (&*graph.repositories[*at as usize].name, *node))
        .collect();
    let mut loses = Vec::new();
    for finding in &audit.findings {
        let Some((repository, roots, digest)) = needs(graph, finding) else { continue };
        let mut lost = BTreeSet::new();
        let mut bytes = 0;
        for node in walk::reach(HashSet::new(), roots, |node| graph.references(node)) {
            let blob = graph.blob(node);
            if gone[node.index()] && blob.presence == Presence::Present {
                bytes += blob.size;
                lost.insert(graph.digest(node));
            } else if links.contains(&(&*repository, node)) {
                lost.insert(graph.digest(node));
            }
        }
        if !lost.is_empty() {
            loses.push(LostRepair {
                code: finding.code,
                repository,
                tags: finding.tags.clone(),
                digest,
                needs: lost.into_iter().collect(),
                bytes,
            });
        }
    }
    loses
}

/// Everything that the links of a repository name.
fn held_by(repository: &Repository) -> impl Iterator<Item = NodeId> + '_ {
    let links =
        repository.revisions().iter().chain(repository.layers()).map(|entry| (entry.node, entry.link));
    let current = repository.tags.iter().map(|tag| tag.current);
    let named = links.clone().map(|(_, link)| link).chain(current).filter_map(GraphLink::target);
    let history = repository.tags.iter().flat_map(|tag| tag.history.iter().copied());
    links.map(|(node, _)| node).chain(named).chain(history)
}

/// What mending a finding needs: all that is reached from these.
fn needs(graph: &Graph, finding: &Finding) -> Option<(Arc<str>, Vec<NodeId>, Option<Digest>)> {
    if finding.code == Code::PathUnexpected {
        let Place::Repository(name) = Place::parse(finding.path.as_deref()?)? else { return None };
        let repository = graph.repository(name)?;
        // Under a legal name it is served again.
        return Some((name.into(), held_by(repository).collect(), None));
    }
    let name = finding.repository.clone()?;
    let repository = graph.repository(&name)?;
    let of = |digest: &Digest| graph.digests().find(digest);
    if matches!(finding.code, Code::TagLinkMissing | Code::TagLinkInvalid)
        && let Some(Place::TagLink(_, tag) | Place::TagFolder(_, tag)) =
            finding.path.as_deref().and_then(Place::parse)
    {
        // Whichever entry of its history it is set to, by a repair or by hand.
        let node = restorable(graph, repository, tag).map(|node| graph.digest(node));
        return Some((name, repository.tag(tag)?.history.to_vec(), node));
    }
    let Some(repair) = finding.repair else {
        // Nothing here mends it by itself; but what a tag leads to, somebody may mend by hand.
        let is_reached = finding.severity == Severity::Error && !finding.tags.is_empty();
        let digest = finding.digest.filter(|_| is_reached)?;
        return Some((name, vec![of(&digest)?], Some(digest)));
    };
    match (repair, Place::parse(finding.path.as_deref()?)?) {
        (Repair::Relink | Repair::Rewrite, Place::RevisionLink(_, digest) | Place::LayerLink(_, digest)) => {
            Some((name, vec![of(&digest)?], Some(digest)))
        }
        (Repair::Rebuild, _) => {
            // The links of what the manifests here reference; of children only what is linked here is served.
            let manifests = repository.revisions().iter().filter_map(|entry| graph.manifest(entry.node));
            let parts = manifests.flat_map(|manifest| graph.edges(manifest));
            let parts = parts.filter(|edge| edge.role != ReferenceRole::Child).filter_map(|edge| edge.target);
            Some((name, parts.collect(), None))
        }
        _ => None,
    }
}
