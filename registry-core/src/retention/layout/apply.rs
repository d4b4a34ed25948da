//! Acting on a plan on a tree, package by package: the package is read again, then its tags are moved aside, then the revision
//! links that nothing needs any more, then the layer links. A run that stops at any point leaves no tag without its manifest, and
//! no index that a tag reaches without its children.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::act::{ApplyRun, levels, tag_step};
use super::links::Links;
use super::moves::{RowFate, moves, row_fates, with_referrers};
use super::{Layout, LayoutError};
use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{JournalOutput, MovesAside, RepairJournal, RepairStep, StepProgress, WhyStopped};
use crate::retention::applied::{ApplyResult, Held, Stopped};
use crate::retention::drift::{find_drift, find_worse_tag, subjects_not_gone, unread_part};
use crate::retention::follow::SubjectElsewhere;
use crate::retention::order;
use crate::retention::package::{ManifestId, Package};
use crate::retention::plan::{PackagePlan, PlannedRow};
use crate::retention::stays::{WhyHalted, WhyNotDeleted, WhyUnread, WhyWorse};
use crate::retention::verified::VerifiedPlan;
use crate::retention::waiting_rows::{
    has_rows_that_need_not_wait, packages_with_waiting_rows, subjects_elsewhere, without_finished_rows,
    without_waiting_rows,
};
use crate::storage::Folder;
use crate::tree_writer::{TreeWriter, WriteRefusal};

/// Moves aside the tags that a plan deletes, and the links that only these need. Each change is written to the journal `log`
/// before it is made.
pub fn apply<F: Folder, L: JournalOutput + Send>(
    layout: &Layout<F>,
    plan: VerifiedPlan<'_>,
    writer: &mut TreeWriter,
    log: L,
    progress: &StepProgress,
) -> ApplyResult {
    let journal = match RepairJournal::begin_for_writer(writer, MovesAside::Some, || Ok(log)) {
        Ok(journal) => journal,
        Err(WriteRefusal::Journal(error)) => {
            return ApplyResult::not_tried(&plan, Stopped::Journal(error.to_string()));
        }
        Err(refusal) => {
            return ApplyResult::not_tried(&plan, Stopped::Halted(WhyHalted::NoAccess(refusal.to_string())));
        }
    };
    let applied = ApplyResult::before_any_deletion(&plan);
    let mut run = ApplyRun { tree: &layout.tree, writer, journal, progress, applied };
    for planned in plan.planned_packages().filter(|package| has_rows_that_need_not_wait(package)) {
        run.act_on_package(layout, planned, None);
    }
    for planned in packages_with_waiting_rows(&plan) {
        let waiting = without_finished_rows(planned, &run.applied.finished_rows(&planned.name));
        let mut not_gone = BTreeMap::new();
        for (name, subjects) in subjects_elsewhere(&waiting) {
            let subject_plan = plan.packages.iter().find(|package| package.name == name);
            let now = match CurrentPackage::read(layout, name) {
                Err(ReadError::Gone) => Ok(Package::new(name)),
                Err(ReadError::Unread(why)) => Err(why),
                Ok(now) => Ok(now.package),
            };
            not_gone.extend(subjects_not_gone(subject_plan, name, &now, subjects));
        }
        run.act_on_package(layout, &waiting, Some(&not_gone));
    }
    run.applied
}

/// A package as it is right now.
struct CurrentPackage {
    package: Package,
    links: Links,
}

/// Why a package cannot be acted on now.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    /// There is no such repository any more.
    #[error("it is gone")]
    Gone,
    /// Something in it is unknown.
    #[error("{0}")]
    Unread(String),
}

impl CurrentPackage {
    /// Reads a package; an error when something in it is unknown.
    fn read<F: Folder>(layout: &Layout<F>, name: &str) -> Result<Self, ReadError> {
        let (recorded, links) = layout.package(name).map_err(|error| match error {
            LayoutError::Gone(_) => ReadError::Gone,
            other => ReadError::Unread(other.to_string()),
        })?;
        let package = recorded.package();
        match unread_part(&package) {
            Some(why) => Err(ReadError::Unread(why)),
            None => Ok(Self { package, links }),
        }
    }
}

