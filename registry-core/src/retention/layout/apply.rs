//! Acting on a plan: package by package, each read again first, then its tags, then the revision links that nothing needs any
//! more, then the layer links. What stops a run at any point leaves no tag without its manifests, and no index that a tag
//! reaches without a child.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::act::{Acting, Held, levels, tag_step};
use super::links::Links;
use super::moves::{RowFate, fates, kept, moves};
use super::{Layout, LayoutError};
use crate::oci::Digest;
use crate::path::Place;
use crate::repair::{Log, MovesAside, RepairJournal, RepairStep, StepProgress, WhyStopped};
use crate::retention::applied::{Applied, Stopped};
use crate::retention::decision::Action;
use crate::retention::drift::{moved, unread, worse};
use crate::retention::follow::After;
use crate::retention::journal::RowOutcome;
use crate::retention::late::{early, is_gone, late, sequence};
use crate::retention::order::steps as ordered;
use crate::retention::package::{ManifestId, Package};
use crate::retention::plan::{PackagePlan, PackageState, Plan, PlannedRow};
use crate::retention::stays::{WhyHalted, WhyStays, WhyUnread, WhyWorse};
use crate::retention::verified::VerifiedPlan;
use crate::storage::Folder;
use crate::tree_writer::{TreeWriter, WriteRefusal};

/// Moves aside what a plan lets go, and nothing else. Each change goes to the journal `log` before it is made.
pub fn apply<F: Folder, L: Log + Send>(
    layout: &Layout<F>,
    plan: VerifiedPlan<'_>,
    writer: &mut TreeWriter,
    log: L,
    progress: &StepProgress,
) -> Applied {
    let journal = match RepairJournal::of_writer(writer, MovesAside::Some, || Ok(log)) {
        Ok(journal) => journal,
        Err(WriteRefusal::Journal(error)) => {
            return Applied::not_tried(&plan, Stopped::Journal(error.to_string()));
        }
        Err(refusal) => {
            return Applied::not_tried(&plan, Stopped::Halted(WhyHalted::NoAccess(refusal.to_string())));
        }
    };
    let applied = Applied::before_any_deletion(&plan);
    let mut acting = Acting { tree: &layout.tree, writer, journal, progress, applied };
    for planned in plan.packages.iter().filter(|package| package.state == PackageState::Planned) {
        let mut doomed = planned.versions.iter().filter(|row| row.action == Action::Delete);
        if doomed.any(|row| row.after.is_empty()) {
            acting.tell(layout, planned, None);
        }
    }
    for planned in sequence(&plan) {
        let done: HashSet<(&str, &str)> =
            acting.applied.rows.iter().map(|row| (row.package.as_str(), row.version.as_str())).collect();
        let late = late(planned, &done);
        let there = still_there(layout, &plan, &late);
        acting.tell(layout, &late, Some(&there));
    }
    acting.applied
}

/// Subjects in other packages that are not confirmed to be gone, and why what follows them stays.
fn still_there<F: Folder>(layout: &Layout<F>, plan: &Plan, late: &PackagePlan) -> BTreeMap<After, Held> {
    let doomed = late.versions.iter().filter(|row| row.action == Action::Delete);
    let subjects: BTreeSet<&After> = doomed.flat_map(|row| &row.after).collect();
    let packages: BTreeSet<&str> = subjects.iter().map(|after| after.package.as_str()).collect();
    let mut there = BTreeMap::new();
    for name in packages {
        let of = plan.packages.iter().find(|package| package.name == name);
        let now = match Now::read(layout, name) {
            Err(NowError::Gone) => Ok(Package::new(name)),
            Err(NowError::Unread(why)) => Err(why),
            Ok(now) => Ok(now.package),
        };
        for after in subjects.iter().filter(|after| after.package == name) {
            let digest = after.digest;
            let held = match &now {
                Ok(now) if is_gone(of, now, &digest) => continue,
                Ok(_) => Held {
                    outcome: RowOutcome::Spared,
                    why: WhyStays::SubjectThere { digest, package: name.to_owned() },
                },
                Err(why) => Held {
                    outcome: RowOutcome::Failed,
                    why: WhyStays::SubjectUnknown { digest, package: name.to_owned(), why: why.clone() },
                },
            };
            there.insert((*after).clone(), held);
        }
    }
    there
}

