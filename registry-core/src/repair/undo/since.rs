//! Finds pushes since a repair began. A pushed manifest may rely on a link or on bytes that the repair wrote, and removing these
//! would break it. A push shows in the times of revision links, which every push writes anew
//! (`registry/storage/linkedblobstore.go @ v2.8.3`).

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;

use crate::oci::{Algorithm, Digest};
use crate::path::Place;
use crate::repair::change::Change;
use crate::repair::journal::RepairHistory;
use crate::storage::edit::{Editor, WritableFolder};
use crate::storage::{EntryKind, FolderError};

/// Deepest folder that is searched: a repository name of at most 255 characters leads no deeper.
const DEPTH_MAX: usize = 130;

/// Tells whether something was pushed, from the disk. Each repository is searched once.
pub(super) struct PushesSince<'s> {
    editor: &'s dyn Editor,
    /// When the repair began. On a file system that keeps whole seconds a push in the same second is missed. If that second
    /// counted, two repairs within one second could not be undone.
    at: Timestamp,
    /// Links that the repair wrote, with the times that it gave them.
    own_links: HashMap<&'s str, Timestamp>,
    repositories: HashMap<String, bool>,
    anywhere: Option<bool>,
}

impl<'s> PushesSince<'s> {
    pub(super) fn new(editor: &'s dyn Editor, history: &'s RepairHistory) -> Self {
        let own_links = history.changes.iter().filter_map(|change| match change {
            Change::Link { path, modified, .. } => Some((path.as_str(), *modified)),
            _ => None,
        });
        Self {
            editor,
            at: history.at,
            own_links: own_links.collect(),
            repositories: HashMap::new(),
            anywhere: None,
        }
    }

    /// Whether anything was pushed into a repository.
    pub(super) fn pushed_into(&mut self, repository: &str) -> Result<bool, FolderError> {
        if let Some(known) = self.repositories.get(repository) {
            return Ok(*known);
        }
        let answer = self.find_push_into(repository)?;
        self.repositories.insert(repository.to_owned(), answer);
        Ok(answer)
    }

    fn find_push_into(&self, repository: &str) -> Result<bool, FolderError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = Place::RevisionsAlgorithm(repository, algorithm).to_string();
            let names = match self.editor.names(WritableFolder::Tree, Path::new(&folder)) {
                Err(FolderError::NotFound | FolderError::NotAFolder) => continue,
                names => names?,
            };
            for digest in names.iter().filter_map(|name| Digest::from_hex(algorithm, name.to_str()?).ok()) {
                let path = Place::RevisionLink(repository, digest).to_string();
                let Some(found) = self.editor.look(WritableFolder::Tree, Path::new(&path))? else { continue };
                if self.own_links.get(path.as_str()) != Some(&found.modified) && found.modified > self.at {
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
        let answer = self.find_push_anywhere()?;
        self.anywhere = Some(answer);
        Ok(answer)
    }

    fn find_push_anywhere(&mut self) -> Result<bool, FolderError> {
        let base = Place::Repositories.to_string();
        let mut folders = vec![base.clone()];
        while let Some(folder) = folders.pop() {
            for name in self.editor.names(WritableFolder::Tree, Path::new(&folder))? {
                // No registry serves a name that is not UTF-8.
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
