//! What nothing references any more, and what only looks like it because a push is under way.
//!
//! Kept on the safe side: whatever could not be read protects all that it might reference.

use std::collections::HashSet;

use super::access::View;
use super::code::Code;
use super::draft::Draft;
use super::options::{AuditOptions, UPLOAD_STALE_AFTER};
use super::report::Garbage;
use super::verdict::is_invalid;
use super::words::short;
use crate::graph::{Doubt, Graph, Link, LinkEntry, NodeId, Presence, Repository, Seconds};
use crate::oci::Algorithm;
use crate::oci::manifest::Role;
use crate::path::Place;

/// One piece of garbage, for the list that a user may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// `blob-unreferenced`; `manifest-untagged` for revision links and for the blobs that only they reach; others.
    pub code: Code,
    /// The repository it lies in; a blob lies in none.
    pub repository: Option<Box<str>>,
    /// Its digest; an upload or a temporary file has none.
    pub digest: Option<crate::oci::Digest>,
    /// Where it lies, below the registry's `docker/registry/v2`.
    pub path: String,
    /// Its bytes; 0 for a link.
    pub bytes: u64,
}

impl Piece {
    fn blob(code: Code, digest: crate::oci::Digest, bytes: u64) -> Self {
        Self {
            code,
            repository: None,
            digest: Some(digest),
            path: Place::BlobData(digest).to_string(),
            bytes,
        }
    }
}

/// A set of nodes.
#[derive(Debug, Clone)]
pub(super) struct Set(Vec<bool>);

impl Set {
    fn new(graph: &Graph) -> Self {
        Self(vec![false; graph.digests().len()])
    }

    pub(super) fn has(&self, node: NodeId) -> bool {
        self.0[node.index()]
    }

    fn add(&mut self, node: NodeId) -> bool {
        !std::mem::replace(&mut self.0[node.index()], true)
    }

    /// Adds a node and everything reached from it through manifests.
    fn add_all(&mut self, graph: &Graph, node: NodeId, stack: &mut Vec<NodeId>) {
        if self.add(node) {
            stack.push(node);
        }
        while let Some(node) = stack.pop() {
            let Some(manifest) = graph.manifest(node) else { continue };
            for target in graph.edges(manifest).iter().filter_map(|edge| edge.target) {
                if self.add(target) {
                    stack.push(target);
                }
            }
        }
    }
}

/// What is known of one repository's manifests.
#[derive(Debug, Default)]
struct Kept {
    /// Manifests (indexes among `revisions`) that a tag reaches, that are young, or that refer to one that stays.
    revisions: Vec<bool>,
    /// Referrers that only an untagged collection decides about.
    referrers: Vec<NodeId>,
    /// Untagged, and set aside as part of a push under way.
    young: u64,
    /// A manifest here says nothing that can be relied on: everything here stays.
    is_opaque: bool,
    /// A manifest here could not be read: it may reference anything anywhere.
    is_unread: bool,
}

/// What the survey of one registry found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// `None` when it cannot be known.
    pub(super) garbage: Option<Garbage>,
    /// Findings of a repository: its index, and the draft.
    pub(super) of_repository: Vec<(usize, Draft)>,
    /// Findings of the whole registry.
    pub(super) of_root: Vec<Draft>,
    pub(super) pieces: Vec<Piece>,
    /// Links whose time decides and was not asked for.
    pub(super) doubts: Vec<Doubt>,
}

