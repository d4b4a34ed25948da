//! Doing the steps of a plan, in batches: each is looked at again, all changes of a batch go to the journal and are made safe
//! there, then they are made, then their folders are made safe. Whatever stops a run, every change that was made is in the
//! journal, and no step leaves half of itself behind that a reader of the tree would see.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;

use super::change::Change;
use super::check::{Conditions, check};
use super::journal::{Journal, Log};
use super::make::{Folders, Made, Maker, is_hopeless};
use super::needs;
use super::quarantine::{MARKER, Marker, SCHEMA as MARKER_SCHEMA};
use super::step::{Act, Outcome, Step};
use super::supply::Supply;
use crate::storage::FolderError;
use crate::storage::edit::{Editor, Room};

/// Steps that share one entry of the journal's safety.
const BATCH: usize = 256;

/// How far a run has come: counters that another thread may read.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
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

/// Does things. Only a run that was told to makes one.
#[derive(Debug)]
pub struct Run<'r, E, L> {
    /// What changes the tree.
    pub editor: &'r E,
    /// Where every change is told before it is made.
    pub journal: &'r mut Journal<L>,
    /// What steps are checked against.
    pub conditions: &'r Conditions<'r>,
    /// The registry's `docker/registry/v2`, for the marker of the quarantine.
    pub tree: &'r Path,
    /// Why nothing may be taken away, if nothing may.
    pub adds_only: Option<String>,
    /// Where missing bytes come from.
    pub supply: Option<&'r dyn Supply>,
    /// Counters.
    pub progress: &'r Progress,
}

