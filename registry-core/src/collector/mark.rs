//! The first phase of a collection: marks what is needed, and notes untagged manifests. An error in it ends the collection before
//! anything is deleted.

use std::collections::{HashMap, HashSet};

use super::engine::Engine;
use super::forecast::Abort;
use super::visit_order::{VisitedRepository, visit_order};
use crate::graph::{
    FolderState, Graph, GraphLink, LinkFault, NodeId, OddLink, OddTag, Oddities, Presence, Repository,
    RepositoryView, walk,
};
use crate::oci::Digest;
use crate::oci::manifest::Kind;
use crate::path::Place;
use crate::serve::{self, RepositoryLinks as _};

/// The result of marking.
#[derive(Debug)]
pub(super) struct Marks {
    /// Whether a node is marked, by its index.
    pub(super) is_marked: Vec<bool>,
    /// Untagged manifests in the order of the walk: repository, digest.
    pub(super) untagged: Vec<(u32, NodeId)>,
    /// Layer links whose digest was not marked when the walk reached them: repository, digest.
    pub(super) layer_links: Vec<(u32, NodeId)>,
}

/// A file called `link` in the walk over revisions or layers.
struct LinkFile {
    location: LinkLocation,
    link: GraphLink,
}

/// Where a link file is. Its path is built only when a collector stops there.
enum LinkLocation {
    Digest(Digest),
    Odd(String),
}

/// What a collector gets when it looks up a digest through a repository's links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkStat {
    /// The bytes, which are stored under this digest.
    Found(NodeId),
    Unknown,
    Error,
}

/// A tree as a collector reads it.
pub(crate) struct CollectorView<'m> {
    graph: &'m Graph,
    engine: Engine,
    /// Files in the places of folders.
    files: HashSet<&'m str>,
}

/// The state of marking.
struct Marking<'m> {
    view: CollectorView<'m>,
    delete_untagged: bool,
    odd_links: HashMap<&'m str, Vec<&'m OddLink>>,
    odd_tags: HashMap<&'m str, Vec<&'m OddTag>>,
    marked: Marks,
}

/// Marks what the collector keeps.
pub(super) fn mark(
    graph: &Graph,
    oddities: &Oddities,
    engine: Engine,
    delete_untagged: bool,
) -> Result<Marks, Abort> {
    if !graph.has_repositories_folder {
        return Err(Abort::mark(Place::Repositories, "there is no such folder"));
    }
    let mut odd_links: HashMap<&str, Vec<&OddLink>> = HashMap::new();
    for link in &oddities.links {
        odd_links.entry(&link.repository).or_default().push(link);
    }
    let mut odd_tags: HashMap<&str, Vec<&OddTag>> = HashMap::new();
    for tag in &oddities.tags {
        odd_tags.entry(&tag.repository).or_default().push(tag);
    }
    let view = CollectorView::new(graph, oddities, engine);
    let marked = Marks {
        is_marked: vec![false; graph.digests().len()],
        untagged: Vec::new(),
        layer_links: Vec::new(),
    };
    let mut marking = Marking { view, delete_untagged, odd_links, odd_tags, marked };
    for visited in visit_order(graph, oddities, engine) {
        match visited {
            VisitedRepository::Repository(at) => marking.visit_repository(at)?,
            VisitedRepository::Nameless(path) => {
                return Err(Abort::mark(path, "taken for a repository without a name"));
            }
        }
    }
    Ok(marking.marked)
}

