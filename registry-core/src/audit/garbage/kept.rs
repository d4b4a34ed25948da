//! What stays in one repository: what tags reach, what is young, what refers to what stays, and everything where
//! something could not be read.

use std::collections::{HashMap, HashSet};

use super::roots::{roots, target};
use crate::audit::options::AuditOptions;
use crate::graph::{Graph, Link, LinkEntry, NodeId, Presence, Repository, Unread};
use crate::oci::Algorithm;
use crate::oci::manifest::Role;
use crate::path::Place;

/// What is known of one repository's manifests.
#[derive(Debug, Default)]
pub(super) struct Kept {
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
) -> Kept {
    let revisions = repository.revisions();
    let mut kept = Kept { revisions: vec![false; revisions.len()], ..Kept::default() };
    let position = |node: NodeId| revisions.binary_search_by_key(&node, |entry| entry.node).ok();
    let lost_tag =
        repository.numbered_tags().any(|(_, tag)| target(graph, tag).is_none() && tag.history.is_empty());
    let linked = revisions.iter().flat_map(|entry| [Some(entry.node), entry.link.target()]).flatten();
    let mut all: Vec<NodeId> = linked.chain(roots(graph, repository)).collect();
    let mut visited = HashSet::new();
    let mut is_unreadable = false;
    while let Some(node) = all.pop() {
        if !visited.insert(node) {
            continue;
        }
        let manifest = graph.manifest(node);
        kept.is_unread |= graph.blob(node).presence == Presence::Unread
            || graph.blob(node).presence == Presence::Present && manifest.is_none();
        is_unreadable |= manifest.is_some_and(|manifest| manifest.refusal().is_some());
        let edges = manifest.map_or(&[][..], |manifest| graph.edges(manifest)).iter();
        all.extend(edges.filter(|edge| edge.role == Role::Child).filter_map(|edge| edge.target));
    }
    let is_unread = |link: Link| link == Link::Unread;
    // A repository that a registry refuses has no tags that could be judged, so nothing in it is called untagged.
    kept.is_opaque = !repository.is_legal
        || lost_tag
        || is_unreadable
        || kept.is_unread
        || repository.numbered_tags().any(|(_, tag)| is_unread(tag.current))
        || revisions.iter().chain(repository.layers()).any(|entry| is_unread(entry.link));
    if kept.is_opaque {
        kept.revisions.fill(true);
        return kept;
    }
    let mut seen = HashSet::new();
    let mut stack: Vec<NodeId> = roots(graph, repository).collect();
    // What came to stay and whose referrers were not looked for yet.
    let mut fresh = Vec::new();
    let spread =
        |stack: &mut Vec<NodeId>, kept: &mut Kept, seen: &mut HashSet<NodeId>, fresh: &mut Vec<NodeId>| {
            while let Some(node) = stack.pop() {
                if !seen.insert(node) {
                    continue;
                }
                if let Some(at) = position(node) {
                    kept.revisions[at] = true;
                    fresh.push(node);
                    stack.extend(revisions[at].link.target());
                }
                if let Some(manifest) = graph.manifest(node) {
                    let children = graph.edges(manifest).iter().filter(|edge| edge.role == Role::Child);
                    stack.extend(children.filter_map(|edge| edge.target));
                }
            }
        };
    spread(&mut stack, &mut kept, &mut seen, &mut fresh);
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
                stack.push(node);
                spread(&mut stack, &mut kept, &mut seen, &mut fresh);
            }
        }
    }
    for (at, entry) in revisions.iter().enumerate() {
        if !kept.revisions[at] && options.is_young(entry.modified.max(graph.blob(entry.node).modified)) {
            kept.young += u64::from(graph.blob(entry.node).presence == Presence::Present);
            stack.push(entry.node);
            if entry.modified == LinkEntry::UNASKED {
                ask(entry.node);
            }
        }
    }
    spread(&mut stack, &mut kept, &mut seen, &mut fresh);
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
