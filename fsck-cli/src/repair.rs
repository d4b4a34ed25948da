//! The command `repair`: look, plan, and with `--apply` do it and look again. What is repaired is decided in registry-core.

mod places;
mod progress;
mod purge;
mod work;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use jiff::Timestamp;
use registry_core::repair::{Counts, RepairReport, RepairSummary, StepOutcome, Taken};
use registry_core::storage::{locate_one, registry_processes};
use registry_core::text::escape_os;

use self::places::Places;
use self::progress::RepairProgress;
use self::work::Work;
use crate::args::RepairArgs;
use crate::exit::{self, Failure};
use crate::reporting::set;
use crate::role::{self, RoleRule};
use crate::{hints, log, render, scan, supply, unused};

/// Repairs, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the tree, the journal or the answer cannot be opened or written.
pub fn run(args: &RepairArgs) -> Result<u8, Failure> {
    if let Some(quarantine) = &args.purge {
        return purge::run(args, quarantine);
    }
    unused::refuse_connection(args.from.as_deref(), &args.connection)?;
    let (started, started_at) = (Instant::now(), Timestamp::now());
    let located = locate_one(args.root.as_deref().unwrap_or(Path::new("."))).map_err(Failure::of_locate)?;
    let mut options = scan::judging(&args.judging, args.content, started_at).map_err(Failure::Usage)?;
    options.role = RoleRule::from_args(&args.judging)?.role(&located);
    let only = if args.common.repository.is_empty() {
        None
    } else {
        Some(set(&args.common.repository).map_err(Failure::Usage)?)
    };
    let places = Places { args, located: &located };
    places.check_quarantine(started_at)?;
    let opened = args.from.as_deref().map(|from| supply::open(args, from, &located)).transpose()?;
    let supply = opened.as_ref().map(|opened| &*opened.supply);

    let work = Work::new(args, &located, options, only.as_ref(), supply)?;
    let mut writer = if args.apply { Some(work.writer(started_at)?) } else { None };
    let progress = RepairProgress::default();
    progress.watch();
    let line = progress.line(args);
    let plan = work.plan(&progress.scan);
    if plan.audit.looks_like_cache {
        role::hint(&escape_os(located.name.as_os_str()));
    }
    let servers = match &writer {
        Some(writer) => writer.processes().to_vec(),
        None => registry_processes(&located.v2),
    };
    let mut report = work.report(started_at, &plan, &servers);
    let mut last = None;
    if writer.is_none() && !plan.steps().is_empty() {
        places.check_journal()?;
    }
    if let Some(writer) = writer.as_mut().filter(|_| !plan.steps().is_empty()) {
        let outcomes = work.apply(&plan, &progress, (writer, started_at), &mut report)?;
        for (taken, outcome) in report.steps.iter_mut().zip(outcomes) {
            taken.outcome = outcome;
        }
        let audit = work.look_again(&progress.scan);
        report.after = Some(Counts::count_findings(&audit));
        last = Some(audit);
    }
    drop(line);
    drop(writer);
    let mut report = hints::in_words(report);
    log::unread_inside(&args.common, &report.unread);
    log::unanswered(&args.common, &report.unanswered);
    log::steps(&args.common, &report.steps);
    report.summary = RepairSummary::count_steps(&report.steps, Counts::count_findings(&plan.audit));
    report.duration_seconds = started.elapsed().as_secs_f64();
    report.exit_status = status(&report, progress.was_stopped());
    if !work.is_of_any(&plan) {
        tracing::error!("{}: no repository matches --repository", report.source);
        report.exit_status |= exit::USAGE;
    }
    if !work.metrics(last.unwrap_or(plan.audit), started_at, started) {
        report.exit_status |= exit::INCOMPLETE;
    }
    render::repaired(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

/// The exit status of a repair.
fn status(report: &RepairReport, was_stopped: bool) -> u8 {
    if was_stopped {
        return exit::INTERRUPTED;
    }
    let is_failed = |taken: &Taken| matches!(taken.outcome, StepOutcome::Failed(_) | StepOutcome::Stopped(_));
    let mut status = exit::NOTHING_WRONG;
    let remaining = report.after.unwrap_or(report.summary.before);
    if remaining.errors > 0 {
        status |= exit::ERRORS;
    }
    if report.after.is_some_and(|after| after.errors < report.summary.before.errors) {
        status |= exit::REPAIRED;
    }
    if !report.unread.is_empty() || !report.unanswered.is_empty() || report.steps.iter().any(is_failed) {
        status |= exit::INCOMPLETE;
    }
    status
}
