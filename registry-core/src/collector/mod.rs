//! Simulates `registry garbage-collect` of 2.8 and 3.x step by step (`registry/storage/garbagecollect.go @ v2.8.3` and `@ v3.1.1`),
//! without touching anything.
//!
//! It is pure: a graph gives a [`Forecast`], and the forecast a [`Cost`]. What only a collector stumbles over, and no audit needs, is
//! in [`Oddities`].

mod cost;
mod engine;
mod forecast;
mod mark;
mod report;
mod sweep;
mod visit_order;

use crate::graph::{Graph, Oddities};

pub use cost::{Cost, LostRepair, NewlyBrokenTag, cost};
pub use engine::Engine;
pub use forecast::{Abort, During, Forecast};
#[cfg(test)]
pub(crate) use mark::{CollectorView, LinkStat};
pub use report::{
    AbortLine, BlobLine, ForecastReport, ForecastSummary, LayerLine, LossLine, ManifestLine, SCHEMA, TagLine,
};

/// What a collector does with manifests that no tag reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UntaggedManifests {
    /// It keeps them, with all that they reference.
    #[default]
    Keep,
    /// It deletes them: `--delete-untagged`.
    Delete,
}

/// What the collector would do.
///
/// What could not be read is skipped: if anything in the graph is unread, the forecast cannot be relied on.
pub fn forecast(graph: &Graph, oddities: &Oddities, engine: Engine, untagged: UntaggedManifests) -> Forecast {
    match mark::mark(graph, oddities, engine, untagged == UntaggedManifests::Delete) {
        Ok(marked) => sweep::sweep(graph, oddities, engine, marked),
        Err(abort) => Forecast { would_abort: Some(abort), ..Forecast::default() },
    }
}