impl<E: Editor, L: Log> Run<'_, E, L> {
    /// Does the steps in their order; the outcomes are in the same order.
    pub fn steps(&mut self, steps: &[Step]) -> Vec<Outcome> {
        self.progress.total.fetch_add(steps.len() as u64, Ordering::Relaxed);
        let mut outcomes = Vec::with_capacity(steps.len());
        let mut stopped: Option<String> = None;
        for batch in batches(steps) {
            if self.progress.is_stopped() {
                stopped.get_or_insert_with(|| "it was interrupted".into());
            }
            if let Some(why) = &stopped {
                outcomes.extend(batch.iter().map(|_| Outcome::Stopped(why.clone())));
                continue;
            }
            let done = self.batch(batch, &mut stopped);
            self.progress.done.fetch_add(batch.len() as u64, Ordering::Relaxed);
            outcomes.extend(done);
        }
        // Every change is in the journal even if these lines are not.
        let _ = self.journal.end();
        outcomes
    }

    fn batch(&mut self, steps: &[Step], stopped: &mut Option<String>) -> Vec<Outcome> {
        let (editor, conditions) = (self.editor, self.conditions);
        let refused = self.adds_only.clone();
        let one = |step: &Step| match &refused {
            Some(why) if step.action.takes_away() => Err(Outcome::Refused(why.clone())),
            _ => check(editor, step, conditions).map(|change| match step.action {
                Act::Retire => needs::told(editor, change, step.digest),
                _ => change,
            }),
        };
        let checked: Vec<Result<Change, Outcome>> = steps.par_iter().map(one).collect();
        let mut aside = None;
        if checked.iter().any(|change| matches!(change, Ok(Change::Move { .. }))) {
            match self.aside() {
                Ok(made) => aside = made,
                Err(why) => return give_up(checked, stopped, why),
            }
        }
        let changes = checked.iter().filter_map(|change| change.as_ref().ok());
        let numbers = match self.journal.announce(aside.iter().chain(changes)) {
            Ok(numbers) => numbers,
            Err(error) => {
                return give_up(checked, stopped, format!("the journal cannot be written: {error}"));
            }
        };
        let mut numbers = numbers.into_iter();
        if let Some(aside) = &aside {
            let made = self.make_aside(aside);
            let outcome = made.as_ref().map_or_else(|why| Outcome::Failed(why.clone()), |()| Outcome::Done);
            let _ = numbers.next().map(|number| self.journal.note(number, &outcome));
            if let Err(why) = made {
                return give_up(checked, stopped, why);
            }
        }
        let numbered: Vec<(Numbered, &Step)> = checked
            .into_iter()
            .map(|change| change.map(|change| (change, numbers.next().unwrap_or_default())))
            .zip(steps)
            .collect();
        let maker = Maker { editor, conditions, supply: self.supply };
        let mut made: Vec<Result<(u64, Made), Outcome>> = numbered
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
                    if let Made { outcome: Outcome::Failed(why), is_hopeless: true, .. } = &made {
                        stopped.get_or_insert_with(|| why.clone());
                    }
                    let _ = self.journal.note(number, &made.outcome);
                    made.outcome
                }
            })
            .collect()
    }

    /// The making of the quarantine, unless it is there.
    fn aside(&self) -> Result<Option<Change>, String> {
        let below = self.conditions.aside;
        let marker = format!("{below}/{MARKER}");
        let look = |path: &Path| {
            self.editor.look(Room::Aside, path).map_err(|error| format!("{}: {error}", path.display()))
        };
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

    fn make_aside(&self, change: &Change) -> Result<(), String> {
        let Change::Aside { made, marker } = change else { return Ok(()) };
        let text =
            |error: FolderError| format!("the quarantine {} cannot be made: {error}", self.conditions.aside);
        for folder in made {
            self.editor.make_folder(Room::Aside, Path::new(folder), None).map_err(text)?;
        }
        let content = Marker {
            schema: MARKER_SCHEMA.into(),
            tree: self.tree.display().to_string(),
            at: self.conditions.now,
        };
        let bytes = serde_json::to_vec(&content).map_err(|error| error.to_string())?;
        self.editor
            .write(Room::Aside, Path::new(marker), None, None, &mut |out| out.write_all(&bytes))
            .map_err(text)?;
        for folder in
            made.iter().map(Path::new).filter_map(Path::parent).chain([Path::new(self.conditions.aside)])
        {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            self.editor.sync(Room::Aside, folder).map_err(text)?;
        }
        Ok(())
    }

    /// Makes the folders of a batch last; what cannot be made so has failed.
    fn make_last(&self, made: &mut [Result<(u64, Made), Outcome>]) {
        let mut folders = Folders::new();
        for (_, made) in made.iter().flatten() {
            folders.extend(made.folders.iter().cloned());
        }
        let (folders, editor): (Vec<_>, _) = (folders.into_iter().collect(), self.editor);
        let bad: Vec<_> = folders
            .par_iter()
            .filter_map(|(room, path)| {
                editor.sync(*room, path).err().map(|error| ((*room, path.clone()), error))
            })
            .collect();
        for ((room, path), error) in bad {
            for (_, made) in made.iter_mut().flatten() {
                if made.outcome == Outcome::Done && made.folders.contains(&(room, path.clone())) {
                    made.outcome =
                        Outcome::Failed(format!("{}: it may not outlast a crash: {error}", path.display()));
                    made.is_hopeless |= is_hopeless(&error);
                }
            }
        }
    }
}

/// A change with its number in the journal, or why there is none.
type Numbered = Result<(Change, u64), Outcome>;

/// Outcomes of a batch of which nothing was done.
fn give_up(checked: Vec<Result<Change, Outcome>>, stopped: &mut Option<String>, why: String) -> Vec<Outcome> {
    let stop =
        |change: Result<Change, Outcome>| change.err().unwrap_or_else(|| Outcome::Stopped(why.clone()));
    let outcomes = checked.into_iter().map(stop).collect();
    *stopped = Some(why);
    outcomes
}

/// Steps in batches: those of one batch do not depend on each other, as they do the same.
fn batches(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
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
        Act::Retire => 6,
    }
}
