//! The reference graph of one registry: what is there, what names what, and what could not be read.
//!
//! Filled by a source ([`crate::storage`]), asked by the questions ([`crate::audit`]); it decides nothing itself.
//! Compact: a digest is interned once for all repositories, and everything refers to it by a [`NodeId`] of 4 bytes.

mod blob;
mod digests;
mod manifest;
mod oddities;
mod recheck;
mod repository;
mod seconds;
mod view;
pub(crate) mod walk;

pub use blob::Blob;
pub use digests::{DigestTable, NodeId};
pub use manifest::{Edge, ManifestNode};
pub use oddities::{OddLink, OddTag, Oddities};
pub use recheck::Recheck;
#[cfg(feature = "storage")]
pub(crate) use repository::is_shelved;
pub use repository::{FolderState, GraphLink, LinkEntry, Repository, TagEntry, Upload};
pub use seconds::Seconds;
pub(crate) use seconds::seconds;
pub(crate) use view::View;

pub use crate::serve::{Content, LINK_MAX, Link, LinkFault, Presence, read_link};

use std::collections::HashMap;

use crate::oci::manifest::ReferenceRole;
use crate::oci::{Algorithm, Digest, Manifest, Platform};
use manifest::Manifests;

/// A file or folder that could not be read. What it holds is unknown, never absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Path below the registry's `docker/registry/v2`, control characters escaped.
    pub path: String,
    /// Why, as a lower-case fragment.
    pub error: String,
    /// The repository it belongs to, if it belongs to one.
    pub repository: Option<Box<str>>,
}

/// An entry that has no place in the layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Path below the registry's `docker/registry/v2`, control characters escaped.
    pub path: String,
    /// What is odd about it, as a lower-case fragment.
    pub reason: String,
    /// The repository it lies in, if it lies in one.
    pub repository: Option<Box<str>>,
}

/// A temporary file left by a writer (`*.<uuid>.tmp`, `registry` 3.1 and later).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TempFile {
    /// Path below the registry's `docker/registry/v2`, control characters escaped.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Last change.
    pub modified: Seconds,
    /// The repository it lies in, if it lies in one.
    pub repository: Option<Box<str>>,
}

/// Why a server cannot read `scheduler-state.json`, and so does not start as a pull-through cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulerFault {
    /// 0 bytes.
    Empty,
    /// No JSON, or more than one value.
    NoJson,
    /// JSON, and no object.
    NoObject,
    /// An entry is no object, or a field of one is of another type than it must be.
    BadEntry,
    /// A folder stands in its place.
    NoFile,
}

impl SchedulerFault {
    /// The fault as a lower-case fragment that follows the name of the file.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Empty => "is empty (0 bytes)",
            Self::NoJson => "is no JSON",
            Self::NoObject => "is JSON, but no object",
            Self::BadEntry => "has an entry that cannot be read",
            Self::NoFile => "is a folder",
        }
    }
}

/// What one registry holds.
#[derive(Debug, Default)]
pub struct Graph {
    digests: DigestTable,
    blobs: Vec<Blob>,
    manifests: Manifests,
    wrong_bytes: HashMap<NodeId, NodeId>,
    config_platforms: HashMap<NodeId, Option<Platform>>,
    /// All repositories, ordered by name.
    pub repositories: Vec<Repository>,
    /// What could not be read.
    pub unread: Vec<Unread>,
    /// What has no place in the layout.
    pub strays: Vec<Stray>,
    /// Temporary files of writers that did not finish.
    pub temp_files: Vec<TempFile>,
    /// Shards of `blobs/` that could not be listed: blobs there are unknown. An algorithm and the first byte of the
    /// hash; `None` stands for all.
    pub unread_shards: Vec<(Option<Algorithm>, Option<u8>)>,
    /// Whether the folder `blobs/` is there.
    pub has_blobs_folder: bool,
    /// Whether the folder `repositories/` is there.
    pub has_repositories_folder: bool,
    /// Whether `scheduler-state.json` marks this as a pull-through cache.
    pub has_scheduler_state: bool,
    /// Why no server starts as a cache on this tree, if it does not for its `scheduler-state.json`.
    pub scheduler_fault: Option<SchedulerFault>,
    /// Whether every blob was looked for; false when only some repositories were asked for.
    pub blobs_listed: bool,
}

impl Graph {
    /// The interned digests.
    pub fn digests(&self) -> &DigestTable {
        &self.digests
    }

    /// Interns a digest.
    pub fn intern(&mut self, digest: &Digest) -> NodeId {
        let node = self.digests.intern(digest);
        if node.index() >= self.blobs.len() {
            self.blobs.resize_with(node.index() + 1, Blob::default);
        }
        node
    }

    /// The digest of a node.
    pub fn digest(&self, node: NodeId) -> Digest {
        self.digests.digest(node)
    }

    /// What is known of a blob. A blob that no listing showed is absent, or unread where listing failed.
    pub fn blob(&self, node: NodeId) -> Blob {
        let mut blob = self.blobs[node.index()];
        if blob.presence == Presence::Unseen && self.blobs_listed {
            blob.presence = if self.shard_is_unread(node) { Presence::Unread } else { Presence::Absent };
        }
        blob
    }

