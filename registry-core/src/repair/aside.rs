//! Writing into the quarantine: the place of what is moved there, new folders and files.

use std::io;
use std::path::Path;

use super::check::look::{disk_failure, missing_folders};
use super::conditions::Conditions;
use super::step::StepOutcome;
use crate::storage::FolderError;
use crate::storage::edit::{Attributes, Editor, WritableFolder, nearest_attributes};

/// Where an entry goes in the quarantine, and the folders to make for it. A number is appended when its own path is taken there.
pub(super) fn quarantine_place(
    editor: &dyn Editor,
    path: &str,
    conditions: &Conditions<'_>,
) -> Result<(String, Vec<String>), StepOutcome> {
    let mut to = format!("{}/{path}", conditions.quarantine);
    let mut number = 1;
    let look_at = |to: &str| {
        editor.look(WritableFolder::Aside, Path::new(to)).map_err(|error| disk_failure(to, &error))
    };
    while look_at(&to)?.is_some() {
        number += 1;
        to = format!("{}/{path}.{number}", conditions.quarantine);
    }
    let made = missing_folders(editor, WritableFolder::Aside, &to)?;
    Ok((to, made))
}

/// Owner and mode of an entry in the quarantine: those of the folder around it, so that the registry's operator has access.
/// Others have none, as what is moved aside may be secret.
fn quarantine_attributes(editor: &dyn Editor, path: &str) -> Result<Attributes, FolderError> {
    let around = nearest_attributes(editor, WritableFolder::Aside, path)?;
    Ok(Attributes { mode: (around.mode & 0o770) | 0o700, ..around })
}

/// Makes a folder in the quarantine. This process stays its owner if it may not change that.
pub(super) fn make_quarantine_folder(editor: &dyn Editor, path: &str) -> Result<(), FolderError> {
    let attributes = quarantine_attributes(editor, path)?;
    match editor.make_folder(WritableFolder::Aside, Path::new(path), Some(attributes)) {
        Err(error) if is_permission_denied(&error) => {
            editor.make_folder(WritableFolder::Aside, Path::new(path), None)
        }
        made => made,
    }
}

/// Writes a file into the quarantine. This process stays its owner if it may not change that.
pub(super) fn write_quarantine_file(
    editor: &dyn Editor,
    path: &str,
    bytes: &[u8],
) -> Result<(), FolderError> {
    let attributes = quarantine_attributes(editor, path)?.for_file();
    let write = |attributes| {
        editor
            .write(WritableFolder::Aside, Path::new(path), attributes, None, &mut |out| out.write_all(bytes))
    };
    match write(Some(attributes)) {
        Err(error) if is_permission_denied(&error) => write(None),
        written => written,
    }
}

fn is_permission_denied(error: &FolderError) -> bool {
    matches!(error, FolderError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}
