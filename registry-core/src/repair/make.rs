//! Making one change. What goes to the journal before and what is made safe after is the run's matter.

use std::io;
use std::path::{Path, PathBuf};

use super::aside::make_aside;
use super::causes::{WhyFailed, WhySpared};
use super::change::{Change, UNFINISHED};
use super::change_result::{ChangeResult, Folders, NotMade, is_hopeless, parent};
use super::check::check;
use super::check::look::failed;
use super::conditions::Conditions;
use super::scheduler_state;
use super::step::{RepairStep, StepOutcome};
use super::supply::Supply;
use crate::oci::Hasher;
use crate::storage::FolderError;
use crate::storage::edit::{Attributes, Editor, IfOccupied, WritableFolder, neighbours};

/// Makes changes.
pub(super) struct Maker<'m> {
    pub(super) editor: &'m dyn Editor,
    pub(super) conditions: &'m Conditions<'m>,
    pub(super) supply: Option<&'m dyn Supply>,
}

impl Maker<'_> {
    /// Makes one change, if what it relies on still holds.
    pub(super) fn make(&self, change: &Change, step: &RepairStep) -> ChangeResult {
        let mut made = ChangeResult::default();
        match self.try_make(change, step, &mut made.folders) {
            Ok(()) => made.outcome = StepOutcome::Done,
            Err(NotMade::Outcome(outcome)) => made.outcome = outcome,
            Err(NotMade::Folder(error)) => {
                made.is_hopeless = is_hopeless(&error);
                made.outcome = failed(change.path(), &error);
            }
        }
        made
    }

    fn try_make(&self, change: &Change, step: &RepairStep, touched: &mut Folders) -> Result<(), NotMade> {
        let editor = self.editor;
        match change {
            Change::Aside { .. } => {}
            Change::Folder { made } => self.folders(made, touched)?,
            Change::Link { path, digest, modified, made, before } => {
                let attributes = match before {
                    Some(before) => before.attributes(),
                    None => self.neighbours(path)?.of_file(),
                };
                self.folders(made, touched)?;
                let unfinished = format!("{path}{UNFINISHED}");
                let (from, to) = (Path::new(&unfinished), Path::new(path));
                let text = digest.to_string();
                editor.write(WritableFolder::Tree, from, Some(attributes), Some(*modified), &mut |out| {
                    out.write_all(text.as_bytes())
                })?;
                let still = match check(editor, step, self.conditions) {
                    Ok(Change::Link { before: now, .. }) if now == *before => Ok(()),
                    Ok(_) => Err(NotMade::Outcome(StepOutcome::Spared(WhySpared::ChangedInRepair))),
                    Err(outcome) => Err(NotMade::Outcome(outcome)),
                };
                let renamed = still.and_then(|()| {
                    Ok(editor.rename(
                        (WritableFolder::Tree, from),
                        (WritableFolder::Tree, to),
                        if before.is_some() { IfOccupied::Replace } else { IfOccupied::Fail },
                    )?)
                });
                if renamed.is_err() {
                    let _ = editor.remove_file(WritableFolder::Tree, from);
                }
                renamed?;
                touched.insert((WritableFolder::Tree, parent(path)));
            }
            Change::Data { path, digest, modified, made } => {
                let attributes = self.neighbours(path)?.of_file();
                self.folders(made, touched)?;
                let unfinished = format!("{path}{UNFINISHED}");
                let (from, to) = (Path::new(&unfinished), Path::new(path));
                let supply = self.supply.ok_or(StepOutcome::Failed(WhyFailed::NoSupply))?;
                let repository = step.repository.as_deref().unwrap_or_default();
                editor.write(WritableFolder::Tree, from, Some(attributes), Some(*modified), &mut |out| {
                    let mut hashing = Hashing { out, hasher: Hasher::new(digest.algorithm()) };
                    let fetched = supply.fetch(repository, digest, &mut hashing).map_err(io::Error::other)?;
                    if fetched.is_none() {
                        return Err(io::Error::other(format!("{} does not have it", supply.name())));
                    }
                    if hashing.hasher.finish() == *digest {
                        return Ok(());
                    }
                    Err(io::Error::other(format!("what {} sent does not hash to its digest", supply.name())))
                })?;
                let renamed =
                    editor.rename((WritableFolder::Tree, from), (WritableFolder::Tree, to), IfOccupied::Fail);
                if renamed.is_err() {
                    let _ = editor.remove_file(WritableFolder::Tree, from);
                }
                renamed?;
                touched.insert((WritableFolder::Tree, parent(path)));
            }
            Change::Move { path, to, made, .. } => {
                for folder in made {
                    make_aside(editor, folder)?;
                    touched.insert((WritableFolder::Aside, parent(folder)));
                }
                check(editor, step, self.conditions)?;
                editor.rename(
                    (WritableFolder::Tree, Path::new(path)),
                    (WritableFolder::Aside, Path::new(to)),
                    IfOccupied::Fail,
                )?;
                touched.insert((WritableFolder::Tree, parent(path)));
                touched.insert((WritableFolder::Aside, parent(to)));
            }
            Change::SchedulerState { to, made, written } => {
                scheduler_state::make(editor, (to, made), *written)?;
                touched.insert((WritableFolder::Root, PathBuf::from(".")));
            }
        }
        Ok(())
    }

    /// Makes folders on the way to something, each with the owner and mode of the one that it is made in.
    fn folders(&self, made: &[String], touched: &mut Folders) -> Result<(), FolderError> {
        for folder in made {
            let attributes = self.neighbours(folder)?;
            self.editor.make_folder(WritableFolder::Tree, Path::new(folder), Some(attributes))?;
            touched.insert((WritableFolder::Tree, parent(folder)));
        }
        Ok(())
    }

    fn neighbours(&self, path: &str) -> Result<Attributes, FolderError> {
        neighbours(self.editor, WritableFolder::Tree, path)
    }
}

/// A writer that hashes what passes through.
struct Hashing<'h> {
    out: &'h mut dyn io::Write,
    hasher: Hasher,
}

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
