//! Whether a tree looks like an unmarked pull-through cache. This is a hint: a home that lost many children looks the same.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use super::access::ManifestAccess;
use crate::graph::{Graph, GraphLink, ManifestNode, NodeId, Presence, Repository, RepositoryView};
use crate::oci::manifest::{Kind, ReferenceRole};

/// Whether a tree without `scheduler-state.json` looks like a pull-through cache: a 3.x server with `proxy.ttl: 0` never
/// writes that file (`registry/proxy/proxyregistry.go @ v3.1.1`), and a backup may have left it out. Repositories for which
/// `is_sparse` is true do not count: their children may be absent on purpose.
pub fn looks_like_cache(graph: &Graph, is_sparse: impl Fn(&str) -> bool) -> bool {
    let counted = || graph.repositories.iter().filter(|one| one.is_legal && !is_sparse(&one.name));
    has_manifests_only(graph, counted()) || has_partial_indexes(graph, counted())
}

/// Whether at least half of the repositories with manifests have no layer link and lack bytes that their manifests name:
/// clients asked for manifests and pulled nothing. A repository that only lost its `_layers` still has those bytes.
fn has_manifests_only<'g>(graph: &'g Graph, repositories: impl Iterator<Item = &'g Repository>) -> bool {
    let with_manifests = repositories.filter(|one| !one.revisions().is_empty());
    let (all, bare) = with_manifests.fold((0, 0), |(all, bare), one| {
        let view = RepositoryView { graph, repository: one };
        (all + 1, bare + usize::from(one.layers().is_empty() && lacks_bytes(view)))
    });
    bare > 0 && bare * 2 >= all
}

/// Whether a served manifest names a digest whose bytes are absent.
fn lacks_bytes(view: RepositoryView<'_>) -> bool {
    let mut edges =
        served_manifests(view).flat_map(|manifest| view.graph.edges(manifest)).filter(|edge| !edge.has_urls);
    edges.any(|edge| edge.target.is_some_and(|target| is_absent(view.graph, target)))
}

/// Whether no upload is under way and at least half of the tagged indexes have a child without link and bytes, as if only
/// some platforms had been pulled. A child that was pushed here and lost leaves layer links that no manifest needs, and
/// mostly its bytes (`registry/storage/garbagecollect.go @ v2.8.3` marks what an index names).
fn has_partial_indexes<'g>(graph: &'g Graph, repositories: impl Iterator<Item = &'g Repository>) -> bool {
    let (mut indexes, mut partial) = (0, 0);
    for repository in repositories {
        if !repository.uploads.is_empty() {
            return false;
        }
        let view = RepositoryView { graph, repository };
        let tagged: BTreeSet<NodeId> =
            repository.numbered_tags().filter_map(|(_, tag)| tag.current.target()).collect();
        let has_needed_layers_only = LazyCell::new(|| all_layers_are_needed(view));
        for manifest in tagged.into_iter().filter_map(|node| served_manifest(view, node)) {
            let children = graph
                .edges(manifest)
                .iter()
                .filter(|edge| edge.role == ReferenceRole::Child && !edge.has_urls);
            let mut children = children.filter_map(|edge| edge.target).peekable();
            if manifest.kind != Kind::Index || children.peek().is_none() {
                continue;
            }
            indexes += 1;
            partial +=
                usize::from(children.any(|child| has_no_trace(view, child)) && *has_needed_layers_only);
        }
    }
    partial > 0 && partial * 2 >= indexes
}

/// Whether a served manifest names the digest of every layer link: through a cache, a client asks for the manifest first.
fn all_layers_are_needed(view: RepositoryView<'_>) -> bool {
    let edges = served_manifests(view).flat_map(|manifest| view.graph.edges(manifest));
    let named: BTreeSet<NodeId> = edges.filter_map(|edge| edge.target).collect();
    view.repository.layers().iter().all(|entry| named.contains(&entry.node))
}

fn has_no_trace(view: RepositoryView<'_>, child: NodeId) -> bool {
    let repository = view.repository;
    let is_unlinked =
        repository.revision(child) == GraphLink::Absent && repository.layer(child) == GraphLink::Absent;
    is_unlinked && is_absent(view.graph, child)
}

fn is_absent(graph: &Graph, node: NodeId) -> bool {
    graph.blob(node).presence == Presence::Absent
}

/// The manifests that the repository serves.
fn served_manifests(view: RepositoryView<'_>) -> impl Iterator<Item = &ManifestNode> {
    view.repository.revisions().iter().filter_map(move |entry| served_manifest(view, entry.node))
}

fn served_manifest(view: RepositoryView<'_>, node: NodeId) -> Option<&ManifestNode> {
    let is_served = matches!(view.manifest(node), ManifestAccess::Served { .. });
    view.graph.manifest(node).filter(|_| is_served)
}
