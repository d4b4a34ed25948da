//! The second look: reads again, by path, exactly what a question doubts.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::super::progress::{Phase, ScanProgress};
use super::links::{LinkFile, Which, read_file};
use super::shared::Notes;
use super::{blobs, content, manifests};
use crate::graph::{Content, FolderState, Graph, GraphLink, LinkEntry, LinkFault, NodeId, Presence, Recheck};
use crate::oci::{Algorithm, Digest, Platform};
use crate::path::Place;
use crate::serve::LINK_MAX;

/// How long a writer is waited for, look by look: some 2 s in all, and nothing where no link is in between. A deletion of a tag
/// takes as long as its history has entries.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(800),
];

/// After how many of these an empty file is no write under way any more.
const PAUSES_OF_ONE_WRITE: usize = 3;

/// What reading a link again gave, not interned yet.
struct Again {
    doubt: Recheck,
    answer: Result<Option<LinkFile>, String>,
    path: String,
}

/// `waits`: whether writers are waited for.
pub(in super::super) fn recheck<F: Folder>(
    v2: &F,
    graph: &mut Graph,
    doubts: &[Recheck],
    waits: bool,
    progress: &ScanProgress,
) {
    progress.enter(Phase::SecondLook);
    let mut notes = Notes::default();
    take_back(graph, doubts);
    links(v2, graph, doubts, waits, &mut notes);
    for doubt in doubts {
        if let Recheck::LayersFolder(at) = doubt {
            layers_folder(v2, graph, *at as usize, &mut notes);
        }
    }
    bytes(v2, graph, doubts, &mut notes);
    contents(v2, graph, doubts, progress, &mut notes);
    platforms(v2, graph, doubts, &mut notes);
    notes.hand_over(graph);
    graph.tidy();
}

/// What is read again is unread only if it fails again. To look at a file again says nothing of bytes that could not be
/// read, nor does hashing them of a manifest: those are taken back only to be read in the same way.
fn take_back(graph: &mut Graph, doubts: &[Recheck]) {
    if graph.unread.is_empty() {
        return;
    }
    let mut again: HashSet<String> = doubts.iter().filter_map(|doubt| path(graph, *doubt)).collect();
    let is_unread = |node: NodeId| graph.blob(node).content == Content::Unread;
    if graph.nodes().any(is_unread) {
        let asked: HashSet<Recheck> = doubts.iter().copied().collect();
        let manifests = manifests::called(graph);
        let own = graph.nodes().map(|node| (node, node));
        let aliases = content::aliases(graph).into_iter().map(|(alias, _, at)| (alias, at));
        for (node, at) in own.chain(aliases).filter(|(node, _)| is_unread(*node)) {
            let is_hashed = asked.contains(&Recheck::Content(node)) && !manifests.contains(&node);
            if !is_hashed && !asked.contains(&Recheck::Manifest(node)) {
                again.remove(&Place::BlobData(graph.digest(at)).to_string());
            }
        }
    }
    graph.unread.retain(|unread| !again.contains(&unread.path));
}

fn links<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], waits: bool, notes: &mut Notes) {
    let paths: Vec<_> =
        doubts.iter().filter_map(|doubt| link_path(graph, *doubt).map(|path| (*doubt, path))).collect();
    let mut again: Vec<Again> = paths
        .into_par_iter()
        .map(|(doubt, path)| Again { doubt, answer: read_again(v2, &path), path })
        .collect();
    if waits {
        wait_for_writers(v2, graph, &mut again);
    }
    for Again { doubt, answer, path } in again {
        let (link, modified) = match answer {
            Ok(None) => (GraphLink::Absent, 0),
            Ok(Some((Ok(digest), modified))) => (GraphLink::Names(graph.intern(&digest)), modified),
            Ok(Some((Err(fault), modified))) => (GraphLink::Invalid(fault), modified),
            Err(error) => {
                let repository = Place::parse(&path).and_then(|place| place.repository().map(str::to_owned));
                notes.unread(&path, repository.as_deref(), error);
                (GraphLink::Unread, 0)
            }
        };
        match doubt {
            Recheck::Tag(at, tag) => {
                let repository = &mut graph.repositories[at as usize];
                if let Some(tag) = repository.tags.get_mut(tag as usize) {
                    // A tag deleted while we read is no damage.
                    let folder = Place::TagFolder(&repository.name, &tag.name).to_string();
                    tag.is_gone = link == GraphLink::Absent
                        && matches!(v2.stat(Path::new(&folder)), Err(FolderError::NotFound));
                    tag.is_file = tag.is_file && link == GraphLink::Invalid(LinkFault::NoFile);
                    tag.current = link;
                }
            }
            Recheck::Revision(at, node) => {
                let folder = Place::RevisionFolder(&graph.repositories[at as usize].name, graph.digest(node));
                let is_emptied = link == GraphLink::Absent && is_empty(v2, &folder.to_string());
                let repository = &mut graph.repositories[at as usize];
                repository.put_revision(LinkEntry { node, modified, link });
                repository.set_emptied(node, is_emptied);
            }
            Recheck::Layer(at, node) => {
                graph.repositories[at as usize].put_layer(LinkEntry { node, modified, link });
            }
            _ => {}
        }
    }
}

