//! The command `scan`: find the registries, audit each, make one report, render it.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use globset::GlobSet;
use indicatif::{HumanBytes, HumanCount};
use jiff::Timestamp;
use registry_cli::file;
use registry_core::audit::{self, AuditOptions, AuditedSource, Report, ReportOptions, UnreadPath};
use registry_core::storage::{
    LocateError, Located, OpenOptions, Phase, ScanOptions, ScanProgress, Symlinks, Tree, locate,
};
use registry_core::text::{escape, escape_os};

use crate::args::{JudgingArgs, ScanArgs};
use crate::exit::{self, Failure};
use crate::reporting::{self, EarlierReport, Extra, merge, set, texts};
use crate::role::{self, RoleRule};
use crate::{interrupt, log, render};

/// Scans, prints, and gives the exit status.
///
/// # Errors
/// When what was asked cannot be used, or the answer cannot be written.
pub fn run(args: &ScanArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let started_at = Timestamp::now();
    if args.list_garbage.is_some() && !args.common.repository.is_empty() {
        let why =
            "--list-garbage cannot go with --repository: what other repositories need is not known then";
        return Err(Failure::Usage(anyhow!(why)));
    }
    let earlier = EarlierReport::read(&args.compare)?;
    let plan = AuditSetup::new(args, started_at)?;

    try_files(args);

    let progress = Arc::new(ScanProgress::default());
    let far = Arc::clone(&progress);
    interrupt::watch(move || format!("{}, after {} files", far.phase().describe(), far.files()));
    let far = Arc::clone(&progress);
    let line = args.common.progress_line(move |elapsed| message(&far, elapsed));
    let mut report = reporting::empty("scan", started_at, options(args));
    let mut extra = Extra::default();
    let Roots { registries, refused } =
        roots(&args.roots, symlinks(args.follow_symlinks), &mut report.unread)?;
    role::refuse_several(&args.judging, &registries)?;
    for located in &registries {
        plan.audit_registry(located, &progress, &mut report, &mut extra);
    }
    drop(line);
    log::unread_inside(&args.common, &report.unread);

    earlier.settle(&mut report, started);
    if !args.common.repository.is_empty() {
        report.exit_status |= without_match(&report.sources);
    }
    report.exit_status |= refused;
    if !write_files(args, &report, &extra) {
        report.exit_status |= exit::INCOMPLETE;
    }
    render::print(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

/// Says in which registries no repository matches; an error, with its exit status, when none does in any.
fn without_match(sources: &[AuditedSource]) -> u8 {
    let is_none = |source: &&AuditedSource| source.repositories == 0;
    let is_all = sources.iter().all(|source| is_none(&source));
    for AuditedSource { name, .. } in sources.iter().filter(is_none) {
        if is_all {
            tracing::error!("{name}: no repository matches --repository");
        } else {
            tracing::warn!("{name}: no repository matches --repository");
        }
    }
    if is_all { exit::USAGE } else { 0 }
}

/// Says before a scan that may take hours what will not work after it. The scan goes on: the report is worth having.
fn try_files(args: &ScanArgs) {
    for path in [&args.list_garbage, &args.common.metrics.metrics_file].into_iter().flatten() {
        if let Err(error) = file::try_replace(path) {
            let path = escape_os(path.as_os_str());
            tracing::warn!("{path} cannot be written as it is now: {error}; the scan goes on");
        }
    }
}

/// Writes the files that were asked for; whether all could be. One that cannot be written does not hinder the others.
fn write_files(args: &ScanArgs, report: &Report, extra: &Extra) -> bool {
    let mut all = true;
    if let Some(path) = &args.list_garbage
        && let Err(error) = garbage(path, &extra.pieces)
    {
        tracing::error!("cannot write the list of garbage {}: {error}", escape_os(path.as_os_str()));
        all = false;
    }
    reporting::write_metrics(&args.common, report, extra) && all
}

/// One line of JSON a piece.
fn garbage(path: &Path, pieces: &[(Arc<str>, audit::GarbagePiece)]) -> anyhow::Result<()> {
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

/// How every registry of a run is audited.
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
            ..judging(&args.judging, args.content, now).map_err(Failure::Usage)?
        };
        let only = match &args.common.repository[..] {
            [] => None,
            globs => Some(set(globs).map_err(Failure::Usage)?),
        };
        Ok(Self { args, options, rule: RoleRule::from_args(&args.judging)?, only })
    }

    /// Audits one registry into the report.
    fn audit_registry(
        &self,
        located: &Located,
        progress: &ScanProgress,
        report: &mut Report,
        extra: &mut Extra,
    ) {
        let name = escape_os(located.name.as_os_str());
        let open = OpenOptions {
            symlinks: symlinks(self.args.follow_symlinks),
            jobs: self.args.common.jobs.of_files(),
        };
        let tree = match Tree::open(located, &open) {
            Ok(tree) => tree.waiting_for_writers(),
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
            strict: self.args.strict,
            only: self.only.is_some().then_some(&matches),
            ..ScanOptions::default()
        };
        let options = AuditOptions { role: self.rule.role(located), ..self.options.clone() };
        let (graph, audit) = audit::scan_and_audit(&tree, &scan, &options, progress);
        // Freeing a graph node by node takes as long as reading one; the process ends soon anyway.
        std::mem::forget(graph);
        if audit.looks_like_cache {
            role::hint(&name);
        }
        merge(report, audit, extra);
    }
}

