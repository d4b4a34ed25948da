//! Makes one change. The run writes the journal before, and syncs the changed folders after.

use std::io;
use std::path::{Path, PathBuf};

use super::aside::make_quarantine_folder;
use super::causes::{WhyFailed, WhySkipped};
use super::change::{Change, TEMP_SUFFIX};
use super::change_result::{ChangeResult, NotMade, TouchedFolders, is_fatal, touch_folder_of};
use super::check::check;
use super::check::look::disk_failure;
use super::conditions::Conditions;
use super::scheduler_state;
use super::step::{RepairStep, StepOutcome};
use super::supply::Supply;
use crate::oci::Hasher;
use crate::storage::FolderError;
use crate::storage::edit::{Attributes, Editor, IfOccupied, WritableFolder, nearest_attributes};

pub(super) struct Maker<'m> {
    pub(super) editor: &'m dyn Editor,
    pub(super) conditions: &'m Conditions<'m>,
    pub(super) supply: Option<&'m dyn Supply>,
}

impl Maker<'_> {
    /// Makes one change if its step may still be done.
    pub(super) fn make(&self, change: &Change, step: &RepairStep) -> ChangeResult {
        let mut result = ChangeResult::default();
        match self.try_make(change, step, &mut result.touched) {
            Ok(()) => result.outcome = StepOutcome::Done,
            Err(NotMade::Outcome(outcome)) => result.outcome = outcome,
            Err(NotMade::Folder(error)) => {
                result.is_fatal = is_fatal(&error);
                result.outcome = disk_failure(change.path(), &error);
            }
        }
        result
    }

    fn try_make(
        &self,
        change: &Change,
        step: &RepairStep,
        touched: &mut TouchedFolders,
    ) -> Result<(), NotMade> {
        let editor = self.editor;
        match change {
            Change::Aside { .. } => {}
            Change::Folder { made } => self.make_folders(made, touched)?,
            Change::Link { path, digest, modified, made, before } => {
                let attributes = match before {
                    Some(before) => before.attributes(),
                    None => self.neighbours(path)?.for_file(),
                };
                self.make_folders(made, touched)?;
                let temp = format!("{path}{TEMP_SUFFIX}");
                let temp = Path::new(&temp);
                let text = digest.to_string();
                editor.write(WritableFolder::Tree, temp, Some(attributes), Some(*modified), &mut |out| {
                    out.write_all(text.as_bytes())
                })?;
                let checked = match check(editor, step, self.conditions) {
                    Ok(Change::Link { before: now, .. }) if now == *before => Ok(()),
                    Ok(_) => Err(NotMade::Outcome(StepOutcome::Spared(WhySkipped::ChangedInRepair))),
                    Err(outcome) => Err(NotMade::Outcome(outcome)),
                };
                self.rename_finished(
                    checked,
                    temp,
                    path,
                    if before.is_some() { IfOccupied::Replace } else { IfOccupied::Fail },
                    touched,
                )?;
            }
            Change::Data { path, digest, modified, made } => {
                let attributes = self.neighbours(path)?.for_file();
                self.make_folders(made, touched)?;
                let temp = format!("{path}{TEMP_SUFFIX}");
                let temp = Path::new(&temp);
                let supply = self.supply.ok_or(StepOutcome::Failed(WhyFailed::NoSupply))?;
                let repository = step.repository.as_deref().unwrap_or_default();
                editor.write(WritableFolder::Tree, temp, Some(attributes), Some(*modified), &mut |out| {
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
                self.rename_finished(Ok(()), temp, path, IfOccupied::Fail, touched)?;
            }
            Change::Move { path, to, made, .. } => {
                for folder in made {
                    make_quarantine_folder(editor, folder)?;
                    touch_folder_of(touched, WritableFolder::Aside, folder);
                }
                check(editor, step, self.conditions)?;
                editor.rename(
                    (WritableFolder::Tree, Path::new(path)),
                    (WritableFolder::Aside, Path::new(to)),
                    IfOccupied::Fail,
                )?;
                touch_folder_of(touched, WritableFolder::Tree, path);
                touch_folder_of(touched, WritableFolder::Aside, to);
            }
            Change::SchedulerState { to, made, written } => {
                scheduler_state::make(editor, (to, made), *written)?;
                touched.insert((WritableFolder::Root, PathBuf::from(".")));
            }
        }
        Ok(())
    }

    /// Renames a finished file to its path, if `checked` permits it. If it does not, or renaming fails, removes the file.
    fn rename_finished(
        &self,
        checked: Result<(), NotMade>,
        temp: &Path,
        path: &str,
        if_occupied: IfOccupied,
        touched: &mut TouchedFolders,
    ) -> Result<(), NotMade> {
        let to = (WritableFolder::Tree, Path::new(path));
        let renamed =
            checked.and_then(|()| Ok(self.editor.rename((WritableFolder::Tree, temp), to, if_occupied)?));
        if renamed.is_err() {
            let _ = self.editor.remove_file(WritableFolder::Tree, temp);
        }
        renamed?;
        touch_folder_of(touched, WritableFolder::Tree, path);
        Ok(())
    }

    /// Makes folders, outermost first, each with the owner and mode of the folder around it.
    fn make_folders(&self, made: &[String], touched: &mut TouchedFolders) -> Result<(), FolderError> {
        for folder in made {
            let attributes = self.neighbours(folder)?;
            self.editor.make_folder(WritableFolder::Tree, Path::new(folder), Some(attributes))?;
            touch_folder_of(touched, WritableFolder::Tree, folder);
        }
        Ok(())
    }

    fn neighbours(&self, path: &str) -> Result<Attributes, FolderError> {
        nearest_attributes(self.editor, WritableFolder::Tree, path)
    }
}

/// A writer that also hashes what it writes.
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
