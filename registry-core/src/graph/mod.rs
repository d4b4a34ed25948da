//! The reference graph of one registry: what exists, what names what, and what could not be read.
//!
//! A source ([`crate::storage`]) fills it, and questions ([`crate::audit`]) read it. It decides nothing itself. To be compact, it
//! interns each digest once for all repositories, and refers to it by a [`NodeId`] of 4 bytes.

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
pub(crate) use seconds::saturating_seconds;
pub(crate) use view::RepositoryView;

pub use crate::serve::{Content, LINK_MAX, Link, LinkFault, Presence, read_link};

use std::collections::HashMap;

use crate::oci::manifest::ReferenceRole;
use crate::oci::{Algorithm, Digest, Manifest, Platform};
use manifest::Manifests;

/// A file or folder that could not be read. What is in it is unknown, never absent.
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

/// The reference graph of one registry.
#[derive(Debug, Default)]
pub struct Graph {
    digests: DigestTable,
    /// By node.
    blobs: Vec<Blob>,
    manifests: Manifests,
    /// What the bytes of a node hash to, if not to its digest.
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
    /// Shards of `blobs/` that could not be listed, so that their blobs are unknown: an algorithm and the first byte of the hash.
    /// `None` stands for all.
    pub unread_shards: Vec<(Option<Algorithm>, Option<u8>)>,
    /// Whether the folder `blobs/` exists.
    pub has_blobs_folder: bool,
    /// Whether the folder `repositories/` exists.
    pub has_repositories_folder: bool,
    /// Whether `scheduler-state.json` marks this as a pull-through cache.
    pub has_scheduler_state: bool,
    /// What is wrong with `scheduler-state.json`, if a server cannot start as a cache with it.
    pub scheduler_fault: Option<SchedulerFault>,
    /// Whether all blobs were listed; false when only some repositories were asked for.
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

    /// What is known about a blob. A blob that was not listed is absent, or unread if its shard could not be listed.
    pub fn blob(&self, node: NodeId) -> Blob {
        let mut blob = self.blobs[node.index()];
        if blob.presence == Presence::Unseen && self.blobs_listed {
            blob.presence = if self.is_in_unread_shard(node) { Presence::Unread } else { Presence::Absent };
        }
        blob
    }

    /// What is known about a blob, to be changed.
    pub fn blob_mut(&mut self, node: NodeId) -> &mut Blob {
        &mut self.blobs[node.index()]
    }

    /// Notes that no bytes are stored under a digest any more.
    pub fn forget_blob(&mut self, node: NodeId) {
        self.blobs[node.index()] = Blob { presence: Presence::Absent, ..Blob::default() };
        self.wrong_bytes.remove(&node);
    }

    /// All nodes, in the order in which they were interned.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.blobs.len()).unwrap_or(u32::MAX)).map(NodeId::from_index)
    }

    fn is_in_unread_shard(&self, node: NodeId) -> bool {
        if self.unread_shards.is_empty() {
            return false;
        }
        let digest = self.digest(node);
        self.unread_shards.iter().any(|(algorithm, shard)| {
            algorithm.is_none_or(|algorithm| algorithm == digest.algorithm())
                && shard.is_none_or(|shard| shard == digest.as_bytes()[0])
        })
    }

    /// The manifest whose bytes are stored under a node, if it was read.
    pub fn manifest(&self, node: NodeId) -> Option<&ManifestNode> {
        self.manifests.get(self.blobs[node.index()].manifest)
    }

    /// The references of a manifest, in their order.
    pub fn edges(&self, manifest: &ManifestNode) -> &[Edge] {
        self.manifests.edges(manifest)
    }

    /// The edges of the manifest stored under a node; none if no manifest was read there.
    fn edges_from(&self, node: NodeId) -> impl Iterator<Item = &Edge> {
        self.manifest(node).into_iter().flat_map(|manifest| self.edges(manifest))
    }

    /// Everything that the manifest stored under a node references, in its order.
    pub(crate) fn references(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.edges_from(node).filter_map(|edge| edge.target)
    }

    /// The children of the index stored under a node, in its order.
    pub(crate) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.edges_from(node).filter(|edge| edge.role == ReferenceRole::Child).filter_map(|edge| edge.target)
    }

    /// The platform that an edge names.
    pub fn platform(&self, edge: &Edge) -> Option<&Platform> {
        self.manifests.platform(edge)
    }

    /// The digest that the bytes under a node really hash to, if they are known to be wrong.
    pub(crate) fn real_digest(&self, node: NodeId) -> Option<NodeId> {
        self.wrong_bytes.get(&node).copied()
    }

    /// Notes that the bytes of a blob hash to `found`, by the algorithm of the blob's digest.
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

    /// The platform that an image's config names; `Some(None)` when it was read and names none.
    pub(crate) fn config_platform(&self, config: NodeId) -> Option<Option<&Platform>> {
        self.config_platforms.get(&config).map(Option::as_ref)
    }

    /// Notes the platform that an image's config names.
    pub fn set_config_platform(&mut self, config: NodeId, platform: Option<Platform>) {
        self.config_platforms.insert(config, platform);
    }

    /// Notes the manifest that was read under `node`, in place of one that was read before.
    pub fn set_manifest(&mut self, node: NodeId, manifest: &Manifest) {
        let digests = manifest.references.iter().map(|reference| reference.descriptor.digest);
        let targets: Vec<Option<NodeId>> =
            digests.map(|digest| digest.map(|digest| self.intern(&digest))).collect();
        let subject = manifest.subject.map(|digest| self.intern(&digest));
        self.blobs[node.index()].manifest = self.manifests.add(manifest, &targets, subject);
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

    /// Brings everything into its final order. To be called once, after the graph is filled.
    pub fn seal(&mut self) {
        self.repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.sort_unread();
        self.temp_files.sort_unstable();
        self.temp_files.dedup();
    }

    /// Sorts `unread` and `strays`, and keeps each path once in one of them. Of several reasons the one that was noted first stays: the
    /// strict pass, which knows less, comes last.
    pub(crate) fn sort_unread(&mut self) {
        self.unread.sort_by(|a, b| a.path.cmp(&b.path));
        self.unread.dedup_by(|a, b| a.path == b.path);
        let unread = &self.unread;
        self.strays.retain(|stray| unread.binary_search_by(|unread| unread.path.cmp(&stray.path)).is_err());
        self.strays.sort_by(|a, b| a.path.cmp(&b.path));
        self.strays.dedup_by(|a, b| a.path == b.path);
    }
}