/// How the command line says that a tree is judged; its role is [another matter](Rule).
///
/// # Errors
/// Never in practice: each glob is one already.
pub fn judging(args: &JudgingArgs, content: bool, now: Timestamp) -> anyhow::Result<AuditOptions> {
    Ok(AuditOptions { min_age: args.min_age, content, sparse: set(&args.sparse)?, ..AuditOptions::new(now) })
}

fn options(args: &ScanArgs) -> ReportOptions {
    ReportOptions {
        content: args.content,
        strict: args.strict,
        min_age_seconds: args.judging.min_age.into(),
        repositories: texts(&args.common.repository),
        sparse: texts(&args.judging.sparse),
        require_platforms: args.require_platform.iter().map(ToString::to_string).collect(),
        online: None,
    }
}

/// How `--follow-symlinks` says that symbolic links are treated.
pub const fn symlinks(follow: bool) -> Symlinks {
    if follow { Symlinks::Follow } else { Symlinks::Refuse }
}

/// What the paths of a run mean.
#[derive(Debug)]
pub struct Roots {
    /// The registries, by name; one that is named twice is there once.
    pub registries: Vec<Located>,
    /// The exit status that something else adds: [`exit::USAGE`] where another product's storage was met, else 0.
    pub refused: u8,
}

/// The registries below some paths. Where none can be looked for is said, and goes to the unread.
///
/// # Errors
/// When all that there is belongs to another product.
pub fn roots(roots: &[PathBuf], symlinks: Symlinks, unread: &mut Vec<UnreadPath>) -> Result<Roots, Failure> {
    let mut registries = Vec::new();
    let mut foreign = Vec::new();
    for root in roots {
        let found = locate(root, symlinks);
        registries.extend(found.registries);
        for error in found.errors {
            if matches!(error, LocateError::Foreign(..)) {
                foreign.push((root, error));
                continue;
            }
            let mut text = error.to_string();
            // Said where there is such an option.
            if matches!(error, LocateError::Symlink(_)) {
                text.push_str(", or say --follow-symlinks");
            }
            tracing::error!("{}", escape(&text));
            let source: Arc<str> = escape_os(root.as_os_str()).into();
            unread.push(UnreadPath { source, path: ".".into(), error: text });
        }
    }
    let refused = if foreign.is_empty() { 0 } else { exit::USAGE };
    let is_all = registries.is_empty() && unread.is_empty();
    let last = if is_all { foreign.pop() } else { None };
    for (root, error) in foreign {
        let text = error.to_string();
        tracing::error!("{}", escape(&text));
        let source: Arc<str> = escape_os(root.as_os_str()).into();
        unread.push(UnreadPath { source, path: ".".into(), error: text });
    }
    if let Some((_, error)) = last {
        return Err(Failure::Usage(error.into()));
    }
    registries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut seen = HashSet::new();
    registries.retain(|located| seen.insert(located.v2.clone()));
    Ok(Roots { registries, refused })
}

/// What a scan is doing.
pub fn message(progress: &ScanProgress, elapsed: Duration) -> String {
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