impl<F: Folder, L: JournalOutput + Send> ApplyRun<'_, F, L> {
    /// Acts on one package, and reports its rows if nothing could be tried in it. `not_gone` are subjects in other packages that
    /// are not confirmed to be gone; without it, the rows that wait for other packages are left alone.
    fn act_on_package(
        &mut self,
        layout: &Layout<F>,
        planned: &PackagePlan,
        not_gone: Option<&BTreeMap<SubjectElsewhere, Held>>,
    ) {
        if planned.rows_to_delete().next().is_none() {
            return;
        }
        if let Some(held) = self.try_package(layout, planned, not_gone) {
            for row in planned.rows_to_delete() {
                self.report_row(&planned.name, &row.version, Some(&held));
            }
        }
    }

    /// Acts on one package. Returns why nothing could be tried in it, if that is so.
    fn try_package(
        &mut self,
        layout: &Layout<F>,
        planned: &PackagePlan,
        not_gone: Option<&BTreeMap<SubjectElsewhere, Held>>,
    ) -> Option<Held> {
        if self.applied.stopped.is_some() {
            return Some(Held::stopped(WhyNotDeleted::StoppedBefore));
        }
        if self.progress.is_stopped() {
            self.applied.stopped = Some(Stopped::Halted(WhyHalted::Stopped(WhyStopped::Interrupted)));
            return Some(Held::stopped(WhyNotDeleted::Interrupted));
        }
        let before = match CurrentPackage::read(layout, &planned.name) {
            Ok(before) => before,
            Err(why) => return Some(Held::failed(WhyNotDeleted::Unread(why.to_string()))),
        };
        if let Some(drift) = find_drift(planned, &before.package) {
            return Some(Held::stopped(WhyNotDeleted::Drifted(drift)));
        }
        let early_plan;
        let (planned, not_gone) = match not_gone {
            Some(not_gone) => (planned, not_gone),
            None => {
                early_plan = without_waiting_rows(planned, &before.package);
                (&early_plan, &BTreeMap::new())
            }
        };
        let (untagged, digest_rows) = self.move_tags(planned, &before.package, not_gone);
        let moved = match CurrentPackage::read(layout, &planned.name) {
            Ok(now) => self.move_links(planned, &now, &untagged, &digest_rows),
            Err(why) => {
                let why = WhyUnread::AfterTags { package: planned.name.clone(), why: why.to_string() };
                let held = Held::failed(WhyNotDeleted::AfterTags(why.clone()));
                digest_rows.iter().for_each(|row| self.report_row(&planned.name, &row.version, Some(&held)));
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return None;
            }
        };
        self.check_kept_images(layout, planned, &before, &moved);
        None
    }

    /// Moves tags aside, each image before what it names and before its followers. Returns the images that lost all their tags,
    /// and the rows of digests that are still to be deleted.
    fn move_tags(
        &mut self,
        planned: &PackagePlan,
        before: &Package,
        not_gone: &BTreeMap<SubjectElsewhere, Held>,
    ) -> (Vec<Digest>, Vec<PlannedRow>) {
        let name = &planned.name;
        let (order, unordered) = order::deletion_steps(planned, before);
        let no_order = Held::spared(WhyNotDeleted::NoOrder);
        unordered.iter().for_each(|row| self.report_row(name, &row.version, Some(&no_order)));
        let mut digest_rows = Vec::new();
        let mut held: BTreeMap<usize, Held> = BTreeMap::new();
        for level in levels(&order) {
            let mut tags: Vec<(usize, &PlannedRow)> = Vec::new();
            for number in level {
                let step = &order[number];
                let own = step.rows.iter().flat_map(|row| &row.after).find_map(|after| not_gone.get(after));
                let above = || step.after.iter().find_map(|other| held.get(other).cloned());
                if let Some(why) = own.cloned().or_else(above) {
                    step.rows.iter().for_each(|row| self.report_row(name, &row.version, Some(&why)));
                    held.insert(number, why);
                    continue;
                }
                for row in &step.rows {
                    if row.is_tag() {
                        tags.push((number, row));
                    } else {
                        digest_rows.push((number, row.clone()));
                    }
                }
            }
            let steps: Vec<RepairStep> =
                tags.iter().map(|(number, row)| tag_step(name, row, order[*number].digest)).collect();
            for ((number, row), why_held) in tags.into_iter().zip(self.do_steps(&steps)) {
                self.report_row(name, &row.version, why_held.as_ref());
                if let Some(why) = why_held {
                    held.insert(number, why.because(WhyNotDeleted::BelongsTo(row.version.clone())));
                }
            }
        }
        let moved = order.iter().enumerate().filter(|(number, _)| !held.contains_key(number));
        let untagged = moved.filter(|(_, step)| step.rows.iter().any(PlannedRow::is_tag));
        let untagged = untagged.map(|(_, step)| step.digest).collect();
        let (stay, digest_rows): (Vec<_>, Vec<_>) =
            digest_rows.into_iter().partition(|(number, _)| held.contains_key(number));
        stay.iter().for_each(|(number, row)| self.report_row(name, &row.version, held.get(number)));
        (untagged, digest_rows.into_iter().map(|(_, row)| row).collect())
    }

    /// Moves the links aside that nothing needs any more. `untagged` are images whose tags were moved, `digest_rows` the rows of
    /// digests to delete. Returns the digests whose links were moved.
    fn move_links(
        &mut self,
        planned: &PackagePlan,
        now: &CurrentPackage,
        untagged: &[Digest],
        digest_rows: &[PlannedRow],
    ) -> HashSet<Digest> {
        let CurrentPackage { package, links } = now;
        let mut fates = row_fates(planned, package);
        let going: HashSet<&str> = digest_rows.iter().map(|row| row.version.as_str()).collect();
        for (row, fate) in package.rows.iter().zip(&mut fates) {
            // Rows that were to be deleted and are held stay.
            if *fate == RowFate::Goes && !going.contains(&*row.version) {
                *fate = RowFate::Stays;
            }
        }
        let parents = package.parents();
        let (mut tried, mut moved, mut stays) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut results: HashMap<Digest, Option<Held>> = HashMap::new();
        loop {
            let wanted = moves(package, links, &fates, untagged, &stays).revisions;
            let wanted = wanted.into_iter().filter_map(|step| Some((package.find(&step.digest?)?, step)));
            let untried: Vec<(ManifestId, RepairStep)> =
                wanted.filter(|(manifest, _)| !tried.contains(manifest)).collect();
            let waiting: HashSet<ManifestId> = untried.iter().map(|(manifest, _)| *manifest).collect();
            let is_next = |manifest: &ManifestId| {
                !parents.get(manifest).into_iter().flatten().any(|parent| waiting.contains(parent))
            };
            let (manifests, next): (Vec<ManifestId>, Vec<RepairStep>) =
                untried.into_iter().filter(|(manifest, _)| is_next(manifest)).unzip();
            if next.is_empty() {
                break;
            }
            for (manifest, held) in manifests.into_iter().zip(self.do_steps(&next)) {
                let digest = package.digest(manifest);
                tried.insert(manifest);
                if held.is_some() {
                    stays.insert(manifest);
                } else {
                    moved.insert(digest);
                }
                results.insert(digest, held);
            }
        }
        let layers = moves(package, links, &fates, untagged, &stays).layers;
        let outcomes = self.do_steps(&layers);
        for (step, held) in layers.iter().zip(outcomes) {
            match (Place::parse(&step.path), held) {
                (Some(Place::LayerFolder(_, digest)), None) => drop(moved.insert(digest)),
                (_, Some(held)) => self.report_row(&planned.name, &step.path, Some(&held)),
                (_, None) => {}
            }
        }
        self.report_digest_rows(planned, digest_rows, results);
        moved
    }

    /// Reports the rows of digests, and the links without such a row that stay.
    fn report_digest_rows(
        &mut self,
        planned: &PackagePlan,
        digest_rows: &[PlannedRow],
        mut results: HashMap<Digest, Option<Held>>,
    ) {
        let needed = Held::spared(WhyNotDeleted::Needed);
        for row in digest_rows {
            let held = row.digest.and_then(|digest| results.remove(&digest)).unwrap_or(Some(needed.clone()));
            self.report_row(&planned.name, &row.version, held.as_ref());
        }
        let mut rest: Vec<_> =
            results.into_iter().filter_map(|(digest, held)| Some((digest, held?))).collect();
        rest.sort_by_key(|(digest, _)| *digest);
        for (digest, held) in rest {
            self.report_row(&planned.name, &digest.to_string(), Some(&held));
        }
    }

    /// Reads the kept images again, and stops the run if one was whole before and is not now, or lost a layer link.
    fn check_kept_images(
        &mut self,
        layout: &Layout<F>,
        planned: &PackagePlan,
        before: &CurrentPackage,
        moved: &HashSet<Digest>,
    ) {
        let (recorded, links) = match layout.package(&planned.name) {
            Ok(read) => read,
            Err(error) => {
                let why = WhyUnread::Kept { package: planned.name.clone(), why: error.to_string() };
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return;
            }
        };
        let now = recorded.package();
        let unlinked = find_unlinked_tag(&now, &links, moved).map(Stopped::Worse);
        if let Some(stopped) = unlinked.or_else(|| find_worse_tag(planned, &before.package, &now)) {
            self.applied.stopped.get_or_insert(stopped);
        }
    }
}

