//! What makes a collector abort, or delete what is reachable, in this very tree. Damage that has a finding of its own
//! is not said twice.

use std::collections::HashMap;

use super::access::{LayerAccess, ManifestAccess};
use super::code::{Code, Severity};
use super::draft::Draft;
use super::finding::Repair;
use super::messages::{plural, short};
use super::report::RegistryRole as SourceRole;
use super::verdict::RepositoryVerdict;
use crate::graph::{FolderState, Graph, GraphLink, NodeId, SchedulerFault, View};
use crate::oci::Algorithm;
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::path::{Place, SCHEDULER_STATE};
use crate::serve::Shelf as _;

/// Hazards of one repository.
pub(super) fn of_repository(
    view: View<'_>,
    verdict: &RepositoryVerdict,
    plainly_named: &[bool],
) -> Vec<Draft> {
    let graph = view.graph;
    let mut found = Vec::new();
    let mut schema1 = Vec::new();
    for (node, visit) in &verdict.visits {
        let ManifestAccess::Served { through_layers, right } = visit.answer else { continue };
        let Some(manifest) = graph.manifest(*node) else { continue };
        let digest = graph.digest(*node);
        if through_layers {
            let message = format!(
                "manifest {} is served only through its layer link: registry 3 answers 404, and every collector \
                 deletes its config and layers; writing its revision link mends it",
                short(&digest)
            );
            let path = Place::RevisionLink(&view.repository.name, digest);
            let draft = Draft::new(Code::GcHazard, Some(*node), path, message);
            found.push(draft.repair(right.then_some(Repair::Relink)));
        }
        if manifest.kind == Kind::Schema1 {
            schema1.push(*node);
        }
        for edge in
            graph.edges(manifest).iter().filter(|edge| edge.role != ReferenceRole::Child && !edge.has_urls)
        {
            let Some(target) =
                edge.target.filter(|node| graph.digest(*node).algorithm() != Algorithm::Sha256)
            else {
                continue;
            };
            let LayerAccess::Served(end) = view.layer(target) else { continue };
            if plainly_named[end.index()] {
                continue;
            }
            let alias = graph.digest(target);
            let message = format!(
                "layer {} is referenced by {} only: every collector deletes its bytes; push the image again with \
                 sha256 digests, and run no collector before",
                short(&graph.digest(end)),
                alias.algorithm().name()
            );
            let path = Place::LayerLink(&view.repository.name, alias);
            found.push(Draft::new(Code::GcHazard, Some(target), path, message));
        }
    }
    schema1.sort_unstable_by_key(|node| graph.digest(*node));
    if let Some(first) = schema1.first() {
        let message = format!(
            "{}: registry 3 cannot read them, and its collector aborts on them",
            plural(schema1.len() as u64, "schema 1 manifest")
        );
        let path = Place::RevisionLink(&view.repository.name, graph.digest(*first));
        found.push(Draft::new(Code::GcHazard, Some(*first), path, message).apart_by("schema 1"));
    }
    found.sort_by_key(|draft| draft.node.map(|node| graph.digest(node)));
    found.dedup_by(|a, b| a.key == b.key);
    found
}

/// By node: whether a manifest names it by a SHA-256 digest, so that a collector marks it.
pub(super) fn plainly_named(graph: &Graph) -> Vec<bool> {
    let mut named = vec![false; graph.digests().len()];
    for node in graph.nodes() {
        if let Some(manifest) = graph.manifest(node) {
            for target in graph.edges(manifest).iter().filter_map(|edge| edge.target) {
                named[target.index()] = true;
            }
        }
    }
    named
}

