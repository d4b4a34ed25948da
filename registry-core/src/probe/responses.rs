//! The answers of a registry, by repository. A walk fills them in; `judge` judges them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::graph::Content;
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest, Platform};

/// The answers of one registry.
#[derive(Debug, Default)]
pub struct Responses {
    /// Its repositories, by name.
    pub repositories: BTreeMap<String, RepositoryResponses>,
    /// Lists that could not be read, as path and reason.
    pub unread: Vec<(String, String)>,
    /// Illegal names in lists, which nobody can ask for, by path of the list.
    pub strays: BTreeMap<String, Vec<String>>,
}

/// The answers about one repository.
#[derive(Debug, Default)]
pub struct RepositoryResponses {
    /// Number of tags in its list.
    pub listed: u64,
    /// Tags that were asked for.
    pub tags: BTreeMap<String, TagAnswer>,
    /// Manifests that were asked for.
    pub manifests: HashMap<Digest, ManifestAnswer>,
    /// Configs and layers that were asked for.
    pub blobs: HashMap<Digest, BlobAnswer>,
    /// Platforms of the configs that were read; `None` for a config that names none.
    pub platforms: HashMap<Digest, Option<Platform>>,
}

impl RepositoryResponses {
    /// The manifest with this digest, if it answers.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<&Arc<AnsweredManifest>> {
        self.manifests.get(digest).and_then(ManifestAnswer::manifest)
    }

    /// All manifests that answer.
    pub(super) fn present(&self) -> impl Iterator<Item = &Arc<AnsweredManifest>> {
        self.manifests.values().filter_map(ManifestAnswer::manifest)
    }
}

/// Why it is not known whether an object exists.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyUnknown {
    /// A status of 500 or more, on every try.
    Server(u16),
    /// The credentials do not allow it.
    Forbidden(u16),
    /// No connection, or no complete answer in time.
    Silent(String),
    /// An answer that the API does not define.
    Odd(String),
    /// The budget of the run was spent before.
    NotAsked,
    /// The run gave up before, because the registry no longer answered.
    GaveUp,
}

impl fmt::Display for WhyUnknown {
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
    /// It was deleted between list and read, which is no damage.
    Vanished,
    /// It is not known.
    Unknown(WhyUnknown),
}

/// The answer to a manifest.
#[derive(Debug, Clone)]
pub enum ManifestAnswer {
    /// 200, with a manifest.
    Present(Arc<AnsweredManifest>),
    /// 404, in the words of a registry.
    Absent,
    /// 200, with bytes that hash to this.
    WrongBytes(Digest),
    /// It is not known.
    Unknown(WhyUnknown),
}

impl ManifestAnswer {
    /// The manifest, if it answers.
    pub(super) const fn manifest(&self) -> Option<&Arc<AnsweredManifest>> {
        if let Self::Present(manifest) = self { Some(manifest) } else { None }
    }
}

/// A manifest as a registry sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredManifest {
    /// Its kind and references.
    pub manifest: Manifest,
    /// Media type as the server gives it, without parameters.
    pub media_type: Box<str>,
    /// Size in bytes.
    pub bytes: u64,
    /// Whether its bytes are JSON at all.
    pub is_json: bool,
}

impl AnsweredManifest {
    /// Reads the bytes of a manifest.
    pub fn read(media_type: &str, bytes: &[u8]) -> Self {
        let manifest = Manifest::parse(bytes);
        let is_json =
            manifest.refusal().is_none() || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().into();
        Self { manifest, media_type, bytes: bytes.len() as u64, is_json }
    }

    /// The children that the registry must have, each with the index of its reference.
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
    /// It exists.
    Present {
        /// Its size in bytes, if the server tells.
        size: Option<u64>,
        /// Whether its bytes were hashed, and hash to its digest.
        content: Content,
    },
    /// 404, in the words of a registry.
    Absent,
    /// It is not known.
    Unknown(WhyUnknown),
}

impl Responses {
    /// Whether every object that was asked for answers 500 or more. Then the registry itself is out of order, and nothing is
    /// known of its objects.
    pub fn is_out_of_order(&self) -> bool {
        let (mut failing, mut others) = (false, false);
        let mut note = |trouble: Option<&WhyUnknown>| match trouble {
            Some(WhyUnknown::Server(_)) => failing = true,
            Some(WhyUnknown::NotAsked | WhyUnknown::GaveUp | WhyUnknown::Silent(_)) => {}
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
