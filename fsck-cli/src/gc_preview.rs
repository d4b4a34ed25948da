//! The command `gc-preview`: scans, forecasts a collection, says what it would cost. The forecast itself is in registry-core.

use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use jiff::Timestamp;
use registry_core::audit::{self, AuditOptions};
use registry_core::collector::{self, Engine, ForecastReport, ForecastSummary, SCHEMA, UntaggedManifests};
use registry_core::storage::{LocatedRegistry, OpenOptions, ScanOptions, ScanProgress};
use registry_core::text::escape_os;

use crate::args::{EngineArg, GcPreviewArgs};
use crate::exit::{self, Failure};
use crate::role::{self, RoleRule};
use crate::scan::FoundRegistries;
use crate::{log, render, scan};

/// Forecasts and prints; returns the exit status.
///
/// # Errors
/// When an argument cannot be used, or the report cannot be written.
pub fn run(args: &GcPreviewArgs) -> Result<u8, Failure> {
    let (started, started_at) = (Instant::now(), Timestamp::now());
    refuse_unused_options(args)?;
    let rule = RoleRule::from_args(&args.judging)?;
    let options = scan::audit_options(&args.judging, false, started_at).map_err(Failure::Usage)?;
    let progress = Arc::new(ScanProgress::default());
    let line = scan::show_progress(&args.common, &progress);
    let mut report = empty_report(args, started_at);
    let FoundRegistries { registries, status } =
        scan::find_registries(&args.roots, scan::symlinks(args.follow_symlinks), &mut report.unread)?;
    role::refuse_several(&args.judging, &registries)?;
    for located in &registries {
        let options = AuditOptions { role: rule.role(located), ..options.clone() };
        add_forecast(args, located, &options, &progress, &mut report);
    }
    drop(line);
    log::unread_inside_trees(&args.common, &report.unread);
    report.duration_seconds = started.elapsed().as_secs_f64();
    report.exit_status = exit_status(&report) | status;
    render::forecast(&args.common, &report)?;
    Ok(report.exit_status)
}

/// Refuses common options that mean nothing to this command.
fn refuse_unused_options(args: &GcPreviewArgs) -> Result<(), Failure> {
    let why = if !args.common.repository.is_empty() {
        "--repository cannot go with gc-preview: a collector goes through all repositories, and what one needs keeps another's blobs"
    } else if args.common.metrics.are_wanted() {
        "gc-preview writes no metrics: those of scan tell of the same registry"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(anyhow!(why)))
}

fn empty_report(args: &GcPreviewArgs, started_at: Timestamp) -> ForecastReport {
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

/// Adds the forecast of one registry.
fn add_forecast(
    args: &GcPreviewArgs,
    located: &LocatedRegistry,
    options: &AuditOptions,
    progress: &ScanProgress,
    report: &mut ForecastReport,
) {
    let name = escape_os(located.name.as_os_str());
    let open =
        OpenOptions { symlinks: scan::symlinks(args.follow_symlinks), jobs: args.common.jobs.file_jobs() };
    let Some(tree) = scan::open_tree(located, &open, &mut report.unread) else { return };
    let scan_options = ScanOptions { strict: args.strict, ..ScanOptions::default() };
    let (mut graph, audit) = audit::scan_and_audit(&tree, &scan_options, options, progress);
    if audit.looks_like_cache {
        role::warn_of_cache(&name);
    }
    let oddities = tree.oddities(&mut graph, progress);
    let source: Arc<str> = name.as_str().into();
    report.unread.extend(audit.unread.iter().cloned());
    let unread = oddities.unread.iter();
    report.unread.extend(unread.map(|(path, error)| scan::unread_path(&name, path, error)));
    let untagged = if args.delete_untagged { UntaggedManifests::Delete } else { UntaggedManifests::Keep };
    let forecast = collector::forecast(&graph, &oddities, engine(args), untagged);
    report.add(&graph, &source, &forecast);
    let cost = collector::cost(&mut graph, &audit, options, &forecast);
    report.add_cost(&source, cost);
    // Freeing a graph takes as long as building one, and the process ends soon anyway.
    std::mem::forget(graph);
}

/// The exit status of a forecast.
fn exit_status(report: &ForecastReport) -> u8 {
    let has_cost = report.would_abort.is_some() || !report.breaks.is_empty() || !report.loses.is_empty();
    exit::errors_or_incomplete(has_cost, !report.unread.is_empty())
}
