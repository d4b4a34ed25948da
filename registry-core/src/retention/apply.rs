//! Acting on a plan: one confirmed deletion at a time, parents before what they name, every row read again right before.
//!
//! A row goes only when all images of the plan that reach it are *confirmed* gone, so what stops a run at any point leaves
//! no index without its children.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use super::applied::{Applied, AppliedRow, Stopped};
use super::collect::{Collecting, collect_one};
use super::decision::Action;
use super::drift::{moved, orphaned, row_identity, unread, worse};
use super::follow::After;
use super::hold::hold;
use super::journal::{DeletionEntry, DeletionJournal, RowOutcome, SCHEMA as JOURNAL_SCHEMA};
use super::late::{early, is_gone, late, sequence};
use super::order::{DeletionStep, steps};
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan};
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{DeleteError, Deletion, PlannedDeletion, Unanswered, Writer};
use super::stays::{WhyStays, WhyUnread};
use super::verified::VerifiedPlan;
use crate::Stop;

/// Deletes what the plan says, and nothing else. Asked to stop ([`Writer::stop`]), it ends with the deletion under way.
pub async fn apply(
    writer: &impl Writer,
    plan: VerifiedPlan<'_>,
    how: &Collecting<'_>,
    journal: &mut impl DeletionJournal,
    now: Timestamp,
) -> Applied {
    let mut run = ApplyRun {
        undo_window: plan.policy.undo_window == Some(true),
        journal,
        applied: Applied::before_any_deletion(&plan),
    };
    let begin = DeletionEntry::Begin {
        schema: JOURNAL_SCHEMA.into(),
        source: plan.source.clone(),
        plan_digest: plan.plan_digest.clone(),
        at: now,
    };
    run.note(&begin);
    for package in &plan.packages {
        if package.state == PackageState::Planned {
            run.early(writer, package, how).await;
        }
    }
    for package in sequence(&plan) {
        run.late(writer, &plan, package, how).await;
    }
    run.applied
}

/// What is said of a run that was asked to stop.
const STOPPED: &str = "it was asked to stop";

/// Work that changes nothing, given up when the run is asked to stop.
async fn unless_stopped<T>(writer: &impl Writer, work: impl Future<Output = T>) -> Option<T> {
    match writer.stop() {
        Some(stop) => stop.unless_stopped(work).await,
        None => Some(work.await),
    }
}

/// How it went with one row.
enum Went {
    /// It is gone.
    Gone,
    /// It may still be there, and why.
    Stays(WhyStays),
    /// It stays.
    Spared(Spared),
}

/// Why an image stays although it was to go.
#[derive(Debug, Clone)]
enum Spared {
    /// It is not what was planned any more, or something that stays needs it.
    Moved(WhyStays),
    /// Whether it moved could not be found out, or what needs it could not be deleted.
    Failed(WhyStays),
}

impl Spared {
    /// Why what `version` needs stays with it.
    fn held_by(&self, version: &str) -> Self {
        let why = WhyStays::NeededBy(version.to_owned());
        match self {
            Self::Moved(_) => Self::Moved(why),
            Self::Failed(_) => Self::Failed(why),
        }
    }

    fn outcome(self) -> (RowOutcome, WhyStays) {
        match self {
            Self::Moved(why) => (RowOutcome::Spared, why),
            Self::Failed(why) => (RowOutcome::Failed, why),
        }
    }
}

/// Which deletions of a package are made.
enum Pass {
    /// Those that wait for no other package.
    Early,
    /// Those that waited, and subjects of theirs that are not confirmed to be gone.
    Late(BTreeMap<After, Spared>),
}

impl Pass {
    /// Steps, by number, of which a subject in another package may be there.
    fn held(&self, order: &[DeletionStep]) -> BTreeMap<usize, Spared> {
        let Self::Late(there) = self else { return BTreeMap::new() };
        let why = |step: &DeletionStep| {
            step.rows.iter().flat_map(|row| &row.after).find_map(|after| there.get(after))
        };
        order.iter().enumerate().filter_map(|(number, step)| Some((number, why(step)?.clone()))).collect()
    }
}

