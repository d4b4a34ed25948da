//! One package (or repository) as retention sees it: the rows of its listing, and the manifests behind them.
//!
//! A source or a recorded inventory fills it; it decides nothing. A manifest that was not read is [`ManifestState::Unknown`]
//! or [`ManifestState::Unasked`], never absent.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copied::CopiedTimes;
use super::other_packages::{OtherPackages, UnselectedPackages};
use crate::graph::walk::Numbered;
use crate::graph::{DigestTable, NodeId};
use crate::oci::manifest::{Kind, ReferenceRole};
use crate::oci::{Digest, Manifest, MediaType};

/// A manifest's number in its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManifestId(NodeId);

impl ManifestId {
    /// The number, for indexing.
    pub const fn index(self) -> usize {
        self.0.index()
    }
}

impl Numbered for ManifestId {
    fn number(self) -> usize {
        self.index()
    }
}

/// The number of a config or layer in its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId(NodeId);

/// One row of a listing: a tag, or a manifest listed under its own digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tag, or the digest as `sha256:…`.
    pub version: Box<str>,
    /// The server's number for this row; a re-push gives a new one. Not every source has one.
    pub id: Option<u64>,
    /// When it was pushed, according to the server. Not every source has push times.
    pub created_at: Option<Timestamp>,
    /// The manifest that the row names; `None` when that is unknown.
    pub manifest: Option<ManifestId>,
}

/// An undo put a row back. Its push time is the original one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Restored {
    /// When the undo put it back.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub at: Timestamp,
    /// The server's number for the row at first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_id: Option<u64>,
}

impl Row {
    /// Whether this is a tag. A tag has no colon, a digest has one.
    pub fn is_tag(&self) -> bool {
        !self.version.contains(':')
    }
}

/// What is lost of a manifest that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The manifest itself.
    Manifest,
    /// Only its revision link: a repair of the tree brings it back.
    RevisionLink,
}

impl fmt::Display for Loss {
    /// As a fragment that follows the digest.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Manifest => "is gone",
            Self::RevisionLink => {
                "has lost its revision link; its bytes are here: `registry-fsck repair` mends it"
            }
        })
    }
}

/// What is known of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ManifestState {
    /// Nobody asked for it.
    #[default]
    Unasked,
    /// The server has it, and it was read.
    Present(Box<ManifestInfo>),
    /// The server says that it is not there.
    Absent,
    /// It could not be read, and why.
    Unknown(Box<str>),
}

/// A manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestInfo {
    /// Its media type as the server gives it.
    pub media_type: MediaType,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it is an image, an index, schema 1 or something else.
    pub kind: Kind,
    /// The manifests that an index names, in its order.
    pub children: Vec<ManifestId>,
    /// Configs, layers and other blobs, in the order in which the manifest names them.
    pub parts: Vec<PartId>,
    /// The manifest that this one refers to (`subject`).
    pub subject: Option<ManifestId>,
    /// Whether this is a BuildKit cache, by the media type of its config.
    pub is_cache: bool,
    /// Whether this is a Helm chart, by the media type of its config.
    pub is_chart: bool,
    /// Whether its kind is unknown, so that it may reference more than is known.
    pub is_opaque: bool,
    /// The digests that stand anywhere in an opaque manifest: it may reference each of them.
    pub mentions: Vec<ManifestId>,
    /// Whether it is a schema 1 manifest that its server signs anew at each answer, so that its bytes cannot be checked.
    pub is_signed_anew: bool,
    /// When it was built, according to its config or else an annotation; read only where a decision needs it.
    pub built_at: Option<Timestamp>,
}

/// A package: its rows and manifests.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Its name, without the owner.
    pub name: String,
    /// The rows of its listing, in any order until [`Package::seal`].
    pub rows: Vec<Row>,
    /// Why the listing could not be read; then nothing may be decided about the package.
    pub unreadable: Option<String>,
    /// Signs that the times of its tags come from a copy.
    pub copied: Option<CopiedTimes>,
    /// Which other packages have the digests that tags of this one are named after and that it does not have itself.
    pub elsewhere: BTreeMap<Digest, OtherPackages>,
    /// Where packages that were not selected list or name its digests.
    pub unselected: Option<UnselectedPackages>,
    digests: DigestTable,
    states: Vec<ManifestState>,
    parts: DigestTable,
    unlinked: HashSet<ManifestId>,
    /// Rows that an undo put back, by name.
    restored: HashMap<Box<str>, Restored>,
    /// The size of each part, according to the first manifest that names it.
    part_bytes: Vec<u64>,
}

