//! One repository: its tags, revision links, layer links and uploads.

use std::collections::BTreeSet;

use super::digests::NodeId;
use super::seconds::Seconds;
use crate::serve;

/// What a link file names.
pub type GraphLink = serve::Link<NodeId>;

/// A link below `revisions/` or `_layers/`: the digest of its path, and what the file names. 16 bytes.
#[derive(Debug, Clone, Copy)]
pub struct LinkEntry {
    /// The digest of the path.
    pub node: NodeId,
    /// Last change of the file; [`LinkEntry::UNASKED`] until it is read.
    pub modified: Seconds,
    /// What the file names; never [`Link::Absent`](super::Link::Absent).
    pub link: GraphLink,
}

impl LinkEntry {
    /// The time of a link whose time was not read. It lies in the future, so the link counts as young.
    pub const UNASKED: Seconds = Seconds::MAX;
}

/// A tag.
#[derive(Debug, Clone)]
pub struct TagEntry {
    /// Its name, legal in the grammar.
    pub name: Box<str>,
    /// What `current/link` names.
    pub current: GraphLink,
    /// Whether a file is in the place of the tag's folder: 2.8 lists it as a tag, and answers 500 to it.
    pub is_file: bool,
    /// Whether a second look found the tag deleted, so that it is to be ignored.
    pub is_gone: bool,
    /// The digests that the tag named at any time, as far as their links in `index/` exist.
    pub history: Box<[NodeId]>,
}

/// An upload under way, or one that was abandoned.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Name of its folder, control characters escaped.
    pub id: Box<str>,
    /// The time in `startedat`, in seconds since 1970. `None` when absent or unreadable: then the server never purges the upload.
    pub started_at: Option<i64>,
    /// Last change of its folder or one of its files.
    pub modified: Seconds,
    /// Bytes received so far.
    pub bytes: u64,
}

/// Whether a folder exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FolderState {
    /// It does not exist.
    #[default]
    Absent,
    /// It exists, and was read completely.
    Present,
    /// It exists or may exist, and something in it could not be read: what was not seen there is unknown.
    Unread,
}

/// One repository.
#[derive(Debug, Default)]
pub struct Repository {
    /// Its name, with control characters escaped if it is illegal.
    pub name: Box<str>,
    /// Whether a registry serves a repository of that name. If not, its tags are read all the same, and what its tags and links
    /// reach is protected.
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
    /// Revisions whose folder exists and is empty.
    emptied: BTreeSet<NodeId>,
}

impl Repository {
    /// Tags that are not deleted, with their indexes.
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

    /// Sets the revision links.
    pub fn set_revisions(&mut self, mut links: Vec<LinkEntry>) {
        links.sort_unstable_by_key(|entry| entry.node);
        self.revisions = links;
    }

    /// Sets the layer links.
    pub fn set_layers(&mut self, mut links: Vec<LinkEntry>) {
        links.sort_unstable_by_key(|entry| entry.node);
        self.layers = links;
    }

    /// The revision link of a digest. It is absent only if its folder could be read.
    pub fn revision(&self, node: NodeId) -> GraphLink {
        find_link(&self.revisions, node).map_or(unlisted_link(self.revisions_part), |entry| entry.link)
    }

    /// The layer link of a digest. It is absent only if its folder could be read.
    pub fn layer(&self, node: NodeId) -> GraphLink {
        find_link(&self.layers, node).map_or(unlisted_link(self.layers_part), |entry| entry.link)
    }

    /// Notes whether the folder of a revision link exists and is empty. Only a second look finds that out.
    pub fn set_emptied(&mut self, node: NodeId, is_emptied: bool) {
        if is_emptied {
            self.emptied.insert(node);
        } else {
            self.emptied.remove(&node);
        }
    }

    /// Whether a manifest has no revision link, and the folder of that link exists and is empty. A DELETE through the API leaves it
    /// so (`registry/storage/linkedblobstore.go @ v2.8.3`, the same at v3.1.1); rarely a crash or the removal of empty files does.
    pub(crate) fn has_empty_revision_folder(&self, node: NodeId) -> bool {
        self.emptied.contains(&node) && self.revision(node) == GraphLink::Absent
    }

    /// The entry of a revision link, with its time.
    pub fn revision_entry(&self, node: NodeId) -> Option<&LinkEntry> {
        find_link(&self.revisions, node)
    }

    /// The entry of a layer link, with its time.
    pub fn layer_entry(&self, node: NodeId) -> Option<&LinkEntry> {
        find_link(&self.layers, node)
    }

    /// Changes a revision link after a second look; [`Link::Absent`](super::Link::Absent) removes it.
    pub fn put_revision(&mut self, entry: LinkEntry) {
        put_link(&mut self.revisions, entry);
    }

    /// Changes a layer link after a second look; [`Link::Absent`](super::Link::Absent) removes it.
    pub fn put_layer(&mut self, entry: LinkEntry) {
        put_link(&mut self.layers, entry);
    }

    /// Whether it lies in a folder whose name starts with `_`: no registry lists it, and every collector skips it
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

/// The state of a link that was not seen in its folder.
const fn unlisted_link(part: FolderState) -> GraphLink {
    match part {
        FolderState::Unread => GraphLink::Unread,
        FolderState::Absent | FolderState::Present => GraphLink::Absent,
    }
}

fn find_link(links: &[LinkEntry], node: NodeId) -> Option<&LinkEntry> {
    links.binary_search_by_key(&node, |entry| entry.node).ok().map(|at| &links[at])
}

/// Replaces or inserts a link; an absent one is removed.
fn put_link(links: &mut Vec<LinkEntry>, entry: LinkEntry) {
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
    fn link_entry_takes_16_bytes() {
        assert_eq!(size_of::<super::LinkEntry>(), 16);
    }
}
