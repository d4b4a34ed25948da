//! Does the steps of a plan, in batches. For each batch: check every step again, write all changes to the journal and sync it,
//! make the changes, sync their folders. Whatever stops a run, the journal has every change that was made, and a reader of the
//! tree sees no step half done.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::aside::{make_quarantine_folder, write_quarantine_file};
use super::causes::{WhyFailed, WhyRefused, WhyStopped};
use super::change::Change;
use super::change_result::{ChangeResult, TouchedFolders, is_fatal};
use super::check::check;
use super::conditions::Conditions;
use super::journal::{JournalOutput, MovesAside, RepairJournal};
use super::make::Maker;
use super::needs;
use super::plan::RepairPlan;
use super::step::{RepairStep, StepAction, StepOutcome};
use super::supply::Supply;
use crate::oci::Digest;
use crate::storage::edit::WritableFolder;
use crate::storage::{FolderError, folder_of};
use crate::tree_writer::{MARKER, Marker, QUARANTINE_SCHEMA, TreeWriter, WriteRefusal};

/// Most steps for which the journal is synced once.
const BATCH: usize = 256;

/// The progress of a run, which another thread may read and stop.
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

    /// Steps that have an outcome.
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

/// Does the steps of a plan; the outcomes are in the order of the steps. Missing bytes come from `supply`. `log` makes the journal,
/// once nothing else refuses the run.
///
/// # Errors
/// When no step was tried: another process is in the way, or the journal cannot be begun.
pub fn apply<L: JournalOutput>(
    writer: &mut TreeWriter,
    plan: &RepairPlan,
    log: impl FnOnce() -> io::Result<L>,
    supply: Option<&dyn Supply>,
    progress: &StepProgress,
) -> Result<Vec<StepOutcome>, WriteRefusal> {
    let has_moves = plan.steps().iter().any(|step| step.action.moves_aside());
    let moves = if has_moves { MovesAside::Some } else { MovesAside::None };
    let mut journal = RepairJournal::begin_for_writer(writer, moves, log)?;
    let checked = Expectations { min_age: plan.min_age(), revisions: Some(plan.revisions()) };
    Ok(StepRunner::new(writer, &mut journal, checked, supply, progress).run_steps(plan.steps()))
}

/// What the plan knew, for the checks of its steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectations<'c> {
    /// Leftovers younger than this, in seconds, may belong to a push under way.
    pub(crate) min_age: u32,
    /// The revisions of every repository in which layer links are moved aside; `None` when no layer link is.
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

