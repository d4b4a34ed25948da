//! What was pushed since a repair began: it may rely on a link or on bytes that the repair wrote, so that taking these back
//! would break it. Told by the times of revision links, which every push writes anew (`registry/storage/linkedblobstore.go @
//! v2.8.3`).

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;

use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::repair::change::Change;
use crate::repair::journal::RepairHistory;
use crate::storage::edit::{Editor, WritableFolder};
use crate::storage::{EntryKind, FolderError};

/// Folders below `repositories` deeper than this are none that a name of 255 signs leads to.
const DEPTH_MAX: usize = 130;

/// Answers whether something was pushed since, from the disk; each repository is looked at once.
pub(super) struct Since<'s> {
    editor: &'s dyn Editor,
    /// When the repair began. A push in the same second on a file system that keeps whole seconds is not seen: counting that
    /// second would let two repairs in one keep each other from being undone.
    at: Timestamp,
    /// Links that the repair wrote itself, with the time that it gave them.
    own: HashMap<&'s str, Timestamp>,
    repositories: HashMap<String, bool>,
    anywhere: Option<bool>,
}

impl<'s> Since<'s> {
    pub(super) fn new(editor: &'s dyn Editor, told: &'s RepairHistory) -> Self {
        let own = told.changes.iter().filter_map(|change| match change {
            Change::Link { path, modified, .. } => Some((path.as_str(), *modified)),
            _ => None,
        });
        Self { editor, at: told.at, own: own.collect(), repositories: HashMap::new(), anywhere: None }
    }

    /// Whether anything was pushed into a repository.
    pub(super) fn pushed_into(&mut self, repository: &str) -> Result<bool, FolderError> {
        if let Some(known) = self.repositories.get(repository) {
            return Ok(*known);
        }
        let answer = self.look_into(repository)?;
        self.repositories.insert(repository.to_owned(), answer);
        Ok(answer)
    }

    fn look_into(&self, repository: &str) -> Result<bool, FolderError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = Place::RevisionsAlgorithm(repository, algorithm).to_string();
            let names = match self.editor.names(WritableFolder::Tree, Path::new(&folder)) {
                Err(FolderError::NotFound | FolderError::NotAFolder) => continue,
                names => names?,
            };
            for name in names {
                let digest = name.to_str().and_then(|hex| Digest::from_hex(algorithm, hex).ok());
                let Some(digest) = digest else { continue };
                let path = Place::RevisionLink(repository, digest).to_string();
                let Some(look) = self.editor.look(WritableFolder::Tree, Path::new(&path))? else { continue };
                if self.own.get(path.as_str()) != Some(&look.modified) && look.modified > self.at {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether anything was pushed into any repository.
    pub(super) fn pushed_anywhere(&mut self) -> Result<bool, FolderError> {
        if let Some(known) = self.anywhere {
            return Ok(known);
        }
        let answer = self.look_anywhere()?;
        self.anywhere = Some(answer);
        Ok(answer)
    }

    fn look_anywhere(&mut self) -> Result<bool, FolderError> {
        let base = Place::Repositories.to_string();
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            for name in self.editor.names(WritableFolder::Tree, Path::new(&folder))? {
                // No registry serves a name that is no text.
                let Some(name) = name.to_str() else { continue };
                if name == "_manifests" {
                    let repository = folder.strip_prefix(&base).unwrap_or_default().trim_start_matches('/');
                    if self.pushed_into(repository)? {
                        return Ok(true);
                    }
                }
                if name.starts_with('_') {
                    continue;
                }
                let path = format!("{folder}/{name}");
                match self.editor.look(WritableFolder::Tree, Path::new(&path))?.map(|look| look.kind) {
                    Some(EntryKind::Folder) if path.split('/').count() <= DEPTH_MAX => folders.push(path),
                    Some(EntryKind::Symlink) => {
                        let why = "it cannot be told whether something relies on it: a folder on the way to repositories is \
                                   a symbolic link";
                        return Err(std::io::Error::other(why).into());
                    }
                    _ => {}
                }
            }
        }
        Ok(false)
    }
}