fn read_again<F: Folder>(v2: &F, path: &str) -> Result<Option<LinkFile>, String> {
    read_file(v2, Path::new(path), &mut Vec::with_capacity(LINK_MAX + 1))
}

/// Waits for links that somebody seems to be writing or deleting right now, and reads them again after each pause. On a small
/// tree the second look comes a millisecond after the first, in the middle of the same deletion or push.
fn wait_for_writers<F: Folder>(v2: &F, graph: &Graph, again: &mut [Again]) {
    for (number, pause) in PAUSES.into_iter().enumerate() {
        let mut unsettled = under_way(v2, graph, again, number < PAUSES_OF_ONE_WRITE);
        if !unsettled.contains(&true) {
            return;
        }
        v2.wait(pause);
        let tags_too =
            again.iter().zip(&mut unsettled).filter(|(one, _)| matches!(one.doubt, Recheck::Tag(..)));
        tags_too.for_each(|(_, is_unsettled)| *is_unsettled = true);
        again.par_iter_mut().zip(unsettled).filter(|(_, is_unsettled)| *is_unsettled).for_each(|(one, _)| {
            one.answer = read_again(v2, &one.path);
        });
    }
}

/// Which of some links look as a writer leaves them on its way:
///
/// - a tag's folder without its link. A deletion removes the folder entry by entry, a push writes the history before
///   `current/link` (`registry/storage/tagstore.go @ v3.1.1`, `Untag` and `Tag`; the same at v2.8.3);
/// - a revision's folder without its link, while a tag still names it: DELETE by digest removes the link first, then looks up
///   the tags one by one (`registry/handlers/manifests.go @ v3.1.1`, `DeleteManifest`);
/// - an empty link, for the time of one write: 2.8 writes links in place (`registry/storage/driver/filesystem/driver.go @ v2.8.3`).
fn under_way<F: Folder>(v2: &F, graph: &Graph, again: &[Again], may_be_one_write: bool) -> Vec<bool> {
    let named: HashSet<(u32, Digest)> = again
        .iter()
        .filter_map(|one| match (one.doubt, &one.answer) {
            (Recheck::Tag(at, _), Ok(Some((Ok(digest), _)))) => Some((at, *digest)),
            _ => None,
        })
        .collect();
    let has_folder = |folder: Place<'_>| {
        v2.stat(Path::new(&folder.to_string())).is_ok_and(|stat| stat.kind == EntryKind::Folder)
    };
    let is_under_way = |one: &Again| match (&one.answer, one.doubt, Place::parse(&one.path)) {
        (Ok(Some((Err(LinkFault::Empty), _))), ..) => may_be_one_write,
        (Ok(None), Recheck::Tag(..), Some(Place::TagLink(name, tag))) => {
            has_folder(Place::TagFolder(name, tag))
        }
        (Ok(None), Recheck::Revision(at, node), Some(Place::RevisionLink(name, digest))) => {
            named.contains(&(at, graph.digest(node))) && has_folder(Place::RevisionFolder(name, digest))
        }
        _ => false,
    };
    again.iter().map(is_under_way).collect()
}

/// Whether a folder is there, and nothing is in it.
fn is_empty<F: Folder>(v2: &F, path: &str) -> bool {
    let Ok(mut folder) = v2.open(Path::new(path)) else { return false };
    let mut is_empty = true;
    folder.list(&mut |_, _| is_empty = false).is_ok() && is_empty
}

/// The path of what is doubted.
fn path(graph: &Graph, doubt: Recheck) -> Option<String> {
    match doubt {
        Recheck::Manifest(node) | Recheck::Blob(node) | Recheck::Content(node) | Recheck::Platform(node) => {
            Some(Place::BlobData(graph.digest(node)).to_string())
        }
        Recheck::LayersFolder(at) => {
            let repository = graph.repositories.get(at as usize)?;
            Some(Place::Layers(&repository.name).to_string())
        }
        Recheck::Tag(..) | Recheck::Revision(..) | Recheck::Layer(..) => link_path(graph, doubt),
    }
}

/// The path of a doubted link.
fn link_path(graph: &Graph, doubt: Recheck) -> Option<String> {
    let name = |at: u32| graph.repositories.get(at as usize).map(|repository| &*repository.name);
    Some(match doubt {
        Recheck::Tag(at, tag) => {
            let tag = graph.repositories.get(at as usize)?.tags.get(tag as usize)?;
            Place::TagLink(name(at)?, &tag.name).to_string()
        }
        Recheck::Revision(at, node) => Which::Revisions.link(name(at)?, graph.digest(node)).to_string(),
        Recheck::Layer(at, node) => Which::Layers.link(name(at)?, graph.digest(node)).to_string(),
        _ => return None,
    })
}