/// Config media type of a BuildKit cache (`util/imageutil/cacheconfig.go` of moby/buildkit, `cache/remotecache`).
const CACHE_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Config media type of a Helm chart (`pkg/registry/constants.go @ helm v3.15.0`).
const CHART_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";

impl Package {
    /// An empty package.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The number of a digest. A digest without one gets the next.
    pub fn intern(&mut self, digest: &Digest) -> ManifestId {
        let node = self.digests.intern(digest);
        if node.index() == self.states.len() {
            self.states.push(ManifestState::Unasked);
        }
        ManifestId(node)
    }

    /// The number of a digest that something in this package names.
    pub fn find(&self, digest: &Digest) -> Option<ManifestId> {
        self.digests.find(digest).map(ManifestId)
    }

    /// The digest of a manifest.
    pub fn digest(&self, manifest: ManifestId) -> Digest {
        self.digests.digest(manifest.0)
    }

    /// What is known of a manifest.
    pub fn state(&self, manifest: ManifestId) -> &ManifestState {
        &self.states[manifest.index()]
    }

    /// What is known of a manifest that was read.
    pub fn info(&self, manifest: ManifestId) -> Option<&ManifestInfo> {
        if let ManifestState::Present(info) = self.state(manifest) { Some(info) } else { None }
    }

    /// The manifests that this one needs or may need: children and mentions. None when it was not read.
    pub fn named_manifests(&self, manifest: ManifestId) -> impl Iterator<Item = ManifestId> {
        let info = self.info(manifest);
        info.into_iter().flat_map(|info| info.children.iter().chain(&info.mentions)).copied()
    }

    /// The manifests that an index names. None when it was not read.
    pub(super) fn children(&self, manifest: ManifestId) -> impl Iterator<Item = ManifestId> {
        self.info(manifest).into_iter().flat_map(|info| &info.children).copied()
    }

    /// The manifest that this one refers to (`subject`). None when it was not read.
    pub(super) fn subject(&self, manifest: ManifestId) -> Option<ManifestId> {
        self.info(manifest)?.subject
    }

    /// The manifests that tags name, each as often as tags do.
    pub(super) fn tagged_manifests(&self) -> impl Iterator<Item = ManifestId> {
        self.rows.iter().filter(|row| row.is_tag()).filter_map(|row| row.manifest)
    }

    /// The digest of a config or layer, and its size in bytes according to its manifest.
    pub fn part(&self, part: PartId) -> (Digest, u64) {
        (self.parts.digest(part.0), self.part_bytes[part.0.index()])
    }

    /// How many manifests have a number.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether no manifest has a number.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// All manifests that have a number.
    pub fn manifests(&self) -> impl Iterator<Item = ManifestId> + use<> {
        let count = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        (0..count).map(|number| ManifestId(NodeId::from_index(number)))
    }

    /// Records that a manifest is absent.
    pub fn set_absent(&mut self, manifest: ManifestId) {
        self.states[manifest.index()] = ManifestState::Absent;
    }

    /// Records that of an absent manifest only the revision link is lost.
    pub fn set_unlinked(&mut self, manifest: ManifestId) {
        self.unlinked.insert(manifest);
    }

    /// What is lost of an absent manifest.
    pub fn what_is_lost(&self, manifest: ManifestId) -> Loss {
        if self.unlinked.contains(&manifest) { Loss::RevisionLink } else { Loss::Manifest }
    }

    /// Records that a manifest could not be read, and why.
    pub fn set_unknown(&mut self, manifest: ManifestId, why: impl Into<Box<str>>) {
        self.states[manifest.index()] = ManifestState::Unknown(why.into());
    }

