//! An inventory as a file (schema `registry-retention/inventory/1`): the rows and the bytes of manifests that a source read.
//! The same plan can be made from it again.

use std::collections::{BTreeMap, BTreeSet};

use base64::engine::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copied::CopiedTimes;
#[cfg(any(feature = "remote", feature = "storage"))]
use super::follow::followed_digest;
use super::other_packages::{OtherPackages, UnselectedPackages};
use super::package::{Package, Restored, Row};
use super::source::Source;
use crate::oci::manifest::Kind;
#[cfg(any(feature = "remote", feature = "storage"))]
use crate::oci::manifest::ReferenceRole;
use crate::oci::{Digest, Manifest};

/// The schema of an inventory.
pub const SCHEMA: &str = "registry-retention/inventory/1";

/// What a source read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it was read.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub recorded_at: Timestamp,
    /// Where from.
    pub source: Source,
    /// Packages by name.
    pub packages: Vec<RecordedPackage>,
}

/// A package as a source read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordedPackage {
    /// Its name, without the owner.
    pub name: String,
    /// Why its listing could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Rows of its listing.
    pub versions: Vec<RecordedVersion>,
    /// Rows that an undo put back, by version; their push time is that of the row at first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub restored: BTreeMap<String, Restored>,
    /// The manifests that were asked for, by digest.
    pub manifests: BTreeMap<Digest, RecordedManifest>,
    /// Signs that a copy made the times of its tags.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copied: Option<CopiedTimes>,
    /// Which other packages have the digests that tags of this one are named after and that it does not have itself. A digest
    /// that is missing here was looked for in none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub elsewhere: BTreeMap<Digest, OtherPackages>,
    /// Where packages that were not selected list or name its digests; left out where all were selected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unselected: Option<UnselectedPackages>,
    /// Absent manifests whose bytes are in the tree on disk, so that only their link is missing. They explain a decision and do
    /// not change it, and no file holds them.
    #[serde(skip)]
    pub unlinked: BTreeSet<Digest>,
}

/// A row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordedVersion {
    /// The tag, or the digest.
    pub version: String,
    /// The server's number for this row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u64>,
    /// When it was pushed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub created_at: Option<Timestamp>,
    /// The digest that a tag names; left out where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// The answer to a manifest that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum RecordedManifest {
    /// It answers.
    Present {
        /// Media type as the server gives it.
        media_type: String,
        /// Its bytes; in the file as base64.
        #[serde(with = "base64_text")]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::base64"))]
        data: Vec<u8>,
        /// When its config, or else an annotation, says that it was built, where that was asked for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        built_at: Option<Timestamp>,
    },
    /// A schema 1 manifest, which the server signs anew at each answer: it answers, and its bytes are not those of its digest.
    Schema1 {
        /// Its media type as the server gives it.
        media_type: String,
        /// Its bytes as they were sent.
        #[serde(with = "base64_text")]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::base64"))]
        data: Vec<u8>,
    },
    /// The server says that it is not there.
    Absent,
    /// It could not be read, and why.
    Unknown(String),
}

impl RecordedManifest {
    /// A manifest that answers with these bytes.
    pub fn present(media_type: &str, bytes: &[u8]) -> Self {
        Self::Present { media_type: media_type.to_owned(), data: bytes.to_owned(), built_at: None }
    }

    /// Its bytes, if it was read and they can be checked.
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Self::Present { data, .. } = self { Some(data) } else { None }
    }

    /// The manifests that it names as children; none when its bytes are not known.
    #[cfg(any(feature = "remote", feature = "storage"))]
    pub(super) fn children(&self) -> impl Iterator<Item = Digest> {
        self.bytes().into_iter().flat_map(child_digests)
    }
}

/// The children that the bytes of a manifest name.
#[cfg(any(feature = "remote", feature = "storage"))]
pub(super) fn child_digests(manifest: &[u8]) -> impl Iterator<Item = Digest> + use<> {
    let references = Manifest::parse(manifest).references.into_iter();
    let children = references.filter(|reference| reference.role == ReferenceRole::Child);
    children.filter_map(|child| child.descriptor.digest)
}