/// A tag that needs a link that this run moved aside.
fn find_unlinked_tag(package: &Package, links: &Links, moved: &HashSet<Digest>) -> Option<WhyWorse> {
    let lost_link = |manifest: ManifestId| -> Option<Digest> {
        let parts = package.info(manifest).into_iter().flat_map(|info| &info.parts);
        let parts = parts.map(|part| package.part(*part).0).filter(|part| !links.layers.contains_key(part));
        let own = Some(package.digest(manifest)).filter(|_| package.info(manifest).is_none());
        own.into_iter().chain(parts).find(|lost| moved.contains(lost))
    };
    let reached = with_referrers(package, package.tagged_manifests());
    let mut reached = package.manifests().filter(|manifest| reached[manifest.index()]);
    let (holder, lost) = reached.find_map(|manifest| Some((manifest, lost_link(manifest)?)))?;
    let needs_holder = |tagged: ManifestId| with_referrers(package, std::iter::once(tagged))[holder.index()];
    let mut tags = package.rows.iter().filter(|row| row.is_tag());
    let tag = tags.find(|row| row.manifest.is_some_and(needs_holder)).map_or("", |row| &row.version);
    Some(WhyWorse::Unlinked { package: package.name.to_string(), tag: tag.to_owned(), lost })
}
