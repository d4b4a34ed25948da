//! Reads the uploads of one repository, under way or left behind.

use std::path::Path;

use super::super::folder::{self, EntryKind, Folder, FolderError, Stat};
use super::elsewhere::is_harmless;
use super::shared::Notes;
use crate::graph::{Seconds, Upload};
use crate::path::Place;
use crate::text::escape_os;

pub(super) fn read_uploads<F: Folder>(repository: &F, name: &str, notes: &mut Notes) -> Vec<Upload> {
    let mut ids = Vec::new();
    let opened = repository.open(Path::new("_uploads")).and_then(|mut folder| {
        folder.list(&mut |entry, kind| {
            let shown = escape_os(entry);
            match kind {
                EntryKind::Folder | EntryKind::File | EntryKind::Other if is_harmless(&shown, kind) => {}
                EntryKind::Folder => ids.push((entry.to_owned(), shown)),
                EntryKind::Symlink => {
                    notes.unread(Place::UploadFolder(name, &shown), Some(name), kind.describe());
                }
                EntryKind::File | EntryKind::Other => {
                    notes.stray(
                        Place::UploadFolder(name, &shown),
                        Some(name),
                        format!("{} among uploads", kind.describe()),
                    );
                }
            }
        })?;
        Ok(folder)
    });
    let folder = match opened {
        Ok(folder) => folder,
        Err(error) => {
            notes.unread(Place::Uploads(name), Some(name), &error);
            return Vec::new();
        }
    };
    let mut buffer = Vec::new();
    let mut uploads = Vec::with_capacity(ids.len());
    for (entry, id) in ids {
        let path = |file: &str| Path::new(&entry).join(file);
        let mut is_unread = false;
        let mut existing = |answer: folder::Result<Stat>| match answer {
            Ok(stat) => Some(stat),
            Err(FolderError::NotFound | FolderError::NotAFolder) => None,
            Err(error) => {
                notes.unread(Place::UploadFolder(name, &id), Some(name), error);
                is_unread = true;
                None
            }
        };
        let data = existing(folder.stat(&path("data"))).filter(|stat| stat.kind == EntryKind::File);
        let started = existing(folder.read(&path("startedat"), 64, &mut buffer));
        let own = existing(folder.stat(Path::new(&entry)));
        // An upload that could not be read gets a time in the future, so that it is never stale.
        let newest = [data, started, own].into_iter().flatten().map(|stat| stat.modified).max();
        uploads.push(Upload {
            id: id.into(),
            started_at: started.filter(|_| !is_unread).and_then(|_| parse_time(&buffer)),
            modified: newest.filter(|_| !is_unread).unwrap_or(Seconds::MAX),
            bytes: data.map_or(0, |stat| stat.size),
        });
    }
    uploads.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    uploads
}

/// Parses an RFC 3339 time to seconds since 1970.
fn parse_time(bytes: &[u8]) -> Option<i64> {
    std::str::from_utf8(bytes).ok()?.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second)
}
