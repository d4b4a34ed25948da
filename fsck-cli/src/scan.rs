//! The command `scan`: find the registries, audit each, make one report, render it.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail};
use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use registry_core::audit::{
    self, Audit, AuditOptions, Coverage, Garbage, Report, ReportOptions, Role, SCHEMA, Summary, UnreadPath,
};
use registry_core::storage::{Located, OpenOptions, Progress, ScanOptions, Tree, locate};
use registry_core::text::{escape, escape_os};

use crate::args::{FailOn, RoleArg, ScanArgs};
use crate::exit::{self, Failure};
use crate::{interrupt, progress, render, settings};

/// Scans, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the answer cannot be written.
pub fn run(args: &ScanArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let started_at = Timestamp::now();
    if args.fail_on == FailOn::New && args.baseline.is_none() {
        return Err(Failure::Usage(anyhow!(
            "--fail-on new needs --baseline: what is new is told by an earlier report"
        )));
    }
    if args.list_garbage.is_some() && !args.common.repository.is_empty() {
        let why =
            "--list-garbage cannot go with --repository: what other repositories need is not known then";
        return Err(Failure::Usage(anyhow!(why)));
    }
    let earlier = args.baseline.as_deref().map(settings::baseline).transpose().map_err(Failure::Usage)?;
    let ignores = args.ignore.as_deref().map(settings::ignore).transpose().map_err(Failure::Usage)?;
    let plan = Plan::new(args, started_at).map_err(Failure::Usage)?;

    try_files(args);

    let progress = Arc::new(Progress::default());
    interrupt::watch(&progress);
    let line = progress::Line::show(&args.common, &progress);
    let mut report = empty(args, started_at);
    let mut extra = Extra::default();
    let mut registries = Vec::new();
    for root in &args.roots {
        let found = locate(root, args.follow_symlinks);
        registries.extend(found.registries);
        for error in found.errors {
            tracing::error!("{}", escape(&error.to_string()));
            let source: Arc<str> = escape_os(root.as_os_str()).into();
            report.unread.push(UnreadPath { source, path: ".".into(), error: error.to_string() });
        }
    }
    // A report is ordered by source; a registry that is named twice is audited once.
    registries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut seen = HashSet::new();
    registries.retain(|located| seen.insert(located.v2.clone()));
    for located in &registries {
        plan.one(located, &progress, &mut report, &mut extra);
    }
    drop(line);

    report.count();
    // Compared first: what is ignored today is still there, not resolved.
    if let Some(earlier) = &earlier {
        let is_shared = |name: &Arc<str>| earlier.sources.iter().any(|source| source.name == *name);
        if !report.sources.iter().any(|source| is_shared(&source.name)) {
            tracing::warn!("the baseline is of other sources: name ROOT as it was named then, or all is new");
        }
        audit::compare(&mut report, earlier);
    }
    if let Some(ignores) = &ignores {
        let today = started_at.to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
        audit::set_aside(&mut report, ignores, today);
    }
    report.duration_seconds = started.elapsed().as_secs_f64();
    report.exit_status = exit::of(&report, args.fail_on);
    if !args.common.repository.is_empty() && report.sources.iter().all(|source| source.repositories == 0) {
        report.exit_status |= exit::USAGE;
    }
    if !write_files(args, &report, &extra) {
        report.exit_status |= exit::INCOMPLETE;
    }
    render::print(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

/// Says before a scan that may take hours what will not work after it. The scan goes on: the report is worth having.
fn try_files(args: &ScanArgs) {
    for path in [&args.list_garbage, &args.common.metrics_file].into_iter().flatten() {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The kind of error only: the rest of it names the file that was tried instead.
        let try_folder = || tempfile::tempfile_in(folder).map_err(|error| std::io::Error::from(error.kind()));
        let tried = refuse_non_file(path).and_then(|()| Ok(try_folder()?));
        if let Err(error) = tried {
            let path = escape_os(path.as_os_str());
            tracing::warn!("{path} cannot be written as it is now: {error}; the scan goes on");
        }
    }
}

/// Writes the files that were asked for; whether all could be. One that cannot be written does not hinder the others.
fn write_files(args: &ScanArgs, report: &Report, extra: &Extra) -> bool {
    let mut all = true;
    let mut note = |what: &str, path: &Path, written: anyhow::Result<()>| {
        if let Err(error) = written {
            tracing::error!("cannot write the {what} {}: {error}", escape_os(path.as_os_str()));
            all = false;
        }
    };
    if let Some(path) = &args.list_garbage {
        note("list of garbage", path, garbage(path, &extra.pieces));
    }
    if let Some(path) = &args.common.metrics_file {
        note("metrics file", path, render::metrics::write(path, report, &extra.garbage));
    }
    all
}

/// Refuses to write in the place of a FIFO, a device or a folder.
///
/// # Errors
/// When something other than a regular file stands there.
pub fn refuse_non_file(path: &Path) -> anyhow::Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => bail!("there is something that is no regular file"),
        _ => Ok(()),
    }
}

