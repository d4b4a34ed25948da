//! Metrics of a run in the Prometheus text format.

use std::fmt::Write as _;
use std::path::Path;

use registry_cli::file;
use registry_cli::metrics::{EarlierMetrics, Group, Metrics, MetricsPlaces, write_gauge_header};
use registry_core::retention::{Action, ApplyResult, Plan, RowOutcome};
use registry_core::text::escape_os;

use crate::args::ServerArgs;
use crate::exit;

/// The figures of the metrics, summed over all owners.
#[derive(Debug, Default)]
pub struct Totals {
    kept: u64,
    deleted: u64,
    already_gone: u64,
    failed: u64,
    planned: u64,
    skipped: u64,
    refused: u64,
    broken: u64,
    reclaimable: u64,
    /// For each plan of an armed run: how many rows were to go, and how many are gone.
    effects: Vec<(u64, u64)>,
}

/// Most bytes of the metrics file of an earlier run.
const MAX_BYTES: u64 = 1 << 20;
const LAST_SUCCESS: &str = "registry_retention_last_success_timestamp_seconds";

impl Totals {
    /// Adds a plan. In an armed run, the metric `zero_effect` tells if nothing of it was deleted.
    pub fn add_plan(&mut self, plan: &Plan, is_armed: bool) {
        if is_armed {
            self.effects.push((plan.summary.versions_deleted, 0));
        }
        let rows = plan.packages.iter().flat_map(|package| &package.versions);
        self.kept += rows.filter(|row| row.action == Action::Keep).count() as u64;
        self.planned += plan.summary.versions_deleted;
        self.skipped += plan.summary.skipped_packages;
        self.refused += plan.summary.refused_packages;
        self.broken += plan.summary.broken;
        self.reclaimable += plan.summary.reclaimable_bytes;
    }

    /// Adds the result of the plan with this number, in the order of [`Self::add_plan`], from 0.
    pub fn add_applied(&mut self, number: usize, applied: &ApplyResult) {
        let deleted = applied.count(RowOutcome::Deleted) as u64;
        let already_gone = applied.count(RowOutcome::AlreadyGone) as u64;
        if let Some((_, done)) = self.effects.get_mut(number) {
            // A row that was gone before the run is neither a deletion nor a failure.
            *done += deleted + already_gone;
        }
        self.deleted += deleted;
        self.already_gone += already_gone;
        self.failed += applied.count(RowOutcome::Failed) as u64;
    }

    fn render(&self, success: Option<&str>) -> String {
        // By owner: the deletions of one owner must not hide that another has none.
        let zero_effect = self.effects.iter().any(|(planned, done)| *planned > 0 && *done == 0);
        let metrics = [
            ("versions_kept", "Rows that the policy keeps; what is left as it is does not count.", self.kept),
            ("versions_deleted", "Rows that the server confirmed gone.", self.deleted),
            ("versions_already_gone", "Rows that were gone before the run asked.", self.already_gone),
            ("versions_failed", "Rows that could not be deleted.", self.failed),
            ("skipped_packages", "Packages whose graph could not be read.", self.skipped),
            ("refused_packages", "Packages in which a guard refused.", self.refused),
            ("broken_images", "Tags of images that do not answer down to the leaves.", self.broken),
            ("planned_deletions", "Rows that the plan lets go.", self.planned),
            (
                "zero_effect",
                "Whether deletions were to be done for an owner and none succeeded.",
                u64::from(zero_effect),
            ),
            ("reclaimable_bytes", "Bytes that only what goes needs.", self.reclaimable),
        ];
        let mut out = String::new();
        for (name, help, value) in metrics {
            // Writing to a string cannot fail.
            let name = format!("registry_retention_{name}");
            write_gauge_header(&mut out, &name, help);
            let _ = writeln!(out, "{name} {value}");
        }
        if let Some(value) = success {
            write_gauge_header(&mut out, LAST_SUCCESS, "When a run last ended well.");
            let _ = writeln!(out, "{LAST_SUCCESS} {value}");
        }
        out
    }
}

/// The metrics of a run that ends with `status`. After a failure, the time of the last success is copied from the file of the
/// earlier run; a Pushgateway keeps it by itself.
pub fn run_metrics(places: &MetricsPlaces, server: &ServerArgs, totals: &Totals, status: u8) -> Metrics {
    let success = if matches!(status, exit::DONE | exit::PENDING) {
        Some(jiff::Timestamp::now().as_second().to_string())
    } else {
        places.metrics_file.as_deref().and_then(last_success)
    };
    let text = totals.render(success.as_deref());
    let group = Group { labels: labels(server), text: text.clone() };
    Metrics { job: env!("CARGO_PKG_NAME"), text, groups: vec![group], earlier: EarlierMetrics::Kept }
}

/// The time of the last success in the metrics file of an earlier run.
fn last_success(path: &Path) -> Option<String> {
    let text = file::read_text(path, MAX_BYTES).ok()?;
    text.lines().find_map(|line| line.strip_prefix(LAST_SUCCESS)).map(|value| value.trim().to_owned())
}

/// The labels of the grouping key: the server or tree, and the owners.
fn labels(server: &ServerArgs) -> Vec<(&'static str, String)> {
    let layout = server.layout.as_deref().map(|root| escape_os(root.as_os_str()));
    let instance = layout.or_else(|| server.registry.clone()).or_else(|| server.forgejo.clone());
    let mut labels = vec![("instance", without_credentials(&instance.unwrap_or_default()))];
    if !server.owner.is_empty() {
        labels.push(("owner", server.owner.join(",")));
    }
    labels
}

/// An address without credentials. An address with credentials is refused, but the metrics of that failure are pushed.
fn without_credentials(address: &str) -> String {
    match address.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, host)) => format!("{scheme}://{host}"),
        None => address.trim_end_matches('/').to_owned(),
    }
}
