//! What `registry garbage-collect` of 2.8 and 3.x would do to a registry, step by step as it does it
//! (`registry/storage/garbagecollect.go @ v2.8.3` and `@ v3.1.1`), without touching anything.
//!
//! Pure: a graph in, a [`Forecast`] out, and what that would cost. What a collector trips over that no audit needs to know
//! comes as [`Oddities`].

mod cost;
mod engine;
mod forecast;
mod mark;
mod report;
mod sweep;
mod visit_order;

use crate::graph::{Graph, Oddities};

pub use cost::{Break, Cost, LostRepair, cost};
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
/// What could not be read is passed over: where a graph has anything unread, the forecast is not to be relied on.
pub fn forecast(graph: &Graph, oddities: &Oddities, engine: Engine, untagged: UntaggedManifests) -> Forecast {
    match mark::mark(graph, oddities, engine, untagged == UntaggedManifests::Delete) {
        Ok(marked) => sweep::sweep(graph, oddities, engine, marked),
        Err(abort) => Forecast { would_abort: Some(abort), ..Forecast::default() },
    }
}
