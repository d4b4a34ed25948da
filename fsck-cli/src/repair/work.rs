//! The repair of one registry: audit, plan, change, audit again. Printing is elsewhere.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context as _;
use globset::GlobSet;
use jiff::Timestamp;
use registry_core::audit::{self, Audit, AuditOptions, ReportOptions};
use registry_core::repair::{
    self, RemainingFinding, RepairOptions, RepairPlan, RepairReport, RepairSummary, Scope, StepOutcome,
    StepResult, Supply,
};
use registry_core::storage::{
    DiskFolder, LocatedRegistry, OpenOptions, RegistryProcess, ScanOptions, ScanProgress, Tree,
};
use registry_core::text::escape_os;
use registry_core::tree_writer::{Access, Locking, RunningServers, TreeWriter, WriteRefusal};

use super::places::{RepairPlaces, cannot_write_journal};
use super::progress::RepairProgress;
use crate::args::RepairArgs;
use crate::exit::Failure;
use crate::hints;
use crate::reporting::{self, Extra, glob_texts};

/// One registry, and the options of its repair.
pub(super) struct RepairWork<'w> {
    args: &'w RepairArgs,
    located: &'w LocatedRegistry,
    name: String,
    options: AuditOptions,
    only: Option<&'w GlobSet>,
    supply: Option<&'w dyn Supply>,
    tree: Tree<DiskFolder>,
}

impl<'w> RepairWork<'w> {
    /// Opens the tree for reading.
    pub(super) fn new(
        args: &'w RepairArgs,
        located: &'w LocatedRegistry,
        options: AuditOptions,
        only: Option<&'w GlobSet>,
        supply: Option<&'w dyn Supply>,
    ) -> Result<Self, Failure> {
        let name = escape_os(located.name.as_os_str());
        let open = OpenOptions { jobs: args.common.jobs.file_jobs(), ..OpenOptions::default() };
        let tree =
            Tree::open(located, &open).with_context(|| format!("cannot open {name}")).map_err(Failure::Io)?;
        let tree = tree.waiting_for_writers();
        Ok(Self { args, located, name, options, only, supply, tree })
    }

