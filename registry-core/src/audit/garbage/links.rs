//! Links that nothing needs: layer links that no manifest needs, and entries of tag histories that no longer resolve.

use std::collections::HashSet;

use super::kept::KeptManifests;
use super::roots::{tag_roots, tag_target};
use super::survey::{GarbagePiece, Survey};
use crate::audit::code::Code;
use crate::audit::counts::Garbage;
use crate::audit::draft::Draft;
use crate::audit::finding::Repair;
use crate::audit::hazards::named_by_manifests;
use crate::audit::messages::{plural, short};
use crate::audit::options::AuditOptions;
use crate::graph::{Graph, GraphLink, LinkEntry, LinkFault, NodeId, Presence, Recheck, Repository, walk};
use crate::path::Place;

/// Finds layer links that no manifest of their repository needs.
pub(super) fn find_unneeded(
    graph: &Graph,
    repository: &Repository,
    kept: &KeptManifests,
    options: &AuditOptions,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
) {
    // Without the folder `blobs/`, which may not be mounted, every link would dangle.
    if kept.is_opaque || repository.layers().is_empty() || !graph.has_blobs_folder {
        return;
    }
    let needed = needed_layers(graph, repository);
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
                    survey.repository_drafts.push((index, draft.with_repair(repair)));
                }
            }
        }
    }
    for alias in links_removed_twice(graph, repository, &unreferenced) {
        let digest = graph.digest(alias);
        let message = format!(
            "the layer link of {}, which no manifest needs, and that of the digest it names are one and the same to a 3.x collector: \
             it removes that twice and exits 1, once, after everything else; remove it",
            short(&digest)
        );
        let path = Place::LayerLink(&repository.name, digest);
        let draft = Draft::new(Code::GcHazard, Some(alias), path, message).with_detail("twice");
        survey.repository_drafts.push((index, draft.with_repair(Some(Repair::Remove))));
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
        survey.repository_drafts.push((index, draft.with_repair(Some(Repair::Remove))));
        if options.list_garbage {
            survey.pieces.extend(nodes.iter().map(|node| {
                let digest = graph.digest(*node);
                let place = Place::LayerLink(&repository.name, digest);
                GarbagePiece::link(code, repository, digest, place)
            }));
        }
    }
    if young > 0 {
        let message =
            format!("{} that no manifest needs yet: a push under way", plural(young, "young layer link"));
        let draft = Draft::new(Code::InFlight, None, Place::Layers(&repository.name), message);
        survey.repository_drafts.push((index, draft));
    }
}

/// Unneeded layer links that a 3.x collector removes twice: links by another digest than sha256, left by an upload that no
/// manifest followed, whose sha256 link is unneeded too. The collector lists both under the digest that the link names
/// (`registry/storage/garbagecollect.go @ v3.1.1`). It does not list what a manifest of any repository names.
fn links_removed_twice(graph: &Graph, repository: &Repository, unreferenced: &[NodeId]) -> Vec<NodeId> {
    let target = |alias: &NodeId| repository.layer(*alias).target().filter(|target| target != alias);
    let is_listed = |alias: &&NodeId| target(alias).is_some_and(|target| unreferenced.contains(&target));
    let mut aliases: Vec<NodeId> = unreferenced.iter().filter(is_listed).copied().collect();
    if !aliases.is_empty() {
        let is_named = named_by_manifests(graph);
        aliases.retain(|alias| target(alias).is_some_and(|target| !is_named[target.index()]));
    }
    aliases
}

/// Everything that a manifest of this repository references, sorted; 2.8 serves children through layer links, too.
fn needed_layers(graph: &Graph, repository: &Repository) -> Vec<NodeId> {
    let mut needed = Vec::new();
    let linked =
        repository.revisions().iter().flat_map(|entry| [Some(entry.node), entry.link.target()]).flatten();
    let all = linked.chain(tag_roots(graph, repository));
    for node in walk::reach(HashSet::new(), all, |node| graph.children(node)) {
        needed.extend(graph.references(node));
    }
    let targets: Vec<NodeId> = needed.iter().filter_map(|node| repository.layer(*node).target()).collect();
    needed.extend(targets);
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Finds entries of tag histories whose revision link or bytes are absent.
pub(super) fn find_dangling_history(
    graph: &Graph,
    repository: &Repository,
    index: usize,
    survey: &mut Survey,
    list: bool,
) {
    let mut count = 0;
    // The history of a tag whose link names nothing is kept: it is the last trace of what the tag named.
    for (_, tag) in repository.numbered_tags() {
        let Some(current) = tag_target(graph, tag) else { continue };
        for node in tag.history.iter().filter(|node| **node != current) {
            if repository.revision(*node) != GraphLink::Absent
                && graph.blob(*node).presence != Presence::Absent
            {
                continue;
            }
            count += 1;
            if list {
                let digest = graph.digest(*node);
                let place = Place::TagIndexLink(&repository.name, &tag.name, digest);
                let piece = GarbagePiece::link(Code::TagHistoryDangling, repository, digest, place);
                survey.pieces.push(piece);
            }
        }
    }
    if count > 0 {
        let entries = if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
        let message = format!("{entries} of tag histories that no longer resolve");
        let draft = Draft::new(Code::TagHistoryDangling, None, Place::Tags(&repository.name), message);
        survey.repository_drafts.push((index, draft.with_repair(Some(Repair::Remove))));
    }
}
