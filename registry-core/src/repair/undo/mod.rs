//! Taking a repair back by its journal: the last change first, each only if the disk still shows what it left, and only if
//! nothing was pushed since that may rely on it. Can be run again after it was stopped.

mod marked;
mod ours;
mod scheduler_state;
mod since;
pub(super) mod why;
mod written;

use std::path::Path;

use serde::Serialize;

use self::marked::MarkerCache;
use self::ours::{names_what_is_ours, quarantine};
use self::since::Since;
pub use self::why::{OtherRegistry, WhyLost, WhyTaken};
use super::change::{Change, UNFINISHED};
use super::journal::RepairHistory;
use super::needs;
use crate::path::Place;
use crate::storage::edit::{Editor, IfOccupied, WritableFolder};
use crate::storage::{EntryKind, FolderError, Serving, V2};
use crate::tree_writer::{Access, MARKER, TreeWriter, WriteRefusal};

/// What an undo did about one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UndoneChange {
    /// Where: below the registry's `docker/registry/v2`; of the quarantine itself, below the folder that it lies in.
    pub path: String,
    /// How it went.
    #[serde(flatten)]
    pub state: ChangeUndoState,
}

/// How it went with one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum ChangeUndoState {
    /// It is as it was before the repair.
    Restored,
    /// It was so already: the change was never made, or is undone.
    There,
    /// Something was done there since, which stays.
    Taken(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyTaken),
    /// It cannot be undone.
    Lost(#[cfg_attr(feature = "schema", schemars(with = "String"))] WhyLost),
}

/// What is known of an undo under way.
#[derive(Debug, Clone, Copy)]
struct SoFar {
    /// Whether its journal is one of retention.
    is_retention: bool,
    /// Whether something could not be taken back.
    is_lost: bool,
}

/// Takes a repair, or a retention of a tree, back by its journal.
#[derive(Debug)]
pub struct Undo<'u> {
    told: &'u RepairHistory,
    writer: TreeWriter,
}

impl<'u> Undo<'u> {
    /// Opens the registry that a journal is of, and the folder that its quarantine lies in. Where that folder cannot be opened,
    /// links can still be taken back, and moves are told as lost.
    ///
    /// # Errors
    /// When something is in the way, or the registry cannot be opened.
    #[cfg(target_os = "linux")]
    pub fn open(told: &'u RepairHistory, access: Access) -> Result<Self, WriteRefusal> {
        let writer = TreeWriter::reopen(Path::new(&told.tree), Path::new(&told.aside), access, told.at)?;
        Ok(Self { told, writer })
    }

    /// Processes that were at work on the tree when it was opened, and not in the way.
    pub fn processes(&self) -> &[Serving] {
        self.writer.processes()
    }

    /// Takes everything back, last first.
    pub fn all(&self) -> Vec<UndoneChange> {
        Changes { editor: self.writer.editor() }.all(self.told)
    }
}

/// Takes changes back.
struct Changes<'u> {
    editor: &'u dyn Editor,
}