/// Where an index stands in several repositories and one that 3.x collects first lacks the link of a child, an untagged
/// collection of 3.x deletes that child's config and layers from under the others: it marks a digest once and does not
/// look into it again (`registry/storage/garbagecollect.go @ v3.1.1`).
pub(super) fn across_repositories(graph: &Graph) -> Vec<(usize, Draft)> {
    let is_legal = |index: &usize| graph.repositories[*index].is_legal;
    let mut order: Vec<usize> = (0..graph.repositories.len()).filter(is_legal).collect();
    order.sort_by_key(|index| walk_order(&graph.repositories[*index].name));
    let tagged =
        |index: usize| graph.repositories[index].numbered_tags().filter_map(|(_, tag)| tag.current.target());
    let (mut gaps, mut found): (HashMap<NodeId, usize>, Vec<(usize, Draft)>) = (HashMap::new(), Vec::new());
    for index in order {
        let repository = &graph.repositories[index];
        let own_tags: std::collections::BTreeSet<NodeId> = tagged(index).collect();
        for node in &own_tags {
            let Some(manifest) = graph.manifest(*node).filter(|manifest| manifest.kind == Kind::Index) else {
                continue;
            };
            let children = graph.edges(manifest).iter().filter(|edge| edge.role == ReferenceRole::Child);
            for child in children.filter_map(|edge| edge.target) {
                match repository.revision(child) {
                    GraphLink::Absent => {
                        gaps.entry(child).or_insert(index);
                    }
                    GraphLink::Names(_) if !own_tags.contains(&child) => {
                        let Some(gap) = gaps.get(&child).filter(|gap| **gap != index) else { continue };
                        let (digest, other) = (graph.digest(child), &graph.repositories[*gap].name);
                        let message = format!(
                            "child {} is linked here and not in {other}, which holds the same index: an untagged 3.x \
                             collection would delete its config and layers; mend {other} first",
                            short(&digest)
                        );
                        let path = Place::RevisionLink(&repository.name, digest);
                        let draft = Draft::new(Code::GcHazard, Some(child), path, message);
                        found.push((index, draft.apart_by("across repositories")));
                    }
                    _ => {}
                }
            }
        }
    }
    found.dedup_by(|(i, a), (j, b)| i == j && a.key == b.key);
    found
}

/// The order in which a collector walks repositories: each folder in byte order, `_manifests` among its siblings.
fn walk_order(name: &str) -> Vec<&[u8]> {
    name.split('/').map(str::as_bytes).chain([b"_manifests".as_slice()]).collect()
}

/// A file that keeps the server of a pull-through cache from starting (https://github.com/distribution/distribution/issues/2374).
pub(super) fn of_scheduler_state(graph: &Graph) -> Option<Draft> {
    let fault = graph.scheduler_fault?;
    let cure = match fault {
        SchedulerFault::NoFile => "move it away",
        _ => "move it away and write {} in its place",
    };
    let message = format!(
        "scheduler-state.json {}: a registry that is a pull-through cache does not start; {cure}",
        fault.describe()
    );
    let draft = Draft::new(Code::PathUnexpected, None, SCHEDULER_STATE, message);
    Some(draft.severity(Severity::Error).repair(Some(Repair::Reset)))
}

/// Hazards of the whole registry.
pub(super) fn of_root(graph: &Graph, role: SourceRole) -> Vec<Draft> {
    let mut found = Vec::new();
    for (is_there, place) in
        [(graph.has_blobs_folder, Place::Blobs), (graph.has_repositories_folder, Place::Repositories)]
    {
        if !is_there {
            let message = format!("there is no {place} folder: every collector aborts on that");
            found.push(Draft::new(Code::GcHazard, None, place, message).apart_by(place.to_string()));
        }
    }
    let without_layers = |one: &&crate::graph::Repository| {
        one.manifests == FolderState::Present
            && one.layers_part == FolderState::Absent
            && !one.revisions().is_empty()
    };
    let count = graph.repositories.iter().filter(without_layers).count() as u64;
    if role == SourceRole::Cache && count > 0 {
        let repositories = if count == 1 { "1 repository".into() } else { format!("{count} repositories") };
        let message = format!(
            "a pull-through cache with {repositories} without _layers: a 2.x collector deletes what they hold, a 3.x one aborts"
        );
        found.push(Draft::new(Code::GcHazard, None, Place::Repositories, message).apart_by("cache"));
    }
    found
}
