//! One finding: one damage or oddity, as data. The programs render it.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::code::{Code, Severity};
use crate::oci::Digest;

/// What a local repair would do about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Write the missing link: the bytes are here and hash right.
    Relink,
    /// Write the link anew: the bytes are here and hash right.
    Rewrite,
    /// Set the tag to the one entry of its history that still resolves.
    Restore,
    /// Write the layer links that the repository's manifests need.
    Rebuild,
    /// Move the wrong bytes out of the way, so that the next push can heal them.
    Quarantine,
    /// Move the stray entry out of the way.
    MoveAside,
    /// Remove the leftover.
    Remove,
    /// Move the state of a cache's scheduler out of the way, and leave an empty one in the place of a file.
    Reset,
}

/// How a damage probably came about, where that decides what should become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// Somebody deleted the tag's own manifest through the API, and the tag stayed: mending it would bring back what was to go.
    ProbablyDeleted,
}

/// Tags of one repository; findings with the same tags share one list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedTags(Arc<[Arc<str>]>);

impl SharedTags {
    /// Takes tags in their final order.
    pub fn new(tags: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self(tags.into_iter().collect())
    }
}

impl Deref for SharedTags {
    type Target = [Arc<str>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Serialize for SharedTags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|tag| &**tag))
    }
}

impl<'de> Deserialize<'de> for SharedTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(Vec::<String>::deserialize(deserializer)?.into_iter().map(Arc::from)))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SharedTags {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tags".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<String>::json_schema(generator)
    }
}

/// One damage or oddity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The registry: the name of its source.
    pub source: Arc<str>,
    /// The repository, if it lies in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<Arc<str>>,
    /// All tags through which a client reaches it.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub tags: SharedTags,
    /// The digest that is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The manifest whose reference does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Digest>,
    /// The platform that the parent gives the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Where it lies, below the registry's `docker/registry/v2`; over HTTP the address that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong, as a lower-case fragment for a person.
    pub message: String,
    /// What a local repair would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
    /// How it probably came about, where that decides what should become of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Whether an earlier report lacks it; absent when none was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<bool>,
}

impl Finding {
    /// Findings of two reports with the same identity are the same finding: everything counts but wording, tags and repair.
    pub fn identity(&self) -> impl Ord + std::hash::Hash + '_ {
        // Missing platforms of one image share a path; for every other code the platform is only wording.
        let platform = self.platform.as_deref().filter(|_| self.code == Code::PlatformMissing);
        let place = (self.digest, self.parent, self.path.as_deref(), platform);
        (&*self.source, self.code, self.repository.as_deref(), place)
    }

    /// The order of a report: source, repository, tag, digest, code; then parent, path and message.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        let rest = (self.parent, self.path.as_deref(), &*self.message);
        (&*self.source, self.repository.as_deref(), self.tags.first(), self.digest, self.code, rest)
    }
}