/// One line of JSON a piece.
fn garbage(path: &Path, pieces: &[(Arc<str>, audit::Piece)]) -> anyhow::Result<()> {
    refuse_non_file(path)?;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for (source, piece) in pieces {
        let mut line = serde_json::Map::new();
        line.insert("source".into(), (**source).into());
        line.insert("code".into(), piece.code.as_str().into());
        if let Some(repository) = &piece.repository {
            line.insert("repository".into(), (**repository).into());
        }
        if let Some(digest) = piece.digest {
            line.insert("digest".into(), digest.to_string().into());
        }
        line.insert("path".into(), (*piece.path).into());
        line.insert("bytes".into(), piece.bytes.into());
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}

/// What a run found beside the report, by the name of its source.
#[derive(Default)]
struct Extra {
    garbage: Vec<(Arc<str>, Garbage)>,
    pieces: Vec<(Arc<str>, audit::Piece)>,
}

/// How every registry of a run is audited.
struct Plan<'a> {
    args: &'a ScanArgs,
    options: AuditOptions,
    only: Option<GlobSet>,
}

impl<'a> Plan<'a> {
    fn new(args: &'a ScanArgs, now: Timestamp) -> anyhow::Result<Self> {
        let options = AuditOptions {
            now: u32::try_from(now.as_second()).unwrap_or(u32::MAX),
            min_age: args.min_age,
            content: args.content,
            role: match args.role {
                RoleArg::Primary => Some(Role::Primary),
                RoleArg::Cache => Some(Role::Cache),
                RoleArg::Auto => None,
            },
            sparse: set(&args.sparse)?,
            require_platforms: args.require_platform.clone(),
        };
        let only = if args.common.repository.is_empty() { None } else { Some(set(&args.common.repository)?) };
        Ok(Self { args, options, only })
    }

    /// Audits one registry into the report.
    fn one(&self, located: &Located, progress: &Progress, report: &mut Report, extra: &mut Extra) {
        let name = escape_os(located.name.as_os_str());
        let open = OpenOptions {
            follow_symlinks: self.args.follow_symlinks,
            jobs: self.args.common.jobs.map_or(0, usize::from),
        };
        let tree = match Tree::open(located, &open) {
            Ok(tree) => tree,
            Err(error) => {
                tracing::error!("cannot open {name}: {error}");
                report.unread.push(UnreadPath {
                    source: name.into(),
                    path: ".".into(),
                    error: error.to_string(),
                });
                return;
            }
        };
        let matches = |name: &str| self.only.as_ref().is_none_or(|only| only.is_match(name));
        let scan = ScanOptions {
            content: self.args.content,
            strict: self.args.strict,
            only: self.only.is_some().then_some(&matches),
        };
        let mut graph = tree.scan(&scan, progress);
        let list = self.args.list_garbage.is_some();
        let audit = audit::settled(&mut graph, &name, &self.options, list, |graph, doubts| {
            tree.settle(graph, doubts, progress);
        });
        // Freeing a graph node by node takes as long as reading one; the process ends soon anyway.
        std::mem::forget(graph);
        if self.only.is_some() && audit.source.repositories == 0 {
            tracing::warn!("{name}: no repository matches --repository");
        }
        if audit.looks_like_cache {
            tracing::warn!("{name} looks like a pull-through cache; --role cache says so if it is one");
        }
        merge(report, audit, extra);
    }
}

fn set(globs: &[Glob]) -> anyhow::Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    Ok(builder.build()?)
}

fn texts(globs: &[Glob]) -> Vec<String> {
    globs.iter().map(|glob| glob.glob().to_owned()).collect()
}

fn empty(args: &ScanArgs, started_at: Timestamp) -> Report {
    Report {
        schema: SCHEMA.into(),
        command: "scan".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        duration_seconds: 0.0,
        exit_status: 0,
        options: ReportOptions {
            content: args.content,
            strict: args.strict,
            min_age_seconds: args.min_age.into(),
            repositories: texts(&args.common.repository),
            sparse: texts(&args.sparse),
            require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        },
        sources: Vec::new(),
        findings: Vec::new(),
        broken_tags: Vec::new(),
        unknown_tags: Vec::new(),
        unread: Vec::new(),
        garbage: None,
        coverage: Coverage::default(),
        resolved: None,
        ignored: None,
        summary: Summary::default(),
    }
}

/// Adds one registry to a report. Garbage is told only when it is known of every registry.
fn merge(report: &mut Report, mut audit: Audit, extra: &mut Extra) {
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
    let source = Arc::clone(&audit.source.name);
    extra.garbage.extend(audit.garbage.map(|garbage| (Arc::clone(&source), garbage)));
    extra.pieces.extend(audit.pieces.into_iter().map(|piece| (Arc::clone(&source), piece)));
    report.sources.push(audit.source);
    report.findings.append(&mut audit.findings);
    report.broken_tags.append(&mut audit.broken_tags);
    report.unknown_tags.append(&mut audit.unknown_tags);
    report.unread.append(&mut audit.unread);
}
