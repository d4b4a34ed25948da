//! What in this tree makes a collector abort or delete reachable data. Damage with a finding of its own is not repeated.

use std::collections::{BTreeSet, HashMap};

use super::access::{LayerAccess, ManifestAccess};
use super::code::{Code, Severity};
use super::draft::Draft;
use super::finding::Repair;
use super::messages::{plural, short};
use super::report::RegistryRole;
use super::verdict::RepositoryVerdict;
use crate::graph::{FolderState, Graph, GraphLink, NodeId, Repository, RepositoryView, SchedulerFault};
use crate::oci::Algorithm;
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::path::{Place, SCHEDULER_STATE};
use crate::serve::RepositoryLinks as _;

/// Hazards of one repository. `named_by_manifests` is the result of [`named_by_manifests`].
pub(super) fn find_in_repository(
    view: RepositoryView<'_>,
    verdict: &RepositoryVerdict,
    named_by_manifests: &[bool],
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
            found.push(draft.with_repair(right.then_some(Repair::Relink)));
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
            if named_by_manifests[end.index()] {
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
        found.push(Draft::new(Code::GcHazard, Some(*first), path, message).with_detail("schema 1"));
    }
    found.sort_by_key(|draft| draft.node.map(|node| graph.digest(node)));
    found.dedup_by(|a, b| a.key == b.key);
    found
}

/// For each node, whether a manifest of any repository names it by this digest, so that a collector marks its bytes.
pub(super) fn named_by_manifests(graph: &Graph) -> Vec<bool> {
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

/// Children of an index that stands in several repositories, where the repository that a 3.x collector visits first lacks
/// the child's link. An untagged 3.x collection then deletes the child's config and layers, which the other repositories
/// need: it marks a digest once and does not look into it again (`registry/storage/garbagecollect.go @ v3.1.1`).
pub(super) fn find_across_repositories(graph: &Graph) -> Vec<(usize, Draft)> {
    let is_legal = |index: &usize| graph.repositories[*index].is_legal;
    let mut order: Vec<usize> = (0..graph.repositories.len()).filter(is_legal).collect();
    order.sort_by_key(|index| walk_order(&graph.repositories[*index].name));
    let tagged =
        |index: usize| graph.repositories[index].numbered_tags().filter_map(|(_, tag)| tag.current.target());
    let (mut gaps, mut found): (HashMap<NodeId, usize>, Vec<(usize, Draft)>) = (HashMap::new(), Vec::new());
    for index in order {
        let repository = &graph.repositories[index];
        let own_tags: BTreeSet<NodeId> = tagged(index).collect();
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
                        found.push((index, draft.with_detail("across repositories")));
                    }
                    _ => {}
                }
            }
        }
    }
    found.dedup_by(|(i, a), (j, b)| i == j && a.key == b.key);
    found
}

/// Sorts repositories as a collector walks them: each folder in byte order, `_manifests` among its siblings.
fn walk_order(name: &str) -> Vec<&[u8]> {
    name.split('/').map(str::as_bytes).chain([b"_manifests".as_slice()]).collect()
}

/// A `scheduler-state.json` with which a pull-through cache does not start (https://github.com/distribution/distribution/issues/2374).
pub(super) fn find_in_scheduler_state(graph: &Graph) -> Option<Draft> {
    let fault = graph.scheduler_fault?;
    let remedy = match fault {
        SchedulerFault::NoFile => "move it away",
        _ => "move it away and write {} in its place",
    };
    let message = format!(
        "scheduler-state.json {}: a registry that is a pull-through cache does not start; {remedy}",
        fault.describe()
    );
    let draft = Draft::new(Code::PathUnexpected, None, SCHEDULER_STATE, message);
    Some(draft.with_severity(Severity::Error).with_repair(Some(Repair::Reset)))
}

/// Hazards of the whole registry.
pub(super) fn find_in_registry(graph: &Graph, role: RegistryRole) -> Vec<Draft> {
    let mut found = Vec::new();
    for (exists, place) in
        [(graph.has_blobs_folder, Place::Blobs), (graph.has_repositories_folder, Place::Repositories)]
    {
        if !exists {
            let message = format!("there is no {place} folder: every collector aborts on that");
            found.push(Draft::new(Code::GcHazard, None, place, message).with_detail(place.to_string()));
        }
    }
    let without_layers = |one: &&Repository| {
        one.manifests == FolderState::Present
            && one.layers_part == FolderState::Absent
            && !one.revisions().is_empty()
    };
    let count = graph.repositories.iter().filter(without_layers).count() as u64;
    if role == RegistryRole::Cache && count > 0 {
        let repositories = if count == 1 { "1 repository".into() } else { format!("{count} repositories") };
        let message = format!(
            "a pull-through cache with {repositories} without _layers: a 2.x collector deletes what they hold, a 3.x one aborts"
        );
        found.push(Draft::new(Code::GcHazard, None, Place::Repositories, message).with_detail("cache"));
    }
    found
}
