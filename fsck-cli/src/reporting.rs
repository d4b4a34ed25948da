//! Makes one report from the audits of a run: compares it with an earlier report, sets its exit status, writes its metrics.

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

/// What a report is compared with, which findings are ignored, and what makes a run fail.
#[derive(Debug)]
pub struct ReportRules {
    baseline: Option<Report>,
    ignores: Option<Vec<Ignore>>,
    fail_on: FailOn,
}

impl ReportRules {
    /// Reads the files that the command line names.
    ///
    /// # Errors
    /// When one of them cannot be used, or `--fail-on new` has no baseline.
    pub fn read(args: &Compare) -> Result<Self, Failure> {
        if args.fail_on == FailOn::New && args.baseline.is_none() {
            return Err(Failure::Usage(anyhow!(
                "--fail-on new needs --baseline: what is new is told by an earlier report"
            )));
        }
        let baseline =
            args.baseline.as_deref().map(settings::read_baseline).transpose().map_err(Failure::Usage)?;
        let ignores =
            args.ignore.as_deref().map(settings::read_ignore_file).transpose().map_err(Failure::Usage)?;
        Ok(Self { baseline, ignores, fail_on: args.fail_on })
    }

    /// Counts the findings of a report, compares and filters them, and sets the exit status.
    pub fn finish_report(&self, report: &mut Report, started: Instant) {
        report.update_summary();
        // The comparison comes first: an ignored finding is still there, not resolved.
        if let Some(earlier) = &self.baseline {
            let is_shared = |name: &Arc<str>| earlier.sources.iter().any(|source| source.name == *name);
            if !report.sources.iter().any(|source| is_shared(&source.name)) {
                tracing::warn!(
                    "the baseline is of other sources: name them as they were named then, or all is new"
                );
            }
            audit::mark_new_and_resolved(report, earlier);
        }
        if let Some(ignores) = &self.ignores {
            let today = report.started_at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
            audit::apply_ignores(report, ignores, today);
        }
        report.duration_seconds = started.elapsed().as_secs_f64();
        report.exit_status = exit::report_status(report, self.fail_on);
    }
}

/// A report without any audit.
pub fn empty_report(command: &str, started_at: Timestamp, options: ReportOptions) -> Report {
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

/// What a run found that is not in the report, each with its source.
#[derive(Debug, Default)]
pub struct Extra {
    pub garbage: Vec<(Arc<str>, Garbage)>,
    pub pieces: Vec<(Arc<str>, GarbagePiece)>,
}

/// Adds the audit of one registry to a report. The report has garbage only if that of every registry is known.
pub fn add_audit(report: &mut Report, mut audit: Audit, extra: &mut Extra) {
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

/// Writes metrics, if they are wanted; returns the exit status of a failure, else 0.
pub fn write_metrics(common: &Common, report: &Report, extra: &Extra) -> u8 {
    if !common.metrics.are_wanted() {
        return 0;
    }
    let failures = common.metrics.publish(&metrics::report_metrics(report, &extra.garbage));
    failures.iter().for_each(log::log_error);
    if failures.is_empty() { 0 } else { exit::INCOMPLETE }
}

/// The globs of `--repository` as one; `None` without that option.
///
/// # Errors
/// As [`glob_set`].
pub fn repository_filter(common: &Common) -> anyhow::Result<Option<GlobSet>> {
    if common.repository.is_empty() { Ok(None) } else { glob_set(&common.repository).map(Some) }
}

/// Joins globs into one set.
///
/// # Errors
/// Never in practice: each glob was parsed before.
pub fn glob_set(globs: &[Glob]) -> anyhow::Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    Ok(builder.build()?)
}

/// Globs as they were written.
pub fn glob_texts(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(|glob| glob.glob().to_owned()).collect()
}
