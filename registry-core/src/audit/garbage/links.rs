//! Links that nothing needs: layer links without a manifest, entries of tag histories that no longer resolve.

use std::collections::HashSet;

use super::kept::KeptManifests;
use super::roots::{roots, target};
use super::survey::{GarbagePiece, Survey};
use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::audit::finding::Repair;
use crate::audit::hazards::plainly_named;
use crate::audit::messages::{plural, short};
use crate::audit::options::AuditOptions;
use crate::graph::{Graph, GraphLink, LinkEntry, LinkFault, NodeId, Presence, Recheck, Repository, walk};
use crate::path::Place;

/// Layer links that no manifest of their repository needs.
pub(super) fn links(
    graph: &Graph,
    repository: &Repository,
    kept: &KeptManifests,
    options: &AuditOptions,
    (index, list): (usize, bool),
    garbage: &mut Garbage,
    survey: &mut Survey,
) {
    // Without blobs/ (not mounted, perhaps) every link would dangle.
    if kept.is_opaque || repository.layers().is_empty() || !graph.has_blobs_folder {
        return;
    }
    let needed = needed(graph, repository);
    let (mut dangling, mut unreferenced, mut young) = (Vec::new(), Vec::new(), 0);
    for entry in repository.layers().iter().filter(|entry| needed.binary_search(&entry.node).is_err()) {
        if options.is_young(entry.modified) {
            young += 1;
            if entry.modified == LinkEntry::UNASKED {
                survey.doubts.push(Recheck::Layer(u32::try_from(index).unwrap_or(u32::MAX), entry.node));
            }
            continue;
        }
        match entry.link {
            GraphLink::Names(target) => match graph.blob(target).presence {
                Presence::Present => unreferenced.push(entry.node),
                Presence::Absent => dangling.push(entry.node),
                Presence::Unread | Presence::Unseen => {}
            },
            _ => {
                if let Some(fault) = entry.link.fault() {
                    let digest = graph.digest(entry.node);
                    let message = format!(
                        "the layer link of {}, which no manifest needs, {}: a 3.x collector aborts on it; remove it",
                        short(&digest),
                        fault.describe()
                    );
                    let path = Place::LayerLink(&repository.name, digest);
                    let draft = Draft::new(Code::GcHazard, Some(entry.node), path, message);
                    let repair = (fault != LinkFault::NoFile).then_some(Repair::Remove);
                    survey.of_repository.push((index, draft.repair(repair)));
                }
            }
        }
    }
    for alias in removed_twice(graph, repository, &unreferenced) {
        let digest = graph.digest(alias);
        let message = format!(
            "the layer link of {}, which no manifest needs, and that of the digest it names are one and the same to a 3.x collector: \
             it removes that twice and exits 1, once, after everything else; remove it",
            short(&digest)
        );
        let path = Place::LayerLink(&repository.name, digest);
        let draft = Draft::new(Code::GcHazard, Some(alias), path, message).apart_by("twice");
        survey.of_repository.push((index, draft.repair(Some(Repair::Remove))));
    }
    garbage.layer_links += (dangling.len() + unreferenced.len()) as u64;
    for (code, nodes, what) in [
        (Code::LayerLinkDangling, dangling, "that no manifest needs and whose bytes are gone"),
        (Code::LayerLinkUnreferenced, unreferenced, "that no manifest needs"),
    ] {
        if nodes.is_empty() {
            continue;
        }
        let message = format!("{} {what}", plural(nodes.len() as u64, "layer link"));
        let draft = Draft::new(code, None, Place::Layers(&repository.name), message);
        survey.of_repository.push((index, draft.repair(Some(Repair::Remove))));
        if list {
            survey.pieces.extend(nodes.iter().map(|node| GarbagePiece {
                code,
                repository: Some(repository.name.clone()),
                digest: Some(graph.digest(*node)),
                path: Place::LayerLink(&repository.name, graph.digest(*node)).to_string(),
                bytes: 0,
            }));
        }
    }
    if young > 0 {
        let message =
            format!("{} that no manifest needs yet: a push under way", plural(young, "young layer link"));
        survey
            .of_repository
            .push((index, Draft::new(Code::InFlight, None, Place::Layers(&repository.name), message)));
    }
}

/// Links by another digest than sha256, left by an upload that no manifest followed, of which a 3.x collector lists the sha256 link
/// too: it takes the digest from the link (`registry/storage/garbagecollect.go @ v3.1.1`). What a manifest names anywhere is
/// marked, and not listed.
fn removed_twice(graph: &Graph, repository: &Repository, unreferenced: &[NodeId]) -> Vec<NodeId> {
    let target = |alias: &NodeId| repository.layer(*alias).target().filter(|target| target != alias);
    let is_listed = |alias: &&NodeId| target(alias).is_some_and(|target| unreferenced.contains(&target));
    let mut aliases: Vec<NodeId> = unreferenced.iter().filter(is_listed).copied().collect();
    if !aliases.is_empty() {
        let is_named = plainly_named(graph);
        aliases.retain(|alias| target(alias).is_some_and(|target| !is_named[target.index()]));
    }
    aliases
}

/// Everything that a manifest of this repository references, children included (2.8 serves them through layer links).
fn needed(graph: &Graph, repository: &Repository) -> Vec<NodeId> {
    let mut needed = Vec::new();
    let linked =
        repository.revisions().iter().flat_map(|entry| [Some(entry.node), entry.link.target()]).flatten();
    let all = linked.chain(roots(graph, repository));
    for node in walk::reach(HashSet::new(), all, |node| graph.children(node)) {
        needed.extend(graph.references(node));
    }
    let targets: Vec<NodeId> = needed.iter().filter_map(|node| repository.layer(*node).target()).collect();
    needed.extend(targets);
    needed.sort_unstable();
    needed.dedup();
    needed
}

pub(super) fn history(graph: &Graph, repository: &Repository, index: usize, survey: &mut Survey, list: bool) {
    let mut count = 0;
    // Where a tag's link says nothing, its history is the last trace of what it named.
    for (_, tag) in repository.numbered_tags() {
        let Some(current) = target(graph, tag) else { continue };
        for node in tag.history.iter().filter(|node| **node != current) {
            let is_gone = repository.revision(*node) == GraphLink::Absent
                || graph.blob(*node).presence == Presence::Absent;
            if !is_gone {
                continue;
            }
            count += 1;
            if list {
                let digest = graph.digest(*node);
                survey.pieces.push(GarbagePiece {
                    code: Code::TagHistoryDangling,
                    repository: Some(repository.name.clone()),
                    digest: Some(digest),
                    path: Place::TagIndexLink(&repository.name, &tag.name, digest).to_string(),
                    bytes: 0,
                });
            }
        }
    }
    if count > 0 {
        let entries = if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
        let message = format!("{entries} of tag histories that no longer resolve");
        let draft = Draft::new(Code::TagHistoryDangling, None, Place::Tags(&repository.name), message);
        survey.of_repository.push((index, draft.repair(Some(Repair::Remove))));
    }
}
