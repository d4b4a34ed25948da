//! One report from the audits of a run: begun, filled, compared with an earlier one, given its exit status, written where
//! it is wanted. What an audit looks at is another room's matter.

use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use registry_cli::log;
use registry_core::audit::{
    self, Audit, AuditSummary, Coverage, Garbage, GarbagePiece, Ignore, Report, ReportOptions, SCHEMA,
};

use crate::args::{Common, Compare, FailOn};
use crate::exit::{self, Failure};
use crate::render::metrics;
use crate::settings;

/// An earlier report and the findings to live with.
#[derive(Debug)]
pub struct EarlierReport {
    baseline: Option<Report>,
    ignores: Option<Vec<Ignore>>,
    fail_on: FailOn,
}

impl EarlierReport {
    /// Reads what the command line names.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn read(args: &Compare) -> Result<Self, Failure> {
        if args.fail_on == FailOn::New && args.baseline.is_none() {
            return Err(Failure::Usage(anyhow!(
                "--fail-on new needs --baseline: what is new is told by an earlier report"
            )));
        }
        let baseline =
            args.baseline.as_deref().map(settings::baseline).transpose().map_err(Failure::Usage)?;
        let ignores = args.ignore.as_deref().map(settings::ignore).transpose().map_err(Failure::Usage)?;
        Ok(Self { baseline, ignores, fail_on: args.fail_on })
    }

    /// Counts a report, compares it, and gives it its exit status.
    pub fn settle(&self, report: &mut Report, started: Instant) {
        report.count();
        // Compared first: what is ignored today is still there, not resolved.
        if let Some(earlier) = &self.baseline {
            let is_shared = |name: &Arc<str>| earlier.sources.iter().any(|source| source.name == *name);
            if !report.sources.iter().any(|source| is_shared(&source.name)) {
                tracing::warn!(
                    "the baseline is of other sources: name them as they were named then, or all is new"
                );
            }
            audit::compare(report, earlier);
        }
        if let Some(ignores) = &self.ignores {
            let today = report.started_at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
            audit::set_aside(report, ignores, today);
        }
        report.duration_seconds = started.elapsed().as_secs_f64();
        report.exit_status = exit::report_status(report, self.fail_on);
    }
}

/// A report without anything in it yet.
pub fn empty(command: &str, started_at: Timestamp, options: ReportOptions) -> Report {
    Report {
        schema: SCHEMA.into(),
        command: command.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        duration_seconds: 0.0,
        exit_status: 0,
        options,
        sources: Vec::new(),
        findings: Vec::new(),
        broken_tags: Vec::new(),
        unknown_tags: Vec::new(),
        unread: Vec::new(),
        garbage: None,
        coverage: Coverage::default(),
        resolved: None,
        ignored: None,
        summary: AuditSummary::default(),
    }
}

/// What a run found beside the report, by the name of its source.
#[derive(Debug, Default)]
pub struct Extra {
    pub garbage: Vec<(Arc<str>, Garbage)>,
    pub pieces: Vec<(Arc<str>, GarbagePiece)>,
}

/// Adds one registry to a report. Garbage is told only when it is known of every registry.
pub fn merge(report: &mut Report, mut audit: Audit, extra: &mut Extra) {
    let first = report.findings.len();
    for tag in &mut audit.broken_tags {
        for number in &mut tag.findings {
            *number += first;
        }
    }
    let is_first = report.sources.is_empty();
    report.garbage = match (report.garbage, audit.garbage) {
        (None, garbage) if is_first => garbage,
        (Some(mut sum), Some(garbage)) => {
            Garbage::add(&mut sum, &garbage);
            Some(sum)
        }
        _ => None,
    };
    report.coverage.tags_total += audit.source.tags;
    report.coverage.tags_covered += audit.covered;
    let source = Arc::clone(&audit.source.name);
    extra.garbage.extend(audit.garbage.map(|garbage| (Arc::clone(&source), garbage)));
    extra.pieces.extend(audit.pieces.into_iter().map(|piece| (Arc::clone(&source), piece)));
    report.sources.push(audit.source);
    report.findings.append(&mut audit.findings);
    report.broken_tags.append(&mut audit.broken_tags);
    report.unknown_tags.append(&mut audit.unknown_tags);
    report.unread.append(&mut audit.unread);
}

/// Writes metrics where they are wanted; whether all could be.
pub fn write_metrics(common: &Common, report: &Report, extra: &Extra) -> bool {
    if !common.metrics.are_wanted() {
        return true;
    }
    let failures = common.metrics.publish(&metrics::of_report(report, &extra.garbage));
    failures.iter().for_each(log::error);
    failures.is_empty()
}

/// Several globs as one.
///
/// # Errors
/// Never in practice: each is a glob already.
pub fn set(globs: &[Glob]) -> anyhow::Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    Ok(builder.build()?)
}

/// Globs as they were written.
pub fn texts(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(|glob| glob.glob().to_owned()).collect()
}
