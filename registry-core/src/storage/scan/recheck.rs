//! The second look: reads again exactly the doubted entries, by path.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::Duration;

use rayon::prelude::*;

use super::super::folder::{EntryKind, Folder, FolderError};
use super::super::progress::{Phase, ScanProgress};
use super::links::{LinkFile, LinkKind, read_link_file};
use super::shared::{Notes, in_batches};
use super::{blobs, content, manifests};
use crate::graph::{Content, FolderState, Graph, GraphLink, LinkEntry, LinkFault, NodeId, Presence, Recheck};
use crate::oci::{Algorithm, Digest, Platform};
use crate::path::Place;
use crate::serve::LINK_MAX;

/// Milliseconds between looks while a writer seems to be at work: some 2 s in all, as the time that deleting a tag takes grows
/// with its history. No pause where no link looks half written or half deleted.
const PAUSES: [u64; 7] = [20, 40, 80, 160, 300, 600, 800];

/// After this many pauses an empty file is no longer taken for a write under way.
const PAUSES_OF_ONE_WRITE: usize = 3;

/// A link that was read again, not interned yet.
struct RereadLink {
    doubt: Recheck,
    answer: Result<Option<LinkFile>, String>,
    path: String,
}

/// Reads the doubted entries again, and updates the graph. `waits`: whether to wait for writers.
pub(in super::super) fn recheck<F: Folder>(
    v2: &F,
    graph: &mut Graph,
    doubts: &[Recheck],
    waits: bool,
    progress: &ScanProgress,
) {
    progress.enter(Phase::SecondLook);
    let mut notes = Notes::default();
    clear_unread(graph, doubts);
    recheck_links(v2, graph, doubts, waits, &mut notes);
    for doubt in doubts {
        if let Recheck::LayersFolder(at) = doubt {
            recheck_layers_folder(v2, graph, *at as usize, &mut notes);
        }
    }
    recheck_blobs(v2, graph, doubts, &mut notes);
    rehash(v2, graph, doubts, progress, &mut notes);
    read_platforms(v2, graph, doubts, &mut notes);
    notes.add_to(graph);
    graph.sort_unread();
}

/// Removes the doubted paths from the graph's list of unread paths: they return to it if reading fails again. A path whose bytes
/// could not be read stays, unless the second look reads these in the same way: a look at the file does not read them, and
/// hashing a manifest's bytes does not parse it.
fn clear_unread(graph: &mut Graph, doubts: &[Recheck]) {
    if graph.unread.is_empty() {
        return;
    }
    let mut cleared: HashSet<String> =
        doubts.iter().filter_map(|doubt| doubted_path(graph, *doubt)).collect();
    let is_unread = |node: NodeId| graph.blob(node).content == Content::Unread;
    if graph.nodes().any(is_unread) {
        let asked: HashSet<Recheck> = doubts.iter().copied().collect();
        let manifests = manifests::named_by_links_and_indexes(graph);
        let own = graph.nodes().map(|node| (node, node));
        let aliases = content::aliases(graph).into_iter().map(|(alias, _, at)| (alias, at));
        for (node, at) in own.chain(aliases).filter(|(node, _)| is_unread(*node)) {
            let is_hashed = asked.contains(&Recheck::Content(node)) && !manifests.contains(&node);
            if !is_hashed && !asked.contains(&Recheck::Manifest(node)) {
                cleared.remove(&Place::BlobData(graph.digest(at)).to_string());
            }
        }
    }
    graph.unread.retain(|unread| !cleared.contains(&unread.path));
}