    /// Changes what is known of a blob.
    pub fn blob_mut(&mut self, node: NodeId) -> &mut Blob {
        &mut self.blobs[node.index()]
    }

    /// Files that there are no bytes under a digest any more; whoever was looking for them goes on without.
    pub fn forget_blob(&mut self, node: NodeId) {
        self.blobs[node.index()] = Blob { presence: Presence::Absent, ..Blob::default() };
        self.wrong_bytes.remove(&node);
    }

    /// All nodes, in the order of their interning.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.blobs.len()).unwrap_or(u32::MAX)).map(NodeId::from_index)
    }

    fn shard_is_unread(&self, node: NodeId) -> bool {
        if self.unread_shards.is_empty() {
            return false;
        }
        let digest = self.digest(node);
        self.unread_shards.iter().any(|(algorithm, shard)| {
            algorithm.is_none_or(|algorithm| algorithm == digest.algorithm())
                && shard.is_none_or(|shard| shard == digest.as_bytes()[0])
        })
    }

    /// The manifest whose bytes are filed under a node, once it was read.
    pub fn manifest(&self, node: NodeId) -> Option<&ManifestNode> {
        self.manifests.get(self.blobs[node.index()].manifest)
    }

    /// The references of a manifest, in its order.
    pub fn edges(&self, manifest: &ManifestNode) -> &[Edge] {
        self.manifests.edges(manifest)
    }

    /// Everything that the manifest filed under a node references, in its order; nothing of what is no manifest.
    pub(crate) fn references(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let edges = self.manifest(node).map_or(&[][..], |manifest| self.edges(manifest));
        edges.iter().filter_map(|edge| edge.target)
    }

    /// The manifests that an index filed under a node lists, in its order.
    pub(crate) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let edges = self.manifest(node).map_or(&[][..], |manifest| self.edges(manifest));
        edges.iter().filter(|edge| edge.role == ReferenceRole::Child).filter_map(|edge| edge.target)
    }

    /// A platform that an edge names.
    pub fn platform(&self, edge: &Edge) -> Option<&Platform> {
        self.manifests.platform(edge)
    }

    /// What the bytes filed under a digest really hash to, where that is known and another digest.
    pub(crate) fn real_digest(&self, node: NodeId) -> Option<NodeId> {
        self.wrong_bytes.get(&node).copied()
    }

    /// Files what hashing a blob gave; `found` is what its bytes hash to by the algorithm of its digest.
    pub fn set_content(&mut self, node: NodeId, found: &Digest) {
        if *found == self.digest(node) {
            self.blobs[node.index()].content = Content::Right;
            self.wrong_bytes.remove(&node);
        } else {
            self.blobs[node.index()].content = Content::Wrong;
            let found = self.intern(found);
            self.wrong_bytes.insert(node, found);
        }
    }

    /// The platform that an image's configuration names; `Some(None)` when it was read and names none.
    pub(crate) fn config_platform(&self, config: NodeId) -> Option<Option<&Platform>> {
        self.config_platforms.get(&config).map(Option::as_ref)
    }

    /// Files the platform that an image's configuration names.
    pub fn set_config_platform(&mut self, config: NodeId, platform: Option<Platform>) {
        self.config_platforms.insert(config, platform);
    }

    /// Files what was read as a manifest under `node`, in place of what was read before.
    pub fn set_manifest(&mut self, node: NodeId, manifest: &Manifest) {
        let mut edges = Vec::with_capacity(manifest.references.len());
        for reference in &manifest.references {
            let target = reference.descriptor.digest.map(|digest| self.intern(&digest));
            edges.push(target);
        }
        let subject = manifest.subject.map(|digest| self.intern(&digest));
        let id = self.manifests.add(manifest, &edges, subject);
        self.blobs[node.index()].manifest = id;
    }

    /// A repository by name.
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        let at = self.repositories.binary_search_by(|repository| (*repository.name).cmp(name)).ok()?;
        self.repositories.get(at)
    }

    /// A repository by name, to be changed.
    pub fn repository_mut(&mut self, name: &str) -> Option<&mut Repository> {
        let at = self.repositories.binary_search_by(|repository| (*repository.name).cmp(name)).ok()?;
        self.repositories.get_mut(at)
    }

    /// Brings everything into its final order; to be called once after filling.
    pub fn seal(&mut self) {
        self.repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.tidy();
        self.temp_files.sort_unstable();
        self.temp_files.dedup();
    }

    /// Orders what could not be read and what has no place; each path is in one of the two lists, and once. Of several
    /// reasons the one that was noted first stays: a strict pass, which knows less, comes last.
    pub(crate) fn tidy(&mut self) {
        self.unread.sort_by(|a, b| a.path.cmp(&b.path));
        self.unread.dedup_by(|a, b| a.path == b.path);
        let unread = &self.unread;
        self.strays.retain(|stray| unread.binary_search_by(|unread| unread.path.cmp(&stray.path)).is_err());
        self.strays.sort_by(|a, b| a.path.cmp(&b.path));
        self.strays.dedup_by(|a, b| a.path == b.path);
    }
}