impl Marking<'_> {
    fn visit_repository(&mut self, at: u32) -> Result<(), Abort> {
        let (graph, engine) = (self.view.graph, self.view.engine);
        let repository = &graph.repositories[at as usize];
        if !repository.is_legal {
            return Err(Abort::mark(
                Place::Repository(&repository.name),
                "a registry refuses this repository name",
            ));
        }
        for place in [Place::Manifests(&repository.name), Place::Revisions(&repository.name)] {
            self.view.check_folder(place)?;
        }
        let mut tagged: Option<HashSet<Digest>> = None;
        for file in self.link_files(repository, false) {
            let path = || file.location.path(repository, false);
            let node = match file.link {
                GraphLink::Names(node) => node,
                GraphLink::Invalid(_) => {
                    return Err(Abort::mark(path(), "a revision link that is no digest"));
                }
                GraphLink::Absent | GraphLink::Unread => continue,
            };
            let found = match self.view.stat_manifest(repository, node) {
                LinkStat::Found(found) => found,
                LinkStat::Unknown => continue,
                LinkStat::Error => {
                    return Err(Abort::mark(path(), "it leads to a link that cannot be read"));
                }
            };
            if self.delete_untagged {
                if tagged.is_none() {
                    tagged = Some(self.tagged_digests(repository)?);
                }
                let is_tagged = tagged.as_ref().is_some_and(|tagged| tagged.contains(&graph.digest(node)));
                if !is_tagged {
                    match (repository.tags_part, engine) {
                        (FolderState::Absent, Engine::V2_8) => {
                            return Err(Abort::mark(
                                Place::Tags(&repository.name),
                                "there is no such folder",
                            ));
                        }
                        // 3.x neither marks nor deletes it.
                        (FolderState::Absent, Engine::V3) => {}
                        _ => self.marked.untagged.push((at, node)),
                    }
                    continue;
                }
            }
            self.marked.is_marked[node.index()] = true;
            self.mark_references(repository, found, &path)?;
        }
        if engine == Engine::V3 {
            self.find_unmarked_layer_links(at, repository)?;
        }
        Ok(())
    }

    /// Marks what a manifest references. 3.x also follows each newly marked reference that is a manifest in this repository.
    fn mark_references(
        &mut self,
        repository: &Repository,
        found: NodeId,
        from: &dyn Fn() -> String,
    ) -> Result<(), Abort> {
        let view = &self.view;
        let check = |manifest: NodeId| match view.manifest_refusal(manifest) {
            Some(why) => {
                Err(Abort::mark(from(), format!("it leads to a manifest that cannot be read: {why}")))
            }
            None => Ok(()),
        };
        check(found)?;
        let linked_manifest = |target: NodeId| match view.engine {
            Engine::V2_8 => None,
            Engine::V3 => view.stat_manifest(repository, target).found(),
        };
        let references =
            |target| linked_manifest(target).into_iter().flat_map(|manifest| view.graph.references(manifest));
        // Depth first, like the recursion of 3.x.
        for target in walk::reach(&mut self.marked.is_marked, view.graph.references(found), references) {
            linked_manifest(target).map_or(Ok(()), check)?;
        }
        Ok(())
    }

    /// The digests that the entries of `tags/` name. An entry that cannot be read ends the collection.
    fn tagged_digests(&self, repository: &Repository) -> Result<HashSet<Digest>, Abort> {
        self.view.check_folder(Place::Tags(&repository.name))?;
        let mut tagged = HashSet::new();
        for (_, tag) in repository.numbered_tags() {
            let path = || Place::TagLink(&repository.name, &tag.name);
            match tag.current {
                _ if tag.is_file => {
                    return Err(Abort::mark(
                        Place::TagFolder(&repository.name, &tag.name),
                        "a file in the place of a tag's folder",
                    ));
                }
                GraphLink::Names(node) => drop(tagged.insert(self.view.graph.digest(node))),
                GraphLink::Invalid(_) => return Err(Abort::mark(path(), "a tag's link that is no digest")),
                GraphLink::Absent | GraphLink::Unread => {}
            }
        }
        for tag in self.odd_tags.get(&*repository.name).into_iter().flatten() {
            let path = || format!("{}/{}", Place::Tags(&repository.name), tag.name);
            match tag.link {
                _ if !is_driver_path(&tag.name) => {
                    return Err(Abort::mark(path(), "an entry of tags/ whose name no storage driver takes"));
                }
                serve::Link::Names(digest) => drop(tagged.insert(digest)),
                serve::Link::Absent | serve::Link::Unread => {}
                serve::Link::Invalid(_) => {
                    return Err(Abort::mark(path(), "an entry of tags/ whose link is no digest"));
                }
            }
        }
        Ok(tagged)
    }

    /// 3.x: notes the layer links of digests that are not marked yet, even if they are marked later.
    fn find_unmarked_layer_links(&mut self, at: u32, repository: &Repository) -> Result<(), Abort> {
        if repository.layers_part == FolderState::Absent {
            return Err(Abort::mark(Place::Layers(&repository.name), "there is no such folder"));
        }
        for file in self.link_files(repository, true) {
            let path = || file.location.path(repository, true);
            let node = match file.link {
                GraphLink::Names(node) => node,
                GraphLink::Invalid(_) => return Err(Abort::mark(path(), "a layer link that is no digest")),
                GraphLink::Absent | GraphLink::Unread => continue,
            };
            match self.view.stat_layer(repository, node) {
                LinkStat::Found(_) if !self.marked.is_marked[node.index()] => {
                    self.marked.layer_links.push((at, node));
                }
                LinkStat::Found(_) | LinkStat::Unknown => {}
                LinkStat::Error => return Err(Abort::mark(path(), "it leads to a link that cannot be read")),
            }
        }
        Ok(())
    }

    /// Files called `link` below `_layers` or `revisions`, in the order of the walk.
    fn link_files(&self, repository: &Repository, in_layers: bool) -> Vec<LinkFile> {
        let graph = self.view.graph;
        let entries = if in_layers { repository.layers() } else { repository.revisions() };
        let mut order: Vec<_> = entries.iter().map(|entry| (graph.digest(entry.node), entry.link)).collect();
        order.sort_unstable_by_key(|(digest, _)| (digest.algorithm().name(), *digest));
        let mut files: Vec<LinkFile> = order
            .into_iter()
            // The walk enters a folder in the place of the file, and does not read it.
            .filter(|(_, link)| *link != GraphLink::Invalid(LinkFault::NoFile))
            .map(|(digest, link)| LinkFile { location: LinkLocation::Digest(digest), link })
            .collect();
        let odd: Vec<&OddLink> = self
            .odd_links
            .get(&*repository.name)
            .into_iter()
            .flatten()
            .copied()
            .filter(|link| link.in_layers == in_layers)
            .collect();
        if odd.is_empty() {
            return files;
        }
        files.extend(odd.into_iter().map(|odd| {
            let link = match odd.link {
                _ if !is_driver_path(&odd.path) => GraphLink::Invalid(LinkFault::NoDigest),
                serve::Link::Names(digest) => {
                    graph.digests().find(&digest).map_or(GraphLink::Absent, GraphLink::Names)
                }
                serve::Link::Invalid(fault) => GraphLink::Invalid(fault),
                serve::Link::Absent | serve::Link::Unread => GraphLink::Absent,
            };
            LinkFile { location: LinkLocation::Odd(odd.path.clone()), link }
        }));
        files.sort_by_cached_key(|file| {
            let path = file.location.path(repository, in_layers);
            path.split('/').map(str::to_owned).collect::<Vec<_>>()
        });
        files
    }
}

