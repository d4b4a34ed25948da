//! The command `gc-preview`: scan, forecast, say what it would cost. What a collector does is registry-core's matter.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_core::audit::{self, AuditOptions, UnreadPath};
use registry_core::collector::{self, Engine, ForecastReport, ForecastSummary, SCHEMA, UntaggedManifests};
use registry_core::storage::{Located, OpenOptions, ScanOptions, ScanProgress, Tree};
use registry_core::text::escape_os;

use crate::args::{EngineArg, GcPreviewArgs};
use crate::exit::{self, Failure};
use crate::role::{self, RoleRule};
use crate::scan::Roots;
use crate::{interrupt, log, render, scan};

/// Forecasts, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the answer cannot be written.
pub fn run(args: &GcPreviewArgs) -> Result<u8, Failure> {
    let (started, started_at) = (Instant::now(), Timestamp::now());
    refuse(args)?;
    let rule = RoleRule::from_args(&args.judging)?;
    let options = scan::judging(&args.judging, false, started_at).map_err(Failure::Usage)?;
    let progress = Arc::new(ScanProgress::default());
    let far = Arc::clone(&progress);
    interrupt::watch(move || format!("{}, after {} files", far.phase().describe(), far.files()));
    let far = Arc::clone(&progress);
    let line = args.common.progress_line(move |elapsed| scan::message(&far, elapsed));
    let mut report = empty(args, started_at);
    let Roots { registries, refused } =
        scan::roots(&args.roots, scan::symlinks(args.follow_symlinks), &mut report.unread)?;
    role::refuse_several(&args.judging, &registries)?;
    for located in &registries {
        let options = AuditOptions { role: rule.role(located), ..options.clone() };
        add_forecast(args, located, &options, &progress, &mut report);
    }
    drop(line);
    log::unread_inside(&args.common, &report.unread);
    report.duration_seconds = started.elapsed().as_secs_f64();
    report.exit_status = status(&report) | refused;
    render::forecast(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

/// Refuses common options that mean nothing here.
fn refuse(args: &GcPreviewArgs) -> Result<(), Failure> {
    let why = if !args.common.repository.is_empty() {
        "--repository cannot go with gc-preview: a collector goes through all repositories, and what one needs keeps another's blobs"
    } else if args.common.metrics.are_wanted() {
        "gc-preview writes no metrics: those of scan tell of the same registry"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(anyhow!(why)))
}

fn empty(args: &GcPreviewArgs, started_at: Timestamp) -> ForecastReport {
    ForecastReport {
        schema: SCHEMA.into(),
        command: "gc-preview".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        duration_seconds: 0.0,
        exit_status: 0,
        engine: engine(args),
        delete_untagged: args.delete_untagged,
        would_abort: None,
        would_abort_too: Vec::new(),
        manifests: Vec::new(),
        blobs: Vec::new(),
        layer_links: Vec::new(),
        breaks: Vec::new(),
        loses: Vec::new(),
        unread: Vec::new(),
        summary: ForecastSummary::default(),
    }
}

const fn engine(args: &GcPreviewArgs) -> Engine {
    match args.engine {
        EngineArg::V2_8 => Engine::V2_8,
        EngineArg::V3 => Engine::V3,
    }
}

fn unread(report: &mut ForecastReport, source: &str, path: &str, error: &str) {
    let (path, error) = (path.to_owned(), error.to_owned());
    report.unread.push(UnreadPath { source: source.into(), path, error });
}

/// Adds the forecast of one registry.
fn add_forecast(
    args: &GcPreviewArgs,
    located: &Located,
    options: &AuditOptions,
    progress: &ScanProgress,
    report: &mut ForecastReport,
) {
    let name = escape_os(located.name.as_os_str());
    let open =
        OpenOptions { symlinks: scan::symlinks(args.follow_symlinks), jobs: args.common.jobs.of_files() };
    let tree = match Tree::open(located, &open) {
        Ok(tree) => tree.waiting_for_writers(),
        Err(error) => {
            tracing::error!("cannot open {name}: {error}");
            unread(report, &name, ".", &error.to_string());
            return;
        }
    };
    let scan = ScanOptions { strict: args.strict, ..ScanOptions::default() };
    let (mut graph, audit) = audit::scan_and_audit(&tree, &scan, options, progress);
    if audit.looks_like_cache {
        role::hint(&name);
    }
    let oddities = tree.oddities(&mut graph, progress);
    let source: Arc<str> = name.as_str().into();
    report.unread.extend(audit.unread.iter().cloned());
    for (path, error) in &oddities.unread {
        unread(report, &name, path, error);
    }
    let untagged = if args.delete_untagged { UntaggedManifests::Delete } else { UntaggedManifests::Keep };
    let forecast = collector::forecast(&graph, &oddities, engine(args), untagged);
    report.add(&graph, &source, &forecast);
    let cost = collector::cost(&mut graph, &audit, options, &forecast);
    report.add_cost(&source, cost);
    // Freeing a graph node by node takes as long as reading one; the process ends soon anyway.
    std::mem::forget(graph);
}

/// The exit status of a forecast.
fn status(report: &ForecastReport) -> u8 {
    let costs = report.would_abort.is_some() || !report.breaks.is_empty() || !report.loses.is_empty();
    let incomplete = !report.unread.is_empty();
    (if costs { exit::ERRORS } else { 0 }) | (if incomplete { exit::INCOMPLETE } else { 0 })
}
