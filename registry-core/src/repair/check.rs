//! Whether a step may be done now, and the change that it comes to. Everything that a plan relied on is looked at again, on
//! the disk, right before the write.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::change::{Before, Change};
use super::step::{Act, Outcome, Step};
use crate::oci::{Algorithm, Digest, Manifest};
use crate::path::Place;
use crate::storage::edit::{Attributes, Editor, Identity, Look, Room};
use crate::storage::{FolderError, Kind, read_link};

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
        Act::Rebuild => rebuild(editor, step),
        Act::Relink | Act::Rewrite => link(editor, step, now),
        Act::Restore => restore(editor, step, now),
        Act::Fetch => fetch(editor, step, now),
        Act::Quarantine => quarantine(editor, step, now),
        Act::Unlink => unlink(editor, step, now),
        Act::Clear | Act::MoveAside => aside(editor, step, now),
        Act::Retire => retire(editor, step, now),
    }
}

fn failed(what: &str, error: &FolderError) -> Outcome {
    Outcome::Failed(format!("{what}: {error}"))
}

fn spared(why: impl Into<String>) -> Outcome {
    Outcome::Spared(why.into())
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
    match editor.read(Room::Tree, Path::new(path), crate::storage::LINK_MAX + 1) {
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

fn rebuild(editor: &impl Editor, step: &Step) -> Result<Change, Outcome> {
    match look(editor, &step.path)? {
        None => {
            let mut made = to_be_made(editor, Room::Tree, &step.path)?;
            made.push(step.path.clone());
            Ok(Change::Folder { made })
        }
        Some(look) if look.kind == Kind::Folder => Err(Outcome::There),
        Some(look) => Err(spared(format!("{} stands there now", look.kind.describe()))),
    }
}

/// A revision or layer link: its content follows from its path, so what stands there matters only as it is to be kept.
fn link(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let digest = digest(step)?;
    let before = match look(editor, &step.path)? {
        None => None,
        Some(look) if look.kind == Kind::File => {
            if says(editor, &step.path)? == Some(Ok(digest)) {
                return Err(Outcome::There);
            }
            Some(keep(editor, step, &look)?)
        }
        Some(look) => return Err(spared(format!("{} stands there now", look.kind.describe()))),
    };
    if !is_right(editor, digest, now)? {
        return Err(spared("the bytes it would name do not hash to its digest, or are gone"));
    }
    let made = to_be_made(editor, Room::Tree, &step.path)?;
    Ok(Change::Link { path: step.path.clone(), digest, modified: whole_second(now.now), made, before })
}

/// The time that new files get: every file system keeps seconds, not all keep less.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A file that is written over, as the journal keeps it.
fn keep(editor: &impl Editor, step: &Step, look: &Look) -> Result<Before, Outcome> {
    let bytes = editor
        .read(Room::Tree, Path::new(&step.path), REWRITE_MAX + 1)
        .map_err(|error| failed(&step.path, &error))?;
    if bytes.len() > REWRITE_MAX {
        return Err(Outcome::Failed(format!(
            "the file in its place is larger than {REWRITE_MAX} bytes, too large to be kept in the journal: move it away by hand"
        )));
    }
    let Attributes { mode, user, group } = look.attributes;
    Ok(Before { bytes, mode, user, group, modified: look.modified })
}

/// A tag whose link says nothing: still exactly one entry of its history resolves, and it is the planned one.
fn restore(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let digest = digest(step)?;
    let Some(Place::TagLink(repository, tag)) = Place::parse(&step.path) else {
        return Err(Outcome::Failed("the step names no tag".into()));
    };
    let folder = Place::TagFolder(repository, tag).to_string();
    if look(editor, &folder)?.is_none_or(|look| look.kind != Kind::Folder) {
        return Err(spared("the tag is gone"));
    }
    let before = match look(editor, &step.path)? {
        None => None,
        Some(look) if look.kind == Kind::File => {
            match says(editor, &step.path)? {
                Some(Ok(now)) if now == digest => return Err(Outcome::There),
                Some(Ok(now)) if now.algorithm() == Algorithm::Sha256 => {
                    return Err(spared("the tag was pushed since it was planned"));
                }
                _ => {}
            }
            Some(keep(editor, step, &look)?)
        }
        Some(look) => return Err(spared(format!("{} stands there now", look.kind.describe()))),
    };
    let history = Place::TagIndexAlgorithm(repository, tag, Algorithm::Sha256).to_string();
    let mut modified = None;
    for name in editor.names(Room::Tree, Path::new(&history)).map_err(|error| failed(&history, &error))? {
        let entry = name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok());
        let Some(entry) = entry else { continue };
        let path = Place::TagIndexLink(repository, tag, entry).to_string();
        let Some(found) = look(editor, &path)? else { continue };
        if entry == digest {
            modified = Some(found.modified);
        } else if resolves(editor, repository, entry, now)? {
            return Err(spared("more than one entry of its history resolves now"));
        }
    }
    let Some(modified) = modified else {
        return Err(spared("its history does not name this manifest any more"));
    };
    if !resolves(editor, repository, digest, now)? {
        return Err(spared("the manifest that its history names does not resolve any more"));
    }
    let made = to_be_made(editor, Room::Tree, &step.path)?;
    Ok(Change::Link { path: step.path.clone(), digest, modified, made, before })
}

/// Whether a manifest is served through its own revision link, with the right bytes.
fn resolves(
    editor: &impl Editor,
    repository: &str,
    digest: Digest,
    now: &Conditions<'_>,
) -> Result<bool, Outcome> {
    let link = Place::RevisionLink(repository, digest).to_string();
    if says(editor, &link)? != Some(Ok(digest)) || !is_right(editor, digest, now)? {
        return Ok(false);
    }
    let path = Place::BlobData(digest).to_string();
    let limit = usize::try_from(crate::oci::manifest::MAX_BYTES).unwrap_or(usize::MAX) + 1;
    let bytes = editor.read(Room::Tree, Path::new(&path), limit).map_err(|error| failed(&path, &error))?;
    Ok(Manifest::parse(&bytes).refusal().is_none())
}

fn fetch(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let digest = digest(step)?;
    let path = Place::BlobData(digest).to_string();
    match look(editor, &path)? {
        None => {}
        Some(look) if look.kind == Kind::File => {
            return Err(if is_right(editor, digest, now)? {
                Outcome::There
            } else {
                spared("other bytes are there now")
            });
        }
        Some(look) => return Err(spared(format!("{} stands there now", look.kind.describe()))),
    }
    let made = to_be_made(editor, Room::Tree, &path)?;
    Ok(Change::Data { path, digest, modified: whole_second(now.now), made })
}

fn quarantine(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let digest = digest(step)?;
    let data = Place::BlobData(digest).to_string();
    match look(editor, &data)? {
        None => return Err(Outcome::There),
        Some(look) if look.kind == Kind::File => {}
        Some(look) => return Err(spared(format!("{} stands there now", look.kind.describe()))),
    }
    if is_right(editor, digest, now)? {
        return Err(spared("the bytes hash right now"));
    }
    moved(editor, &step.path, now)
}

fn is_young(look: &Look, now: &Conditions<'_>) -> bool {
    let age = SignedDuration::from_secs(i64::from(now.min_age));
    look.modified.checked_add(age).is_ok_and(|old| old > now.now)
}

/// A layer link that nothing needs, or an entry of a tag's history that does not resolve.
fn unlink(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let inner = format!("{}/link", step.path);
    let Some(found) = look(editor, &inner)? else {
        return if look(editor, &step.path)?.is_none() {
            Err(Outcome::There)
        } else {
            Err(spared("the link is gone"))
        };
    };
    if found.kind != Kind::File {
        return Err(spared(format!("{} stands there now", found.kind.describe())));
    }
    match says(editor, &inner)? {
        Some(Ok(now)) if Some(now) != step.digest => return Err(spared("the link names something else now")),
        Some(Err(())) if step.digest.is_some() => return Err(spared("the link names nothing now")),
        _ => {}
    }
    match Place::parse(&step.path) {
        Some(Place::LayerFolder(repository, _)) => {
            if is_young(&found, now) {
                return Err(spared("the link was written just now: a push is under way"));
            }
            pushed_since(editor, repository, now)?;
        }
        Some(Place::TagIndexFolder(repository, tag, entry)) => {
            let current = Place::TagLink(repository, tag).to_string();
            if says(editor, &current)? == Some(Ok(entry)) {
                return Err(spared("the tag names it again"));
            }
            let revision = Place::RevisionLink(repository, entry).to_string();
            let data = Place::BlobData(entry).to_string();
            if look(editor, &revision)?.is_some() && look(editor, &data)?.is_some() {
                return Err(spared("it resolves now"));
            }
        }
        _ => return Err(Outcome::Failed("the step names no link that may be moved".into())),
    }
    moved(editor, &step.path, now)
}

/// Spares everything in a repository that has a manifest that the plan did not know.
fn pushed_since(editor: &impl Editor, repository: &str, now: &Conditions<'_>) -> Result<(), Outcome> {
    let known = now.revisions.get(repository);
    let folder = Place::RevisionsAlgorithm(repository, Algorithm::Sha256).to_string();
    let names = match editor.names(Room::Tree, Path::new(&folder)) {
        Ok(names) => names,
        Err(FolderError::NotFound) => return Ok(()),
        Err(error) => return Err(failed(&folder, &error)),
    };
    for name in names {
        let Some(digest) = name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok()) else {
            continue;
        };
        if known.is_some_and(|known| known.contains(&digest)) {
            continue;
        }
        let link = Place::RevisionLink(repository, digest).to_string();
        if look(editor, &link)?.is_some() {
            return Err(spared("a manifest was pushed into this repository since it was planned"));
        }
    }
    Ok(())
}

