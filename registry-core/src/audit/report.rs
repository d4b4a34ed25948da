//! The report of an audit, in JSON `registry-fsck/report/1`. Absent fields are left out, never null.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::code::{Code, Severity};
use super::counts::{AuditSummary, Coverage, Garbage};
use super::finding::Finding;

/// The schema that this version writes and reads.
pub const SCHEMA: &str = "registry-fsck/report/1";

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The subcommand.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["scan", "probe", "verify"])))]
    pub command: String,
    /// Version of the tool.
    pub version: String,
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// The process's exit status.
    pub exit_status: u8,
    /// How it was asked.
    pub options: ReportOptions,
    /// What was looked at, ordered by name.
    pub sources: Vec<AuditedSource>,
    /// What was found, ordered by source, repository, tag, digest, code.
    pub findings: Vec<Finding>,
    /// Tags that cannot be pulled whole.
    pub broken_tags: Vec<BrokenTag>,
    /// Tags of which that is not known.
    pub unknown_tags: Vec<UnknownTag>,
    /// What could not be read.
    pub unread: Vec<UnreadPath>,
    /// What nothing references any more; left out when it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<Garbage>,
    /// How many tags were judged.
    pub coverage: Coverage,
    /// Findings of the baseline that are gone; left out without a baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Vec<Finding>>,
    /// What was set aside by the ignore file; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignored: Option<Vec<IgnoreUse>>,
    /// Counts.
    pub summary: AuditSummary,
}

/// How an audit was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportOptions {
    /// Every byte was hashed.
    pub content: bool,
    /// Leaf folders were opened too.
    pub strict: bool,
    /// Younger than this, what no tag reaches is a push under way. Seconds.
    pub min_age_seconds: u64,
    /// Repositories looked at; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Repositories whose children may be absent on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse: Vec<String>,
    /// Platforms that every image must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_platforms: Vec<String>,
    /// What an online audit was asked besides; left out offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<OnlineOptions>,
}

/// How an online audit was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OnlineOptions {
    /// `manifests`, `blobs` or `content`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["manifests", "blobs", "content"])))]
    pub depth: String,
    /// Newest tags of each repository that every run asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<u64>,
    /// Percent of the other tags that a run asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_percent: Option<f64>,
    /// Most requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_requests: Option<u64>,
    /// Most time, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_seconds: Option<u64>,
    /// After so many seconds a config or layer that was there is asked for again.
    pub recheck_after_seconds: u64,
}

/// What kind of place was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AuditedKind {
    /// A registry:2 tree on disk.
    Tree,
    /// A registry asked over HTTP.
    Registry,
}

/// Whether a registry is the home of its images or a cache of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RegistryRole {
    /// Images are pushed here: what is absent is lost.
    Primary,
    /// A pull-through cache: what is absent was not fetched, or has expired.
    Cache,
}

/// One registry that was looked at. Counts are of what could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct AuditedSource {
    /// What kind of place it is.
    pub kind: AuditedKind,
    /// Path or URL.
    pub name: Arc<str>,
    /// Home or cache.
    pub role: RegistryRole,
    /// Whether everything could be read.
    pub complete: bool,
    /// Repositories of legal name.
    pub repositories: u64,
    /// Tags in them.
    pub tags: u64,
    /// Revision links.
    pub manifests: u64,
    /// Of these, image indexes and manifest lists.
    pub indexes: u64,
    /// Layer links.
    pub layer_links: u64,
    /// Blobs, the manifests' own included.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Uploads, under way or left behind.
    pub uploads: u64,
}

/// A tag that cannot be pulled whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BrokenTag {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
    /// Why: indexes into the report's findings.
    pub findings: Vec<usize>,
}

/// A tag of which it is not known whether it can be pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnknownTag {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
    /// What could not be read.
    pub reason: String,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnreadPath {
    /// The registry, or the path that was given.
    pub source: Arc<str>,
    /// Where, below the registry's `docker/registry/v2`, `.` for the whole; over HTTP the address that was asked.
    pub path: String,
    /// Why.
    pub error: String,
}

/// An entry of the ignore file, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IgnoreUse {
    /// The code it names.
    pub code: Code,
    /// The repositories it names.
    pub repository: String,
    /// Why, in the words of whoever wrote it.
    pub reason: String,
    /// Last day on which it counts.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::date"))]
    pub expires: jiff::civil::Date,
    /// How many findings it set aside.
    pub matched: u64,
    /// Why it is a warning: nothing matched it, or it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Report {
    /// Adds a finding that breaks the tags it names, and keeps the report sorted.
    pub fn add_finding(&mut self, finding: Finding) {
        let at = self.findings.partition_point(|other| other.order() <= finding.order());
        let numbers = self.broken_tags.iter_mut().flat_map(|tag| &mut tag.findings);
        numbers.filter(|number| **number >= at).for_each(|number| *number += 1);
        let repository = finding.repository.clone().unwrap_or_else(|| "".into());
        for tag in finding.tags.iter() {
            let name = (&finding.source, &repository, tag);
            self.unknown_tags.retain(|one| (&one.source, &one.repository, &one.tag) != name);
            let found =
                self.broken_tags.binary_search_by(|one| (&one.source, &one.repository, &one.tag).cmp(&name));
            match found {
                Ok(found) => {
                    self.broken_tags[found].findings.push(at);
                    self.broken_tags[found].findings.sort_unstable();
                }
                Err(index) => {
                    let (source, repository, tag) = (name.0.clone(), name.1.clone(), name.2.clone());
                    self.broken_tags.insert(index, BrokenTag { source, repository, tag, findings: vec![at] });
                }
            }
        }
        self.findings.insert(at, finding);
    }

    /// Computes the summary, and the number of tags checked, from the rest of the report.
    pub fn update_summary(&mut self) {
        let count =
            |severity| self.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
        let stale = self.ignored.iter().flatten().filter(|entry| entry.warning.is_some()).count() as u64;
        self.summary = AuditSummary {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning) + stale,
            infos: count(Severity::Info),
            broken_tags: self.broken_tags.len() as u64,
            unknown_tags: self.unknown_tags.len() as u64,
            resolved: self.resolved.as_ref().map_or(0, Vec::len) as u64,
        };
        self.coverage.tags_checked = self.coverage.tags_covered.saturating_sub(self.summary.unknown_tags);
    }
}
