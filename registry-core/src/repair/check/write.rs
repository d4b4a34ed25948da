//! Steps that write: links, tags, folders of layers, bytes from elsewhere. What takes something away is not here.

use std::path::Path;

use super::look::{digest, failed, is_right, link_at, look, to_be_made, whole_second};
use crate::oci::{Algorithm, Digest, Manifest};
use crate::path::Place;
use crate::repair::causes::{WhyFailed, WhySpared};
use crate::repair::change::{Before, Change, REWRITE_MAX};
use crate::repair::conditions::Conditions;
use crate::repair::step::{RepairStep, StepOutcome};
use crate::storage::EntryKind;
use crate::storage::edit::{Attributes, Editor, EntryView, WritableFolder};

pub(super) fn rebuild(editor: &dyn Editor, step: &RepairStep) -> Result<Change, StepOutcome> {
    match look(editor, &step.path)? {
        None => {
            in_its_repository(editor, step)?;
            let mut made = to_be_made(editor, WritableFolder::Tree, &step.path)?;
            made.push(step.path.clone());
            Ok(Change::Folder { made })
        }
        Some(look) if look.kind == EntryKind::Folder => Err(StepOutcome::There),
        Some(look) => Err(StepOutcome::Spared(WhySpared::Occupied(look.kind))),
    }
}

/// A revision or layer link: its content follows from its path, so what stands there matters only as it is to be kept.
pub(super) fn link(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let digest = digest(step)?;
    let before = match look(editor, &step.path)? {
        None => {
            in_its_repository(editor, step)?;
            None
        }
        Some(look) if look.kind == EntryKind::File => {
            if link_at(editor, &step.path)? == Some(Ok(digest)) {
                return Err(StepOutcome::There);
            }
            Some(keep(editor, step, &look)?)
        }
        Some(look) => return Err(StepOutcome::Spared(WhySpared::Occupied(look.kind))),
    };
    if !is_right(editor, digest, now)? {
        return Err(StepOutcome::Spared(WhySpared::BytesWrong));
    }
    let made = to_be_made(editor, WritableFolder::Tree, &step.path)?;
    Ok(Change::Link { path: step.path.clone(), digest, modified: whole_second(now.now), made, before })
}

/// Spares what lies in a repository that was removed: writing into it would bring it back.
fn in_its_repository(editor: &dyn Editor, step: &RepairStep) -> Result<(), StepOutcome> {
    let Some(repository) = Place::parse(&step.path).and_then(|place| place.repository()) else {
        return Ok(());
    };
    match look(editor, &Place::Manifests(repository).to_string())? {
        Some(found) if found.kind == EntryKind::Folder => Ok(()),
        _ => Err(StepOutcome::Spared(WhySpared::RepositoryGone)),
    }
}

/// A file that is written over, as the journal keeps it.
fn keep(editor: &dyn Editor, step: &RepairStep, look: &EntryView) -> Result<Before, StepOutcome> {
    let bytes = editor
        .read(WritableFolder::Tree, Path::new(&step.path), REWRITE_MAX + 1)
        .map_err(|error| failed(&step.path, &error))?;
    if bytes.len() > REWRITE_MAX {
        return Err(StepOutcome::Failed(WhyFailed::TooLargeToKeep { most: REWRITE_MAX }));
    }
    let Attributes { mode, user, group } = look.attributes;
    Ok(Before { bytes, mode, user, group, modified: look.modified })
}

/// A tag whose link says nothing: still exactly one entry of its history resolves, and it is the planned one. Its link gets
/// the time of the repair: with the time of that entry it would look like the push of it, which it is not, and a rule that
/// goes by push times would let it go for its age.
pub(super) fn restore(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let digest = digest(step)?;
    let Some(Place::TagLink(repository, tag)) = Place::parse(&step.path) else {
        return Err(StepOutcome::Failed(WhyFailed::NoTag));
    };
    let folder = Place::TagFolder(repository, tag).to_string();
    if look(editor, &folder)?.is_none_or(|look| look.kind != EntryKind::Folder) {
        return Err(StepOutcome::Spared(WhySpared::TagGone));
    }
    let before = match look(editor, &step.path)? {
        None => None,
        Some(look) if look.kind == EntryKind::File => {
            match link_at(editor, &step.path)? {
                Some(Ok(now)) if now == digest => return Err(StepOutcome::There),
                Some(Ok(now)) if now.algorithm() == Algorithm::Sha256 => {
                    return Err(StepOutcome::Spared(WhySpared::TagPushed));
                }
                _ => {}
            }
            Some(keep(editor, step, &look)?)
        }
        Some(look) => return Err(StepOutcome::Spared(WhySpared::Occupied(look.kind))),
    };
    let history = Place::TagIndexAlgorithm(repository, tag, Algorithm::Sha256).to_string();
    let mut is_named = false;
    for name in
        editor.names(WritableFolder::Tree, Path::new(&history)).map_err(|error| failed(&history, &error))?
    {
        let entry = name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok());
        let Some(entry) = entry else { continue };
        let path = Place::TagIndexLink(repository, tag, entry).to_string();
        if look(editor, &path)?.is_none() {
            continue;
        }
        if entry == digest {
            is_named = true;
        } else if look(editor, &Place::BlobData(entry).to_string())?.is_some() {
            // Served or not: it may be the newer push.
            return Err(StepOutcome::Spared(WhySpared::OtherEntry));
        }
    }
    if !is_named {
        return Err(StepOutcome::Spared(WhySpared::NotInHistory));
    }
    if !resolves(editor, repository, digest, now)? {
        return Err(StepOutcome::Spared(WhySpared::HistoryUnresolved));
    }
    let made = to_be_made(editor, WritableFolder::Tree, &step.path)?;
    Ok(Change::Link { path: step.path.clone(), digest, modified: whole_second(now.now), made, before })
}

/// Whether a manifest is served through its own revision link, with the right bytes.
fn resolves(
    editor: &dyn Editor,
    repository: &str,
    digest: Digest,
    now: &Conditions<'_>,
) -> Result<bool, StepOutcome> {
    let link = Place::RevisionLink(repository, digest).to_string();
    if link_at(editor, &link)? != Some(Ok(digest)) || !is_right(editor, digest, now)? {
        return Ok(false);
    }
    let path = Place::BlobData(digest).to_string();
    let limit = usize::try_from(crate::oci::manifest::MAX_BYTES).unwrap_or(usize::MAX) + 1;
    let bytes =
        editor.read(WritableFolder::Tree, Path::new(&path), limit).map_err(|error| failed(&path, &error))?;
    Ok(Manifest::parse(&bytes).refusal().is_none())
}

pub(super) fn fetch(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let digest = digest(step)?;
    let path = Place::BlobData(digest).to_string();
    match look(editor, &path)? {
        None => {}
        Some(look) if look.kind == EntryKind::File => {
            return Err(if is_right(editor, digest, now)? {
                StepOutcome::There
            } else {
                StepOutcome::Spared(WhySpared::OtherBytes)
            });
        }
        Some(look) => return Err(StepOutcome::Spared(WhySpared::Occupied(look.kind))),
    }
    let made = to_be_made(editor, WritableFolder::Tree, &path)?;
    Ok(Change::Data { path, digest, modified: whole_second(now.now), made })
}
