//! The command `scan`: finds the registries, audits each, prints one report.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use globset::GlobSet;
use indicatif::{HumanBytes, HumanCount};
use jiff::Timestamp;
use registry_cli::file;
use registry_cli::progress::ProgressLine;
use registry_core::audit::{self, AuditOptions, AuditedSource, Report, ReportOptions, UnreadPath};
use registry_core::storage::{
    DiskFolder, LocateError, LocatedRegistry, OpenOptions, Phase, ScanOptions, ScanProgress, Symlinks, Tree,
    locate,
};
use registry_core::text::{escape, escape_os};

use crate::args::{Common, JudgingArgs, ScanArgs};
use crate::exit::{self, Failure};
use crate::reporting::{self, Extra, ReportRules, add_audit, glob_set, glob_texts, repository_filter};
use crate::role::{self, RoleRule};
use crate::{interrupt, log, render};

/// Scans and prints; returns the exit status.
///
/// # Errors
/// When an argument cannot be used, or the report cannot be written.
pub fn run(args: &ScanArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let started_at = Timestamp::now();
    if args.list_garbage.is_some() && !args.common.repository.is_empty() {
        let why =
            "--list-garbage cannot go with --repository: what other repositories need is not known then";
        return Err(Failure::Usage(anyhow!(why)));
    }
    let rules = ReportRules::read(&args.compare)?;
    let setup = AuditSetup::new(args, started_at)?;
    warn_of_unwritable_files(args);

    let progress = Arc::new(ScanProgress::default());
    let line = show_progress(&args.common, &progress);
    let mut report = reporting::empty_report("scan", started_at, report_options(args));
    let mut extra = Extra::default();
    let FoundRegistries { registries, status } =
        find_registries(&args.roots, symlinks(args.follow_symlinks), &mut report.unread)?;
    role::refuse_several(&args.judging, &registries)?;
    for located in &registries {
        setup.audit_registry(located, &progress, &mut report, &mut extra);
    }
    drop(line);
    log::unread_inside_trees(&args.common, &report.unread);

    rules.finish_report(&mut report, started);
    if !args.common.repository.is_empty() {
        report.exit_status |= warn_without_match(&report.sources);
    }
    report.exit_status |= status;
    report.exit_status |= write_files(args, &report, &extra);
    render::audited(&args.common, &report)?;
    Ok(report.exit_status)
}

/// Logs the registries without a matching repository; returns the exit status of a usage error if none has one, else 0.
fn warn_without_match(sources: &[AuditedSource]) -> u8 {
    let (matched, unmatched): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.repositories > 0);
    for AuditedSource { name, .. } in unmatched {
        if matched.is_empty() {
            tracing::error!("{name}: no repository matches --repository");
        } else {
            tracing::warn!("{name}: no repository matches --repository");
        }
    }
    if matched.is_empty() { exit::USAGE } else { 0 }
}

/// Warns before a scan, which may take hours, of files that cannot be written after it. The scan goes on: its report is useful
/// without them.
fn warn_of_unwritable_files(args: &ScanArgs) {
    for path in [&args.list_garbage, &args.common.metrics.metrics_file].into_iter().flatten() {
        if let Err(error) = file::check_replaceable(path) {
            let path = escape_os(path.as_os_str());
            tracing::warn!("{path} cannot be written as it is now: {error}; the scan goes on");
        }
    }
}

/// Writes the list of garbage and the metrics, each whether or not the other fails; returns the exit status of a failure, else 0.
fn write_files(args: &ScanArgs, report: &Report, extra: &Extra) -> u8 {
    let mut status = 0;
    if let Some(path) = &args.list_garbage
        && let Err(error) = write_garbage_list(path, &extra.pieces)
    {
        tracing::error!("cannot write the list of garbage {}: {error}", escape_os(path.as_os_str()));
        status = exit::INCOMPLETE;
    }
    status | reporting::write_metrics(&args.common, report, extra)
}

/// Writes one line of JSON for each piece of garbage.
fn write_garbage_list(path: &Path, pieces: &[(Arc<str>, audit::GarbagePiece)]) -> anyhow::Result<()> {
    file::refuse_non_file(path)?;
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

/// How each registry of a run is audited.
struct AuditSetup<'a> {
    args: &'a ScanArgs,
    options: AuditOptions,
    rule: RoleRule,
    only: Option<GlobSet>,
}

impl<'a> AuditSetup<'a> {
    fn new(args: &'a ScanArgs, now: Timestamp) -> Result<Self, Failure> {
        let options = AuditOptions {
            list_garbage: args.list_garbage.is_some(),
            require_platforms: args.require_platform.clone(),
            ..audit_options(&args.judging, args.content, now).map_err(Failure::Usage)?
        };
        let only = repository_filter(&args.common).map_err(Failure::Usage)?;
        Ok(Self { args, options, rule: RoleRule::from_args(&args.judging)?, only })
    }

