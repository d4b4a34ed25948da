//! What nothing references any more, and what only looks like it because a push is under way.
//!
//! Kept on the safe side: whatever could not be read protects all that it might reference. What stays is decided in
//! `kept`; here the blobs are sorted, and what tells them apart is put together.

mod kept;
mod links;
mod remains;
mod roots;
mod survey;

use std::collections::HashSet;

use rayon::prelude::*;

use super::code::Code;
use super::counts::Garbage;
use super::draft::Draft;
use super::messages::plural;
use super::options::AuditOptions;
use crate::graph::{Graph, LinkEntry, Presence, Recheck, Repository, walk};
use crate::path::Place;
use kept::{KeptManifests, hides_references, keep};
use roots::roots;

pub use survey::GarbagePiece;
pub(super) use survey::Survey;

/// Surveys a whole registry. Only to be asked when every repository was read.
pub(super) fn survey(graph: &Graph, options: &AuditOptions) -> Survey {
    let mut survey = Survey::default();
    let (kept, asked): (Vec<KeptManifests>, Vec<Vec<Recheck>>) = graph
        .repositories
        .par_iter()
        .enumerate()
        .map(|(at, repository)| {
            let (at, mut doubts) = (u32::try_from(at).unwrap_or(u32::MAX), Vec::new());
            let kept = keep(graph, repository, options, &mut |node| doubts.push(Recheck::Revision(at, node)));
            (kept, doubts)
        })
        .unzip();
    let mut doubts: Vec<Recheck> = asked.into_iter().flatten().collect();
    let reached_from = |counts: fn(bool) -> bool| {
        let roots = graph.repositories.iter().zip(&kept).flat_map(|(repository, kept)| {
            let entries = repository.revisions().iter().zip(&kept.revisions);
            let entries = entries.filter(move |(_, stays)| counts(**stays));
            let linked = entries.flat_map(|(entry, _)| [Some(entry.node), entry.link.target()]).flatten();
            linked.chain(roots(graph, repository))
        });
        let mut reached = vec![false; graph.digests().len()];
        walk::mark(&mut reached, roots, |node| graph.references(node));
        reached
    };
    let (mut reached, mut staying) = (reached_from(|_| true), reached_from(|stays| stays));
    for set in [&mut reached, &mut staying] {
        add_linked(graph, &kept, options, set, &mut doubts);
    }
    let is_known = !graph.unread.iter().any(|unread| hides_references(graph, unread))
        && !kept.iter().any(|kept| kept.is_unread);
    let mut garbage = Garbage::default();
    if is_known {
        blobs(graph, options, (&reached, &staying), &mut garbage, &mut survey, options.list_garbage);
    }
    let of_one = |(index, kept): (usize, &KeptManifests)| {
        let repository = &graph.repositories[index];
        let (mut garbage, mut survey) = (Garbage::default(), Survey::default());
        // What no manifest seems to need may be needed by what could not be read.
        if is_known {
            untagged(graph, repository, kept, index, &mut garbage, &mut survey, options.list_garbage);
            links::links(
                graph,
                repository,
                kept,
                options,
                (index, options.list_garbage),
                &mut garbage,
                &mut survey,
            );
            links::history(graph, repository, index, &mut survey, options.list_garbage);
        }
        remains::uploads(repository, options, index, &mut garbage, &mut survey, options.list_garbage);
        for node in &kept.referrers {
            survey.of_repository.push((index, remains::referrer(graph, repository, *node)));
        }
        (garbage, survey)
    };
    let each: Vec<(Garbage, Survey)> = kept.par_iter().enumerate().map(of_one).collect();
    for (more, one) in each {
        garbage.add(&more);
        survey.of_repository.extend(one.of_repository);
        survey.pieces.extend(one.pieces);
        survey.doubts.extend(one.doubts);
    }
    remains::temp_files(graph, options, &mut survey, options.list_garbage);
    survey.garbage = is_known.then_some(garbage);
    survey.doubts.append(&mut doubts);
    survey
}

/// Adds the bytes that layer links protect: an alias that is in the set those it stands for, an opaque repository and a link just
/// written whatever they link. `doubts` gets links whose time decides and was not asked for.
fn add_linked(
    graph: &Graph,
    kept: &[KeptManifests],
    options: &AuditOptions,
    set: &mut [bool],
    doubts: &mut Vec<Recheck>,
) {
    // Added at the end: what a link protects does not depend on the order of links.
    let mut linked = HashSet::new();
    for (at, (repository, kept)) in (0_u32..).zip(graph.repositories.iter().zip(kept)) {
        for entry in repository.layers() {
            // A link that could not be read stands for its own digest at least.
            let target = entry.link.target().unwrap_or(entry.node);
            if set[target.index()] || graph.blob(target).presence != Presence::Present {
                continue;
            }
            let is_alias_in_set = target != entry.node && set[entry.node.index()];
            let is_protected = kept.is_opaque || is_alias_in_set || options.is_young(entry.modified);
            if is_protected && linked.insert(target) {
                let is_for_its_age = !kept.is_opaque && !is_alias_in_set;
                if is_for_its_age && entry.modified == LinkEntry::UNASKED {
                    doubts.push(Recheck::Layer(at, entry.node));
                }
            }
        }
    }
    linked.into_iter().for_each(|node| set[node.index()] = true);
}

