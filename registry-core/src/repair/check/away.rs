//! Steps that take something away: wrong bytes, links that nothing needs, leftovers, what retention dooms. What writes is not
//! here.

use std::path::Path;

use jiff::SignedDuration;

use super::look::{digest, failed, is_right, link_at, look};
use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::repair::aside::free;
use crate::repair::causes::{WhyFailed, WhySpared};
use crate::repair::change::Change;
use crate::repair::conditions::Conditions;
use crate::repair::step::{Act, RepairStep, StepOutcome};
use crate::storage::edit::{Editor, EntryView, WritableFolder};
use crate::storage::{EntryKind, FolderError};

pub(super) fn quarantine(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let digest = digest(step)?;
    let data = Place::BlobData(digest).to_string();
    match look(editor, &data)? {
        None => return Err(StepOutcome::There),
        Some(look) if look.kind == EntryKind::File => {}
        Some(look) => return Err(StepOutcome::Spared(WhySpared::Occupied(look.kind))),
    }
    if is_right(editor, digest, now)? {
        return Err(StepOutcome::Spared(WhySpared::BytesRight));
    }
    moved(editor, &step.path, now)
}

fn is_young(look: &EntryView, now: &Conditions<'_>) -> bool {
    let age = SignedDuration::from_secs(i64::from(now.min_age));
    look.modified.checked_add(age).is_ok_and(|old| old > now.now)
}

/// A layer link that nothing needs, or an entry of a tag's history that does not resolve.
pub(super) fn unlink(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let inner = format!("{}/link", step.path);
    let Some(found) = look(editor, &inner)? else {
        return if look(editor, &step.path)?.is_none() {
            Err(StepOutcome::There)
        } else {
            Err(StepOutcome::Spared(WhySpared::LinkGone))
        };
    };
    if found.kind != EntryKind::File {
        return Err(StepOutcome::Spared(WhySpared::Occupied(found.kind)));
    }
    match link_at(editor, &inner)? {
        Some(Ok(now)) if Some(now) != step.digest => {
            return Err(StepOutcome::Spared(WhySpared::LinkNamesOther));
        }
        Some(Err(())) if step.digest.is_some() => {
            return Err(StepOutcome::Spared(WhySpared::LinkNamesNothing));
        }
        _ => {}
    }
    match Place::parse(&step.path) {
        Some(Place::LayerFolder(repository, _)) => {
            if is_young(&found, now) {
                return Err(StepOutcome::Spared(WhySpared::LinkYoung));
            }
            pushed_since(editor, repository, now)?;
        }
        Some(Place::TagIndexFolder(repository, tag, entry)) => {
            let current = Place::TagLink(repository, tag).to_string();
            match link_at(editor, &current)? {
                Some(Ok(now)) if now == entry => return Err(StepOutcome::Spared(WhySpared::NamedAgain)),
                Some(Ok(_)) => {}
                // Its history is all that tells what it was.
                _ => return Err(StepOutcome::Spared(WhySpared::TagNamesNothing)),
            }
            let revision = Place::RevisionLink(repository, entry).to_string();
            let data = Place::BlobData(entry).to_string();
            let is_file =
                |path: &str| Ok(look(editor, path)?.is_some_and(|look| look.kind == EntryKind::File));
            if is_file(&revision)? && is_file(&data)? {
                return Err(StepOutcome::Spared(WhySpared::Resolves));
            }
        }
        _ => return Err(StepOutcome::Failed(WhyFailed::NoLink)),
    }
    moved(editor, &step.path, now)
}

/// Spares everything in a repository that has a manifest that the plan did not know.
fn pushed_since(editor: &dyn Editor, repository: &str, now: &Conditions<'_>) -> Result<(), StepOutcome> {
    let known = now.revisions.and_then(|revisions| revisions.get(repository));
    let folder = Place::RevisionsAlgorithm(repository, Algorithm::Sha256).to_string();
    let names = match editor.names(WritableFolder::Tree, Path::new(&folder)) {
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
            return Err(StepOutcome::Spared(WhySpared::ManifestPushed));
        }
    }
    Ok(())
}

/// An upload, a temporary file, a stray entry.
pub(super) fn aside(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let Some(found) = look(editor, &step.path)? else { return Err(StepOutcome::There) };
    if found.kind == EntryKind::Symlink {
        return Err(StepOutcome::Spared(WhySpared::Symlink));
    }
    let inner = |file: &str| format!("{}/{file}", step.path);
    let mut looks = vec![found];
    if step.action == Act::Clear && found.kind == EntryKind::Folder {
        for file in ["data", "startedat"] {
            looks.extend(look(editor, &inner(file))?);
        }
    }
    if looks.iter().any(|look| is_young(look, now)) {
        return Err(StepOutcome::Spared(WhySpared::Young));
    }
    moved(editor, &step.path, now)
}

/// A tag, revision or layer link that retention dooms: it still says what was planned.
pub(super) fn retire(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let link = match Place::parse(&step.path) {
        Some(Place::TagFolder(repository, tag)) => Place::TagLink(repository, tag).to_string(),
        Some(Place::RevisionFolder(..) | Place::LayerFolder(..)) => format!("{}/link", step.path),
        _ => return Err(StepOutcome::Failed(WhyFailed::NotRetired)),
    };
    let Some(found) = look(editor, &link)? else {
        return if look(editor, &step.path)?.is_none() {
            Err(StepOutcome::There)
        } else {
            Err(StepOutcome::Spared(WhySpared::NoLink))
        };
    };
    if found.kind != EntryKind::File {
        return Err(StepOutcome::Spared(WhySpared::Occupied(found.kind)));
    }
    if link_at(editor, &link)? != Some(Ok(digest(step)?)) {
        return Err(StepOutcome::Spared(WhySpared::NamesOther));
    }
    if step.modified.is_some_and(|planned| planned != found.modified) {
        return Err(StepOutcome::Spared(WhySpared::PushedAgain));
    }
    moved(editor, &step.path, now)
}

/// A tag whose manifest was probably deleted: it still names that, and the manifest has no revision link.
pub(super) fn drop_tag(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let Some(Place::TagFolder(repository, _)) = Place::parse(&step.path) else {
        return Err(StepOutcome::Failed(WhyFailed::NoTag));
    };
    let revision = Place::RevisionLink(repository, digest(step)?).to_string();
    if look(editor, &revision)?.is_some() {
        return Err(StepOutcome::Spared(WhySpared::RevisionLinked));
    }
    retire(editor, step, now)
}

/// The move of an entry into the quarantine, to the same path there.
fn moved(editor: &dyn Editor, path: &str, now: &Conditions<'_>) -> Result<Change, StepOutcome> {
    let (to, made) = free(editor, path, now)?;
    Ok(Change::Move { path: path.to_owned(), to, made, lacked: Vec::new() })
}