    /// Audits one registry, and adds it to the report.
    fn audit_registry(
        &self,
        located: &LocatedRegistry,
        progress: &ScanProgress,
        report: &mut Report,
        extra: &mut Extra,
    ) {
        let name = escape_os(located.name.as_os_str());
        let open = OpenOptions {
            symlinks: symlinks(self.args.follow_symlinks),
            jobs: self.args.common.jobs.file_jobs(),
        };
        let Some(tree) = open_tree(located, &open, &mut report.unread) else { return };
        let matches = |name: &str| self.only.as_ref().is_none_or(|only| only.is_match(name));
        let scan = ScanOptions {
            strict: self.args.strict,
            only: self.only.is_some().then_some(&matches),
            ..ScanOptions::default()
        };
        let options = AuditOptions { role: self.rule.role(located), ..self.options.clone() };
        let (graph, audit) = audit::scan_and_audit(&tree, &scan, &options, progress);
        // Freeing a graph takes as long as building one, and the process ends soon anyway.
        std::mem::forget(graph);
        if audit.looks_like_cache {
            role::warn_of_cache(&name);
        }
        add_audit(report, audit, extra);
    }
}

/// Opens a tree for reading. A failure is logged and added to the unread paths.
pub fn open_tree(
    located: &LocatedRegistry,
    options: &OpenOptions,
    unread: &mut Vec<UnreadPath>,
) -> Option<Tree<DiskFolder>> {
    match Tree::open(located, options) {
        Ok(tree) => Some(tree.waiting_for_writers()),
        Err(error) => {
            let name = escape_os(located.name.as_os_str());
            tracing::error!("cannot open {name}: {error}");
            unread.push(unread_path(&name, ".", &error));
            None
        }
    }
}

/// An entry for the unread paths of a report.
pub fn unread_path(source: &str, path: &str, error: &dyn std::fmt::Display) -> UnreadPath {
    UnreadPath { source: source.into(), path: path.to_owned(), error: error.to_string() }
}

/// The options of an audit, from the command line. The role of the registry comes from [`RoleRule`].
///
/// # Errors
/// Never in practice: each glob was parsed before.
pub fn audit_options(args: &JudgingArgs, content: bool, now: Timestamp) -> anyhow::Result<AuditOptions> {
    Ok(AuditOptions {
        min_age: args.min_age,
        content,
        sparse: glob_set(&args.sparse)?,
        ..AuditOptions::new(now)
    })
}

fn report_options(args: &ScanArgs) -> ReportOptions {
    ReportOptions {
        content: args.content,
        strict: args.strict,
        min_age_seconds: args.judging.min_age.into(),
        repositories: glob_texts(&args.common.repository),
        sparse: glob_texts(&args.judging.sparse),
        require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        online: None,
    }
}

/// How symbolic links are treated, from `--follow-symlinks`.
pub const fn symlinks(follow: bool) -> Symlinks {
    if follow { Symlinks::Follow } else { Symlinks::Refuse }
}

/// The registries below the paths of a run.
#[derive(Debug)]
pub struct FoundRegistries {
    /// The registries by name, each once.
    pub registries: Vec<LocatedRegistry>,
    /// [`exit::USAGE`] if a path holds the storage of another product, else 0.
    pub status: u8,
}

/// Finds the registries below some paths. Paths that cannot be searched are logged and added to the unread paths.
///
/// # Errors
/// When all paths hold the storage of another product.
pub fn find_registries(
    roots: &[PathBuf],
    symlinks: Symlinks,
    unread: &mut Vec<UnreadPath>,
) -> Result<FoundRegistries, Failure> {
    let mut registries = Vec::new();
    let mut foreign = Vec::new();
    for root in roots {
        let found = locate(root, symlinks);
        registries.extend(found.registries);
        for error in found.errors {
            if matches!(error, LocateError::Foreign(..)) {
                foreign.push((root, error));
            } else {
                add_unusable_root(root, &error, unread);
            }
        }
    }
    let status = if foreign.is_empty() { 0 } else { exit::USAGE };
    let last = if registries.is_empty() && unread.is_empty() { foreign.pop() } else { None };
    for (root, error) in foreign {
        add_unusable_root(root, &error, unread);
    }
    if let Some((_, error)) = last {
        return Err(Failure::Usage(error.into()));
    }
    registries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut seen = HashSet::new();
    registries.retain(|located| seen.insert(located.v2.clone()));
    Ok(FoundRegistries { registries, status })
}

/// Logs a path that cannot be searched, and adds it to the unread paths.
fn add_unusable_root(root: &Path, error: &LocateError, unread: &mut Vec<UnreadPath>) {
    let hint = if matches!(error, LocateError::Symlink(_)) { ", or say --follow-symlinks" } else { "" };
    let text = format!("{error}{hint}");
    tracing::error!("{}", escape(&text));
    unread.push(unread_path(&escape_os(root.as_os_str()), ".", &text));
}

/// Shows the progress of a scan, and says it when a signal ends the process.
pub fn show_progress(common: &Common, progress: &Arc<ScanProgress>) -> ProgressLine {
    let watched = Arc::clone(progress);
    interrupt::watch_reading(move || {
        format!("{}, after {} files", watched.phase().describe(), watched.files())
    });
    let shown = Arc::clone(progress);
    common.progress_line(move |elapsed| progress_message(&shown, elapsed))
}

/// The progress of a scan, after this time.
pub fn progress_message(progress: &ScanProgress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let phase = progress.phase();
    if phase == Phase::Content {
        let (bytes, total) = (progress.bytes(), progress.bytes_total());
        return format!("{}: {} of {}", phase.describe(), HumanBytes(bytes), HumanBytes(total));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate to look at"
    )]
    let rate = (progress.files() as f64 / seconds) as u64;
    format!("{}: {} files, {} a second", phase.describe(), HumanCount(progress.files()), HumanCount(rate))
}