fn recheck_links<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], waits: bool, notes: &mut Notes) {
    let paths: Vec<_> =
        doubts.iter().filter_map(|doubt| link_path(graph, *doubt).map(|path| (*doubt, path))).collect();
    let mut links: Vec<RereadLink> = paths
        .into_par_iter()
        .map(|(doubt, path)| RereadLink { doubt, answer: read_link_file_at(v2, &path), path })
        .collect();
    if waits {
        wait_for_writers(v2, graph, &mut links);
    }
    for RereadLink { doubt, answer, path } in links {
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
                    // A tag that was deleted during the scan is no damage.
                    let folder = Place::TagFolder(&repository.name, &tag.name).to_string();
                    tag.is_gone = link == GraphLink::Absent
                        && matches!(v2.stat(Path::new(&folder)), Err(FolderError::NotFound));
                    tag.is_file = tag.is_file && link == GraphLink::Invalid(LinkFault::NoFile);
                    tag.current = link;
                }
            }
            Recheck::Revision(at, node) => {
                let folder = Place::RevisionFolder(&graph.repositories[at as usize].name, graph.digest(node));
                let is_emptied = link == GraphLink::Absent && is_empty_folder(v2, &folder.to_string());
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

fn read_link_file_at<F: Folder>(v2: &F, path: &str) -> Result<Option<LinkFile>, String> {
    read_link_file(v2, Path::new(path), &mut Vec::with_capacity(LINK_MAX + 1))
}

/// Waits while links look half written or half deleted, and reads these links and all tags again after each pause. On a small tree
/// the second look comes a millisecond after the first, in the middle of the same deletion or push.
fn wait_for_writers<F: Folder>(v2: &F, graph: &Graph, links: &mut [RereadLink]) {
    for (number, pause) in PAUSES.into_iter().enumerate() {
        let mut to_read = links_under_way(v2, graph, links, number < PAUSES_OF_ONE_WRITE);
        if !to_read.contains(&true) {
            return;
        }
        v2.wait(Duration::from_millis(pause));
        for (link, to_read) in links.iter().zip(&mut to_read) {
            *to_read |= matches!(link.doubt, Recheck::Tag(..));
        }
        links.par_iter_mut().zip(to_read).filter(|(_, to_read)| *to_read).for_each(|(link, _)| {
            link.answer = read_link_file_at(v2, &link.path);
        });
    }
}

/// Which links look like the intermediate state of a write or deletion:
///
/// - a tag's folder without its link. A deletion removes the folder entry by entry, a push writes the history before
///   `current/link` (`registry/storage/tagstore.go @ v3.1.1`, `Untag` and `Tag`; the same at v2.8.3);
/// - a revision's folder without its link, while a tag still names it: DELETE by digest removes the link first, then looks up
///   the tags one by one (`registry/handlers/manifests.go @ v3.1.1`, `DeleteManifest`);
/// - an empty link, for the time of one write: 2.8 writes links in place (`registry/storage/driver/filesystem/driver.go @ v2.8.3`).
fn links_under_way<F: Folder>(
    v2: &F,
    graph: &Graph,
    links: &[RereadLink],
    may_be_one_write: bool,
) -> Vec<bool> {
    let named: HashSet<(u32, Digest)> = links
        .iter()
        .filter_map(|link| match (link.doubt, &link.answer) {
            (Recheck::Tag(at, _), Ok(Some((Ok(digest), _)))) => Some((at, *digest)),
            _ => None,
        })
        .collect();
    let has_folder = |folder: Place<'_>| {
        v2.stat(Path::new(&folder.to_string())).is_ok_and(|stat| stat.kind == EntryKind::Folder)
    };
    let is_under_way = |link: &RereadLink| match (&link.answer, link.doubt, Place::parse(&link.path)) {
        (Ok(Some((Err(LinkFault::Empty), _))), ..) => may_be_one_write,
        (Ok(None), Recheck::Tag(..), Some(Place::TagLink(name, tag))) => {
            has_folder(Place::TagFolder(name, tag))
        }
        (Ok(None), Recheck::Revision(at, node), Some(Place::RevisionLink(name, digest))) => {
            named.contains(&(at, graph.digest(node))) && has_folder(Place::RevisionFolder(name, digest))
        }
        _ => false,
    };
    links.iter().map(is_under_way).collect()
}

fn is_empty_folder<F: Folder>(v2: &F, path: &str) -> bool {
    let Ok(mut folder) = v2.open(Path::new(path)) else { return false };
    let mut is_empty = true;
    folder.list(&mut |_, _| is_empty = false).is_ok() && is_empty
}