impl<'r, L: JournalOutput> StepRunner<'r, L> {
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
            quarantine: writer.quarantine().map_or("", |place| &place.below),
            revisions: checked.revisions,
            intact: Mutex::default(),
        };
        Self { writer, journal, conditions, supply, progress }
    }

    /// Does steps in their order; the outcomes are in the same order.
    pub(crate) fn run_steps(&mut self, steps: &[RepairStep]) -> Vec<StepOutcome> {
        self.progress.total.fetch_add(steps.len() as u64, Ordering::Relaxed);
        let mut outcomes = Vec::with_capacity(steps.len());
        let is_moves_only = steps.iter().all(|step| step.action.moves_aside());
        let mut halt = Halt { is_moves_only, ..Halt::default() };
        for batch in batches(steps) {
            if self.progress.is_stopped() {
                halt.stopped.get_or_insert(WhyStopped::Interrupted);
            }
            if let Some(why) = &halt.stopped {
                outcomes.extend(batch.iter().map(|_| StepOutcome::Stopped(why.clone())));
                continue;
            }
            outcomes.extend(self.run_batch(batch, &mut halt));
            self.progress.done.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
        // Only outcomes are lost if this fails: every change is in the journal already.
        let _ = self.journal.finish();
        outcomes
    }

    fn run_batch(&mut self, steps: &[RepairStep], halt: &mut Halt) -> Vec<StepOutcome> {
        let (editor, conditions) = (self.writer.editor(), &self.conditions);
        let server = self.writer.server_forbidding_removal();
        let refused =
            server.map(|server| WhyRefused::Server { program: server.program.clone(), pid: server.pid });
        let mut new_quarantine = None;
        let mut unmovable = halt.no_quarantine.clone().map(StepOutcome::Failed);
        if unmovable.is_none() && refused.is_none() && steps.iter().any(|step| step.action.moves_aside()) {
            match self.plan_quarantine() {
                Ok(change) => new_quarantine = change,
                Err(error) => unmovable = Some(self.without_quarantine(&error, halt)),
            }
        }
        let check_step = |step: &RepairStep| match (&refused, &unmovable) {
            (Some(why), _) if step.action.moves_aside() => Err(StepOutcome::Refused(why.clone())),
            (_, Some(unmovable)) if step.action.moves_aside() => match check(editor, step, conditions) {
                Ok(_) | Err(StepOutcome::Failed(_)) => Err(unmovable.clone()),
                other => other,
            },
            _ => check(editor, step, conditions).map(|change| needs::with_known_lacks(editor, change, step)),
        };
        let checked: Vec<Result<Change, StepOutcome>> = steps.par_iter().map(check_step).collect();
        let is_move = |change| matches!(change, &Ok(Change::Move { .. } | Change::SchedulerState { .. }));
        if !checked.iter().any(is_move) {
            new_quarantine = None;
        }
        let changes = checked.iter().filter_map(|change| change.as_ref().ok());
        let numbers = match self.journal.announce(new_quarantine.iter().chain(changes)) {
            Ok(numbers) => numbers,
            Err(error) => {
                let why = WhyStopped::Journal(error.to_string());
                halt.stopped = Some(why.clone());
                return abandon_batch(checked, &StepOutcome::Stopped(why));
            }
        };
        let mut numbers = numbers.into_iter();
        if let Some(change) = &new_quarantine {
            let made = self.make_quarantine(change);
            let failed = made.err().map(|error| self.without_quarantine(&error, halt));
            let outcome = failed.clone().unwrap_or(StepOutcome::Done);
            let _ = numbers.next().map(|number| self.journal.note_outcome(number, &outcome));
            if let Some(outcome) = failed {
                // The journal announced the other changes too, and they are not made.
                for number in numbers {
                    let _ = self.journal.note_outcome(number, &outcome);
                }
                return abandon_batch(checked, &outcome);
            }
        }
        let numbered: Vec<(NumberedChange, &RepairStep)> = checked
            .into_iter()
            .map(|change| change.map(|change| (change, numbers.next().unwrap_or_default())))
            .zip(steps)
            .collect();
        let maker = Maker { editor, conditions, supply: self.supply };
        let mut results: Vec<Result<(u64, ChangeResult), StepOutcome>> = numbered
            .into_par_iter()
            .map(|(change, step)| {
                let (change, number) = change?;
                Ok((number, maker.make(&change, step)))
            })
            .collect();
        self.sync_folders(&mut results);
        results
            .into_iter()
            .map(|result| {
                let (number, result) = match result {
                    Err(outcome) => return outcome,
                    Ok(numbered) => numbered,
                };
                if let ChangeResult { outcome: StepOutcome::Failed(why), is_fatal: true, .. } = &result {
                    halt.stopped.get_or_insert_with(|| WhyStopped::Failed(why.clone()));
                }
                let _ = self.journal.note_outcome(number, &result.outcome);
                result.outcome
            })
            .collect()
    }

    /// The change that makes the quarantine; `None` when it exists.
    fn plan_quarantine(&self) -> Result<Option<Change>, FolderError> {
        let below = self.conditions.quarantine;
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

    fn make_quarantine(&self, change: &Change) -> Result<(), FolderError> {
        let Change::Aside { made, marker } = change else { return Ok(()) };
        let editor = self.writer.editor();
        for folder in made {
            make_quarantine_folder(editor, folder)?;
        }
        let content = Marker {
            schema: QUARANTINE_SCHEMA.into(),
            tree: self.writer.tree().display().to_string(),
            at: self.conditions.now,
        };
        let bytes = serde_json::to_vec(&content).map_err(io::Error::from)?;
        write_quarantine_file(editor, marker, &bytes)?;
        for path in made.iter().chain([marker]) {
            let folder = folder_of(Path::new(path));
            editor.sync(WritableFolder::Aside, folder)?;
        }
        Ok(())
    }

    /// The outcome of moves for which the quarantine cannot be made. Steps that only add go on without it, unless the disk
    /// refuses every write.
    fn without_quarantine(&self, error: &FolderError, halt: &mut Halt) -> StepOutcome {
        let path =
            self.writer.quarantine().map_or_else(|_| PathBuf::new(), |place| place.base.join(&place.below));
        let why = WhyFailed::Quarantine { path: path.display().to_string(), error: error.to_string() };
        if halt.is_moves_only || is_fatal(error) {
            let why = WhyStopped::Failed(why);
            halt.stopped = Some(why.clone());
            return StepOutcome::Stopped(why);
        }
        halt.no_quarantine = Some(why.clone());
        StepOutcome::Failed(why)
    }

    /// Syncs the folders that a batch changed. If a folder cannot be synced, the changes in it count as failed.
    fn sync_folders(&self, results: &mut [Result<(u64, ChangeResult), StepOutcome>]) {
        let touched = results.iter().flatten().flat_map(|(_, result)| result.touched.iter().cloned());
        let (touched, editor): (TouchedFolders, _) = (touched.collect(), self.writer.editor());
        let unsynced: Vec<_> = touched
            .into_par_iter()
            .filter_map(|folder| editor.sync(folder.0, &folder.1).err().map(|error| (folder, error)))
            .collect();
        for (folder, error) in unsynced {
            for (_, result) in results.iter_mut().flatten() {
                if result.outcome == StepOutcome::Done && result.touched.contains(&folder) {
                    let (path, reason) = (folder.1.display().to_string(), error.to_string());
                    result.outcome = StepOutcome::Failed(WhyFailed::NotSafe { path, error: reason });
                    result.is_fatal |= is_fatal(&error);
                }
            }
        }
    }
}

/// What keeps a run from doing its further steps, or some of them.
#[derive(Debug, Default)]
struct Halt {
    /// Why the run stopped.
    stopped: Option<WhyStopped>,
    /// Why the quarantine cannot be made.
    no_quarantine: Option<WhyFailed>,
    /// Whether every step of the run needs the quarantine.
    is_moves_only: bool,
}

/// A change with its number in the journal, or why there is none.
type NumberedChange = Result<(Change, u64), StepOutcome>;

/// The outcomes of a batch that is abandoned before its changes are made.
fn abandon_batch(checked: Vec<Result<Change, StepOutcome>>, outcome: &StepOutcome) -> Vec<StepOutcome> {
    checked.into_iter().map(|change| change.err().unwrap_or_else(|| outcome.clone())).collect()
}

/// Splits steps into batches. The acts in a batch do not depend on each other.
fn batches(steps: &[RepairStep]) -> impl Iterator<Item = &[RepairStep]> {
    steps
        .chunk_by(|a, b| batch_group(a.action) == batch_group(b.action))
        .flat_map(|group| group.chunks(BATCH))
}

/// Acts with the same number may be done in parallel.
const fn batch_group(act: StepAction) -> u8 {
    match act {
        StepAction::Rebuild => 0,
        StepAction::Quarantine => 1,
        StepAction::Fetch => 2,
        StepAction::Relink | StepAction::Rewrite => 3,
        StepAction::Restore => 4,
        StepAction::Unlink | StepAction::Clear | StepAction::MoveAside => 5,
        StepAction::Retire | StepAction::Drop => 6,
        StepAction::Reset => 7,
    }
}