/// An upload, a temporary file, a stray entry.
fn aside(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let Some(found) = look(editor, &step.path)? else { return Err(Outcome::There) };
    if found.kind == Kind::Symlink {
        return Err(spared("a symbolic link stands there now"));
    }
    let inner = |file: &str| format!("{}/{file}", step.path);
    let mut looks = vec![found];
    if step.action == Act::Clear && found.kind == Kind::Folder {
        for file in ["data", "startedat"] {
            looks.extend(look(editor, &inner(file))?);
        }
    }
    if looks.iter().any(|look| is_young(look, now)) {
        return Err(spared("it was changed just now: somebody may be writing it"));
    }
    moved(editor, &step.path, now)
}

/// A tag, revision or layer link that retention dooms: it still says what was planned.
fn retire(editor: &impl Editor, step: &Step, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let link = match Place::parse(&step.path) {
        Some(Place::TagFolder(repository, tag)) => Place::TagLink(repository, tag).to_string(),
        Some(Place::RevisionFolder(..) | Place::LayerFolder(..)) => format!("{}/link", step.path),
        _ => return Err(Outcome::Failed("the step names nothing that may be retired".into())),
    };
    let Some(found) = look(editor, &link)? else {
        return if look(editor, &step.path)?.is_none() {
            Err(Outcome::There)
        } else {
            Err(spared("its link is gone"))
        };
    };
    if found.kind != Kind::File {
        return Err(spared(format!("{} stands there now", found.kind.describe())));
    }
    if says(editor, &link)? != Some(Ok(digest(step)?)) {
        return Err(spared("it names something else now"));
    }
    if step.modified.is_some_and(|planned| planned != found.modified) {
        return Err(spared("it was pushed again since it was planned"));
    }
    moved(editor, &step.path, now)
}

/// The move of an entry into the quarantine, to the same path there; where that is taken, to one with a number.
fn moved(editor: &impl Editor, path: &str, now: &Conditions<'_>) -> Result<Change, Outcome> {
    let mut to = format!("{}/{path}", now.aside);
    let mut number = 1;
    while editor.look(Room::Aside, Path::new(&to)).map_err(|error| failed(&to, &error))?.is_some() {
        number += 1;
        to = format!("{}/{path}.{number}", now.aside);
    }
    let made = to_be_made(editor, Room::Aside, &to)?;
    Ok(Change::Move { path: path.to_owned(), to, made })
}
