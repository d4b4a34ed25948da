//! Making one change. What goes to the journal before and what is made safe after is the run's matter.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::change::Change;
use super::check::{Conditions, check};
use super::scheduler_state;
use super::step::{Outcome, Step};
use super::supply::Supply;
use crate::oci::Hasher;
use crate::storage::FolderError;
use crate::storage::edit::{Attributes, Editor, Room};

/// What the name of a file ends in before it takes its place; the same each time, so that what an interrupted run left is
/// replaced by the next.
pub(super) const UNFINISHED: &str = ".registry-fsck.tmp";

/// Makes changes.
#[derive(Debug)]
pub(super) struct Maker<'m, E> {
    pub(super) editor: &'m E,
    pub(super) conditions: &'m Conditions<'m>,
    pub(super) supply: Option<&'m dyn Supply>,
}

impl<E: Editor> Maker<'_, E> {
    /// Makes one change, if what it relies on still holds.
    pub(super) fn make(&self, change: &Change, step: &Step) -> Made {
        let mut made = Made::default();
        match self.try_make(change, step, &mut made.folders) {
            Ok(()) => made.outcome = Outcome::Done,
            Err(NotMade::Outcome(outcome)) => made.outcome = outcome,
            Err(NotMade::Folder(error)) => {
                made.is_hopeless = is_hopeless(&error);
                made.outcome = Outcome::Failed(format!("{}: {error}", change.path()));
            }
        }
        made
    }

    fn try_make(&self, change: &Change, step: &Step, touched: &mut Folders) -> Result<(), NotMade> {
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
                editor.write(Room::Tree, from, Some(attributes), Some(*modified), &mut |out| {
                    out.write_all(text.as_bytes())
                })?;
                let still = match check(editor, step, self.conditions) {
                    Ok(Change::Link { before: now, .. }) if now == *before => Ok(()),
                    Ok(_) => {
                        Err(NotMade::Outcome(Outcome::Spared("it changed while it was repaired".into())))
                    }
                    Err(outcome) => Err(NotMade::Outcome(outcome)),
                };
                let renamed = still.and_then(|()| {
                    Ok(editor.rename((Room::Tree, from), (Room::Tree, to), before.is_some())?)
                });
                if renamed.is_err() {
                    let _ = editor.remove_file(Room::Tree, from);
                }
                renamed?;
                touched.insert((Room::Tree, parent(path)));
            }
            Change::Data { path, digest, modified, made } => {
                let attributes = self.neighbours(path)?.of_file();
                self.folders(made, touched)?;
                let unfinished = format!("{path}{UNFINISHED}");
                let (from, to) = (Path::new(&unfinished), Path::new(path));
                let supply =
                    self.supply.ok_or_else(|| Outcome::Failed("there is nothing to fetch from".into()))?;
                let repository = step.repository.as_deref().unwrap_or_default();
                editor.write(Room::Tree, from, Some(attributes), Some(*modified), &mut |out| {
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
                let renamed = editor.rename((Room::Tree, from), (Room::Tree, to), false);
                if renamed.is_err() {
                    let _ = editor.remove_file(Room::Tree, from);
                }
                renamed?;
                touched.insert((Room::Tree, parent(path)));
            }
            Change::Move { path, to, made, .. } => {
                for folder in made {
                    make_aside(editor, folder)?;
                    touched.insert((Room::Aside, parent(folder)));
                }
                check(editor, step, self.conditions)?;
                editor.rename((Room::Tree, Path::new(path)), (Room::Aside, Path::new(to)), false)?;
                touched.insert((Room::Tree, parent(path)));
                touched.insert((Room::Aside, parent(to)));
            }
            Change::SchedulerState { to, made, written } => {
                scheduler_state::make(editor, (to, made), *written)?;
                touched.insert((Room::Root, PathBuf::from(".")));
            }
        }
        Ok(())
    }

    /// Makes folders on the way to something, each with the owner and mode of the one that it is made in.
    fn folders(&self, made: &[String], touched: &mut Folders) -> Result<(), FolderError> {
        for folder in made {
            let attributes = self.neighbours(folder)?;
            self.editor.make_folder(Room::Tree, Path::new(folder), Some(attributes))?;
            touched.insert((Room::Tree, parent(folder)));
        }
        Ok(())
    }

    fn neighbours(&self, path: &str) -> Result<Attributes, FolderError> {
        neighbours(self.editor, Room::Tree, path)
    }
}

/// Owner and mode of the nearest folder around a path.
fn neighbours(editor: &impl Editor, room: Room, path: &str) -> Result<Attributes, FolderError> {
    for folder in Path::new(path).ancestors().skip(1) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if let Some(look) = editor.look(room, folder)? {
            return Ok(look.attributes);
        }
    }
    Err(FolderError::NotFound)
}

/// Owner and mode in the quarantine: those of the folder around it, so that whoever keeps the registry can go on there, and
/// nothing for others, as what is moved aside may be secret.
fn attributes_aside(editor: &impl Editor, path: &str) -> Result<Attributes, FolderError> {
    let around = neighbours(editor, Room::Aside, path)?;
    Ok(Attributes { mode: (around.mode & 0o770) | 0o700, ..around })
}

/// Makes a folder of the quarantine. Who may not give it away keeps it.
pub(super) fn make_aside(editor: &impl Editor, path: &str) -> Result<(), FolderError> {
    let attributes = attributes_aside(editor, path)?;
    match editor.make_folder(Room::Aside, Path::new(path), Some(attributes)) {
        Err(error) if is_denied(&error) => editor.make_folder(Room::Aside, Path::new(path), None),
        made => made,
    }
}

/// Writes a file into the quarantine. Who may not give it away keeps it.
pub(super) fn write_aside(editor: &impl Editor, path: &str, bytes: &[u8]) -> Result<(), FolderError> {
    let attributes = attributes_aside(editor, path)?.of_file();
    let write = |attributes| {
        editor.write(Room::Aside, Path::new(path), attributes, None, &mut |out| out.write_all(bytes))
    };
    match write(Some(attributes)) {
        Err(error) if is_denied(&error) => write(None),
        written => written,
    }
}

fn is_denied(error: &FolderError) -> bool {
    matches!(error, FolderError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}

/// Folders whose entries were changed.
pub(super) type Folders = BTreeSet<(Room, PathBuf)>;

/// How it went with one change.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) outcome: Outcome,
    pub(super) folders: Folders,
    /// Whether there is no use in going on.
    pub(super) is_hopeless: bool,
}

impl Default for Made {
    fn default() -> Self {
        Self { outcome: Outcome::Planned, folders: Folders::new(), is_hopeless: false }
    }
}

/// Why a change was not made.
pub(super) enum NotMade {
    Outcome(Outcome),
    Folder(FolderError),
}

impl From<Outcome> for NotMade {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

impl From<FolderError> for NotMade {
    fn from(error: FolderError) -> Self {
        Self::Folder(error)
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

pub(super) fn parent(path: &str) -> PathBuf {
    Path::new(path)
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// Whether the disk as a whole refuses: no space, read-only, failing.
pub(super) fn is_hopeless(error: &FolderError) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    const EIO: i32 = 5;
    match error {
        FolderError::Io(error) => {
            matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
                || error.raw_os_error() == Some(EIO)
        }
        _ => false,
    }
}
