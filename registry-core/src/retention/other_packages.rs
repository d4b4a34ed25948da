//! What a decision on one package needs to know about the other packages of a source. This file decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// What the other packages of a source answer to a digest. With neither field, all were asked and none has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// Names of packages that have it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packages: Vec<String>,
    /// Why it may be in others that could not be asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unread: Option<String>,
}

/// What packages that were not selected have to do with the digests that a selected one lists: Forgejo's own collector reads
/// all packages together. Decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unselected {
    /// Digests of this package that they list, or name in an index that was read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub shared: BTreeMap<Digest, SharedDigests>,
    /// How many of them have tags that were not read, so that what these name is not known.
    #[serde(default)]
    pub unread: u64,
}

/// Where a digest occurs in packages that were not selected: the server's numbers of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SharedDigests {
    /// Rows of the digest.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rows: Vec<u64>,
    /// Tags of indexes that name it, as often as they do.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub named_by: Vec<u64>,
}