    fn scan_options(&self) -> ScanOptions<'static> {
        ScanOptions { strict: self.args.strict, ..ScanOptions::default() }
    }

    /// Audits the tree, and plans its repair.
    pub(super) fn make_plan(&self, progress: &ScanProgress) -> RepairPlan {
        let matches = |name: &str| self.only.is_some_and(|only| only.is_match(name));
        let repository: Option<&dyn Fn(&str) -> bool> =
            if self.only.is_some() { Some(&matches) } else { None };
        let scope =
            Scope { only: self.args.only.clone(), repository, deleted_tags: self.args.deleted_tags() };
        let (scan, options) = (self.scan_options(), &self.options);
        let (graph, plan) = repair::scan_and_plan(&self.tree, &scan, options, &scope, self.supply, progress);
        std::mem::forget(graph);
        plan
    }

    /// Whether any repository matches `--repository`.
    pub(super) fn has_matching_repository(&self, plan: &RepairPlan) -> bool {
        self.only.is_none_or(|only| plan.repositories().any(|name| only.is_match(name)))
    }

    /// Opens the tree for writing.
    pub(super) fn open_writer(&self, now: Timestamp) -> Result<TreeWriter, Failure> {
        let access = Access {
            locking: if self.args.no_lock { Locking::ByCaller } else { Locking::Required },
            servers: if self.args.online { RunningServers::Accept } else { RunningServers::AddOnly },
        };
        let quarantine = self.args.quarantine.as_deref();
        TreeWriter::open(self.located, quarantine, access, now).map_err(hints::write_refused)
    }

    /// The report before any step is done.
    pub(super) fn planned_report(
        &self,
        started_at: Timestamp,
        plan: &RepairPlan,
        servers: &[RegistryProcess],
    ) -> RepairReport {
        let taken =
            |step: &repair::RepairStep| StepResult { step: step.clone(), outcome: StepOutcome::Planned };
        let left =
            |left: &repair::Left| RemainingFinding { finding: left.finding.clone(), why: left.why.clone() };
        RepairReport {
            schema: repair::SCHEMA.into(),
            command: "repair".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at,
            duration_seconds: 0.0,
            exit_status: 0,
            options: RepairOptions {
                apply: self.args.apply,
                content: self.args.content,
                strict: self.args.strict,
                min_age_seconds: self.args.judging.min_age.into(),
                online: self.args.online,
                only: self.args.only.clone(),
                repositories: glob_texts(&self.args.common.repository),
                from: self.supply.map(|supply| supply.name().to_owned()),
                deleted_tags: self.args.deleted_tags(),
            },
            source: self.name.clone(),
            steps: plan.steps().iter().map(taken).collect(),
            left: plan.left.iter().map(left).collect(),
            unread: plan.audit.unread.clone(),
            unanswered: plan.unanswered.clone(),
            servers: servers.iter().map(Into::into).collect(),
            journal: None,
            quarantine: None,
            after: None,
            summary: RepairSummary::default(),
        }
    }

    /// Does the steps of a plan.
    pub(super) fn apply_plan(
        &self,
        plan: &RepairPlan,
        progress: &RepairProgress,
        (writer, now): (&mut TreeWriter, Timestamp),
        report: &mut RepairReport,
    ) -> Result<Vec<StepOutcome>, Failure> {
        let (journal, create) = RepairPlaces { args: self.args, located: self.located }.journal(now)?;
        let mut created = None;
        let log = || {
            let log = create()?;
            created = Some(log.path().to_owned());
            Ok(log)
        };
        progress.is_changing.store(true, Ordering::Relaxed);
        let applied =
            self.tree.run_in_pool(|| repair::apply(writer, plan, log, self.supply, &progress.steps));
        let outcomes = applied.map_err(|refusal| {
            // Nothing was done, so the journal is empty and may go. If it cannot be removed, it does no harm.
            let _ = created.as_ref().map(std::fs::remove_file);
            match refusal {
                WriteRefusal::Journal(error) => {
                    Failure::Io(anyhow::Error::new(error).context(cannot_write_journal(&journal)))
                }
                other => hints::write_refused(other),
            }
        })?;
        report.journal = created.map(|path| escape_os(path.as_os_str()));
        report.servers = writer.processes().iter().map(Into::into).collect();
        let was_moved_aside = |(step, outcome): (&repair::RepairStep, &StepOutcome)| {
            step.action.moves_aside() && *outcome == StepOutcome::Done
        };
        if plan.steps().iter().zip(&outcomes).any(was_moved_aside) {
            let place = writer.quarantine().ok();
            report.quarantine = place.map(|place| place.base.join(&place.below).display().to_string());
        }
        Ok(outcomes)
    }

    /// Audits the tree as it is now.
    pub(super) fn audit_again(&self, progress: &ScanProgress) -> Audit {
        let (graph, audit) = audit::scan_and_audit(&self.tree, &self.scan_options(), &self.options, progress);
        std::mem::forget(graph);
        audit
    }

    /// Writes metrics of the tree at the end, if they are wanted; returns the exit status of a failure, else 0.
    pub(super) fn write_metrics(&self, audit: Audit, started_at: Timestamp, started: Instant) -> u8 {
        let common = &self.args.common;
        if !common.metrics.are_wanted() {
            return 0;
        }
        let options = ReportOptions {
            content: self.args.content,
            strict: self.args.strict,
            min_age_seconds: self.options.min_age.into(),
            repositories: Vec::new(),
            sparse: glob_texts(&self.args.judging.sparse),
            require_platforms: Vec::new(),
            online: None,
        };
        let mut report = reporting::empty_report("repair", started_at, options);
        let mut extra = Extra::default();
        reporting::add_audit(&mut report, audit, &mut extra);
        report.update_summary();
        report.duration_seconds = started.elapsed().as_secs_f64();
        reporting::write_metrics(common, &report, &extra)
    }
}
