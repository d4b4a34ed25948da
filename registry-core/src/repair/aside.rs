//! The quarantine as a run fills it: a free place for what is moved there, folders and files made in it.

use std::io;
use std::path::Path;

use super::check::look::{failed, to_be_made};
use super::conditions::Conditions;
use super::step::StepOutcome;
use crate::storage::FolderError;
use crate::storage::edit::{Attributes, Editor, WritableFolder, neighbours};

/// A path's place in the quarantine, with a number where it is taken, and the folders that are to be made for it.
pub(super) fn free(
    editor: &dyn Editor,
    path: &str,
    now: &Conditions<'_>,
) -> Result<(String, Vec<String>), StepOutcome> {
    let mut to = format!("{}/{path}", now.aside);
    let mut number = 1;
    while editor.look(WritableFolder::Aside, Path::new(&to)).map_err(|error| failed(&to, &error))?.is_some() {
        number += 1;
        to = format!("{}/{path}.{number}", now.aside);
    }
    let made = to_be_made(editor, WritableFolder::Aside, &to)?;
    Ok((to, made))
}

/// Owner and mode in the quarantine: those of the folder around it, so that whoever keeps the registry can go on there, and
/// nothing for others, as what is moved aside may be secret.
fn attributes_aside(editor: &dyn Editor, path: &str) -> Result<Attributes, FolderError> {
    let around = neighbours(editor, WritableFolder::Aside, path)?;
    Ok(Attributes { mode: (around.mode & 0o770) | 0o700, ..around })
}

/// Makes a folder of the quarantine. Who may not give it away keeps it.
pub(super) fn make_aside(editor: &dyn Editor, path: &str) -> Result<(), FolderError> {
    let attributes = attributes_aside(editor, path)?;
    match editor.make_folder(WritableFolder::Aside, Path::new(path), Some(attributes)) {
        Err(error) if is_denied(&error) => editor.make_folder(WritableFolder::Aside, Path::new(path), None),
        made => made,
    }
}

/// Writes a file into the quarantine. Who may not give it away keeps it.
pub(super) fn write_aside(editor: &dyn Editor, path: &str, bytes: &[u8]) -> Result<(), FolderError> {
    let attributes = attributes_aside(editor, path)?.of_file();
    let write = |attributes| {
        editor
            .write(WritableFolder::Aside, Path::new(path), attributes, None, &mut |out| out.write_all(bytes))
    };
    match write(Some(attributes)) {
        Err(error) if is_denied(&error) => write(None),
        written => written,
    }
}

fn is_denied(error: &FolderError) -> bool {
    matches!(error, FolderError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
}
