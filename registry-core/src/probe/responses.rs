//! What a registry answered, repository by repository. Filled by a walk, judged elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::graph::Content;
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest, Platform};

/// What one registry answered.
#[derive(Debug, Default)]
pub struct Responses {
    /// Its repositories, by name.
    pub repositories: BTreeMap<String, RepositoryResponses>,
    /// Lists that could not be read: path and reason.
    pub unread: Vec<(String, String)>,
    /// Names in lists that are legal for no repository and no tag, so that nobody can ask for them, by path of the list.
    pub strays: BTreeMap<String, Vec<String>>,
}

/// What was answered of one repository.
#[derive(Debug, Default)]
pub struct RepositoryResponses {
    /// Number of tags that its list showed.
    pub listed: u64,
    /// Tags that were asked for.
    pub tags: BTreeMap<String, TagAnswer>,
    /// Manifests that were asked for.
    pub manifests: HashMap<Digest, ManifestAnswer>,
    /// Configs and layers that were asked for.
    pub blobs: HashMap<Digest, BlobAnswer>,
    /// Platforms that configs name, where that was asked for; `None` when a config names none.
    pub platforms: HashMap<Digest, Option<Platform>>,
}

impl RepositoryResponses {
    /// A manifest that answers.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Arc<RespondedManifest>> {
        self.manifests.get(digest).and_then(ManifestAnswer::manifest)
    }

    /// The manifests that answer.
    pub(super) fn present(&self) -> impl Iterator<Item = &Arc<RespondedManifest>> {
        self.manifests.values().filter_map(ManifestAnswer::manifest)
    }
}

/// Why something has no answer that says whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// A status of 500 or more, on every try.
    Server(u16),
    /// The credentials do not suffice.
    Forbidden(u16),
    /// No connection, or no complete answer in time.
    Silent(String),
    /// An answer that the API does not have.
    Odd(String),
    /// What the run may spend was spent before.
    NotAsked,
    /// The run gave up before, because nothing answered any more.
    GaveUp,
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(status) => write!(out, "the server answers {status} on every try"),
            Self::Forbidden(status) => write!(out, "refused with {status}: these credentials do not suffice"),
            Self::Silent(why) | Self::Odd(why) => out.write_str(why),
            Self::NotAsked => out.write_str("it was not asked for"),
            Self::GaveUp => out.write_str("the registry did not answer any more"),
        }
    }
}

/// The answer to a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagAnswer {
    /// It names this manifest.
    Names(Digest),
    /// It is listed, and answers 404.
    Absent,
    /// It was deleted between list and read: no damage.
    Vanished,
    /// It could not be found out.
    Unknown(Trouble),
}

/// The answer to a manifest.
#[derive(Debug, Clone)]
pub enum ManifestAnswer {
    /// It answers.
    Present(Arc<RespondedManifest>),
    /// 404, in the words of a registry.
    Absent,
    /// 200, with bytes that hash to this.
    WrongBytes(Digest),
    /// It could not be found out.
    Unknown(Trouble),
}

impl ManifestAnswer {
    /// What was answered, where that is the manifest.
    pub(super) const fn manifest(&self) -> Option<&Arc<RespondedManifest>> {
        if let Self::Present(manifest) = self { Some(manifest) } else { None }
    }
}

/// A manifest that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RespondedManifest {
    /// What it is and references.
    pub manifest: Manifest,
    /// Media type as the server gives it, without parameters.
    pub media_type: Box<str>,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether its bytes are JSON at all.
    pub is_json: bool,
}

impl RespondedManifest {
    /// Reads the bytes of a manifest.
    pub fn read(media_type: &str, bytes: &[u8]) -> Self {
        let manifest = Manifest::parse(bytes);
        let is_json =
            manifest.refusal().is_none() || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().into();
        Self { manifest, media_type, bytes: bytes.len() as u64, is_json }
    }

    /// The manifests that it lists and the registry is asked for, with the numbers of their references.
    pub(super) fn children(&self) -> impl Iterator<Item = (usize, Digest)> {
        let references = self.manifest.references.iter().enumerate();
        references
            .filter(|(_, one)| one.role == ReferenceRole::Child && !one.descriptor.has_urls)
            .filter_map(|(number, one)| Some((number, one.descriptor.digest?)))
    }
}

/// The answer to a config or layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobAnswer {
    /// It is there.
    Present {
        /// Its size in bytes, where the server tells.
        size: Option<u64>,
        /// Whether its bytes were hashed, and right.
        content: Content,
    },
    /// 404, in the words of a registry.
    Absent,
    /// It could not be found out.
    Unknown(Trouble),
}

impl Responses {
    /// Whether every object that was asked for answers 500 or more: then the registry is out of order, and nothing is
    /// known of its objects.
    pub fn is_out_of_order(&self) -> bool {
        let (mut failing, mut others) = (false, false);
        let mut note = |trouble: Option<&Trouble>| match trouble {
            Some(Trouble::Server(_)) => failing = true,
            Some(Trouble::NotAsked | Trouble::GaveUp | Trouble::Silent(_)) => {}
            _ => others = true,
        };
        for repository in self.repositories.values() {
            for answer in repository.tags.values() {
                note(if let TagAnswer::Unknown(trouble) = answer { Some(trouble) } else { None });
            }
            for answer in repository.manifests.values() {
                note(if let ManifestAnswer::Unknown(trouble) = answer { Some(trouble) } else { None });
            }
            for answer in repository.blobs.values() {
                note(if let BlobAnswer::Unknown(trouble) = answer { Some(trouble) } else { None });
            }
        }
        failing && !others
    }
}
