//! Garbage: what nothing references any more, apart from what may be part of a push under way.
//!
//! Whatever could not be read protects all that it might reference. `kept` decides which manifests are kept; this file
//! finds the blobs and manifests that are not needed then.

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
use kept::{KeptManifests, find_kept, hides_references};
use roots::tag_roots;

pub use survey::GarbagePiece;
pub(super) use survey::Survey;

/// Finds the garbage of a registry. Call this only if all repositories were read.
pub(super) fn survey(graph: &Graph, options: &AuditOptions) -> Survey {
    let mut survey = Survey::default();
    let (kept, doubts): (Vec<KeptManifests>, Vec<Vec<Recheck>>) = graph
        .repositories
        .par_iter()
        .enumerate()
        .map(|(at, repository)| {
            let (at, mut doubts) = (u32::try_from(at).unwrap_or(u32::MAX), Vec::new());
            let kept =
                find_kept(graph, repository, options, &mut |node| doubts.push(Recheck::Revision(at, node)));
            (kept, doubts)
        })
        .unzip();
    let mut doubts: Vec<Recheck> = doubts.into_iter().flatten().collect();
    let reached_from = |is_root: fn(bool) -> bool| {
        let roots = graph.repositories.iter().zip(&kept).flat_map(|(repository, kept)| {
            let entries = repository.revisions().iter().zip(&kept.revisions);
            let entries = entries.filter(move |(_, is_kept)| is_root(**is_kept));
            let linked = entries.flat_map(|(entry, _)| [Some(entry.node), entry.link.target()]).flatten();
            linked.chain(tag_roots(graph, repository))
        });
        let mut reached = vec![false; graph.digests().len()];
        walk::mark(&mut reached, roots, |node| graph.references(node));
        reached
    };
    let (mut reached, mut needed) = (reached_from(|_| true), reached_from(|is_kept| is_kept));
    for set in [&mut reached, &mut needed] {
        add_blobs_kept_by_links(graph, &kept, options, set, &mut doubts);
    }
    let is_known = !graph.unread.iter().any(|unread| hides_references(graph, unread))
        && !kept.iter().any(|kept| kept.is_unread);
    let mut garbage = Garbage::default();
    if is_known {
        find_unneeded_blobs(graph, options, (&reached, &needed), &mut garbage, &mut survey);
    }
    let list = options.list_garbage;
    let survey_repository = |(index, kept): (usize, &KeptManifests)| {
        let repository = &graph.repositories[index];
        let (mut garbage, mut survey) = (Garbage::default(), Survey::default());
        // Otherwise something unread may need what no manifest seems to need.
        if is_known {
            find_untagged(graph, repository, kept, index, &mut garbage, &mut survey, list);
            links::find_unneeded(graph, repository, kept, options, index, &mut garbage, &mut survey);
            links::find_dangling_history(graph, repository, index, &mut survey, list);
        }
        remains::find_stale_uploads(repository, options, index, &mut garbage, &mut survey);
        for node in &kept.referrers {
            survey.repository_drafts.push((index, remains::untagged_referrer(graph, repository, *node)));
        }
        (garbage, survey)
    };
    let each: Vec<(Garbage, Survey)> = kept.par_iter().enumerate().map(survey_repository).collect();
    for (more, one) in each {
        garbage.add(&more);
        survey.repository_drafts.extend(one.repository_drafts);
        survey.pieces.extend(one.pieces);
        survey.doubts.extend(one.doubts);
    }
    remains::find_temp_files(graph, options, &mut survey);
    survey.garbage = is_known.then_some(garbage);
    survey.doubts.append(&mut doubts);
    survey
}

/// Adds the blobs to `set` that layer links keep: the blob that an alias in the set stands for, all that an opaque repository
/// links, and what young links name. `doubts` gets the links whose modification time decides and was not read yet.
fn add_blobs_kept_by_links(
    graph: &Graph,
    kept: &[KeptManifests],
    options: &AuditOptions,
    set: &mut [bool],
    doubts: &mut Vec<Recheck>,
) {
    // Added to the set at the end, so that the order of links does not matter.
    let mut linked = HashSet::new();
    for (at, (repository, kept)) in (0_u32..).zip(graph.repositories.iter().zip(kept)) {
        for entry in repository.layers() {
            // An unread link stands for the digest in its path.
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

/// Finds the blobs that are not `needed`: untagged manifests still reach those in `reached`, nothing reaches the others.
fn find_unneeded_blobs(
    graph: &Graph,
    options: &AuditOptions,
    (reached, needed): (&[bool], &[bool]),
    garbage: &mut Garbage,
    survey: &mut Survey,
) {
    let (mut young, mut young_bytes) = (0_u64, 0_u64);
    for node in graph.nodes() {
        let blob = graph.blob(node);
        if blob.presence != Presence::Present || needed[node.index()] {
            continue;
        }
        if reached[node.index()] {
            garbage.untagged.blobs += 1;
            garbage.untagged.bytes += blob.size;
            if options.list_garbage {
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
        if options.list_garbage {
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
        survey.registry_drafts.push(Draft::new(Code::BlobUnreferenced, None, Place::Blobs, message));
    }
    if young > 0 {
        let message = format!(
            "{} ({}) that no manifest references yet: a push under way",
            plural(young, "young blob"),
            plural(young_bytes, "byte")
        );
        survey.registry_drafts.push(Draft::new(Code::InFlight, None, Place::Blobs, message));
    }
}

/// Finds the manifests of a repository that are not kept.
fn find_untagged(
    graph: &Graph,
    repository: &Repository,
    kept: &KeptManifests,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let mut count = 0;
    for (entry, _) in repository.revisions().iter().zip(&kept.revisions).filter(|(_, is_kept)| !**is_kept) {
        if graph.blob(entry.node).presence != Presence::Present {
            continue;
        }
        count += 1;
        if list {
            let digest = graph.digest(entry.node);
            let place = Place::RevisionLink(&repository.name, digest);
            survey.pieces.push(GarbagePiece::link(Code::ManifestUntagged, repository, digest, place));
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
        survey.repository_drafts.push((index, draft));
    }
    if kept.young > 0 {
        let message =
            format!("{} that no tag reaches yet: a push under way", plural(kept.young, "young manifest"));
        let draft = Draft::new(Code::InFlight, None, Place::Revisions(&repository.name), message);
        survey.repository_drafts.push((index, draft));
    }
}

/// The pronoun for that many things.
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
    fn order_of_links_does_not_change_garbage() {
        let digests = [
            Digest::hash(Algorithm::Sha512, b"alias"),
            Digest::hash(Algorithm::Sha256, b"stored"),
            Digest::hash(Algorithm::Sha256, b"other"),
            Digest::hash(Algorithm::Sha256, b"manifest"),
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
