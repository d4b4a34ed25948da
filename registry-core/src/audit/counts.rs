//! The counts of a report: garbage, tags that were judged, findings by severity.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Blobs that nothing references: any collection frees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unreferenced {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Manifests that no tag reaches, and the blobs that only they reach: an untagged collection frees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Untagged {
    /// How many revision links.
    pub manifests: u64,
    /// How many blobs, the manifests' own included.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What nothing references any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Garbage {
    /// Reached by no manifest.
    pub unreferenced: Unreferenced,
    /// Reached by untagged manifests only.
    pub untagged: Untagged,
    /// Layer links that no manifest of their repository needs, dangling ones included.
    pub layer_links: u64,
    /// Uploads that nobody finishes any more.
    pub stale_uploads: u64,
    /// Their bytes.
    pub stale_upload_bytes: u64,
}

impl Garbage {
    /// Adds another registry's.
    pub fn add(&mut self, other: &Self) {
        self.unreferenced.blobs += other.unreferenced.blobs;
        self.unreferenced.bytes += other.unreferenced.bytes;
        self.untagged.manifests += other.untagged.manifests;
        self.untagged.blobs += other.untagged.blobs;
        self.untagged.bytes += other.untagged.bytes;
        self.layer_links += other.layer_links;
        self.stale_uploads += other.stale_uploads;
        self.stale_upload_bytes += other.stale_upload_bytes;
    }
}

/// How many tags were judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coverage {
    /// Tags there are.
    pub tags_total: u64,
    /// Tags judged whole or broken.
    pub tags_checked: u64,
    /// References in use that were not asked for: on other registries, or of no repository; left out where no list was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<u64>,
    /// Tags that were looked at; the others were not chosen, or vanished meanwhile.
    #[serde(skip)]
    pub tags_covered: u64,
    /// Of all tags there are, when the one was judged that was not judged longest; left out offline, and while some
    /// never were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub oldest_check: Option<Timestamp>,
    /// Tags that no run has judged so far; left out offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_checked: Option<u64>,
    /// Tags that no run will judge, by what was chosen; left out when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_chosen: Option<u64>,
    /// By when every tag will have been judged from now on, at the pace of the last runs; left out while that cannot be
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub complete_by: Option<Timestamp>,
    /// Requests sent; left out offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
}

/// Counts of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AuditSummary {
    /// Findings of severity error.
    pub errors: u64,
    /// Findings of severity warning, and ignore entries that are one.
    pub warnings: u64,
    /// Findings of severity info.
    pub infos: u64,
    /// Tags that cannot be pulled whole.
    pub broken_tags: u64,
    /// Tags of which that is not known.
    pub unknown_tags: u64,
    /// Findings of the baseline that are gone.
    pub resolved: u64,
}
