//! Which manifests of one repository are kept: those that tags reach, young ones, and referrers of kept ones. If something
//! that decides could not be read, all are kept.

use std::collections::{HashMap, HashSet};

use super::roots::{tag_roots, tag_target};
use crate::audit::options::AuditOptions;
use crate::graph::{Graph, GraphLink, LinkEntry, NodeId, Presence, Repository, Unread, walk};
use crate::oci::Algorithm;
use crate::path::Place;

/// The manifests of one repository that are kept.
#[derive(Debug, Default)]
pub(super) struct KeptManifests {
    /// For each revision link of the repository, whether its manifest is kept.
    pub(super) revisions: Vec<bool>,
    /// Referrers that are kept only for their subject: every untagged collection deletes them.
    pub(super) referrers: Vec<NodeId>,
    /// Number of untagged manifests that are kept because they are young.
    pub(super) young: u64,
    /// Whether something here could not be read or understood, so that all manifests are kept.
    pub(super) is_opaque: bool,
    /// Whether a manifest here could not be read: it may reference anything, in any repository.
    pub(super) is_unread: bool,
}

/// Finds the manifests to keep. `ask_time` is called with revision links whose modification time decides and is not known.
pub(super) fn find_kept(
    graph: &Graph,
    repository: &Repository,
    options: &AuditOptions,
    ask_time: &mut dyn FnMut(NodeId),
) -> KeptManifests {
    let revisions = repository.revisions();
    let mut kept = KeptManifests::default();
    let position = |node: NodeId| revisions.binary_search_by_key(&node, |entry| entry.node).ok();
    let has_lost_tag =
        repository.numbered_tags().any(|(_, tag)| tag_target(graph, tag).is_none() && tag.history.is_empty());
    let linked = revisions.iter().flat_map(|entry| [Some(entry.node), entry.link.target()]).flatten();
    let all = linked.chain(tag_roots(graph, repository));
    let mut is_unreadable = false;
    for node in walk::reach(HashSet::new(), all, |node| graph.children(node)) {
        let manifest = graph.manifest(node);
        kept.is_unread |= graph.blob(node).presence == Presence::Unread
            || graph.blob(node).presence == Presence::Present && manifest.is_none();
        is_unreadable |= manifest.is_some_and(|manifest| manifest.refusal().is_some());
    }
    let is_unread = |link: GraphLink| link == GraphLink::Unread;
    // The tags of a repository with an illegal name are not judged, so nothing in it is called untagged.
    kept.is_opaque = !repository.is_legal
        || has_lost_tag
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
    // Kept manifests whose referrers are still to be looked for.
    let mut pending: Vec<NodeId> =
        walk::reach(&mut seen, tag_roots(graph, repository), named).filter(is_listed).collect();
    // A referrer is kept with its subject, which may be a referrer itself.
    let mut referrers: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    for entry in revisions {
        if let Some(subject) = graph.manifest(entry.node).and_then(|manifest| manifest.subject) {
            referrers.entry(subject).or_default().push(entry.node);
        }
    }
    while let Some(subject) = pending.pop() {
        for node in referrers.remove(&subject).unwrap_or_default() {
            if !seen.contains(&node) {
                kept.referrers.push(node);
                pending.extend(walk::reach(&mut seen, [node], named).filter(is_listed));
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
                ask_time(entry.node);
            }
        }
    }
    walk::mark(&mut seen, young, named);
    kept.revisions = revisions.iter().map(|entry| seen.contains(&entry.node)).collect();
    kept
}

/// Whether an unread path may hide references, so that any blob may be needed.
///
/// A single unread link does not: its repository keeps everything then, and the link stands for the digest in its path,
/// unless that is an alias of another. A tag does if neither its link nor its history names a manifest.
pub(super) fn hides_references(graph: &Graph, unread: &Unread) -> bool {
    let in_repositories = unread.path == "." || unread.path.starts_with("repositories");
    let tag = |name: &str, tag: &str| graph.repository(name).and_then(|repository| repository.tag(tag));
    let hides_nothing = match Place::parse(&unread.path) {
        Some(Place::LayerLink(_, digest) | Place::LayerFolder(_, digest)) => {
            digest.algorithm() == Algorithm::Sha256
        }
        Some(Place::TagLink(name, entry)) => tag(name, entry).is_some_and(|tag| !tag.history.is_empty()),
        Some(Place::TagIndexAlgorithm(name, entry, _) | Place::TagIndexLink(name, entry, _)) => {
            tag(name, entry).is_some_and(|tag| tag_target(graph, tag).is_some())
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
    in_repositories && !hides_nothing
}
