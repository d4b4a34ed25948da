//! One repository: its tags, revision links, layer links and uploads.

use std::collections::BTreeSet;

use super::digests::NodeId;
use super::seconds::Seconds;
use crate::serve;

/// What a link file says.
pub type GraphLink = serve::Link<NodeId>;

/// A link below `revisions/` or `_layers/`: the digest of its path, and what the file says. 16 bytes.
#[derive(Debug, Clone, Copy)]
pub struct LinkEntry {
    /// The digest of the path.
    pub node: NodeId,
    /// Last change of the file; [`LinkEntry::UNASKED`] while nobody has asked for it.
    pub modified: Seconds,
    /// What the file says; never [`Link::Absent`].
    pub link: GraphLink,
}

impl LinkEntry {
    /// The time of a link that was read without asking for it. Counts as the future, so as young, until it is asked.
    pub const UNASKED: Seconds = Seconds::MAX;
}

/// A tag.
#[derive(Debug, Clone)]
pub struct TagEntry {
    /// Its name, legal in the grammar.
    pub name: Box<str>,
    /// What `current/link` says.
    pub current: GraphLink,
    /// Whether a file stands at the place of the tag's folder: listed as a tag by 2.8, which answers 500 to it.
    pub is_file: bool,
    /// Whether a second look found the tag deleted: it is to be passed over.
    pub is_gone: bool,
    /// Digests that the tag ever had, as far as their links in `index/` are there.
    pub history: Box<[NodeId]>,
}

/// An upload under way, or left behind.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Name of its folder, control characters escaped.
    pub id: Box<str>,
    /// What `startedat` says, in seconds since 1970; `None` when absent or unreadable: the server never purges it.
    pub started_at: Option<i64>,
    /// Newest change of its folder and files.
    pub modified: Seconds,
    /// Bytes received so far.
    pub bytes: u64,
}

/// Whether a folder is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FolderState {
    /// It is not.
    #[default]
    Absent,
    /// It is, and was read as a whole.
    Present,
    /// It is, or may be, and something in it could not be read: what was not seen there is unknown.
    Unread,
}

/// One repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Its name; for an illegal one, with control characters escaped.
    pub name: Box<str>,
    /// Whether a registry serves a repository of that name. If not its tags are read all the same, and what they and its
    /// links reach is protected.
    pub is_legal: bool,
    /// `_manifests`.
    pub manifests: FolderState,
    /// `_manifests/revisions`.
    pub revisions_part: FolderState,
    /// `_manifests/tags`.
    pub tags_part: FolderState,
    /// `_layers`.
    pub layers_part: FolderState,
    /// Tags, ordered by name.
    pub tags: Vec<TagEntry>,
    /// Uploads, ordered by id.
    pub uploads: Vec<Upload>,
    revisions: Vec<LinkEntry>,
    layers: Vec<LinkEntry>,
    emptied: BTreeSet<NodeId>,
}

impl Repository {
    /// Tags that are still there, with their indexes.
    pub(crate) fn numbered_tags(&self) -> impl Iterator<Item = (u32, &TagEntry)> {
        (0_u32..).zip(&self.tags).filter(|(_, tag)| !tag.is_gone)
    }

    /// Revision links, ordered by node.
    pub fn revisions(&self) -> &[LinkEntry] {
        &self.revisions
    }

    /// Layer links, ordered by node.
    pub fn layers(&self) -> &[LinkEntry] {
        &self.layers
    }

    /// Files the revision links.
    pub fn set_revisions(&mut self, mut links: Vec<LinkEntry>) {
        links.sort_unstable_by_key(|entry| entry.node);
        self.revisions = links;
    }

    /// Files the layer links.
    pub fn set_layers(&mut self, mut links: Vec<LinkEntry>) {
        links.sort_unstable_by_key(|entry| entry.node);
        self.layers = links;
    }

    /// The revision link of a digest: absent only when its folder could be read.
    pub fn revision(&self, node: NodeId) -> GraphLink {
        find(&self.revisions, node).map_or(missing(self.revisions_part), |entry| entry.link)
    }

    /// The layer link of a digest: absent only when its folder could be read.
    pub fn layer(&self, node: NodeId) -> GraphLink {
        find(&self.layers, node).map_or(missing(self.layers_part), |entry| entry.link)
    }

    /// Files whether the folder of a revision link is there and has nothing in it. Only a second look tells.
    pub fn set_emptied(&mut self, node: NodeId, is_emptied: bool) {
        if is_emptied {
            self.emptied.insert(node);
        } else {
            self.emptied.remove(&node);
        }
    }

    /// Whether a manifest has no revision link, and the folder of that link is there and empty: a DELETE through the API leaves
    /// that (`registry/storage/linkedblobstore.go @ v2.8.3`, same at v3.1.1); rarely a crash does, or a removal of empty files.
    pub(crate) fn is_emptied(&self, node: NodeId) -> bool {
        self.emptied.contains(&node) && self.revision(node) == GraphLink::Absent
    }

    /// The time of a revision link.
    pub fn revision_entry(&self, node: NodeId) -> Option<&LinkEntry> {
        find(&self.revisions, node)
    }

    /// The time of a layer link.
    pub fn layer_entry(&self, node: NodeId) -> Option<&LinkEntry> {
        find(&self.layers, node)
    }

    /// Changes a revision link after a second look; [`Link::Absent`] removes it.
    pub fn put_revision(&mut self, entry: LinkEntry) {
        put(&mut self.revisions, entry);
    }

    /// Changes a layer link after a second look; [`Link::Absent`] removes it.
    pub fn put_layer(&mut self, entry: LinkEntry) {
        put(&mut self.layers, entry);
    }

    /// Whether it lies in a folder whose name starts with `_`: no registry lists it, and every collector passes by
    /// (`handleRepository` in `registry/storage/catalog.go @ v2.8.3`, the same at v3.1.1).
    pub(crate) fn is_shelved(&self) -> bool {
        is_shelved(&self.name)
    }

    /// Whether anything in it names a manifest or a blob.
    pub(crate) fn holds_links(&self) -> bool {
        let has_tag = self.tags.iter().any(|tag| tag.current != GraphLink::Absent || !tag.history.is_empty());
        has_tag || !self.revisions.is_empty() || !self.layers.is_empty()
    }

    /// A tag by name.
    pub fn tag(&self, name: &str) -> Option<&TagEntry> {
        self.tags.binary_search_by(|tag| (*tag.name).cmp(name)).ok().map(|at| &self.tags[at])
    }
}

/// Whether a path below `repositories/` leads through a folder whose name starts with `_`.
pub(crate) fn is_shelved(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('_'))
}

const fn missing(part: FolderState) -> GraphLink {
    match part {
        FolderState::Unread => GraphLink::Unread,
        FolderState::Absent | FolderState::Present => GraphLink::Absent,
    }
}

fn find(links: &[LinkEntry], node: NodeId) -> Option<&LinkEntry> {
    links.binary_search_by_key(&node, |entry| entry.node).ok().map(|at| &links[at])
}

fn put(links: &mut Vec<LinkEntry>, entry: LinkEntry) {
    match (links.binary_search_by_key(&entry.node, |entry| entry.node), entry.link) {
        (Ok(at), GraphLink::Absent) => drop(links.remove(at)),
        (Ok(at), _) => links[at] = entry,
        (Err(_), GraphLink::Absent) => {}
        (Err(at), _) => links.insert(at, entry),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_link_stays_small() {
        assert_eq!(size_of::<super::LinkEntry>(), 16);
    }
}
