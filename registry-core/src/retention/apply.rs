//! Acting on a plan on a server: one confirmed deletion at a time, an image before what it names, and every row read again right
//! before its deletion.
//!
//! A row is deleted only when all images of the plan that reach it are *confirmed* gone, so a run that stops at any point leaves
//! no index without its children.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::applied::{ApplyResult, Held, Stopped};
use super::collect::{CollectOptions, collect_one};
use super::drift::{
    find_drift, find_orphaned_tag, find_worse_tag, row_identity, subjects_not_gone, unread_part,
};
use super::follow::SubjectElsewhere;
use super::hold::hold_manifests;
use super::journal::{DeletionEntry, DeletionJournal, RowOutcome, SCHEMA as JOURNAL_SCHEMA};
use super::order::{DeletionStep, deletion_steps};
use super::package::Package;
use super::plan::{PackagePlan, Plan, PlannedRow};
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{DeleteError, DeletionTime, NoAnswer, PlannedDeletion, Writer};
use super::stays::{WhyNotDeleted, WhyUnread};
use super::verified::VerifiedPlan;
use super::waiting_rows::{
    has_rows_that_need_not_wait, packages_with_waiting_rows, subjects_elsewhere, without_finished_rows,
    without_waiting_rows,
};
use crate::Stop;

/// Deletes the rows that the plan deletes, and nothing else. When the run is asked to stop ([`Writer::stop`]), the deletion under
/// way is the last.
pub async fn apply(
    writer: &impl Writer,
    plan: VerifiedPlan<'_>,
    how: &CollectOptions<'_>,
    journal: &mut impl DeletionJournal,
    now: Timestamp,
) -> ApplyResult {
    let mut run = ApplyRun {
        undo_window: plan.policy.undo_window == Some(true),
        journal,
        applied: ApplyResult::before_any_deletion(&plan),
    };
    let begin = DeletionEntry::Begin {
        schema: JOURNAL_SCHEMA.into(),
        source: plan.source.clone(),
        plan_digest: plan.plan_digest.clone(),
        at: now,
    };
    run.write_entry(&begin);
    for package in plan.planned_packages().filter(|package| has_rows_that_need_not_wait(package)) {
        run.delete_package_rows(writer, package, &Pass::Early, how).await;
    }
    for package in packages_with_waiting_rows(&plan) {
        run.delete_waiting_rows(writer, &plan, package, how).await;
    }
    run.applied
}

/// The reason of a run that was asked to stop.
const STOPPED: &str = "it was asked to stop";

/// Does work that changes nothing; `None` when the run is asked to stop before it is done.
async fn unless_stopped<T>(writer: &impl Writer, work: impl Future<Output = T>) -> Option<T> {
    match writer.stop() {
        Some(stop) => stop.unless_stopped(work).await,
        None => Some(work.await),
    }
}

/// How the deletion of one row ended.
enum DeletionResult {
    /// The row is gone.
    Gone,
    /// The row may still be there, and why.
    NotConfirmed(WhyNotDeleted),
    /// No deletion was tried.
    NotTried(Held),
}

/// Which rows of a package are deleted.
enum Pass {
    /// Those that wait for no other package.
    Early,
    /// Those that waited. The map holds their subjects in other packages that are not confirmed to be gone.
    Late(BTreeMap<SubjectElsewhere, Held>),
}

impl Pass {
    /// The steps, by number, that follow a subject in another package that may still be there.
    fn held_steps(&self, order: &[DeletionStep]) -> BTreeMap<usize, Held> {
        let Self::Late(not_gone) = self else { return BTreeMap::new() };
        let why = |step: &DeletionStep| {
            step.rows.iter().flat_map(|row| &row.after).find_map(|after| not_gone.get(after))
        };
        order.iter().enumerate().filter_map(|(number, step)| Some((number, why(step)?.clone()))).collect()
    }
}

struct ApplyRun<'j, J> {
    /// Whether every deleted image is put by digest first, so that it can be put back for a day.
    undo_window: bool,
    journal: &'j mut J,
    applied: ApplyResult,
}