fn blobs(
    graph: &Graph,
    options: &AuditOptions,
    (reached, staying): (&[bool], &[bool]),
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let (mut young, mut young_bytes) = (0_u64, 0_u64);
    for node in graph.nodes() {
        let blob = graph.blob(node);
        if blob.presence != Presence::Present || staying[node.index()] {
            continue;
        }
        if reached[node.index()] {
            garbage.untagged.blobs += 1;
            garbage.untagged.bytes += blob.size;
            if list {
                survey.pieces.push(GarbagePiece::blob(Code::ManifestUntagged, graph.digest(node), blob.size));
            }
            continue;
        }
        if options.is_young(blob.modified) {
            young += 1;
            young_bytes += blob.size;
            continue;
        }
        garbage.unreferenced.blobs += 1;
        garbage.unreferenced.bytes += blob.size;
        if list {
            survey.pieces.push(GarbagePiece::blob(Code::BlobUnreferenced, graph.digest(node), blob.size));
        }
    }
    let count = garbage.unreferenced;
    if count.blobs > 0 {
        let message = format!(
            "{} that no manifest references, {}: a plain collection frees {}",
            plural(count.blobs, "blob"),
            plural(count.bytes, "byte"),
            pronoun(count.blobs)
        );
        survey.of_root.push(Draft::new(Code::BlobUnreferenced, None, Place::Blobs, message));
    }
    if young > 0 {
        let message = format!(
            "{} ({}) that no manifest references yet: a push under way",
            plural(young, "young blob"),
            plural(young_bytes, "byte")
        );
        survey.of_root.push(Draft::new(Code::InFlight, None, Place::Blobs, message));
    }
}

fn untagged(
    graph: &Graph,
    repository: &Repository,
    kept: &KeptManifests,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let mut count = 0;
    for (entry, _) in repository.revisions().iter().zip(&kept.revisions).filter(|(_, stays)| !**stays) {
        let blob = graph.blob(entry.node);
        if blob.presence != Presence::Present {
            continue;
        }
        count += 1;
        if list {
            let digest = graph.digest(entry.node);
            survey.pieces.push(GarbagePiece {
                code: Code::ManifestUntagged,
                repository: Some(repository.name.clone()),
                digest: Some(digest),
                path: Place::RevisionLink(&repository.name, digest).to_string(),
                bytes: 0,
            });
        }
    }
    garbage.untagged.manifests += count;
    if count > 0 {
        let message = format!(
            "{} that no tag reaches: only an untagged collection frees {}",
            plural(count, "manifest"),
            pronoun(count)
        );
        let draft = Draft::new(Code::ManifestUntagged, None, Place::Revisions(&repository.name), message);
        survey.of_repository.push((index, draft));
    }
    if kept.young > 0 {
        let message =
            format!("{} that no tag reaches yet: a push under way", plural(kept.young, "young manifest"));
        let draft = Draft::new(Code::InFlight, None, Place::Revisions(&repository.name), message);
        survey.of_repository.push((index, draft));
    }
}

/// The pronoun for so many.
const fn pronoun(count: u64) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::graph::{Content, FolderState, GraphLink, NodeId};
    use crate::oci::{Algorithm, Digest, Manifest};

    /// A layer named by its sha512 digest, whose link names a sha256 digest, whose link names another.
    #[test]
    fn the_order_of_links_does_not_decide_what_is_garbage() {
        let digests = [
            Digest::of(Algorithm::Sha512, b"alias"),
            Digest::of(Algorithm::Sha256, b"stored"),
            Digest::of(Algorithm::Sha256, b"other"),
            Digest::of(Algorithm::Sha256, b"manifest"),
        ];
        for order in [[0, 1, 2, 3], [1, 0, 2, 3], [2, 1, 0, 3], [3, 2, 1, 0]] {
            let mut graph = Graph::default();
            (graph.blobs_listed, graph.has_blobs_folder) = (true, true);
            for one in order {
                graph.intern(&digests[one]);
            }
            let [alias, stored, other, manifest] = digests.map(|digest| graph.intern(&digest));
            let text = format!(
                r#"{{"schemaVersion": 2, "config": {{"digest": "{0}", "size": 1}}, "layers": [{{"digest": "{0}", "size": 1}}]}}"#,
                digests[0]
            );
            graph.set_manifest(manifest, &Manifest::parse(text.as_bytes()));
            for node in [stored, other, manifest] {
                let blob = graph.blob_mut(node);
                (blob.presence, blob.content, blob.size) = (Presence::Present, Content::Right, 1);
            }
            let link = |node: NodeId, target| LinkEntry { node, modified: 0, link: GraphLink::Names(target) };
            let mut repository = Repository::default();
            (repository.name, repository.is_legal) = ("app".into(), true);
            repository.layers_part = FolderState::Present;
            repository.set_revisions(vec![link(manifest, manifest)]);
            repository.set_layers(vec![link(alias, stored), link(stored, other), link(other, other)]);
            graph.repositories.push(repository);
            let survey = survey(&graph, &AuditOptions::new(Timestamp::from_second(1_000_000).unwrap()));
            let garbage = survey.garbage.unwrap();
            assert_eq!((garbage.unreferenced.blobs, garbage.untagged.blobs), (1, 2), "{order:?}");
        }
    }
}