    /// Records the bytes of a manifest, and gives a number to everything that they reference. A manifest that is no JSON is
    /// unknown, because it may reference anything.
    pub fn set_bytes(&mut self, manifest: ManifestId, media_type: &str, bytes: &[u8]) {
        let parsed = Manifest::parse(bytes);
        let is_opaque = parsed.refusal().is_some() && parsed.kind != Kind::Schema1;
        let mut mentions = Vec::new();
        if is_opaque {
            let Ok(value) = serde_json::from_slice(bytes) else {
                self.set_unknown(manifest, "it is no JSON, so what it references is not known");
                return;
            };
            self.collect_mentions(&value, &mut mentions);
        }
        let given = media_type.split(';').next().unwrap_or_default().trim();
        let own = parsed.media_type.clone();
        let media_type =
            if given.is_empty() { own.unwrap_or(MediaType::new("")) } else { MediaType::new(given) };
        let mut info = ManifestInfo {
            media_type,
            bytes: bytes.len() as u64,
            kind: parsed.kind,
            children: Vec::new(),
            parts: Vec::new(),
            subject: parsed.subject.as_ref().map(|digest| self.intern(digest)),
            is_cache: false,
            is_chart: false,
            is_opaque,
            mentions,
            is_signed_anew: false,
            built_at: None,
        };
        for reference in &parsed.references {
            let descriptor = &reference.descriptor;
            let given = descriptor.media_type.as_ref().map(MediaType::as_str);
            info.is_cache |= given == Some(CACHE_CONFIG);
            info.is_chart |= reference.role == ReferenceRole::Config && given == Some(CHART_CONFIG);
            let Some(digest) = descriptor.digest else { continue };
            match reference.role {
                ReferenceRole::Child => info.children.push(self.intern(&digest)),
                ReferenceRole::Config | ReferenceRole::Layer => {
                    let size = u64::try_from(descriptor.size).unwrap_or(0);
                    info.parts.push(self.intern_part(&digest, size));
                }
            }
        }
        info.children.shrink_to_fit();
        info.parts.shrink_to_fit();
        self.states[manifest.index()] = ManifestState::Present(Box::new(info));
    }

    /// Records a schema 1 manifest whose bytes carry another signature than the pushed ones.
    pub fn set_signed_anew(&mut self, manifest: ManifestId, media_type: &str, bytes: &[u8]) {
        self.set_bytes(manifest, media_type, bytes);
        if let Some(ManifestState::Present(info)) = self.states.get_mut(manifest.index()) {
            info.is_signed_anew = true;
        }
    }

    /// Collects every string of a value that is a digest. The parser bounds the depth of the value.
    fn collect_mentions(&mut self, value: &serde_json::Value, into: &mut Vec<ManifestId>) {
        match value {
            serde_json::Value::String(text) => {
                if let Ok(digest) = text.parse() {
                    into.push(self.intern(&digest));
                }
            }
            serde_json::Value::Array(items) => {
                items.iter().for_each(|item| self.collect_mentions(item, into));
            }
            serde_json::Value::Object(fields) => {
                fields.values().for_each(|item| self.collect_mentions(item, into));
            }
            _ => {}
        }
    }

    /// Sorts the rows newest first, so that the order of the listing does not matter.
    pub fn seal(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.created_at, self.first_id(row));
            key(b).cmp(&key(a)).then_with(|| a.version.cmp(&b.version))
        });
        rows.dedup();
        self.rows = rows;
    }

    /// Records that an undo put a row back.
    pub fn set_restored(&mut self, version: &str, restored: Restored) {
        self.restored.insert(version.into(), restored);
    }

    /// When an undo put this row back, if one did.
    pub fn restored(&self, row: &Row) -> Option<Restored> {
        self.restored.get(&row.version).copied()
    }

    /// The server's number for a row when it was first pushed: among rows of one second the larger was pushed later.
    pub fn first_id(&self, row: &Row) -> Option<u64> {
        self.restored(row).map_or(row.id, |restored| restored.first_id.or(row.id))
    }

    /// Records when an image was built.
    pub fn set_built_at(&mut self, manifest: ManifestId, at: Option<Timestamp>) {
        if let Some(ManifestState::Present(info)) = self.states.get_mut(manifest.index()) {
            info.built_at = at;
        }
    }

    fn intern_part(&mut self, digest: &Digest, size: u64) -> PartId {
        let node = self.parts.intern(digest);
        if node.index() == self.part_bytes.len() {
            self.part_bytes.push(size);
        }
        PartId(node)
    }
}
