//! Counts what a tree holds, for the sources of a report.

use std::sync::Arc;

use super::report::{AuditedKind, AuditedSource, RegistryRole};
use crate::graph::{Graph, LinkEntry, Presence, Repository};
use crate::oci::manifest::Kind;

/// Counts the graph of the tree called `name`.
pub(super) fn count_tree(graph: &Graph, name: &Arc<str>, role: RegistryRole) -> AuditedSource {
    let legal = || graph.repositories.iter().filter(|repository| repository.is_legal);
    let sum = |count: &dyn Fn(&Repository) -> usize| legal().map(count).sum::<usize>() as u64;
    let is_index = |entry: &&LinkEntry| graph.manifest(entry.node).is_some_and(|one| one.kind == Kind::Index);
    let present = graph.nodes().map(|node| graph.blob(node));
    let present = present.filter(|blob| blob.presence == Presence::Present);
    let (blobs, blob_bytes) = present.fold((0, 0), |(count, bytes), blob| (count + 1, bytes + blob.size));
    AuditedSource {
        kind: AuditedKind::Tree,
        name: Arc::clone(name),
        role,
        complete: true,
        repositories: legal().count() as u64,
        tags: sum(&|repository| repository.numbered_tags().count()),
        manifests: sum(&|repository| repository.revisions().len()),
        indexes: sum(&|repository| repository.revisions().iter().filter(is_index).count()),
        layer_links: sum(&|repository| repository.layers().len()),
        blobs,
        blob_bytes,
        uploads: sum(&|repository| repository.uploads.len()),
    }
}
