//! The command `repair`: audits and plans; with `--apply` it also repairs and audits again. The plan is made in registry-core.

mod places;
mod progress;
mod purge;
mod work;

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use registry_core::repair::{FindingCounts, RepairReport, RepairSummary, StepOutcome, StepResult};
use registry_core::storage::{locate_one, registry_processes};
use registry_core::text::escape_os;

use self::places::RepairPlaces;
use self::progress::RepairProgress;
use self::work::RepairWork;
use crate::args::RepairArgs;
use crate::exit::{self, Failure};
use crate::reporting::repository_filter;
use crate::role::{self, RoleRule};
use crate::{log, render, scan, supply, unused};

/// Repairs and prints; returns the exit status.
///
/// # Errors
/// When an argument cannot be used, or the tree, the journal or the report cannot be opened or written.
pub fn run(args: &RepairArgs) -> Result<u8, Failure> {
    if let Some(quarantine) = &args.purge {
        return purge::run(args, quarantine);
    }
    unused::refuse_connection(args.from.as_deref(), &args.connection)?;
    let (started, started_at) = (Instant::now(), Timestamp::now());
    let located = locate_one(args.root.as_deref().unwrap_or(Path::new("."))).map_err(Failure::from_locate)?;
    let mut options = scan::audit_options(&args.judging, args.content, started_at).map_err(Failure::Usage)?;
    options.role = RoleRule::from_args(&args.judging)?.role(&located);
    let only = repository_filter(&args.common).map_err(Failure::Usage)?;
    let places = RepairPlaces { args, located: &located };
    places.check_quarantine(started_at)?;
    let opened = args.from.as_deref().map(|from| supply::open(args, from, &located)).transpose()?;
    let supply = opened.as_ref().map(|opened| &*opened.supply);

    let work = RepairWork::new(args, &located, options, only.as_ref(), supply)?;
    let mut writer = if args.apply { Some(work.open_writer(started_at)?) } else { None };
    let progress = RepairProgress::default();
    progress.watch();
    let line = progress.show(args);
    let plan = work.make_plan(&progress.scan);
    if plan.audit.looks_like_cache {
        role::warn_of_cache(&escape_os(located.name.as_os_str()));
    }
    let servers = match &writer {
        Some(writer) => writer.processes().to_vec(),
        None => registry_processes(&located.v2),
    };
    let mut report = work.planned_report(started_at, &plan, &servers);
    let mut audit_after = None;
    if writer.is_none() && !plan.steps().is_empty() {
        places.check_journal()?;
    }
    if let Some(writer) = writer.as_mut().filter(|_| !plan.steps().is_empty()) {
        let outcomes = work.apply_plan(&plan, &progress, (writer, started_at), &mut report)?;
        for (taken, outcome) in report.steps.iter_mut().zip(outcomes) {
            taken.outcome = outcome;
        }
        let audit = work.audit_again(&progress.scan);
        report.after = Some(FindingCounts::count_findings(&audit));
        audit_after = Some(audit);
    }
    drop(line);
    drop(writer);
    report.summary = RepairSummary::count_steps(&report.steps, FindingCounts::count_findings(&plan.audit));
    log::unread_inside_trees(&args.common, &report.unread);
    log::unanswered(&args.common, &report.unanswered);
    log::steps(&args.common, &report.steps);
    report.duration_seconds = started.elapsed().as_secs_f64();
    report.exit_status = exit_status(&report, progress.was_stopped());
    if !work.has_matching_repository(&plan) {
        tracing::error!("{}: no repository matches --repository", report.source);
        report.exit_status |= exit::USAGE;
    }
    report.exit_status |= work.write_metrics(audit_after.unwrap_or(plan.audit), started_at, started);
    let status = report.exit_status;
    render::repaired(&args.common, report)?;
    Ok(status)
}

/// The exit status of a repair.
fn exit_status(report: &RepairReport, was_stopped: bool) -> u8 {
    if was_stopped {
        return exit::INTERRUPTED;
    }
    let has_failed =
        |taken: &StepResult| matches!(taken.outcome, StepOutcome::Failed(_) | StepOutcome::Stopped(_));
    let mut status = exit::NOTHING_WRONG;
    let remaining = report.after.unwrap_or(report.summary.before);
    if remaining.errors > 0 {
        status |= exit::ERRORS;
    }
    if report.after.is_some_and(|after| after.errors < report.summary.before.errors) {
        status |= exit::REPAIRED;
    }
    if !report.unread.is_empty() || !report.unanswered.is_empty() || report.steps.iter().any(has_failed) {
        status |= exit::INCOMPLETE;
    }
    status
}