/// Surveys a whole registry. Only to be asked when every repository was read.
pub(super) fn survey(graph: &Graph, options: &AuditOptions, list: bool) -> Survey {
    let mut survey = Survey::default();
    let mut doubts = Vec::new();
    let kept: Vec<Kept> = (0_u32..)
        .zip(&graph.repositories)
        .map(|(at, repository)| {
            keep(graph, repository, options, &mut |node| doubts.push(Doubt::Revision(at, node)))
        })
        .collect();
    let (mut reached, mut staying) = (Set::new(graph), Set::new(graph));
    let mut stack = Vec::new();
    for (repository, kept) in graph.repositories.iter().zip(&kept) {
        for (entry, stays) in repository.revisions().iter().zip(&kept.revisions) {
            for node in [Some(entry.node), named(entry.link)].into_iter().flatten() {
                reached.add_all(graph, node, &mut stack);
                if *stays {
                    staying.add_all(graph, node, &mut stack);
                }
            }
        }
        for node in roots(graph, repository) {
            reached.add_all(graph, node, &mut stack);
            staying.add_all(graph, node, &mut stack);
        }
    }
    // An alias protects the bytes it stands for; an opaque repository, and a link just written, whatever it links.
    for (at, (repository, kept)) in (0_u32..).zip(graph.repositories.iter().zip(&kept)) {
        for entry in repository.layers() {
            // A link that could not be read stands for its own digest at least.
            let target = named(entry.link).unwrap_or(entry.node);
            for set in [&mut reached, &mut staying] {
                if set.has(target) || graph.blob(target).presence != Presence::Present {
                    continue;
                }
                let is_alias_of_kept = target != entry.node && set.has(entry.node);
                if kept.is_opaque || is_alias_of_kept || options.is_young(entry.modified) {
                    set.add(target);
                    if entry.modified == LinkEntry::UNASKED {
                        doubts.push(Doubt::Layer(at, entry.node));
                    }
                }
            }
        }
    }
    let is_known = !graph.unread.iter().any(hides_references) && !kept.iter().any(|kept| kept.is_unread);
    let mut garbage = Garbage::default();
    if is_known {
        blobs(graph, options, (&reached, &staying), &mut garbage, &mut survey, list);
        for (index, (repository, kept)) in graph.repositories.iter().zip(&kept).enumerate() {
            untagged(graph, repository, kept, index, &mut garbage, &mut survey, list);
        }
    }
    for (index, (repository, kept)) in graph.repositories.iter().zip(&kept).enumerate() {
        // What no manifest seems to need may be needed by what could not be read.
        if is_known {
            links(graph, repository, kept, options, (index, list), &mut garbage, &mut survey);
            history(graph, repository, index, &mut survey, list);
        }
        uploads(repository, options, index, &mut garbage, &mut survey, list);
        for node in &kept.referrers {
            survey.of_repository.push((index, referrer(graph, repository, *node)));
        }
    }
    temp_files(graph, options, &mut survey, list);
    survey.garbage = is_known.then_some(garbage);
    survey.doubts.append(&mut doubts);
    survey
}

/// Whether an unread path may hide references of which nothing is known, so that anything may be needed.
///
/// A single link hides little: it belongs to one repository, which then keeps all it has, and stands for its own digest,
/// unless that is an alias.
fn hides_references(unread: &crate::graph::Unread) -> bool {
    let in_repositories = unread.path == "." || unread.path.starts_with("repositories");
    let hides_little = match Place::parse(&unread.path) {
        Some(Place::LayerLink(_, digest) | Place::LayerFolder(_, digest)) => {
            digest.algorithm() == Algorithm::Sha256
        }
        Some(
            Place::TagFolder(..)
            | Place::TagLink(..)
            | Place::TagIndexAlgorithm(..)
            | Place::TagIndexLink(..)
            | Place::RevisionFolder(..)
            | Place::RevisionLink(..)
            | Place::Uploads(_)
            | Place::UploadFolder(..)
            | Place::UploadData(..)
            | Place::UploadStartedAt(..)
            | Place::UploadHashStates(..),
        ) => true,
        _ => false,
    };
    in_repositories && !hides_little
}

const fn named(link: Link) -> Option<NodeId> {
    if let Link::Names(node) = link { Some(node) } else { None }
}

/// What tags name; and where a tag's link says nothing, whatever it may have named.
fn roots<'g>(graph: &'g Graph, repository: &'g Repository) -> impl Iterator<Item = NodeId> + 'g {
    repository.numbered_tags().flat_map(|(_, tag)| {
        let current = named(tag.current).filter(|node| graph.digest(*node).algorithm() == Algorithm::Sha256);
        let history: &[NodeId] = if current.is_some() { &[] } else { &tag.history };
        history.iter().copied().chain(current)
    })
}

