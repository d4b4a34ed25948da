//! Doing the steps of a plan, in batches: each is looked at again, all changes of a batch go to the journal and are made safe
//! there, then they are made, then their folders are made safe. Whatever stops a run, every change that was made is in the
//! journal, and no step leaves half of itself behind that a reader of the tree would see.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::aside::{make_aside, write_aside};
use super::causes::{WhyFailed, WhyRefused, WhyStopped};
use super::change::Change;
use super::change_result::{ChangeResult, Folders, is_hopeless};
use super::check::check;
use super::conditions::Conditions;
use super::journal::{Log, MovesAside, RepairJournal};
use super::make::Maker;
use super::needs;
use super::plan::RepairPlan;
use super::step::{Act, RepairStep, StepOutcome};
use super::supply::Supply;
use crate::oci::Digest;
use crate::storage::FolderError;
use crate::storage::edit::WritableFolder;
use crate::tree_writer::{MARKER, Marker, QUARANTINE_SCHEMA, TreeWriter, WriteRefusal};

/// Steps that share one entry of the journal's safety.
const BATCH: usize = 256;

/// How far a run has come: counters that another thread may read.
#[derive(Debug, Default)]
pub struct StepProgress {
    total: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl StepProgress {
    /// Steps of the plan.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Steps dealt with.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether the run was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks the run to stop before its next batch.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Does the steps of a plan; the outcomes are in their order. Bytes that are missing come from `supply`. The journal is made by
/// `log` once nothing else refuses.
///
/// # Errors
/// When nothing was tried: something is in the way, or the journal cannot be begun.
pub fn apply<L: Log>(
    writer: &mut TreeWriter,
    plan: &RepairPlan,
    log: impl FnOnce() -> io::Result<L>,
    supply: Option<&dyn Supply>,
    progress: &StepProgress,
) -> Result<Vec<StepOutcome>, WriteRefusal> {
    let is_moved = plan.steps().iter().any(|step| step.action.takes_away());
    let mut journal =
        RepairJournal::of_writer(writer, if is_moved { MovesAside::Some } else { MovesAside::None }, log)?;
    let checked = Expectations { min_age: plan.min_age(), revisions: Some(plan.revisions()) };
    Ok(StepRunner::new(writer, &mut journal, checked, supply, progress).steps(plan.steps()))
}

/// What a plan knew that its steps are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectations<'c> {
    /// Leftovers younger than this are a push under way. Seconds.
    pub(crate) min_age: u32,
    /// Revisions of every repository in which layer links are moved aside, if any are.
    pub(crate) revisions: Option<&'c HashMap<Arc<str>, BTreeSet<Digest>>>,
}

/// Does steps.
pub(crate) struct StepRunner<'r, L> {
    writer: &'r TreeWriter,
    journal: &'r mut RepairJournal<L>,
    conditions: Conditions<'r>,
    supply: Option<&'r dyn Supply>,
    progress: &'r StepProgress,
}

impl<'r, L: Log> StepRunner<'r, L> {
    pub(crate) fn new(
        writer: &'r TreeWriter,
        journal: &'r mut RepairJournal<L>,
        checked: Expectations<'r>,
        supply: Option<&'r dyn Supply>,
        progress: &'r StepProgress,
    ) -> Self {
        let conditions = Conditions {
            now: writer.now(),
            min_age: checked.min_age,
            aside: writer.quarantine().map_or("", |place| &place.below),
            revisions: checked.revisions,
            hashed: Mutex::default(),
        };
        Self { writer, journal, conditions, supply, progress }
    }

    /// Does the steps in their order; the outcomes are in the same order.
    pub(crate) fn steps(&mut self, steps: &[RepairStep]) -> Vec<StepOutcome> {
        self.progress.total.fetch_add(steps.len() as u64, Ordering::Relaxed);
        let mut outcomes = Vec::with_capacity(steps.len());
        let only_moves = steps.iter().all(|step| step.action.takes_away());
        let mut halt = Halt { only_moves, ..Halt::default() };
        for batch in batches(steps) {
            if self.progress.is_stopped() {
                halt.stopped.get_or_insert(WhyStopped::Interrupted);
            }
            if let Some(why) = &halt.stopped {
                outcomes.extend(batch.iter().map(|_| StepOutcome::Stopped(why.clone())));
                continue;
            }
            let done = self.batch(batch, &mut halt);
            self.progress.done.fetch_add(batch.len() as u64, Ordering::Relaxed);
            outcomes.extend(done);
        }
        // Every change is in the journal even if these lines are not.
        let _ = self.journal.end();
        outcomes
    }

