//! One registry under repair: it is looked at, planned for, changed, and looked at again. What is printed is not here.

use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context as _;
use globset::GlobSet;
use jiff::Timestamp;
use registry_core::audit::{self, Audit, AuditOptions, ReportOptions};
use registry_core::repair::{
    self, LeftFinding, Options, RepairPlan, RepairReport, RepairSummary, Scope, StepOutcome, Supply, Taken,
};
use registry_core::storage::{DiskFolder, Located, OpenOptions, ScanOptions, ScanProgress, Serving, Tree};
use registry_core::text::escape_os;
use registry_core::tree_writer::{Access, Locking, RunningServers, TreeWriter, WriteRefusal};

use super::places::{Places, cannot};
use super::progress::RepairProgress;
use crate::args::RepairArgs;
use crate::exit::Failure;
use crate::hints;
use crate::reporting::{self, Extra, texts};

/// One registry and how it is repaired.
pub(super) struct Work<'w> {
    args: &'w RepairArgs,
    located: &'w Located,
    name: String,
    options: AuditOptions,
    only: Option<&'w GlobSet>,
    supply: Option<&'w dyn Supply>,
    tree: Tree<DiskFolder>,
}

impl<'w> Work<'w> {
    /// Opens it.
    pub(super) fn new(
        args: &'w RepairArgs,
        located: &'w Located,
        options: AuditOptions,
        only: Option<&'w GlobSet>,
        supply: Option<&'w dyn Supply>,
    ) -> Result<Self, Failure> {
        let name = escape_os(located.name.as_os_str());
        let open = OpenOptions { jobs: args.common.jobs.of_files(), ..OpenOptions::default() };
        let tree =
            Tree::open(located, &open).with_context(|| format!("cannot open {name}")).map_err(Failure::Io)?;
        let tree = tree.waiting_for_writers();
        Ok(Self { args, located, name, options, only, supply, tree })
    }

    fn scan_options(&self) -> ScanOptions<'static> {
        ScanOptions { strict: self.args.strict, ..ScanOptions::default() }
    }

    /// Looks at it, and plans.
    pub(super) fn plan(&self, progress: &ScanProgress) -> RepairPlan {
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

    /// Whether there is a repository that is meant.
    pub(super) fn is_of_any(&self, plan: &RepairPlan) -> bool {
        self.only.is_none_or(|only| plan.repositories().any(|name| only.is_match(name)))
    }

    /// Opens it for writing.
    pub(super) fn writer(&self, now: Timestamp) -> Result<TreeWriter, Failure> {
        let access = Access {
            locking: if self.args.no_lock { Locking::ByCaller } else { Locking::Required },
            servers: if self.args.online { RunningServers::Accept } else { RunningServers::AddOnly },
        };
        let quarantine = self.args.quarantine.as_deref();
        TreeWriter::open(self.located, quarantine, access, now).map_err(hints::refused)
    }

    /// The report before anything is done.
    pub(super) fn report(
        &self,
        started_at: Timestamp,
        plan: &RepairPlan,
        servers: &[Serving],
    ) -> RepairReport {
        let taken = |step: &repair::RepairStep| Taken { step: step.clone(), outcome: StepOutcome::Planned };
        let left = |left: &repair::Left| LeftFinding { finding: left.finding.clone(), why: left.why.clone() };
        RepairReport {
            schema: repair::SCHEMA.into(),
            command: "repair".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at,
            duration_seconds: 0.0,
            exit_status: 0,
            options: Options {
                apply: self.args.apply,
                content: self.args.content,
                strict: self.args.strict,
                min_age_seconds: self.args.judging.min_age.into(),
                online: self.args.online,
                only: self.args.only.clone(),
                repositories: texts(&self.args.common.repository),
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

    /// Does the steps.
    pub(super) fn apply(
        &self,
        plan: &RepairPlan,
        progress: &RepairProgress,
        (writer, now): (&mut TreeWriter, Timestamp),
        report: &mut RepairReport,
    ) -> Result<Vec<StepOutcome>, Failure> {
        let (shown, make) = Places { args: self.args, located: self.located }.journal(now)?;
        let mut path = None;
        let log = || {
            let log = make()?;
            path = Some(log.path().to_owned());
            Ok(log)
        };
        progress.is_changing.store(true, Ordering::Relaxed);
        let applied = self.tree.install(|| repair::apply(writer, plan, log, self.supply, &progress.steps));
        let outcomes = applied.map_err(|refusal| {
            // Best effort: nothing was done that it could tell of.
            let _ = path.as_ref().map(std::fs::remove_file);
            match refusal {
                WriteRefusal::Journal(error) => {
                    Failure::Io(anyhow::Error::new(error).context(cannot(&shown)))
                }
                other => hints::refused(other),
            }
        })?;
        report.journal = path.map(|path| escape_os(path.as_os_str()));
        report.servers = writer.processes().iter().map(Into::into).collect();
        let went = |(step, outcome): (&repair::RepairStep, &StepOutcome)| {
            step.action.takes_away() && *outcome == StepOutcome::Done
        };
        if plan.steps().iter().zip(&outcomes).any(went) {
            let place = writer.quarantine().ok();
            report.quarantine = place.map(|place| place.base.join(&place.below).display().to_string());
        }
        Ok(outcomes)
    }

    /// The tree as it is now.
    pub(super) fn look_again(&self, progress: &ScanProgress) -> Audit {
        let (graph, audit) = audit::scan_and_audit(&self.tree, &self.scan_options(), &self.options, progress);
        std::mem::forget(graph);
        audit
    }

    /// Writes metrics of the tree as it is at the end, where they are wanted.
    pub(super) fn metrics(&self, audit: Audit, started_at: Timestamp, started: Instant) -> bool {
        let common = &self.args.common;
        if !common.metrics.are_wanted() {
            return true;
        }
        let options = ReportOptions {
            content: self.args.content,
            strict: self.args.strict,
            min_age_seconds: self.options.min_age.into(),
            repositories: Vec::new(),
            sparse: texts(&self.args.judging.sparse),
            require_platforms: Vec::new(),
            online: None,
        };
        let mut report = reporting::empty("repair", started_at, options);
        let mut extra = Extra::default();
        reporting::merge(&mut report, audit, &mut extra);
        report.count();
        report.duration_seconds = started.elapsed().as_secs_f64();
        reporting::write_metrics(common, &report, &extra)
    }
}