struct ApplyRun<'j, J> {
    /// Whether what goes is put by digest first, so that it can be put back for a day.
    undo_window: bool,
    journal: &'j mut J,
    applied: Applied,
}

impl<J: DeletionJournal> ApplyRun<'_, J> {
    /// Writes an entry; what cannot be written down is not done.
    fn note(&mut self, entry: &DeletionEntry) -> bool {
        match self.journal.write(entry) {
            Ok(()) => true,
            Err(error) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Journal(error.to_string()));
                false
            }
        }
    }

    /// Whether the run was asked to stop: then nothing more is begun.
    fn stop_if_asked(&mut self, writer: &impl Writer) -> bool {
        let is_asked = writer.stop().is_some_and(Stop::is_stopped);
        if is_asked {
            self.applied.stopped.get_or_insert_with(|| Stopped::Interrupted(STOPPED.into()));
        }
        is_asked
    }

    fn outcome(&mut self, package: &str, version: &str, outcome: RowOutcome, reason: Option<WhyStays>) {
        let (package, version) = (package.to_owned(), version.to_owned());
        self.applied.rows.push(AppliedRow { package, version, outcome, reason });
    }

    /// Stops where nothing is asked any more.
    fn give_up(&mut self, writer: &impl Writer) {
        if let Some(why) = writer.gave_up() {
            self.applied.stopped.get_or_insert(Stopped::GaveUp(why));
        }
    }

    /// Deletes what waits for no other package.
    async fn early(&mut self, writer: &impl Writer, planned: &PackagePlan, how: &Collecting<'_>) {
        let mut doomed = planned.versions.iter().filter(|row| row.action == Action::Delete);
        if doomed.any(|row| row.after.is_empty()) {
            self.package(writer, planned, &Pass::Early, how).await;
        }
    }

    /// Deletes what waited for other packages, as far as its subjects are confirmed to be gone there.
    async fn late(&mut self, writer: &impl Writer, plan: &Plan, planned: &PackagePlan, how: &Collecting<'_>) {
        let done: HashSet<(&str, &str)> =
            self.applied.rows.iter().map(|row| (row.package.as_str(), row.version.as_str())).collect();
        let late = late(planned, &done);
        let mut there: BTreeMap<After, Spared> = BTreeMap::new();
        let doomed = late.versions.iter().filter(|row| row.action == Action::Delete);
        let subjects: BTreeSet<&After> = doomed.flat_map(|row| &row.after).collect();
        let packages: BTreeSet<&str> = subjects.iter().map(|after| after.package.as_str()).collect();
        for name in packages.into_iter().filter(|_| self.applied.stopped.is_none()) {
            let of = plan.packages.iter().find(|package| package.name == name);
            let now = match collect_one(writer, name, how).await {
                Ok(recorded) => Ok(recorded.package()),
                Err(why) => Err(why.to_string()),
            };
            let now = now.and_then(|now| unread(&now).map_or(Ok(now), Err));
            for after in subjects.iter().filter(|after| after.package == name) {
                let digest = after.digest;
                let spared = match &now {
                    Ok(now) if is_gone(of, now, &digest) => continue,
                    Ok(_) => Spared::Moved(WhyStays::SubjectThere { digest, package: name.to_owned() }),
                    Err(why) => {
                        let (package, why) = (name.to_owned(), why.clone());
                        Spared::Failed(WhyStays::SubjectUnknown { digest, package, why })
                    }
                };
                there.insert((*after).clone(), spared);
            }
        }
        self.package(writer, &late, &Pass::Late(there), how).await;
    }

    async fn package(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        pass: &Pass,
        how: &Collecting<'_>,
    ) {
        let doomed: Vec<_> = planned.versions.iter().filter(|row| row.action == Action::Delete).collect();
        if doomed.is_empty() {
            return;
        }
        self.stop_if_asked(writer);
        let all = |run: &mut Self, outcome: RowOutcome, why: WhyStays| {
            for row in &doomed {
                run.outcome(&planned.name, &row.version, outcome, Some(why.clone()));
            }
        };
        self.give_up(writer);
        if self.applied.stopped.is_some() {
            all(self, RowOutcome::Stopped, WhyStays::StoppedBefore);
            return;
        }
        let recorded = match unless_stopped(writer, Box::pin(collect_one(writer, &planned.name, how))).await {
            Some(Ok(recorded)) => recorded,
            Some(Err(why)) => {
                all(self, RowOutcome::Failed, WhyStays::Unlisted(why.to_string()));
                return;
            }
            None => {
                self.stop_if_asked(writer);
                all(self, RowOutcome::Stopped, WhyStays::Asked);
                return;
            }
        };
        let before = recorded.package();
        if let Some(why) = unread(&before) {
            all(self, RowOutcome::Failed, WhyStays::Unread(why));
            return;
        }
        if let Some(why) = moved(planned, &before) {
            all(self, RowOutcome::Stopped, WhyStays::Drifted(why));
            return;
        }
        let only_early;
        let planned = if let Pass::Early = pass {
            only_early = early(planned, &before);
            &only_early
        } else {
            planned
        };
        let (order, left) = steps(planned, &before);
        if order.is_empty() && left.is_empty() {
            return;
        }
        if !self.save(&planned.name, &recorded, &before, &order) {
            all(self, RowOutcome::Stopped, WhyStays::NoJournal);
            return;
        }
        if self.undo_window
            && let Err(why) = hold(writer, planned, &recorded, &before).await
        {
            if self.stop_if_asked(writer) {
                all(self, RowOutcome::Stopped, WhyStays::Asked);
            } else {
                all(self, RowOutcome::Failed, WhyStays::NotHeld(why.to_string()));
            }
            return;
        }
        for row in left {
            self.outcome(&planned.name, &row.version, RowOutcome::Spared, Some(WhyStays::NoOrder));
        }
        self.steps(writer, planned, &order, pass.held(&order)).await;
        self.check(writer, planned, &before, how).await;
    }

    /// Saves the bytes of everything that goes, children first.
    fn save(
        &mut self,
        name: &str,
        recorded: &RecordedPackage,
        package: &Package,
        order: &[DeletionStep],
    ) -> bool {
        let roots = order.iter().filter_map(|step| package.find(&step.digest));
        for manifest in package.leaves_first(roots) {
            let digest = package.digest(manifest);
            let Some(content @ RecordedManifest::Present { .. }) = recorded.manifests.get(&digest) else {
                continue;
            };
            let entry =
                DeletionEntry::Manifest { package: name.to_owned(), digest, content: content.clone() };
            if !self.note(&entry) {
                return false;
            }
        }
        true
    }

    async fn steps(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        order: &[DeletionStep],
        // What stays although it was to go holds all that it needs.
        mut held: BTreeMap<usize, Spared>,
    ) {
        let name = &planned.name;
        for (number, step) in order.iter().enumerate() {
            self.stop_if_asked(writer);
            let own = held.get(&number).cloned();
            let above = own.or_else(|| step.after.iter().find_map(|other| held.get(other).cloned()));
            if let (Some(why), true) = (&above, step.rows.is_empty()) {
                held.insert(number, why.clone());
            }
            let mut why = above;
            if why.is_none() && self.applied.stopped.is_none() {
                // The first row is read again right before it goes, the others now and then once more.
                why = changed(writer, name, step, step.rows.iter().skip(1)).await;
            }
            let together: Vec<&str> = step.rows.iter().map(|row| row.version.as_str()).collect();
            for row in &step.rows {
                self.give_up(writer);
                if self.stop_if_asked(writer) || self.applied.stopped.is_some() {
                    self.outcome(name, &row.version, RowOutcome::Stopped, None);
                    held.entry(number).or_insert_with(|| Spared::Failed(WhyStays::RunStopped));
                    continue;
                }
                if let Some(why) = &why {
                    held.insert(number, why.held_by(&row.version));
                    let (outcome, why) = why.clone().outcome();
                    self.outcome(name, &row.version, outcome, Some(why));
                    continue;
                }
                match self.delete(writer, name, row, step, &together).await {
                    Went::Gone => {}
                    Went::Stays(failed) => {
                        held.insert(number, Spared::Failed(failed));
                    }
                    Went::Spared(spared) => {
                        held.insert(number, spared.held_by(&row.version));
                        why = Some(spared);
                    }
                }
            }
        }
    }

    /// Deletes one row, if it still is what was planned.
    async fn delete(
        &mut self,
        writer: &impl Writer,
        package: &str,
        row: &super::PlannedRow,
        step: &DeletionStep,
        together: &[&str],
    ) -> Went {
        let entry = DeletionEntry::Deleting {
            package: package.to_owned(),
            version: row.version.clone(),
            digest: step.digest,
            id: row.id,
            created_at: row.created_at,
        };
        if !self.note(&entry) {
            self.outcome(package, &row.version, RowOutcome::Stopped, None);
            return Went::Stays(WhyStays::NoJournal);
        }
        if let Some(spared) = changed(writer, package, step, std::iter::once(row)).await {
            let (outcome, why) = spared.clone().outcome();
            self.done(package, row, outcome, Some(why));
            return Went::Spared(spared);
        }
        let doomed =
            PlannedDeletion { package, version: &row.version, id: row.id, digest: step.digest, together };
        let (outcome, why) = match writer.delete(&doomed).await {
            Ok(Deletion::Now) => (RowOutcome::Deleted, None),
            Ok(Deletion::Before) => (RowOutcome::AlreadyGone, None),
            Err(DeleteError::Forbidden(why)) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Forbidden(why.clone()));
                (RowOutcome::Failed, Some(why))
            }
            Err(DeleteError::Failed(why)) => (RowOutcome::Failed, Some(why)),
        };
        self.done(package, row, outcome, why.clone().map(WhyStays::Answer));
        let version = row.version.clone();
        why.map_or(Went::Gone, |why| Went::Stays(WhyStays::NotDeleted { version, why }))
    }

    fn done(&mut self, package: &str, row: &super::PlannedRow, outcome: RowOutcome, why: Option<WhyStays>) {
        self.note(&DeletionEntry::Done {
            package: package.to_owned(),
            version: row.version.clone(),
            outcome,
        });
        self.outcome(package, &row.version, outcome, why);
    }

    /// Looks at the kept images again: one that was whole and is not any more stops the run.
    async fn check(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        before: &Package,
        how: &Collecting<'_>,
    ) {
        let again = match unless_stopped(writer, Box::pin(collect_one(writer, &planned.name, how))).await {
            Some(Ok(recorded)) => recorded.package(),
            None => {
                self.stop_if_asked(writer);
                return;
            }
            Some(Err(why)) => {
                self.give_up(writer);
                let why = WhyUnread::Kept { package: planned.name.clone(), why: why.to_string() };
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return;
            }
        };
        let orphaned = orphaned(planned, &again).map(Stopped::Worse);
        let stopped = orphaned.or_else(|| worse(planned, before, &again));
        if !matches!(stopped, Some(Stopped::Worse(_))) {
            self.give_up(writer);
        }
        if let Some(stopped) = stopped {
            self.applied.stopped.get_or_insert(stopped);
        }
    }
}

/// Whether any of these rows is not what it was when it was planned: then the whole image is spared.
async fn changed<'r>(
    writer: &impl Writer,
    package: &str,
    step: &DeletionStep,
    rows: impl Iterator<Item = &'r super::PlannedRow>,
) -> Option<Spared> {
    for row in rows {
        let name = &row.version;
        let again = |why: Unanswered| {
            let why = WhyStays::RowUnread { version: name.clone(), why: why.to_string() };
            Some(Spared::Failed(why))
        };
        match writer.row(package, name).await {
            Ok(None) => {}
            Ok(Some(now)) if row_identity(now.id, now.created_at) == row_identity(row.id, row.created_at) => {
            }
            Ok(Some(_)) => {
                return Some(Spared::Moved(WhyStays::Repushed(name.clone())));
            }
            Err(why) => return again(why),
        }
        if row.id.is_none() {
            // Without numbers only the digest tells.
            match writer.head(package, name).await {
                Ok(None) => {}
                Ok(Some(digest)) if digest == step.digest => {}
                Ok(Some(_)) => return Some(Spared::Moved(WhyStays::Renamed(name.clone()))),
                Err(why) => return again(why),
            }
        }
    }
    None
}