impl<J: DeletionJournal> ApplyRun<'_, J> {
    /// Writes an entry to the journal, and returns whether that succeeded. A change without its entry must not be made.
    fn write_entry(&mut self, entry: &DeletionEntry) -> bool {
        match self.journal.write(entry) {
            Ok(()) => true,
            Err(error) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Journal(error.to_string()));
                false
            }
        }
    }

    /// Whether the run was asked to stop; it is stopped then.
    fn stop_if_asked(&mut self, writer: &impl Writer) -> bool {
        let is_asked = writer.stop().is_some_and(Stop::is_stopped);
        if is_asked {
            self.applied.stopped.get_or_insert_with(|| Stopped::Interrupted(STOPPED.into()));
        }
        is_asked
    }

    /// Stops the run if the writer gave up on the server.
    fn stop_if_gave_up(&mut self, writer: &impl Writer) {
        if let Some(why) = writer.why_gave_up() {
            self.applied.stopped.get_or_insert(Stopped::GaveUp(why));
        }
    }

    /// Deletes the rows that waited for other packages and whose subjects are confirmed to be gone there.
    async fn delete_waiting_rows(
        &mut self,
        writer: &impl Writer,
        plan: &Plan,
        planned: &PackagePlan,
        how: &CollectOptions<'_>,
    ) {
        let waiting = without_finished_rows(planned, &self.applied.finished_rows(&planned.name));
        let mut not_gone = BTreeMap::new();
        let subjects = subjects_elsewhere(&waiting);
        for (name, digests) in subjects.into_iter().filter(|_| self.applied.stopped.is_none()) {
            let subject_plan = plan.packages.iter().find(|package| package.name == name);
            let now = match collect_one(writer, name, how).await {
                Ok(recorded) => Ok(recorded.package()),
                Err(why) => Err(why.to_string()),
            };
            let now = now.and_then(|now| unread_part(&now).map_or(Ok(now), Err));
            not_gone.extend(subjects_not_gone(subject_plan, name, &now, digests));
        }
        self.delete_package_rows(writer, &waiting, &Pass::Late(not_gone), how).await;
    }

    /// Deletes rows of one package. When none could be tried, all of them get the same outcome.
    async fn delete_package_rows(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        pass: &Pass,
        how: &CollectOptions<'_>,
    ) {
        if planned.rows_to_delete().next().is_none() {
            return;
        }
        if let Some(held) = self.try_package(writer, planned, pass, how).await {
            for row in planned.rows_to_delete() {
                self.applied.report_row(&planned.name, &row.version, held.outcome, Some(held.why.clone()));
            }
        }
    }

    /// Deletes rows of one package. Returns why no deletion could be tried, if that is so.
    async fn try_package(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        pass: &Pass,
        how: &CollectOptions<'_>,
    ) -> Option<Held> {
        self.stop_if_asked(writer);
        self.stop_if_gave_up(writer);
        if self.applied.stopped.is_some() {
            return Some(Held::stopped(WhyNotDeleted::StoppedBefore));
        }
        let recorded = match unless_stopped(writer, Box::pin(collect_one(writer, &planned.name, how))).await {
            Some(Ok(recorded)) => recorded,
            Some(Err(why)) => return Some(Held::failed(WhyNotDeleted::Unlisted(why.to_string()))),
            None => {
                self.stop_if_asked(writer);
                return Some(Held::stopped(WhyNotDeleted::Asked));
            }
        };
        let before = recorded.package();
        if let Some(why) = unread_part(&before) {
            return Some(Held::failed(WhyNotDeleted::Unread(why)));
        }
        if let Some(drift) = find_drift(planned, &before) {
            return Some(Held::stopped(WhyNotDeleted::Drifted(drift)));
        }
        let early_plan;
        let planned = if let Pass::Early = pass {
            early_plan = without_waiting_rows(planned, &before);
            &early_plan
        } else {
            planned
        };
        let (order, unordered) = deletion_steps(planned, &before);
        if order.is_empty() && unordered.is_empty() {
            return None;
        }
        if !self.save_manifests(&planned.name, &recorded, &before, &order) {
            return Some(Held::stopped(WhyNotDeleted::NoJournal));
        }
        if self.undo_window
            && let Err(why) = hold_manifests(writer, planned, &recorded, &before).await
        {
            return Some(if self.stop_if_asked(writer) {
                Held::stopped(WhyNotDeleted::Asked)
            } else {
                Held::failed(WhyNotDeleted::NotHeld(why.to_string()))
            });
        }
        for row in unordered {
            self.applied.report_row(
                &planned.name,
                &row.version,
                RowOutcome::Spared,
                Some(WhyNotDeleted::NoOrder),
            );
        }
        self.do_steps(writer, planned, &order, pass.held_steps(&order)).await;
        self.check_kept_images(writer, planned, &before, how).await;
        None
    }

    /// Writes the bytes of everything that the steps delete to the journal, children first. Returns whether all were written.
    fn save_manifests(
        &mut self,
        name: &str,
        recorded: &RecordedPackage,
        package: &Package,
        order: &[DeletionStep],
    ) -> bool {
        let roots = order.iter().filter_map(|step| package.find(&step.digest));
        package.leaves_first(roots).into_iter().all(|manifest| {
            let digest = package.digest(manifest);
            let Some(content @ RecordedManifest::Present { .. }) = recorded.manifests.get(&digest) else {
                return true;
            };
            let (package, content) = (name.to_owned(), content.clone());
            self.write_entry(&DeletionEntry::Manifest { package, digest, content })
        })
    }

    /// Does the steps in order. `held` are steps whose rows stay; everything that these need stays too.
    async fn do_steps(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        order: &[DeletionStep],
        mut held: BTreeMap<usize, Held>,
    ) {
        let name = &planned.name;
        for (number, step) in order.iter().enumerate() {
            self.stop_if_asked(writer);
            let own = held.get(&number).cloned();
            let mut spared = own.or_else(|| step.after.iter().find_map(|other| held.get(other).cloned()));
            if let (Some(why), true) = (&spared, step.rows.is_empty()) {
                held.insert(number, why.clone());
            }
            if spared.is_none() && self.applied.stopped.is_none() {
                // `delete_row` reads the first row right before its deletion, and each other row a second time then.
                spared = find_changed_row(writer, name, step, step.rows.iter().skip(1)).await;
            }
            let together: Vec<&str> = step.rows.iter().map(|row| row.version.as_str()).collect();
            for row in &step.rows {
                self.stop_if_gave_up(writer);
                if self.stop_if_asked(writer) || self.applied.stopped.is_some() {
                    self.applied.report_row(name, &row.version, RowOutcome::Stopped, None);
                    held.entry(number).or_insert_with(|| Held::failed(WhyNotDeleted::RunStopped));
                    continue;
                }
                let needed_by_row = || WhyNotDeleted::NeededBy(row.version.clone());
                if let Some(spared) = &spared {
                    held.insert(number, spared.because(needed_by_row()));
                    self.applied.report_row(name, &row.version, spared.outcome, Some(spared.why.clone()));
                    continue;
                }
                match self.delete_row(writer, name, row, step, &together).await {
                    DeletionResult::Gone => {}
                    DeletionResult::NotConfirmed(why) => {
                        held.insert(number, Held::failed(why));
                    }
                    DeletionResult::NotTried(why) => {
                        held.insert(number, why.because(needed_by_row()));
                        spared = Some(why);
                    }
                }
            }
        }
    }

    /// Deletes one row, if it is still what was planned.
    async fn delete_row(
        &mut self,
        writer: &impl Writer,
        package: &str,
        row: &PlannedRow,
        step: &DeletionStep,
        together: &[&str],
    ) -> DeletionResult {
        let entry = DeletionEntry::Deleting {
            package: package.to_owned(),
            version: row.version.clone(),
            digest: step.digest,
            id: row.id,
            created_at: row.created_at,
        };
        if !self.write_entry(&entry) {
            self.applied.report_row(package, &row.version, RowOutcome::Stopped, None);
            return DeletionResult::NotConfirmed(WhyNotDeleted::NoJournal);
        }
        if let Some(spared) = find_changed_row(writer, package, step, std::iter::once(row)).await {
            self.finish_row(package, row, spared.outcome, Some(spared.why.clone()));
            return DeletionResult::NotTried(spared);
        }
        let deletion = PlannedDeletion {
            package,
            version: &row.version,
            id: row.id,
            digest: step.digest,
            rows_of_manifest: together,
        };
        let (outcome, why) = match writer.delete(&deletion).await {
            Ok(DeletionTime::Now) => (RowOutcome::Deleted, None),
            Ok(DeletionTime::Before) => (RowOutcome::AlreadyGone, None),
            Err(DeleteError::Forbidden(why)) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Forbidden(why.clone()));
                (RowOutcome::Failed, Some(why))
            }
            Err(DeleteError::Failed(why)) => (RowOutcome::Failed, Some(why)),
        };
        self.finish_row(package, row, outcome, why.clone().map(WhyNotDeleted::Answer));
        let version = row.version.clone();
        why.map_or(DeletionResult::Gone, |why| {
            DeletionResult::NotConfirmed(WhyNotDeleted::NotDeleted { version, why })
        })
    }

    /// Writes the outcome of a row to the journal and to the report.
    fn finish_row(
        &mut self,
        package: &str,
        row: &PlannedRow,
        outcome: RowOutcome,
        why: Option<WhyNotDeleted>,
    ) {
        let (package_name, version) = (package.to_owned(), row.version.clone());
        self.write_entry(&DeletionEntry::Done { package: package_name, version, outcome });
        self.applied.report_row(package, &row.version, outcome, why);
    }

    /// Reads the kept images again, and stops the run if one was whole before and is not now.
    async fn check_kept_images(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        before: &Package,
        how: &CollectOptions<'_>,
    ) {
        let now = match unless_stopped(writer, Box::pin(collect_one(writer, &planned.name, how))).await {
            Some(Ok(recorded)) => recorded.package(),
            None => {
                self.stop_if_asked(writer);
                return;
            }
            Some(Err(why)) => {
                self.stop_if_gave_up(writer);
                let why = WhyUnread::Kept { package: planned.name.clone(), why: why.to_string() };
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return;
            }
        };
        let orphaned = find_orphaned_tag(planned, &now).map(Stopped::Worse);
        let stopped = orphaned.or_else(|| find_worse_tag(planned, before, &now));
        if !matches!(stopped, Some(Stopped::Worse(_))) {
            self.stop_if_gave_up(writer);
        }
        if let Some(stopped) = stopped {
            self.applied.stopped.get_or_insert(stopped);
        }
    }
}

/// Why the whole image is spared: one of these rows is not what was planned, or could not be read again.
async fn find_changed_row<'r>(
    writer: &impl Writer,
    package: &str,
    step: &DeletionStep,
    rows: impl Iterator<Item = &'r PlannedRow>,
) -> Option<Held> {
    for row in rows {
        let name = &row.version;
        let unread = |why: NoAnswer| {
            let why = WhyNotDeleted::RowUnread { version: name.clone(), why: why.to_string() };
            Some(Held::failed(why))
        };
        match writer.row(package, name).await {
            Ok(None) => {}
            Ok(Some(now)) if row_identity(now.id, now.created_at) == row_identity(row.id, row.created_at) => {
            }
            Ok(Some(_)) => return Some(Held::spared(WhyNotDeleted::Repushed(name.clone()))),
            Err(why) => return unread(why),
        }
        if row.id.is_none() {
            // Where rows have no numbers, only the digest shows that a tag was pushed again.
            match writer.manifest_digest(package, name).await {
                Ok(None) => {}
                Ok(Some(digest)) if digest == step.digest => {}
                Ok(Some(_)) => return Some(Held::spared(WhyNotDeleted::Renamed(name.clone()))),
                Err(why) => return unread(why),
            }
        }
    }
    None
}
