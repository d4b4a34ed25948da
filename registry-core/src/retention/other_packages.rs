//! What a decision on one package needs to know about the other packages of a source. This file decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::oci::Digest;

/// Which other packages of a source have a digest. With neither field, all were asked and none has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OtherPackages {
    /// Names of packages that have it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packages: Vec<String>,
    /// Why it may be in others that could not be asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unread: Option<String>,
}

/// Where packages that were not selected list or name the digests of a selected one. This matters because Forgejo's own
/// collector reads all packages together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnselectedPackages {
    /// Digests of this package that they list, or name in an index that was read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub shared: BTreeMap<Digest, SharedDigests>,
    /// How many of these packages have tags that were not read, so that the digests that these name are unknown.
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
