//! The forecast as JSON: `registry-fsck/gc-preview/1`. Absent fields are left out, never null.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cost::{Cost, LostRepair, NewlyBrokenTag};
use super::engine::Engine;
use super::forecast::{Abort, During, Forecast};
use crate::audit::{Code, SharedTags, UnreadPath};
use crate::graph::Graph;
use crate::oci::Digest;

/// The schema of [`ForecastReport`].
pub const SCHEMA: &str = "registry-fsck/gc-preview/1";

/// What a collector would do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForecastReport {
    /// [`SCHEMA`].
    pub schema: String,
    /// The subcommand.
    #[cfg_attr(feature = "schema", schemars(extend("const" = "gc-preview")))]
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
    /// Which collector.
    pub engine: Engine,
    /// Whether with `--delete-untagged`.
    pub delete_untagged: bool,
    /// Where it would stop; one for each registry in which it would. Left out when it would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_abort: Option<AbortLine>,
    /// Where it would stop in further registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_abort_too: Vec<AbortLine>,
    /// Revision links to be deleted.
    pub manifests: Vec<ManifestLine>,
    /// Blobs to be deleted.
    pub blobs: Vec<BlobLine>,
    /// Layer links to be deleted (3.x).
    pub layer_links: Vec<LayerLine>,
    /// Tags that are whole now and broken after.
    pub breaks: Vec<TagLine>,
    /// What a finding with a repair still needs.
    pub loses: Vec<LossLine>,
    /// What could not be read: then nothing above is to be relied on.
    pub unread: Vec<UnreadPath>,
    /// Counts.
    pub summary: ForecastSummary,
}

/// Where a collector would stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AbortLine {
    /// The registry.
    pub source: Arc<str>,
    /// Below its `docker/registry/v2`.
    pub path: String,
    /// Why.
    pub why: String,
    /// `mark`: nothing is deleted. `sweep`: something is.
    pub during: During,
}

/// A revision link to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ManifestLine {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// The manifest.
    pub digest: Digest,
    /// Bytes of the manifest; they go only if it is among the blobs too.
    pub bytes: u64,
}

/// A blob to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlobLine {
    /// The registry.
    pub source: Arc<str>,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: u64,
}

/// A layer link to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LayerLine {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// What is linked.
    pub digest: Digest,
}

/// A tag that would be broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TagLine {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// The tag.
    pub tag: Arc<str>,
}

/// Damage that could not be mended any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LossLine {
    /// The registry.
    pub source: Arc<str>,
    /// The repository.
    pub repository: Arc<str>,
    /// Tags through which a client reaches it.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub tags: SharedTags,
    /// The digest that is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What is damaged.
    pub code: Code,
    /// What mending it needs and would be gone.
    pub needs: Vec<Digest>,
    /// Bytes of these.
    pub bytes: u64,
}

/// Counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForecastSummary {
    /// Revision links to be deleted.
    pub manifests: u64,
    /// Blobs to be deleted.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Layer links to be deleted.
    pub layer_links: u64,
    /// Entries of tag histories to be deleted.
    pub history_entries: u64,
    /// Tags that are whole now and broken after.
    pub breaks: u64,
    /// Findings that could not be mended any more.
    pub loses: u64,
}

impl ForecastReport {
    /// Adds what would be deleted in one registry. `graph` is that before the collection.
    pub fn add(&mut self, graph: &Graph, source: &Arc<str>, forecast: &Forecast) {
        let size = |node| graph.blob(node).size;
        let name = |at: u32| -> Arc<str> { (&*graph.repositories[at as usize].name).into() };
        if let Some(abort) = &forecast.would_abort {
            let Abort { path, why, during } = abort.clone();
            let line = AbortLine { source: Arc::clone(source), path, why, during };
            match &self.would_abort {
                None => self.would_abort = Some(line),
                Some(_) => self.would_abort_too.push(line),
            }
        }
        let mut manifests: Vec<ManifestLine> = forecast
            .manifests
            .iter()
            .map(|(at, node)| ManifestLine {
                source: Arc::clone(source),
                repository: name(*at),
                digest: graph.digest(*node),
                bytes: size(*node),
            })
            .collect();
        manifests.sort_by(|a, b| (&a.repository, a.digest).cmp(&(&b.repository, b.digest)));
        let mut blobs: Vec<BlobLine> = forecast
            .blobs
            .iter()
            .map(|node| BlobLine {
                source: Arc::clone(source),
                digest: graph.digest(*node),
                bytes: size(*node),
            })
            .collect();
        blobs.sort_by_key(|blob| blob.digest);
        let mut layer_links: Vec<LayerLine> = forecast
            .layer_links
            .iter()
            .map(|(at, node)| LayerLine {
                source: Arc::clone(source),
                repository: name(*at),
                digest: graph.digest(*node),
            })
            .collect();
        layer_links.sort_by(|a, b| (&a.repository, a.digest).cmp(&(&b.repository, b.digest)));
        let sum = &mut self.summary;
        sum.manifests += manifests.len() as u64;
        sum.blobs += blobs.len() as u64;
        sum.bytes += blobs.iter().map(|blob| blob.bytes).sum::<u64>();
        sum.layer_links += layer_links.len() as u64;
        sum.history_entries += forecast.history.len() as u64;
        self.manifests.append(&mut manifests);
        self.blobs.append(&mut blobs);
        self.layer_links.append(&mut layer_links);
    }

    /// Adds the cost of the collection of one registry.
    pub fn add_cost(&mut self, source: &Arc<str>, cost: Cost) {
        self.summary.breaks += cost.breaks.len() as u64;
        self.summary.loses += cost.loses.len() as u64;
        for NewlyBrokenTag { repository, tag } in cost.breaks {
            self.breaks.push(TagLine { source: Arc::clone(source), repository, tag });
        }
        for LostRepair { code, repository, tags, digest, needs, bytes } in cost.loses {
            let source = Arc::clone(source);
            self.loses.push(LossLine { source, repository, tags, digest, code, needs, bytes });
        }
    }
}
