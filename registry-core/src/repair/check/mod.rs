//! Whether a step may be done now, and the change that it comes to. Everything that a plan relied on is looked at again, on
//! the disk, right before the write.

pub(super) mod away;
mod write;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::change::Change;
use super::scheduler_state;
use super::step::{Act, Outcome, Step};
use crate::oci::Digest;
use crate::path::Place;
use crate::serve::{LINK_MAX, read_link};
use crate::storage::edit::{Editor, Identity, Look, Room};
use crate::storage::{FolderError, Kind};

/// Most bytes of a file that is written over: it is kept in the journal.
pub const REWRITE_MAX: usize = 64 << 10;

/// What steps are checked against.
#[derive(Debug)]
pub struct Conditions<'c> {
    /// The clock: when the run began. Links that are written get this time.
    pub now: Timestamp,
    /// Leftovers younger than this are a push under way. Seconds.
    pub min_age: u32,
    /// The quarantine's path below the folder it lies in.
    pub aside: &'c str,
    /// Revisions of every repository in which layer links are moved aside, as the plan knew them: a manifest pushed since
    /// may need one.
    pub revisions: &'c HashMap<Arc<str>, BTreeSet<Digest>>,
    /// Blobs hashed right in this run, in this state.
    pub hashed: Mutex<HashMap<Digest, Identity>>,
}

/// Looks at one step again.
///
/// # Errors
/// The outcome of a step that is not done.
pub(super) fn check(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    match step.action {
        Act::Rebuild => write::rebuild(editor, step),
        Act::Relink | Act::Rewrite => write::link(editor, step, now),
        Act::Restore => write::restore(editor, step, now),
        Act::Fetch => write::fetch(editor, step, now),
        Act::Quarantine => away::quarantine(editor, step, now),
        Act::Unlink => away::unlink(editor, step, now),
        Act::Clear | Act::MoveAside => away::aside(editor, step, now),
        Act::Retire => away::retire(editor, step, now),
        Act::Drop => away::drop_tag(editor, step, now),
        Act::Reset => scheduler_state::check(editor, now),
    }
}

pub(super) fn failed(what: &str, error: &FolderError) -> Outcome {
    Outcome::Failed(format!("{what}: {error}"))
}

pub(super) fn spared(why: impl Into<String>) -> Outcome {
    Outcome::Spared(why.into())
}

/// The time that new files get: every file system keeps seconds, not all keep less.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn look(editor: &impl Editor, path: &str) -> Result<Option<Look>, Outcome> {
    match editor.look(Room::Tree, Path::new(path)) {
        // A file in the place of a folder on the way: there is nothing there.
        Err(FolderError::NotAFolder) => Ok(None),
        other => other.map_err(|error| failed(path, &error)),
    }
}

/// The digest that a step is about.
fn digest(step: &Step) -> Result<Digest, Outcome> {
    step.digest.ok_or_else(|| Outcome::Failed("the step names no digest".into()))
}

/// What a link says now; `None` when there is none.
fn says(editor: &impl Editor, path: &str) -> Result<Option<Result<Digest, ()>>, Outcome> {
    match editor.read(Room::Tree, Path::new(path), LINK_MAX + 1) {
        Ok(bytes) => Ok(Some(read_link(&bytes).map_err(drop))),
        Err(FolderError::NotFound | FolderError::NotAFolder) => Ok(None),
        Err(error) => Err(failed(path, &error)),
    }
}

/// Folders on the way to an entry that are not there yet, outermost first.
fn to_be_made(editor: &impl Editor, room: Room, path: &str) -> Result<Vec<String>, Outcome> {
    let mut missing = Vec::new();
    let mut at = Path::new(path).parent();
    while let Some(folder) = at.filter(|folder| !folder.as_os_str().is_empty()) {
        match editor.look(room, folder) {
            Ok(Some(look)) if look.kind == Kind::Folder => break,
            Ok(Some(look)) => {
                return Err(Outcome::Failed(format!(
                    "{}: {} in the place of a folder",
                    folder.display(),
                    look.kind.describe()
                )));
            }
            Ok(None) => missing.push(folder.display().to_string()),
            Err(error) => return Err(failed(&folder.display().to_string(), &error)),
        }
        at = folder.parent();
    }
    missing.reverse();
    Ok(missing)
}

/// Whether the bytes filed under a digest are the right ones; hashed unless they were, in this very state.
fn is_right(editor: &impl Editor, digest: Digest, now: &Conditions<'_>) -> Result<bool, Outcome> {
    let path = Place::BlobData(digest).to_string();
    let Some(before) = look(editor, &path)? else { return Ok(false) };
    let hashed = || now.hashed.lock().unwrap_or_else(PoisonError::into_inner);
    if hashed().get(&digest) == Some(&before.identity) {
        return Ok(true);
    }
    let found = editor
        .hash(Room::Tree, Path::new(&path), digest.algorithm())
        .map_err(|error| failed(&path, &error))?;
    let after = look(editor, &path)?;
    if after.map(|look| look.identity) != Some(before.identity) {
        return Err(spared(format!("{path} changed while it was hashed")));
    }
    if found != digest {
        return Ok(false);
    }
    hashed().insert(digest, before.identity);
    Ok(true)
}