impl<'m> CollectorView<'m> {
    pub(crate) fn new(graph: &'m Graph, oddities: &'m Oddities, engine: Engine) -> Self {
        Self { graph, engine, files: oddities.files.iter().map(String::as_str).collect() }
    }

    /// Ends the collection if a file is in the place of a folder that the collector lists.
    fn check_folder(&self, place: Place<'_>) -> Result<(), Abort> {
        if self.is_file(place) {
            return Err(Abort::mark(place.to_string(), "a file in the place of a folder"));
        }
        Ok(())
    }

    /// Whether a file is in the place of a folder.
    fn is_file(&self, place: Place<'_>) -> bool {
        // The common case, without building the path.
        !self.files.is_empty() && self.files.contains(place.to_string().as_str())
    }

    /// Why the collector cannot read a manifest.
    fn manifest_refusal(&self, node: NodeId) -> Option<String> {
        let manifest = self.graph.manifest(node)?;
        if let Some(problem) = manifest.refusal() {
            return Some(problem.message.clone());
        }
        (self.engine == Engine::V3 && manifest.kind == Kind::Schema1)
            .then(|| "schema 1 is unknown to registry 3".to_owned())
    }

    /// Looks up a manifest through its revision link; 2.8 also tries a layer link.
    pub(crate) fn stat_manifest(&self, repository: &Repository, node: NodeId) -> LinkStat {
        let answering = RepositoryView { graph: self.graph, repository }.manifest_link(node);
        match (answering.through_layers, self.engine) {
            (false, _) => self.stat(answering.link),
            (true, Engine::V3) => LinkStat::Unknown,
            (true, Engine::V2_8) if self.is_file(Place::Layers(&repository.name)) => LinkStat::Error,
            (true, Engine::V2_8) => self.stat(answering.link),
        }
    }

    /// Looks up a config or layer through its layer link.
    pub(crate) fn stat_layer(&self, repository: &Repository, node: NodeId) -> LinkStat {
        self.stat(repository.layer(node))
    }

    fn stat(&self, link: GraphLink) -> LinkStat {
        match link {
            GraphLink::Names(target) => match self.graph.blob(target).presence {
                Presence::Present => LinkStat::Found(target),
                Presence::Absent | Presence::Unseen | Presence::Unread => LinkStat::Unknown,
            },
            GraphLink::Absent | GraphLink::Unread => LinkStat::Unknown,
            GraphLink::Invalid(_) => LinkStat::Error,
        }
    }
}

impl LinkStat {
    /// The digest under which the bytes are stored, if they were found.
    const fn found(self) -> Option<NodeId> {
        if let Self::Found(node) = self { Some(node) } else { None }
    }
}

impl LinkLocation {
    fn path(&self, repository: &Repository, in_layers: bool) -> String {
        match self {
            Self::Digest(digest) if in_layers => Place::LayerLink(&repository.name, *digest).to_string(),
            Self::Digest(digest) => Place::RevisionLink(&repository.name, *digest).to_string(),
            Self::Odd(path) => path.clone(),
        }
    }
}

/// Whether a storage driver accepts a path. With any other character in it, reading a link ends the collection
/// (`PathRegexp` in `registry/storage/driver/storagedriver.go @ v2.8.3`).
fn is_driver_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-'))
}