    fn batch(&mut self, steps: &[RepairStep], halt: &mut Halt) -> Vec<StepOutcome> {
        let (editor, conditions) = (self.writer.editor(), &self.conditions);
        let server = self.writer.adds_only();
        let refused =
            server.map(|server| WhyRefused::Server { program: server.program.clone(), pid: server.pid });
        let (mut aside, mut without) = (None, halt.no_aside.clone().map(StepOutcome::Failed));
        if without.is_none() && refused.is_none() && steps.iter().any(|step| step.action.takes_away()) {
            match self.aside() {
                Ok(made) => aside = made,
                Err(error) => without = Some(self.no_aside(&error, halt)),
            }
        }
        let one = |step: &RepairStep| match (&refused, &without) {
            (Some(why), _) if step.action.takes_away() => Err(StepOutcome::Refused(why.clone())),
            (_, Some(without)) if step.action.takes_away() => match check(editor, step, conditions) {
                Ok(_) | Err(StepOutcome::Failed(_)) => Err(without.clone()),
                other => other,
            },
            _ => check(editor, step, conditions).map(|change| needs::with_known_lacks(editor, change, step)),
        };
        let checked: Vec<Result<Change, StepOutcome>> = steps.par_iter().map(one).collect();
        if !checked
            .iter()
            .any(|change| matches!(change, Ok(Change::Move { .. } | Change::SchedulerState { .. })))
        {
            aside = None;
        }
        let changes = checked.iter().filter_map(|change| change.as_ref().ok());
        let numbers = match self.journal.announce(aside.iter().chain(changes)) {
            Ok(numbers) => numbers,
            Err(error) => {
                let why = WhyStopped::Journal(error.to_string());
                halt.stopped = Some(why.clone());
                return give_up(checked, &StepOutcome::Stopped(why));
            }
        };
        let mut numbers = numbers.into_iter();
        if let Some(aside) = &aside {
            let made = self.make_aside(aside);
            let failed = made.err().map(|error| self.no_aside(&error, halt));
            let outcome = failed.clone().unwrap_or(StepOutcome::Done);
            let _ = numbers.next().map(|number| self.journal.note(number, &outcome));
            if let Some(outcome) = failed {
                // Announced too, and not done.
                for number in numbers {
                    let _ = self.journal.note(number, &outcome);
                }
                return give_up(checked, &outcome);
            }
        }
        let numbered: Vec<(NumberedChange, &RepairStep)> = checked
            .into_iter()
            .map(|change| change.map(|change| (change, numbers.next().unwrap_or_default())))
            .zip(steps)
            .collect();
        let maker = Maker { editor, conditions, supply: self.supply };
        let mut made: Vec<Result<(u64, ChangeResult), StepOutcome>> = numbered
            .into_par_iter()
            .map(|(change, step)| {
                let (change, number) = change?;
                Ok((number, maker.make(&change, step)))
            })
            .collect();
        self.make_last(&mut made);
        made.into_iter()
            .map(|made| match made {
                Err(outcome) => outcome,
                Ok((number, made)) => {
                    if let ChangeResult { outcome: StepOutcome::Failed(why), is_hopeless: true, .. } = &made {
                        halt.stopped.get_or_insert_with(|| WhyStopped::Failed(why.clone()));
                    }
                    let _ = self.journal.note(number, &made.outcome);
                    made.outcome
                }
            })
            .collect()
    }