/// The path of a doubted entry.
fn doubted_path(graph: &Graph, doubt: Recheck) -> Option<String> {
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
        Recheck::Revision(at, node) => {
            LinkKind::Revisions.link_place(name(at)?, graph.digest(node)).to_string()
        }
        Recheck::Layer(at, node) => LinkKind::Layers.link_place(name(at)?, graph.digest(node)).to_string(),
        _ => return None,
    })
}

fn recheck_layers_folder<F: Folder>(v2: &F, graph: &mut Graph, at: usize, notes: &mut Notes) {
    let Some(repository) = graph.repositories.get_mut(at) else { return };
    let path = Place::Layers(&repository.name).to_string();
    repository.layers_part = match v2.stat(Path::new(&path)) {
        Ok(stat) if stat.kind == EntryKind::Folder => FolderState::Present,
        Ok(stat) if stat.kind == EntryKind::Symlink => FolderState::Unread,
        Ok(_) | Err(FolderError::NotFound | FolderError::NotAFolder) => FolderState::Absent,
        Err(error) => {
            notes.unread(path, Some(&repository.name), &error);
            FolderState::Unread
        }
    };
}

/// Looks at doubted blobs again, and reads doubted manifests with those of their children that are not read yet.
fn recheck_blobs<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], notes: &mut Notes) {
    let plain: Vec<Digest> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Blob(node) = doubt { Some(graph.digest(*node)) } else { None })
        .collect();
    for (digest, look) in blobs::look_at_blobs(v2, &plain, notes) {
        let node = graph.intern(&digest);
        look.store(graph.blob_mut(node));
    }
    let mut asked = HashSet::new();
    let mut frontier: Vec<NodeId> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Manifest(node) = doubt { Some(*node) } else { None })
        .filter(|node| asked.insert(*node))
        .collect();
    while !frontier.is_empty() {
        let wanted: Vec<_> = frontier.iter().map(|node| (*node, graph.digest(*node))).collect();
        for manifest in in_batches(&wanted, manifests::BATCH, notes, |wanted, notes| {
            manifests::read_batch(v2, wanted, notes)
        }) {
            manifest.store(graph);
        }
        let children = wanted.iter().flat_map(|(node, _)| manifests::children(graph, *node));
        frontier = children.filter(|node| graph.manifest(*node).is_none() && asked.insert(*node)).collect();
    }
}

/// Hashes doubted blobs and aliases.
fn rehash<F: Folder>(
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
    let hashed: Vec<_> = wanted
        .into_par_iter()
        .map(|(node, algorithm, at)| (node, at, content::hash_blob(v2, algorithm, at, progress)))
        .collect();
    for (node, at, hashed) in hashed {
        content::store_hash(graph, (node, at), hashed, notes);
    }
}

/// Most bytes of an image's configuration that are read for its platform.
const CONFIG_MAX: usize = 16 << 20;

/// Reads the platform of an image from its configuration.
fn read_platforms<F: Folder>(v2: &F, graph: &mut Graph, doubts: &[Recheck], notes: &mut Notes) {
    let wanted: BTreeSet<NodeId> = doubts
        .iter()
        .filter_map(|doubt| if let Recheck::Platform(node) = doubt { Some(*node) } else { None })
        .collect();
    let wanted: Vec<_> = wanted.into_iter().map(|node| (node, graph.digest(node))).collect();
    let read = |(node, digest): &(NodeId, Digest), notes: &mut Notes| {
        let mut buffer = Vec::new();
        let path = Place::BlobData(*digest).to_string();
        match v2.read(Path::new(&path), CONFIG_MAX, &mut buffer) {
            // The platform stays unknown.
            Ok(stat) if stat.size > CONFIG_MAX as u64 => None,
            Ok(_) => Some((*node, Platform::from_config(&buffer))),
            Err(FolderError::NotFound) => None,
            Err(error) => {
                notes.unread(path, None, error);
                None
            }
        }
    };
    let platforms = in_batches(&wanted, 1, notes, |wanted, notes| {
        wanted.iter().filter_map(|config| read(config, notes)).collect()
    });
    for (node, platform) in platforms {
        graph.set_config_platform(node, platform);
    }
}