/// A package as it is right now.
struct Now {
    package: Package,
    links: Links,
}

/// Why a package cannot be acted on now.
#[derive(Debug, thiserror::Error)]
enum NowError {
    /// There is no such repository any more.
    #[error("it is gone")]
    Gone,
    /// Something in it is not known.
    #[error("{0}")]
    Unread(String),
}

impl Now {
    /// Reads it; nothing may be unknown.
    fn read<F: Folder>(layout: &Layout<F>, name: &str) -> Result<Self, NowError> {
        let (recorded, links) = layout.package(name).map_err(|error| match error {
            LayoutError::Gone(_) => NowError::Gone,
            other => NowError::Unread(other.to_string()),
        })?;
        let package = recorded.package();
        match unread(&package) {
            Some(why) => Err(NowError::Unread(why)),
            None => Ok(Self { package, links }),
        }
    }
}

impl<F: Folder, L: Log + Send> Acting<'_, F, L> {
    /// Acts on one package, and tells what became of its rows when nothing was tried; `there` are subjects in other packages
    /// that are not confirmed to be gone, or nothing as long as what waits for those is not acted on.
    fn tell(&mut self, layout: &Layout<F>, planned: &PackagePlan, there: Option<&BTreeMap<After, Held>>) {
        let doomed: Vec<&PlannedRow> =
            planned.versions.iter().filter(|row| row.action == Action::Delete).collect();
        if let Some(held) = self.package(layout, planned, &doomed, there) {
            for row in doomed {
                self.row(&planned.name, &row.version, Some(&held));
            }
        }
    }

    /// Acts on one package; gives why nothing was tried in it, if that is so.
    fn package(
        &mut self,
        layout: &Layout<F>,
        planned: &PackagePlan,
        doomed: &[&PlannedRow],
        there: Option<&BTreeMap<After, Held>>,
    ) -> Option<Held> {
        let held = |outcome, why: WhyStays| Some(Held { outcome, why });
        if doomed.is_empty() {
            return None;
        }
        if self.applied.stopped.is_some() {
            return held(RowOutcome::Stopped, WhyStays::StoppedBefore);
        }
        if self.progress.is_stopped() {
            self.applied.stopped = Some(Stopped::Halted(WhyHalted::Stopped(WhyStopped::Interrupted)));
            return held(RowOutcome::Stopped, WhyStays::Interrupted);
        }
        let before = match Now::read(layout, &planned.name) {
            Ok(before) => before,
            Err(why) => {
                return held(RowOutcome::Failed, WhyStays::Unread(why.to_string()));
            }
        };
        if let Some(why) = moved(planned, &before.package) {
            return held(RowOutcome::Stopped, WhyStays::Drifted(why));
        }
        let only_early;
        let (planned, there) = match there {
            Some(there) => (planned, there),
            None => {
                only_early = early(planned, &before.package);
                (&only_early, &BTreeMap::new())
            }
        };
        let (gone, pruned) = self.tags(planned, &before.package, there);
        let moved = match Now::read(layout, &planned.name) {
            Ok(now) => self.links(planned, &now, &gone, &pruned),
            Err(why) => {
                let why = WhyUnread::AfterTags { package: planned.name.clone(), why: why.to_string() };
                let held = Held { outcome: RowOutcome::Failed, why: WhyStays::AfterTags(why.clone()) };
                pruned.iter().for_each(|row| self.row(&planned.name, &row.version, Some(&held)));
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return None;
            }
        };
        self.check(layout, planned, &before, &moved);
        None
    }

    /// Moves tags, each image before what it names and what follows it. Gives the images that lost all their tags, and the
    /// rows of digests that still are to go.
    fn tags(
        &mut self,
        planned: &PackagePlan,
        before: &Package,
        there: &BTreeMap<After, Held>,
    ) -> (Vec<Digest>, Vec<PlannedRow>) {
        let name = &planned.name;
        let (order, left) = ordered(planned, before);
        let unordered = Held { outcome: RowOutcome::Spared, why: WhyStays::NoOrder };
        left.iter().for_each(|row| self.row(name, &row.version, Some(&unordered)));
        let (mut gone, mut pruned) = (Vec::new(), Vec::new());
        let mut held: BTreeMap<usize, Held> = BTreeMap::new();
        for level in levels(&order) {
            let mut tried: Vec<(usize, &PlannedRow)> = Vec::new();
            for number in level {
                let step = &order[number];
                let own = step.rows.iter().flat_map(|row| &row.after).find_map(|after| there.get(after));
                let above = || step.after.iter().find_map(|other| held.get(other).cloned());
                if let Some(why) = own.cloned().or_else(above) {
                    step.rows.iter().for_each(|row| self.row(name, &row.version, Some(&why)));
                    held.insert(number, why);
                    continue;
                }
                let (tags, digests): (Vec<_>, Vec<_>) =
                    step.rows.iter().partition(|row| !row.version.contains(':'));
                tried.extend(tags.into_iter().map(|row| (number, row)));
                pruned.extend(digests.into_iter().map(|row| (number, row.clone())));
            }
            let steps: Vec<RepairStep> =
                tried.iter().map(|(number, row)| tag_step(name, row, order[*number].digest)).collect();
            for ((number, row), went) in tried.into_iter().zip(self.steps(&steps)) {
                self.row(name, &row.version, went.as_ref());
                if let Some(why) = went {
                    held.insert(number, why.because_of(&row.version));
                }
            }
        }
        for (number, step) in order.iter().enumerate() {
            if !held.contains_key(&number) && step.rows.iter().any(|row| !row.version.contains(':')) {
                gone.push(step.digest);
            }
        }
        let (stay, pruned): (Vec<_>, Vec<_>) =
            pruned.into_iter().partition(|(number, _)| held.contains_key(number));
        stay.iter().for_each(|(number, row)| self.row(name, &row.version, held.get(number)));
        (gone, pruned.into_iter().map(|(_, row)| row).collect())
    }

    /// Moves the links that nothing needs any more. Gives the digests whose links went.
    fn links(
        &mut self,
        planned: &PackagePlan,
        now: &Now,
        gone: &[Digest],
        pruned: &[PlannedRow],
    ) -> HashSet<Digest> {
        let Now { package, links } = now;
        let mut fates = fates(planned, package);
        let going: HashSet<&str> = pruned.iter().map(|row| row.version.as_str()).collect();
        for (row, fate) in package.rows.iter().zip(&mut fates) {
            let is_pruned = going.contains(&*row.version);
            // What was to go and was held stays.
            if *fate == RowFate::Goes && !is_pruned {
                *fate = RowFate::Stays;
            }
        }
        let parents = package.parents();
        let (mut tried, mut went, mut stays) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut results: HashMap<Digest, Option<Held>> = HashMap::new();
        loop {
            let wanted = moves(package, links, &fates, gone, &stays).revisions;
            let open: HashSet<ManifestId> = wanted
                .iter()
                .filter_map(|step| package.find(&step.digest?))
                .filter(|one| !tried.contains(one))
                .collect();
            let is_next = |one: &ManifestId| {
                open.contains(one)
                    && !parents.get(one).into_iter().flatten().any(|parent| open.contains(parent))
            };
            let next: Vec<RepairStep> = wanted
                .iter()
                .filter(|step| {
                    step.digest.and_then(|digest| package.find(&digest)).is_some_and(|one| is_next(&one))
                })
                .cloned()
                .collect();
            if next.is_empty() {
                break;
            }
            let outcomes = self.steps(&next);
            for (digest, held) in next.iter().filter_map(|step| step.digest).zip(outcomes) {
                let Some(manifest) = package.find(&digest) else { continue };
                tried.insert(manifest);
                if held.is_some() {
                    stays.insert(manifest);
                } else {
                    went.insert(digest);
                }
                results.insert(digest, held);
            }
        }
        let layers = moves(package, links, &fates, gone, &stays).layers;
        let outcomes = self.steps(&layers);
        for (step, held) in layers.iter().zip(outcomes) {
            match (Place::parse(&step.path), held) {
                (Some(Place::LayerFolder(_, digest)), None) => drop(went.insert(digest)),
                (_, Some(held)) => self.row(&planned.name, &step.path, Some(&held)),
                (_, None) => {}
            }
        }
        self.note_rows(planned, pruned, results);
        went
    }

    /// Tells what became of the rows of digests, and of links without such a row that stayed.
    fn note_rows(
        &mut self,
        planned: &PackagePlan,
        pruned: &[PlannedRow],
        mut results: HashMap<Digest, Option<Held>>,
    ) {
        let needed = Held { outcome: RowOutcome::Spared, why: WhyStays::Needed };
        for row in pruned {
            let held = row.digest.and_then(|digest| results.remove(&digest)).unwrap_or(Some(needed.clone()));
            self.row(&planned.name, &row.version, held.as_ref());
        }
        let mut rest: Vec<_> =
            results.into_iter().filter_map(|(digest, held)| Some((digest, held?))).collect();
        rest.sort_by_key(|(digest, _)| *digest);
        for (digest, held) in rest {
            self.row(&planned.name, &digest.to_string(), Some(&held));
        }
    }

    /// Looks at what stays once more: what was whole and is not any more, or lost a layer link, stops the run.
    fn check(&mut self, layout: &Layout<F>, planned: &PackagePlan, before: &Now, went: &HashSet<Digest>) {
        let (recorded, links) = match layout.package(&planned.name) {
            Ok(read) => read,
            Err(error) => {
                let why = WhyUnread::Kept { package: planned.name.clone(), why: error.to_string() };
                self.applied.stopped.get_or_insert(Stopped::Unread(why));
                return;
            }
        };
        let again = recorded.package();
        let lost = lost(&again, &links, went).map(Stopped::Worse);
        if let Some(stopped) = lost.or_else(|| worse(planned, &before.package, &again)) {
            self.applied.stopped.get_or_insert(stopped);
        }
    }
}

/// What a tag that is there needs, and lost to this run.
fn lost(package: &Package, links: &Links, went: &HashSet<Digest>) -> Option<WhyWorse> {
    let tags = || package.rows.iter().filter(|row| row.is_tag()).filter_map(|row| Some((row, row.manifest?)));
    let lacks = |one: ManifestId| -> Option<Digest> {
        let parts = package.info(one).into_iter().flat_map(|info| &info.parts);
        let parts = parts.map(|part| package.part(*part).0).filter(|part| !links.layers.contains_key(part));
        let own = Some(package.digest(one)).filter(|_| package.info(one).is_none());
        own.into_iter().chain(parts).find(|lost| went.contains(lost))
    };
    let reached = kept(package, tags().map(|(_, manifest)| manifest));
    let (one, lost) =
        package.manifests().filter(|one| reached[one.index()]).find_map(|one| Some((one, lacks(one)?)))?;
    let needs = |manifest: ManifestId| kept(package, std::iter::once(manifest))[one.index()];
    let tag = tags().find(|(_, manifest)| needs(*manifest)).map_or("", |(row, _)| &row.version);
    Some(WhyWorse::Unlinked { package: package.name.to_string(), tag: tag.to_owned(), lost })
}