/// `ask` is called with the revision links whose time decides and was not asked for.
fn keep(graph: &Graph, repository: &Repository, options: &AuditOptions, ask: &mut dyn FnMut(NodeId)) -> Kept {
    let revisions = repository.revisions();
    let mut kept = Kept { revisions: vec![false; revisions.len()], ..Kept::default() };
    let position = |node: NodeId| revisions.binary_search_by_key(&node, |entry| entry.node).ok();
    let lost_tag =
        repository.numbered_tags().any(|(_, tag)| named(tag.current).is_none() && tag.history.is_empty());
    let linked = revisions.iter().flat_map(|entry| [Some(entry.node), named(entry.link)]).flatten();
    let mut all: Vec<NodeId> = linked.chain(roots(graph, repository)).collect();
    let mut visited = HashSet::new();
    let mut is_unreadable = false;
    while let Some(node) = all.pop() {
        if !visited.insert(node) {
            continue;
        }
        let manifest = graph.manifest(node);
        kept.is_unread |= graph.blob(node).presence == Presence::Unread
            || graph.blob(node).presence == Presence::Present && manifest.is_none();
        is_unreadable |= manifest.is_some_and(|manifest| manifest.refusal().is_some());
        let edges = manifest.map_or(&[][..], |manifest| graph.edges(manifest)).iter();
        all.extend(edges.filter(|edge| edge.role == Role::Child).filter_map(|edge| edge.target));
    }
    let is_unread = |link: Link| link == Link::Unread;
    kept.is_opaque = lost_tag
        || is_unreadable
        || kept.is_unread
        || repository.numbered_tags().any(|(_, tag)| is_unread(tag.current))
        || revisions.iter().chain(repository.layers()).any(|entry| is_unread(entry.link));
    if kept.is_opaque {
        kept.revisions.fill(true);
        return kept;
    }
    let mut seen = HashSet::new();
    let mut stack: Vec<NodeId> = roots(graph, repository).collect();
    let spread = |stack: &mut Vec<NodeId>, kept: &mut Kept, seen: &mut HashSet<NodeId>| {
        while let Some(node) = stack.pop() {
            if !seen.insert(node) {
                continue;
            }
            if let Some(at) = position(node) {
                kept.revisions[at] = true;
                stack.extend(named(revisions[at].link));
            }
            if let Some(manifest) = graph.manifest(node) {
                let children = graph.edges(manifest).iter().filter(|edge| edge.role == Role::Child);
                stack.extend(children.filter_map(|edge| edge.target));
            }
        }
    };
    spread(&mut stack, &mut kept, &mut seen);
    // Referrers live as long as what they refer to; one may refer to another.
    let subject = |node: NodeId| graph.manifest(node).and_then(|manifest| manifest.subject);
    let mut waiting: Vec<(NodeId, NodeId)> = revisions
        .iter()
        .filter_map(|entry| subject(entry.node).map(|subject| (entry.node, subject)))
        .collect();
    loop {
        let before = waiting.len();
        waiting.retain(|(node, subject)| {
            if seen.contains(node) {
                return false;
            }
            let follows = position(*subject).is_some_and(|at| kept.revisions[at]);
            if follows {
                kept.referrers.push(*node);
                stack.push(*node);
                spread(&mut stack, &mut kept, &mut seen);
            }
            !follows
        });
        if waiting.len() == before {
            break;
        }
    }
    for (at, entry) in revisions.iter().enumerate() {
        if !kept.revisions[at] && options.is_young(entry.modified.max(graph.blob(entry.node).modified)) {
            kept.young += 1;
            stack.push(entry.node);
            if entry.modified == LinkEntry::UNASKED {
                ask(entry.node);
            }
        }
    }
    spread(&mut stack, &mut kept, &mut seen);
    kept
}