impl Changes<'_> {
    /// Takes everything back, last first.
    fn all(&self, told: &RepairHistory) -> Vec<UndoneChange> {
        let mut since = Since::new(self.editor, told);
        let mut marked = MarkerCache::new(self.editor, told);
        let refused = self.is_registry(told).map_or_else(
            |error| Some(WhyLost::Disk(error.to_string())),
            |is| (!is).then_some(WhyLost::NoRegistry),
        );
        let mut so_far = SoFar { is_retention: told.changes.iter().any(needs::retires), is_lost: false };
        let one = |change: &Change| {
            if let Some(why) = &refused {
                return ChangeUndoState::Lost(why.clone());
            }
            if !names_what_is_ours(change) {
                return ChangeUndoState::Lost(WhyLost::NotOurs);
            }
            let state = self.undo_change(change, so_far, &mut since, &mut marked);
            let state = state.unwrap_or_else(|error| ChangeUndoState::Lost(WhyLost::Disk(error.to_string())));
            so_far.is_lost |= matches!(state, ChangeUndoState::Lost(_));
            state
        };
        let states: Vec<_> = told.changes.iter().rev().map(one).collect();
        let paths = told.changes.iter().rev().map(|change| change.path().to_owned());
        paths.zip(states).map(|(path, state)| UndoneChange { path, state }).collect()
    }

    /// Whether the folder that a journal is of is a registry: it may be anybody's.
    fn is_registry(&self, told: &RepairHistory) -> Result<bool, FolderError> {
        if Path::new(&told.tree).ends_with(V2) {
            return Ok(true);
        }
        for name in [Place::Blobs, Place::Repositories] {
            let look = self.editor.look(WritableFolder::Tree, Path::new(&name.to_string()))?;
            if look.is_some_and(|look| matches!(look.kind, EntryKind::Folder | EntryKind::Symlink)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn undo_change(
        &self,
        change: &Change,
        so_far: SoFar,
        since: &mut Since<'_>,
        marked: &mut MarkerCache<'_>,
    ) -> Result<ChangeUndoState, FolderError> {
        match change {
            Change::Aside { made, marker } => self.aside(made, marker, marked, so_far.is_lost),
            Change::Folder { made } => {
                let was_there = self.editor.look(WritableFolder::Tree, Path::new(change.path()))?.is_some();
                self.folders(WritableFolder::Tree, made)?;
                let is_there = self.editor.look(WritableFolder::Tree, Path::new(change.path()))?.is_some();
                Ok(match (was_there, is_there) {
                    (false, _) => ChangeUndoState::There,
                    (true, false) => ChangeUndoState::Restored,
                    (true, true) => ChangeUndoState::Taken(WhyTaken::FolderUsed),
                })
            }
            Change::Link { .. } => self.link(change, since),
            Change::Data { .. } => self.data(change, since),
            Change::Move { path, to, made, .. } => {
                let gone = || needs::gone_since(self.editor, change, so_far.is_retention);
                self.back((path, to), made, marked, gone)
            }
            Change::SchedulerState { to, made, written } => {
                self.scheduler_state((to, made), *written, marked)
            }
        }
    }

    /// Moves something back to where it was, out of a quarantine that is marked as this registry's, unless it leads to what
    /// is `gone` since.
    fn back(
        &self,
        (path, to): (&str, &str),
        made: &[String],
        marked: &mut MarkerCache<'_>,
        gone: impl FnOnce() -> Result<Option<WhyLost>, FolderError>,
    ) -> Result<ChangeUndoState, FolderError> {
        let (inside, outside) = (Path::new(path), Path::new(to));
        let folder = quarantine(path, to).unwrap_or(to);
        let unmarked = marked.why_not(folder)?;
        let here = match self.editor.look(WritableFolder::Tree, inside) {
            Err(FolderError::NotAFolder) => None,
            other => other?,
        };
        let there = self.editor.look(WritableFolder::Aside, outside)?;
        let state = match (here, there) {
            (None, Some(_)) => {
                if let Some(why) = unmarked {
                    return Ok(ChangeUndoState::Lost(why));
                }
                if let Some(why) = gone()? {
                    return Ok(ChangeUndoState::Lost(why));
                }
                self.editor.rename(
                    (WritableFolder::Aside, outside),
                    (WritableFolder::Tree, inside),
                    IfOccupied::Fail,
                )?;
                self.sync(WritableFolder::Tree, path)?;
                ChangeUndoState::Restored
            }
            (Some(_), None) => ChangeUndoState::There,
            (Some(_), Some(_)) => ChangeUndoState::Taken(WhyTaken::ThereAgain { to: to.to_owned() }),
            (None, None) => return Ok(ChangeUndoState::Lost(marked.why_gone()?)),
        };
        if unmarked.is_none() {
            // The quarantine itself goes last, with its marker.
            let inner = |made: &&String| made.len() > folder.len();
            let inner: Vec<_> = made.iter().filter(inner).cloned().collect();
            self.folders(WritableFolder::Aside, &inner)?;
        }
        Ok(state)
    }

    /// Removes the quarantine, once nothing is left in it.
    fn aside(
        &self,
        made: &[String],
        marker: &str,
        marked: &MarkerCache<'_>,
        is_lost: bool,
    ) -> Result<ChangeUndoState, FolderError> {
        let folder = Path::new(marker).parent().unwrap_or(Path::new("."));
        let names = match self.editor.names(WritableFolder::Aside, folder) {
            Err(FolderError::NotFound) => {
                // A run that was stopped in between may have made those around it.
                self.folders(WritableFolder::Aside, made)?;
                return Ok(ChangeUndoState::There);
            }
            other => other?,
        };
        if names.iter().any(|name| name != MARKER) {
            if is_lost {
                return Ok(ChangeUndoState::Lost(WhyLost::QuarantineUsed));
            }
            return Ok(ChangeUndoState::Taken(WhyTaken::QuarantineUsed));
        }
        if !names.is_empty() {
            if let Some(other) = marked.is_others(marker)? {
                return Ok(ChangeUndoState::Taken(WhyTaken::OtherRegistry(other)));
            }
            self.editor.remove_file(WritableFolder::Aside, Path::new(marker))?;
        }
        self.folders(WritableFolder::Aside, made)?;
        Ok(ChangeUndoState::Restored)
    }

    /// Removes folders that were made, innermost first; one that holds something now stays.
    fn folders(&self, room: WritableFolder, made: &[String]) -> Result<(), FolderError> {
        for folder in made.iter().rev() {
            match self.editor.remove_folder(room, Path::new(folder)) {
                Ok(()) | Err(FolderError::NotFound | FolderError::NotAFolder) => {}
                Err(FolderError::Io(error)) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a change last, in the nearest folder that is still there.
    fn sync(&self, room: WritableFolder, path: &str) -> Result<(), FolderError> {
        for folder in Path::new(path).ancestors().skip(1) {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            if self.editor.look(room, folder)?.is_some() {
                return self.editor.sync(room, folder);
            }
        }
        Ok(())
    }

    /// Removes what an interrupted run may have left beside a file.
    fn remove_unfinished(&self, room: WritableFolder, path: &str) -> Result<(), FolderError> {
        match self.editor.remove_file(room, Path::new(&format!("{path}{UNFINISHED}"))) {
            Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(()),
            other => other,
        }
    }
}
