//! One registry under repair: it is looked at, planned for, changed, and looked at again. What is printed is not here.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use globset::GlobSet;
use jiff::Timestamp;
use registry_core::audit::{self, Audit, AuditOptions, ReportOptions};
use registry_core::repair::{
    self, AsidePlace, Conditions, FileLog, Journal, LeftFinding, Options, Outcome, Plan, Report, Run, Scope,
    Summary, Supply, Taken, place, stamp,
};
use registry_core::storage::edit::FdEditor;
use registry_core::storage::{
    DiskFolder, Located, OpenOptions, Progress, ScanOptions, Serving, Tree, serving,
};
use registry_core::text::escape_os;

use super::{Far, server};
use crate::args::RepairArgs;
use crate::exit::Failure;
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
        let open = OpenOptions { follow_symlinks: false, jobs: args.common.jobs.map_or(0, usize::from) };
        let tree =
            Tree::open(located, &open).with_context(|| format!("cannot open {name}")).map_err(Failure::Io)?;
        Ok(Self { args, located, name, options, only, supply, tree })
    }

    fn scan_options(&self) -> ScanOptions<'static> {
        ScanOptions { content: self.args.content, strict: self.args.strict, only: None }
    }

    /// Looks at it, and plans.
    pub(super) fn plan(&self, progress: &Progress) -> Plan {
        let mut graph = self.tree.scan(&self.scan_options(), progress);
        let matches = |name: &str| self.only.is_some_and(|only| only.is_match(name));
        let repository: Option<&dyn Fn(&str) -> bool> =
            if self.only.is_some() { Some(&matches) } else { None };
        let scope = Scope { only: self.args.only.clone(), repository };
        let settle = |graph: &mut _, doubts: &[_]| self.tree.settle(graph, doubts, progress);
        let plan = repair::plan(&mut graph, &self.name, &self.options, &scope, self.supply, settle);
        std::mem::forget(graph);
        plan
    }

    /// Whether there is a repository that is meant.
    pub(super) fn is_of_any(&self, plan: &Plan) -> bool {
        self.only.is_none_or(|only| plan.revisions.keys().any(|name| only.is_match(&**name)))
    }

    /// Programs that are at work on this tree, as far as this machine shows them.
    pub(super) fn servers(&self) -> Vec<Serving> {
        serving(&self.located.v2)
    }

    /// The report before anything is done.
    pub(super) fn report(&self, started_at: Timestamp, plan: &Plan, servers: &[Serving]) -> Report {
        let taken = |step: &repair::Step| Taken { step: step.clone(), outcome: Outcome::Planned };
        let left = |left: &repair::Left| LeftFinding { finding: left.finding.clone(), why: left.why.clone() };
        Report {
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
            },
            source: self.name.clone(),
            steps: plan.steps.iter().map(taken).collect(),
            left: plan.left.iter().map(left).collect(),
            unread: plan.audit.unread.clone(),
            unanswered: plan.unanswered.clone(),
            servers: servers.iter().map(server).collect(),
            journal: None,
            quarantine: None,
            after: None,
            summary: Summary::default(),
        }
    }

    /// Does the steps.
    pub(super) fn apply(
        &self,
        plan: &Plan,
        far: &Far,
        (now, servers): (Timestamp, &[Serving]),
        report: &mut Report,
    ) -> Result<Vec<Outcome>, Failure> {
        let aside = self.aside(plan, now)?;
        let editor = FdEditor::open(&self.located.v2, &aside.base)
            .with_context(|| format!("cannot open {}", aside.base.display()))
            .map_err(Failure::Io)?;
        let path = match &self.args.journal {
            Some(path) => path.clone(),
            None => PathBuf::from(format!("registry-fsck-{}.journal", stamp(now))),
        };
        let shown = escape_os(path.as_os_str());
        let cannot = || format!("cannot write the journal {shown}, so nothing is changed");
        self.refuse_inside(&path)?;
        let v2 = self.located.v2.canonicalize().with_context(cannot).map_err(Failure::Io)?;
        let log = FileLog::create(&path).with_context(cannot).map_err(Failure::Io)?;
        let mut journal =
            Journal::begin(log, &v2, &aside.base, now).with_context(cannot).map_err(Failure::Io)?;
        report.journal = Some(shown);
        let conditions = Conditions {
            now,
            min_age: self.options.min_age,
            aside: &aside.below,
            revisions: &plan.revisions,
            hashed: std::sync::Mutex::default(),
        };
        far.is_changing.store(true, Ordering::Relaxed);
        let mut run = Run {
            editor: &editor,
            journal: &mut journal,
            conditions: &conditions,
            tree: &v2,
            adds_only: self.adds_only(servers),
            supply: self.supply,
            progress: &far.steps,
        };
        let outcomes = self.tree.install(|| run.steps(&plan.steps));
        let went = |(step, outcome): (&repair::Step, &Outcome)| {
            step.action.takes_away() && *outcome == Outcome::Done
        };
        if plan.steps.iter().zip(&outcomes).any(went) {
            report.quarantine = Some(aside.base.join(&aside.below).display().to_string());
        }
        Ok(outcomes)
    }

    /// Where things are moved aside to. Without any to move, its place does not matter.
    fn aside(&self, plan: &Plan, now: Timestamp) -> Result<AsidePlace, Failure> {
        match place(self.located, self.args.quarantine.as_deref(), now) {
            Ok(place) => Ok(place),
            Err(_) if !plan.steps.iter().any(|step| step.action.takes_away()) => {
                Ok(AsidePlace { base: self.located.v2.clone(), below: String::new() })
            }
            Err(error) => Err(Failure::Usage(error.into())),
        }
    }

    /// Refuses a journal in the tree that it tells of.
    fn refuse_inside(&self, journal: &Path) -> Result<(), Failure> {
        let folder = crate::file::folder(journal).canonicalize();
        let is_inside = match (&folder, self.located.v2.canonicalize()) {
            (Ok(folder), Ok(v2)) => folder.starts_with(v2),
            _ => false,
        };
        if is_inside {
            let shown = escape_os(journal.as_os_str());
            return Err(Failure::Usage(anyhow!(
                "the journal {shown} would lie inside the registry: name another place with --journal"
            )));
        }
        Ok(())
    }

    /// Why nothing may be taken away, if nothing may. A server that only reads does not mind.
    fn adds_only(&self, servers: &[Serving]) -> Option<String> {
        let server = servers.iter().find(|one| !one.is_read_only).filter(|_| !self.args.online)?;
        Some(format!(
            "{} (process {}) is at work on this tree: stop it, or say --online",
            server.program, server.pid
        ))
    }

    /// The tree as it is now.
    pub(super) fn look_again(&self, progress: &Progress) -> Audit {
        let mut graph = self.tree.scan(&self.scan_options(), progress);
        let audit = audit::settled(&mut graph, &self.name, &self.options, false, |graph, doubts| {
            self.tree.settle(graph, doubts, progress);
        });
        std::mem::forget(graph);
        audit
    }

    /// Writes metrics of the tree as it is at the end, where they are wanted.
    pub(super) fn metrics(&self, audit: Audit, started_at: Timestamp, started: Instant) -> bool {
        let common = &self.args.common;
        if common.metrics_file.is_none() && common.pushgateway.is_none() {
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
