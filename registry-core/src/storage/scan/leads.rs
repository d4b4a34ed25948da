//! Finds what revision links lead to when they name another digest than that of their path. A collector follows such links, an
//! audit need not. Works on the graph alone; `oddities` looks at the disk.

use std::collections::BTreeSet;

use crate::graph::{Graph, GraphLink, NodeId, Oddities, Presence, Recheck, Repository};
use crate::oci::Digest;
use crate::serve;

/// Blobs that revision links lead to, also through a layer link, and that are not read as manifests yet.
pub(super) fn unread_manifests(graph: &Graph, odd: &Oddities) -> Vec<Recheck> {
    let mut doubts = BTreeSet::new();
    for_each_named_revision(graph, odd, &mut |repository, node| {
        let link = match repository.revision(node) {
            GraphLink::Absent => repository.layer(node),
            link => link,
        };
        if let GraphLink::Names(target) = link
            && graph.manifest(target).is_none()
            && graph.blob(target).presence == Presence::Present
        {
            doubts.insert(Recheck::Manifest(target));
        }
    });
    doubts.into_iter().collect()
}

/// Revisions that a revision link names, that have no revision link of their own, and that 2.8 finds through a layer link; with
/// the name of the repository.
pub(super) fn bare_revisions(graph: &Graph, odd: &Oddities) -> BTreeSet<(String, Digest)> {
    let mut bare = BTreeSet::new();
    for_each_named_revision(graph, odd, &mut |repository, node| {
        if repository.revision(node) == GraphLink::Absent && repository.layer(node) != GraphLink::Absent {
            bare.insert((repository.name.to_string(), graph.digest(node)));
        }
    });
    bare
}

/// Every digest that a link below `revisions/` names, with its repository.
fn for_each_named_revision(graph: &Graph, odd: &Oddities, visit: &mut dyn FnMut(&Repository, NodeId)) {
    for repository in &graph.repositories {
        for entry in repository.revisions() {
            if let GraphLink::Names(node) = entry.link {
                visit(repository, node);
            }
        }
    }
    for link in odd.links.iter().filter(|link| !link.in_layers) {
        if let serve::Link::Names(digest) = link.link
            && let Some(node) = graph.digests().find(&digest)
            && let Some(repository) = graph.repository(&link.repository)
        {
            visit(repository, node);
        }
    }
}