fn blobs(
    graph: &Graph,
    options: &AuditOptions,
    (reached, staying): (&Set, &Set),
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let (mut young, mut young_bytes) = (0_u64, 0_u64);
    for node in graph.nodes() {
        let blob = graph.blob(node);
        if blob.presence != Presence::Present || staying.has(node) {
            continue;
        }
        if reached.has(node) {
            garbage.untagged.blobs += 1;
            garbage.untagged.bytes += blob.size;
            if list {
                survey.pieces.push(Piece::blob(Code::ManifestUntagged, graph.digest(node), blob.size));
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
            survey.pieces.push(Piece::blob(Code::BlobUnreferenced, graph.digest(node), blob.size));
        }
    }
    let count = garbage.unreferenced;
    if count.blobs > 0 {
        let message = format!(
            "{} that no manifest references, {}: a plain collection frees them",
            plural(count.blobs, "blob"),
            plural(count.bytes, "byte")
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
    kept: &Kept,
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
            survey.pieces.push(Piece {
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
            "{} that no tag reaches: only an untagged collection frees them",
            plural(count, "manifest")
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

/// Layer links that no manifest of their repository needs.
fn links(
    graph: &Graph,
    repository: &Repository,
    kept: &Kept,
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
                survey.doubts.push(Doubt::Layer(u32::try_from(index).unwrap_or(u32::MAX), entry.node));
            }
            continue;
        }
        match entry.link {
            Link::Names(target) => match graph.blob(target).presence {
                Presence::Present => unreferenced.push(entry.node),
                Presence::Absent => dangling.push(entry.node),
                Presence::Unread | Presence::Unseen => {}
            },
            _ => {
                if let Some(fault) = is_invalid(entry.link) {
                    let digest = graph.digest(entry.node);
                    let message = format!(
                        "the layer link of {}, which no manifest needs, {}: a 3.x collector aborts on it; remove it",
                        short(&digest),
                        fault.describe()
                    );
                    let path = Place::LayerLink(&repository.name, digest);
                    survey
                        .of_repository
                        .push((index, Draft::new(Code::GcHazard, Some(entry.node), path, message)));
                }
            }
        }
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
        survey.of_repository.push((index, draft.repair(Some(super::finding::Repair::Remove))));
        if list {
            survey.pieces.extend(nodes.iter().map(|node| Piece {
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

/// Everything that a manifest of this repository references, children included (2.8 serves them through layer links).
fn needed(graph: &Graph, repository: &Repository) -> Vec<NodeId> {
    let mut needed = Vec::new();
    let mut seen = HashSet::new();
    let linked =
        repository.revisions().iter().flat_map(|entry| [Some(entry.node), named(entry.link)]).flatten();
    let mut stack: Vec<NodeId> = linked.chain(roots(graph, repository)).collect();
    while let Some(node) = stack.pop() {
        if !seen.insert(node) {
            continue;
        }
        let Some(manifest) = graph.manifest(node) else { continue };
        for edge in graph.edges(manifest) {
            needed.extend(edge.target);
            if edge.role == Role::Child {
                stack.extend(edge.target);
            }
        }
    }
    let view = View { graph, repository };
    let targets: Vec<NodeId> = needed.iter().filter_map(|node| named(view.repository.layer(*node))).collect();
    needed.extend(targets);
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn history(graph: &Graph, repository: &Repository, index: usize, survey: &mut Survey, list: bool) {
    let mut count = 0;
    // Where a tag's link says nothing, its history is the last trace of what it named.
    for (_, tag) in repository.numbered_tags().filter(|(_, tag)| named(tag.current).is_some()) {
        for node in tag.history.iter().filter(|node| named(tag.current) != Some(**node)) {
            let is_gone =
                repository.revision(*node) == Link::Absent || graph.blob(*node).presence == Presence::Absent;
            if !is_gone {
                continue;
            }
            count += 1;
            if list {
                let digest = graph.digest(*node);
                survey.pieces.push(Piece {
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
        survey.of_repository.push((index, draft.repair(Some(super::finding::Repair::Remove))));
    }
}

fn uploads(
    repository: &Repository,
    options: &AuditOptions,
    index: usize,
    garbage: &mut Garbage,
    survey: &mut Survey,
    list: bool,
) {
    let (mut count, mut bytes, mut forgotten) = (0, 0, 0_u64);
    for upload in &repository.uploads {
        let started = upload
            .started_at
            .map_or(upload.modified, |at| Seconds::try_from(at.max(0)).unwrap_or(Seconds::MAX));
        if started.saturating_add(UPLOAD_STALE_AFTER) >= options.now || options.is_young(upload.modified) {
            continue;
        }
        count += 1;
        bytes += upload.bytes;
        forgotten += u64::from(upload.started_at.is_none());
        if list {
            survey.pieces.push(Piece {
                code: Code::UploadStale,
                repository: Some(repository.name.clone()),
                digest: None,
                path: Place::UploadFolder(&repository.name, &upload.id).to_string(),
                bytes: upload.bytes,
            });
        }
    }
    garbage.stale_uploads += count;
    garbage.stale_upload_bytes += bytes;
    if count > 0 {
        let never = if forgotten > 0 {
            format!("; the server never purges {forgotten} of them, which have no readable startedat")
        } else {
            String::new()
        };
        let message =
            format!("{} older than 168 h, {}{never}", plural(count, "upload"), plural(bytes, "byte"));
        let draft = Draft::new(Code::UploadStale, None, Place::Uploads(&repository.name), message);
        survey.of_repository.push((index, draft.repair(Some(super::finding::Repair::Remove))));
    }
}

fn referrer(graph: &Graph, repository: &Repository, node: NodeId) -> Draft {
    let digest = graph.digest(node);
    let subject = graph.manifest(node).and_then(|manifest| manifest.subject);
    let subject =
        subject.map_or_else(String::new, |subject| format!(" of {}", short(&graph.digest(subject))));
    let message =
        format!("referrer{subject} that no tag and no index names: every untagged collection deletes it");
    Draft::new(Code::ReferrerUntagged, Some(node), Place::RevisionLink(&repository.name, digest), message)
}

fn temp_files(graph: &Graph, options: &AuditOptions, survey: &mut Survey, list: bool) {
    for temp in graph.temp_files.iter().filter(|temp| !options.is_young(temp.modified)) {
        let message =
            format!("temporary file of a write that never finished, {}", plural(temp.bytes, "byte"));
        let draft = Draft::new(Code::TempFileStale, None, &temp.path, message).apart_by(&*temp.path);
        let draft = draft.repair(Some(super::finding::Repair::Remove));
        let repository = temp.repository.as_deref();
        let owner = graph.repositories.iter().position(|one| Some(&*one.name) == repository);
        match owner {
            Some(index) => survey.of_repository.push((index, draft)),
            None => survey.of_root.push(draft),
        }
        if list {
            survey.pieces.push(Piece {
                code: Code::TempFileStale,
                repository: temp.repository.clone(),
                digest: None,
                path: temp.path.clone(),
                bytes: temp.bytes,
            });
        }
    }
}

/// "1 blob", "2 blobs".
pub(super) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
