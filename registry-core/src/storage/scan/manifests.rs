//! Manifests: the bytes of every blob that a revision link, a tag or an index calls a manifest, read, hashed, parsed.

use std::collections::HashSet;
use std::path::Path;

use rayon::prelude::*;

use super::super::folder::{Folder, Kind, Stat};
use super::blobs::Look;
use super::{Notes, Shared};
use crate::graph::{Content, Graph, Link, NodeId, Presence};
use crate::oci::manifest::{MAX_BYTES, Role};
use crate::oci::{Digest, Manifest};
use crate::path::Place;

/// Manifests read by one task.
const BATCH: usize = 64;

/// What was read of one manifest.
pub(super) struct Found {
    node: NodeId,
    look: Look,
    content: Content,
    manifest: Option<Manifest>,
}

impl Found {
    /// Puts it into the graph; adds the children that were not asked for yet to `next`.
    pub(super) fn file(self, graph: &mut Graph, asked: &mut HashSet<NodeId>, next: &mut Vec<NodeId>) {
        self.look.file(graph.blob_mut(self.node));
        if let Some(manifest) = &self.manifest {
            graph.set_manifest(self.node, manifest);
            graph.blob_mut(self.node).content = self.content;
        }
        let Some(manifest) = graph.manifest(self.node).filter(|_| self.manifest.is_some()) else { return };
        let children = graph.edges(manifest).iter().filter(|edge| edge.role == Role::Child && !edge.has_urls);
        next.extend(children.filter_map(|edge| edge.target).filter(|child| asked.insert(*child)));
    }
}

/// Reads everything that is called a manifest, down to the leaves of every index.
pub(super) fn read<F: Folder>(v2: &F, shared: &Shared<'_>) {
    let mut asked = HashSet::new();
    let mut frontier: Vec<NodeId> = {
        let graph = shared.graph();
        let mut first: Vec<_> =
            graph.repositories.iter().flat_map(named).filter(|node| asked.insert(*node)).collect();
        first.sort_unstable();
        first
    };
    while !frontier.is_empty() {
        frontier = read_these(v2, &frontier, &mut asked, shared);
    }
}

/// What the links of a repository call a manifest.
fn named(repository: &crate::graph::Repository) -> impl Iterator<Item = NodeId> + '_ {
    let target = |link: Link| match link {
        Link::Names(node) => Some(node),
        _ => None,
    };
    let revisions =
        repository.revisions().iter().flat_map(move |entry| [Some(entry.node), target(entry.link)]);
    let tags = repository.tags.iter().flat_map(move |tag| {
        let history = tag.history.iter().copied().map(Some);
        history.chain([target(tag.current)])
    });
    revisions.chain(tags).flatten()
}

fn read_these<F: Folder>(
    v2: &F,
    nodes: &[NodeId],
    asked: &mut HashSet<NodeId>,
    shared: &Shared<'_>,
) -> Vec<NodeId> {
    let wanted: Vec<(NodeId, Digest)> = {
        let graph = shared.graph();
        let may_be_there = |node: &NodeId| graph.blob(*node).presence != Presence::Absent;
        nodes.iter().filter(|node| may_be_there(node)).map(|node| (*node, graph.digest(*node))).collect()
    };
    let asked = std::sync::Mutex::new((asked, Vec::new()));
    wanted.par_chunks(BATCH).for_each(|wanted| {
        let mut notes = Notes::default();
        let found = batch(v2, wanted, &mut notes);
        shared.progress.add_files(found.len());
        let mut asked = asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (asked, next) = &mut *asked;
        let mut graph = shared.graph();
        for found in found {
            found.file(&mut graph, asked, next);
        }
        notes.hand_over(&mut graph);
    });
    asked.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1
}

/// Reads some manifests.
pub(super) fn batch<F: Folder>(v2: &F, wanted: &[(NodeId, Digest)], notes: &mut Notes) -> Vec<Found> {
    let mut buffer = Vec::new();
    wanted.iter().map(|(node, digest)| one(v2, *node, *digest, &mut buffer, notes)).collect()
}

fn one<F: Folder>(v2: &F, node: NodeId, digest: Digest, buffer: &mut Vec<u8>, notes: &mut Notes) -> Found {
    let path = Place::BlobData(digest).to_string();
    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX) + 1;
    let answer = v2.read(Path::new(&path), limit, buffer);
    let is_file = |stat: &Stat| stat.kind == Kind::File;
    let (content, manifest) = match &answer {
        // More than a registry serves: not kept, and hashed only if somebody doubts it.
        Ok(stat) if is_file(stat) && stat.size > MAX_BYTES => {
            let message = format!("larger than 4 MiB ({} bytes)", stat.size);
            (Content::Unhashed, Some(Manifest::refused(message)))
        }
        Ok(stat) if is_file(stat) => {
            let right = Digest::of(digest.algorithm(), buffer) == digest;
            let content = if right { Content::Right } else { Content::Wrong };
            (content, Some(Manifest::parse(buffer)))
        }
        _ => (Content::Unhashed, None),
    };
    Found { node, look: Look::judge(answer, digest, notes), content, manifest }
}