/// The config that the bytes of a manifest name: `None` when it names none, `Some(None)` when its digest cannot be read.
#[cfg(any(feature = "remote", feature = "storage"))]
pub(super) fn config_digest(manifest: &[u8]) -> Option<Option<Digest>> {
    let mut references = Manifest::parse(manifest).references.into_iter();
    let config = references.find(|reference| reference.role == ReferenceRole::Config)?;
    Some(config.descriptor.digest)
}

/// Bytes as base64 text.
mod base64_text {
    use super::{Deserialize, Engine as _, STANDARD};

    pub(super) fn serialize<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(|_| serde::de::Error::custom("it is no base64"))
    }
}

/// Why a file is no inventory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It does not have the fields of the schema.
    #[error("it is no inventory")]
    Shape(#[from] serde_json::Error),
    /// It is another kind of file, or an inventory of another version.
    #[error("its schema is {0:?}, and {SCHEMA:?} is needed")]
    Schema(String),
}

impl Record {
    /// Reads a recorded inventory.
    ///
    /// # Errors
    /// When the text is no inventory.
    pub fn read(text: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        match serde_json::from_str::<Self>(text) {
            Ok(record) if record.schema == SCHEMA => Ok(record),
            // A wrong schema explains every other error, so it is reported first.
            read => match serde_json::from_str::<Head>(text) {
                Ok(head) if head.schema != SCHEMA => {
                    Err(RecordError::Schema(crate::text::escape(&head.schema)))
                }
                _ => Ok(read?),
            },
        }
    }

    /// The packages with their graphs, each built when the iterator comes to it. A manifest whose bytes do not hash to its
    /// digest is unknown.
    pub fn packages(&self) -> impl Iterator<Item = Package> {
        self.packages.iter().map(RecordedPackage::package)
    }
}

impl RecordedPackage {
    /// The digests that its tags are named after and that it does not have.
    #[cfg(any(feature = "remote", feature = "storage"))]
    pub(super) fn missing_subjects(&self) -> BTreeSet<Digest> {
        let subjects = self.versions.iter().filter_map(|row| followed_digest(&row.version));
        subjects.filter(|digest| self.manifests.get(digest) == Some(&RecordedManifest::Absent)).collect()
    }

    /// The package with its graph.
    pub fn package(&self) -> Package {
        let mut package = Package::new(&self.name);
        package.unreadable.clone_from(&self.error);
        package.copied.clone_from(&self.copied);
        package.elsewhere.clone_from(&self.elsewhere);
        package.unselected.clone_from(&self.unselected);
        for (digest, recorded) in &self.manifests {
            let manifest = package.intern(digest);
            match recorded {
                RecordedManifest::Absent => package.set_absent(manifest),
                RecordedManifest::Unknown(why) => package.set_unknown(manifest, why.as_str()),
                RecordedManifest::Schema1 { media_type, data } => {
                    if Manifest::parse(data).kind == Kind::Schema1 {
                        package.set_signed_anew(manifest, media_type, data);
                    } else {
                        package.set_unknown(manifest, "its bytes are no schema 1 manifest");
                    }
                }
                RecordedManifest::Present { media_type, data, built_at } => {
                    if Digest::hash(digest.algorithm(), data) == *digest {
                        package.set_bytes(manifest, media_type, data);
                        package.set_built_at(manifest, *built_at);
                    } else {
                        package.set_unknown(manifest, "its bytes do not hash to its digest");
                    }
                }
            }
        }
        for row in &self.versions {
            // A row whose version is a digest names that digest.
            let digest = row.digest.or_else(|| row.version.parse().ok());
            let manifest = digest.map(|digest| package.intern(&digest));
            package.rows.push(Row {
                version: row.version.as_str().into(),
                id: row.id,
                created_at: row.created_at,
                manifest,
            });
        }
        for manifest in self.unlinked.iter().filter_map(|digest| package.find(digest)).collect::<Vec<_>>() {
            package.set_unlinked(manifest);
        }
        for (version, restored) in &self.restored {
            package.set_restored(version, *restored);
        }
        package.seal();
        package
    }
}