fn layers_folder<F: Folder>(v2: &F, graph: &mut Graph, at: usize, notes: &mut Notes) {
    let Some(repository) = graph.repositories.get_mut(at) else { return };
    let path = Place::Layers(&repository.name).to_string();
    repository.layers_part = match v2.stat(Path::new(&path)) {
        Ok(stat) if stat.kind == EntryKind::Folder => FolderState::Present,
        Ok(stat) if stat.kind == EntryKind::Symlink => FolderState::Unread,
        Ok(_) => FolderState::Absent,
        Err(FolderError::NotFound | FolderError::NotAFolder) => FolderState::Absent,
        Err(error) => {
            notes.unread(path, Some(&repository.name), &error);
            FolderState::Unread
        }
    };
}

/// Looks at blobs again, and reads those that are manifests, with the children that come to light.
fn bytes<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], notes: &mut Notes) {
    let plain: Vec<Digest> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Blob(node) = doubt { Some(graph.digest(*node)) } else { None })
        .collect();
    for (digest, look) in blobs::look_at(v2, &plain, notes) {
        let node = graph.intern(&digest);
        look.file(graph.blob_mut(node));
    }
    let mut asked = HashSet::new();
    let mut frontier: Vec<NodeId> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Manifest(node) = doubt { Some(*node) } else { None })
        .filter(|node| asked.insert(*node))
        .collect();
    while !frontier.is_empty() {
        let wanted: Vec<_> = frontier.iter().map(|node| (*node, graph.digest(*node))).collect();
        let batches: Vec<_> = wanted
            .par_chunks(64)
            .map(|wanted| {
                let mut notes = Notes::default();
                (manifests::batch(v2, wanted, &mut notes), notes)
            })
            .collect();
        let looked_at = std::mem::take(&mut frontier);
        for (found, more) in batches {
            for found in found {
                found.file(graph);
            }
            notes.unread.extend(more.unread);
            notes.strays.extend(more.strays);
        }
        let children = looked_at.iter().flat_map(|node| manifests::children(graph, *node));
        frontier.extend(children.filter(|node| graph.manifest(*node).is_none() && asked.insert(*node)));
    }
}

fn contents<F: Folder>(
    v2: &F,
    graph: &mut Graph,
    doubts: &[Recheck],
    progress: &ScanProgress,
    notes: &mut Notes,
) {
    let asked =
        doubts.iter().filter_map(|doubt| if let Recheck::Content(node) = doubt { Some(*node) } else { None });
    let asked: BTreeSet<NodeId> = asked.collect();
    let is_alias = |node: &NodeId| graph.digest(*node).algorithm() != Algorithm::Sha256;
    let aliases = if asked.iter().any(is_alias) { content::aliases(graph) } else { Vec::new() };
    let wanted: Vec<_> = asked
        .into_iter()
        .map(|node| (node, aliases.iter().find(|(alias, ..)| *alias == node).map_or(node, |(.., at)| *at)))
        .filter(|(_, at)| graph.blob(*at).presence == Presence::Present)
        .map(|(node, at)| (node, graph.digest(node).algorithm(), graph.digest(at)))
        .collect();
    let done: Vec<_> = wanted
        .into_par_iter()
        .map(|(node, algorithm, at)| (node, at, content::hash(v2, algorithm, at, progress)))
        .collect();
    for (node, at, found) in done {
        content::file(graph, (node, at), found, notes);
    }
}

/// Most bytes of an image's configuration that are read for its platform.
const CONFIG_MAX: usize = 16 << 20;

fn platforms<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], notes: &mut Notes) {
    let wanted: BTreeSet<_> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Platform(node) = doubt { Some(*node) } else { None })
        .map(|node| (node, graph.digest(node)))
        .collect();
    let found: Vec<_> = wanted
        .into_par_iter()
        .map(|(node, digest)| {
            let (mut notes, mut buffer) = (Notes::default(), Vec::new());
            let path = Place::BlobData(digest).to_string();
            // What could not be read stays unknown.
            let platform = match v2.read(Path::new(&path), CONFIG_MAX, &mut buffer) {
                Ok(stat) if stat.size > CONFIG_MAX as u64 => None,
                Ok(_) => Some(Platform::of_config(&buffer)),
                Err(FolderError::NotFound) => None,
                Err(error) => {
                    notes.unread(path, None, error);
                    None
                }
            };
            (node, platform, notes)
        })
        .collect();
    for (node, platform, more) in found {
        if let Some(platform) = platform {
            graph.set_config_platform(node, platform);
        }
        notes.unread.extend(more.unread);
    }
}
