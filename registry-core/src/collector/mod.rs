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

pub use cost::{Break, Cost, LostRepair, cost};
pub use engine::Engine;
pub use forecast::{Abort, During, Forecast};
#[cfg(test)]
pub(crate) use mark::{CollectorView, LinkStat};
pub use report::{
    AbortLine, BlobLine, ForecastReport, ForecastSummary, LayerLine, LossLine, ManifestLine, SCHEMA, TagLine,
};

/// What the collector would do; `delete_untagged` stands for its option `--delete-untagged`.
///
/// What could not be read is skipped: if anything in the graph is unread, the forecast cannot be relied on.
pub fn forecast(graph: &Graph, oddities: &Oddities, engine: Engine, delete_untagged: bool) -> Forecast {
    match mark::mark(graph, oddities, engine, delete_untagged) {
        Ok(marked) => sweep::sweep(graph, oddities, engine, marked),
        Err(abort) => Forecast { would_abort: Some(abort), ..Forecast::default() },
    }
}