    /// The making of the quarantine, unless it is there.
    fn aside(&self) -> Result<Option<Change>, FolderError> {
        let below = self.conditions.aside;
        let marker = format!("{below}/{MARKER}");
        let look = |path: &Path| self.writer.editor().look(WritableFolder::Aside, path);
        if look(Path::new(&marker))?.is_some() {
            return Ok(None);
        }
        let mut made = Vec::new();
        for folder in Path::new(below).ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
            if look(folder)?.is_none() {
                made.push(folder.display().to_string());
            }
        }
        made.reverse();
        Ok(Some(Change::Aside { made, marker }))
    }

    fn make_aside(&self, change: &Change) -> Result<(), FolderError> {
        let Change::Aside { made, marker } = change else { return Ok(()) };
        let editor = self.writer.editor();
        for folder in made {
            make_aside(editor, folder)?;
        }
        let content = Marker {
            schema: QUARANTINE_SCHEMA.into(),
            tree: self.writer.tree().display().to_string(),
            at: self.conditions.now,
        };
        let bytes = serde_json::to_vec(&content).map_err(io::Error::from)?;
        write_aside(editor, marker, &bytes)?;
        for folder in
            made.iter().map(Path::new).filter_map(Path::parent).chain([Path::new(self.conditions.aside)])
        {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            editor.sync(WritableFolder::Aside, folder)?;
        }
        Ok(())
    }

    /// What becomes of the moves of a batch when there is no quarantine for them. What only adds does not need one, and goes
    /// on, unless the disk as a whole refuses.
    fn no_aside(&self, error: &FolderError, halt: &mut Halt) -> StepOutcome {
        let path =
            self.writer.quarantine().map_or_else(|_| PathBuf::new(), |place| place.base.join(&place.below));
        let why = WhyFailed::Quarantine { path: path.display().to_string(), error: error.to_string() };
        if halt.only_moves || is_hopeless(error) {
            let why = WhyStopped::Failed(why);
            halt.stopped = Some(why.clone());
            return StepOutcome::Stopped(why);
        }
        halt.no_aside = Some(why.clone());
        StepOutcome::Failed(why)
    }

    /// Makes the folders of a batch last; what cannot be made so has failed.
    fn make_last(&self, made: &mut [Result<(u64, ChangeResult), StepOutcome>]) {
        let mut folders = Folders::new();
        for (_, made) in made.iter().flatten() {
            folders.extend(made.folders.iter().cloned());
        }
        let (folders, editor): (Vec<_>, _) = (folders.into_iter().collect(), self.writer.editor());
        let bad: Vec<_> = folders
            .par_iter()
            .filter_map(|(room, path)| {
                editor.sync(*room, path).err().map(|error| ((*room, path.clone()), error))
            })
            .collect();
        for ((room, path), error) in bad {
            for (_, made) in made.iter_mut().flatten() {
                if made.outcome == StepOutcome::Done && made.folders.contains(&(room, path.clone())) {
                    let hopeless = is_hopeless(&error);
                    let (path, error) = (path.display().to_string(), error.to_string());
                    made.outcome = StepOutcome::Failed(WhyFailed::NotSafe { path, error });
                    made.is_hopeless |= hopeless;
                }
            }
        }
    }
}

/// What keeps a run from going on.
#[derive(Debug, Default)]
struct Halt {
    /// Why nothing more is done.
    stopped: Option<WhyStopped>,
    /// Why nothing is moved aside.
    no_aside: Option<WhyFailed>,
    /// Whether nothing is left to do without a quarantine.
    only_moves: bool,
}

/// A change with its number in the journal, or why there is none.
type NumberedChange = Result<(Change, u64), StepOutcome>;

/// Outcomes of a batch of which nothing was done.
fn give_up(checked: Vec<Result<Change, StepOutcome>>, outcome: &StepOutcome) -> Vec<StepOutcome> {
    checked.into_iter().map(|change| change.err().unwrap_or_else(|| outcome.clone())).collect()
}

/// Steps in batches: those of one batch do not depend on each other, as they do the same.
fn batches(steps: &[RepairStep]) -> impl Iterator<Item = &[RepairStep]> {
    steps.chunk_by(|a, b| group(a.action) == group(b.action)).flat_map(|alike| alike.chunks(BATCH))
}

/// Acts that may be done side by side.
const fn group(act: Act) -> u8 {
    match act {
        Act::Rebuild => 0,
        Act::Quarantine => 1,
        Act::Fetch => 2,
        Act::Relink | Act::Rewrite => 3,
        Act::Restore => 4,
        Act::Unlink | Act::Clear | Act::MoveAside => 5,
        Act::Retire | Act::Drop => 6,
        Act::Reset => 7,
    }
}
