//! Where revision links lead that name another digest than that of their path: what a collector follows and no audit has to.
//! Pure; what is found here is looked at by the neighbours of this file.

use std::collections::BTreeSet;

use crate::graph::{Graph, GraphLink, NodeId, Oddities, Presence, Recheck, Repository};
use crate::oci::Digest;
use crate::serve;

/// What revision links lead to, also over a layer link, and was not read as a manifest yet.
pub(super) fn unread_manifests(graph: &Graph, odd: &Oddities) -> Vec<Recheck> {
    let mut doubts = BTreeSet::new();
    each(graph, odd, &mut |repository, node| {
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

/// Revisions without a link of their own that a link names and 2.8 finds over a layer link, by repository.
pub(super) fn bare_revisions(graph: &Graph, odd: &Oddities) -> BTreeSet<(String, Digest)> {
    let mut bare = BTreeSet::new();
    each(graph, odd, &mut |repository, node| {
        if repository.revision(node) == GraphLink::Absent && repository.layer(node) != GraphLink::Absent {
            bare.insert((repository.name.to_string(), graph.digest(node)));
        }
    });
    bare
}

/// Every digest that a link below `revisions/` names, with its repository.
fn each(graph: &Graph, odd: &Oddities, lead: &mut dyn FnMut(&Repository, NodeId)) {
    for repository in &graph.repositories {
        for entry in repository.revisions() {
            if let GraphLink::Names(node) = entry.link {
                lead(repository, node);
            }
        }
    }
    for link in odd.links.iter().filter(|link| !link.in_layers) {
        if let serve::Link::Names(digest) = link.link
            && let Some(node) = graph.digests().find(&digest)
            && let Some(repository) = graph.repository(&link.repository)
        {
            lead(repository, node);
        }
    }
}
