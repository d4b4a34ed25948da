//! What stays in one repository: what tags reach, what is young, what refers to what stays, and everything where
//! something could not be read.

use std::collections::{HashMap, HashSet};

use super::roots::{roots, target};
use crate::audit::options::AuditOptions;
use crate::graph::{Graph, GraphLink, LinkEntry, NodeId, Presence, Repository, Unread, walk};
use crate::oci::Algorithm;
use crate::path::Place;

/// What is known of one repository's manifests.
#[derive(Debug, Default)]
pub(super) struct KeptManifests {
    /// Manifests (indexes among `revisions`) that a tag reaches, that are young, or that refer to one that stays.
    pub(super) revisions: Vec<bool>,
    /// Referrers that only an untagged collection decides about.
    pub(super) referrers: Vec<NodeId>,
    /// Untagged, and set aside as part of a push under way.
    pub(super) young: u64,
    /// A manifest here says nothing that can be relied on: everything here stays.
    pub(super) is_opaque: bool,
    /// A manifest here could not be read: it may reference anything anywhere.
    pub(super) is_unread: bool,
}

/// `ask` is called with the revision links whose time decides and was not asked for.
pub(super) fn keep(
    graph: &Graph,
    repository: &Repository,
    options: &AuditOptions,
    ask: &mut dyn FnMut(NodeId),
) -> KeptManifests {
    let revisions = repository.revisions();
    let mut kept = KeptManifests::default();
    let position = |node: NodeId| revisions.binary_search_by_key(&node, |entry| entry.node).ok();
    let lost_tag =
        repository.numbered_tags().any(|(_, tag)| target(graph, tag).is_none() && tag.history.is_empty());
    let linked = revisions.iter().flat_map(|entry| [Some(entry.node), entry.link.target()]).flatten();
    let all = linked.chain(roots(graph, repository));
    let mut is_unreadable = false;
    for node in walk::reach(HashSet::new(), all, |node| graph.children(node)) {
        let manifest = graph.manifest(node);
        kept.is_unread |= graph.blob(node).presence == Presence::Unread
            || graph.blob(node).presence == Presence::Present && manifest.is_none();
        is_unreadable |= manifest.is_some_and(|manifest| manifest.refusal().is_some());
    }
    let is_unread = |link: GraphLink| link == GraphLink::Unread;
    // A repository that a registry refuses has no tags that could be judged, so nothing in it is called untagged.
    kept.is_opaque = !repository.is_legal
        || lost_tag
        || is_unreadable
        || kept.is_unread
        || repository.numbered_tags().any(|(_, tag)| is_unread(tag.current))
        || revisions.iter().chain(repository.layers()).any(|entry| is_unread(entry.link));
    if kept.is_opaque {
        kept.revisions = vec![true; revisions.len()];
        return kept;
    }
    let mut seen = HashSet::new();
    let named = |node| {
        let link = position(node).and_then(|at| revisions[at].link.target());
        graph.children(node).chain(link)
    };
    let is_listed = |node: &NodeId| position(*node).is_some();
    // What came to stay and whose referrers were not looked for yet.
    let mut fresh: Vec<NodeId> =
        walk::reach(&mut seen, roots(graph, repository), named).filter(is_listed).collect();
    // Referrers live as long as what they refer to; one may refer to another.
    let mut referrers: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    for entry in revisions {
        if let Some(subject) = graph.manifest(entry.node).and_then(|manifest| manifest.subject) {
            referrers.entry(subject).or_default().push(entry.node);
        }
    }
    while let Some(subject) = fresh.pop() {
        for node in referrers.remove(&subject).unwrap_or_default() {
            if !seen.contains(&node) {
                kept.referrers.push(node);
                fresh.extend(walk::reach(&mut seen, [node], named).filter(is_listed));
            }
        }
    }
    let mut young = Vec::new();
    for entry in revisions {
        if !seen.contains(&entry.node)
            && options.is_young(entry.modified.max(graph.blob(entry.node).modified))
        {
            kept.young += u64::from(graph.blob(entry.node).presence == Presence::Present);
            young.push(entry.node);
            if entry.modified == LinkEntry::UNASKED {
                ask(entry.node);
            }
        }
    }
    walk::mark(&mut seen, young, named);
    kept.revisions = revisions.iter().map(|entry| seen.contains(&entry.node)).collect();
    kept
}

/// Whether an unread path may hide references of which nothing is known, so that anything may be needed.
///
/// A single link hides little: it belongs to one repository, which then keeps all it has, and stands for its own digest,
/// unless that is an alias. A tag whose link and history say nothing may have named any.
pub(super) fn hides_references(graph: &Graph, unread: &Unread) -> bool {
    let in_repositories = unread.path == "." || unread.path.starts_with("repositories");
    let tag = |name: &str, tag: &str| graph.repository(name).and_then(|repository| repository.tag(tag));
    let hides_little = match Place::parse(&unread.path) {
        Some(Place::LayerLink(_, digest) | Place::LayerFolder(_, digest)) => {
            digest.algorithm() == Algorithm::Sha256
        }
        Some(Place::TagLink(name, entry)) => tag(name, entry).is_some_and(|tag| !tag.history.is_empty()),
        Some(Place::TagIndexAlgorithm(name, entry, _) | Place::TagIndexLink(name, entry, _)) => {
            tag(name, entry).is_some_and(|tag| target(graph, tag).is_some())
        }
        Some(
            Place::RevisionFolder(..)
            | Place::RevisionLink(..)
            | Place::Uploads(_)
            | Place::UploadFolder(..)
            | Place::UploadData(..)
            | Place::UploadStartedAt(..)
            | Place::UploadHashStates(..),
        ) => true,
        _ => false,
    };
    in_repositories && !hides_little
}
