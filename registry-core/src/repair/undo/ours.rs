//! Checks which changes of a journal a repair may have made. Anybody may have written the journal: its hashes only show that it is
//! complete.

use crate::path::Place;
use crate::repair::change::{Change, REWRITE_MAX};
use crate::storage::scheduler_state::FILE_NAME;
use crate::tree_writer::{MARKER, QUARANTINES_FOLDER};

/// Whether a change names only paths that a repair may have changed.
pub(super) fn may_be_from_repair(change: &Change) -> bool {
    let is_plain = |path: &str| {
        !path.is_empty() && path.split('/').all(|name| !name.is_empty() && name != "." && name != "..")
    };
    let all_plain = |paths: &[String]| paths.iter().all(|path| is_plain(path));
    // Every folder that was made is around what was written.
    let lead_to = |made: &[String], path: &str| {
        made.iter().all(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    match change {
        Change::Aside { made, marker } => {
            let folder = marker.strip_suffix(MARKER).and_then(|folder| folder.strip_suffix('/'));
            is_plain(marker)
                && folder.is_some_and(may_be_quarantine)
                && all_plain(made)
                && lead_to(made, marker)
        }
        Change::Folder { made } => {
            let last = made.last().map_or("", String::as_str);
            let inner = made.split_last().map_or(&[][..], |(_, inner)| inner);
            matches!(Place::parse(last), Some(Place::Layers(_))) && lead_to(inner, last)
        }
        Change::Link { path, made, before, .. } => {
            let is_link = matches!(
                Place::parse(path),
                Some(Place::RevisionLink(..) | Place::LayerLink(..) | Place::TagLink(..))
            );
            // A registry keeps no setuid, setgid or sticky files.
            let is_sound =
                before.as_ref().is_none_or(|file| file.mode & 0o7000 == 0 && file.bytes.len() <= REWRITE_MAX);
            is_link && is_sound && is_plain(path) && lead_to(made, path)
        }
        Change::Data { path, digest, made, .. } => {
            Place::parse(path) == Some(Place::BlobData(*digest)) && lead_to(made, path)
        }
        Change::Move { path, to, made, .. } => {
            is_plain(path)
                && may_be_moved(path)
                && is_plain(to)
                && quarantine_of(path, to).is_some()
                && lead_to(made, to)
                && all_plain(made)
        }
        Change::SchedulerState { to, made, .. } => {
            is_plain(to) && quarantine_of(FILE_NAME, to).is_some() && lead_to(made, to) && all_plain(made)
        }
    }
}

/// Whether a repair may have moved the entry at a path: it is below `blobs` or `repositories`, or a stray beside them.
fn may_be_moved(path: &str) -> bool {
    match path.split_once('/') {
        Some((folder, _)) => matches!(folder, "blobs" | "repositories"),
        None => !matches!(path, "blobs" | "repositories" | "lockfiles"),
    }
}

/// Whether a quarantine may be at a path: directly in the folder that the operator named, or in the home of all quarantines.
fn may_be_quarantine(path: &str) -> bool {
    let name =
        path.strip_prefix(QUARANTINES_FOLDER).and_then(|inner| inner.strip_prefix('/')).unwrap_or(path);
    !name.is_empty() && !name.contains('/')
}

/// The quarantine that holds an entry which was moved from `path` to `to`: below the quarantine it has the same path, with a number
/// appended if that was taken.
pub(super) fn quarantine_of<'t>(path: &str, to: &'t str) -> Option<&'t str> {
    let numbered = |to: &'t str| {
        let (to, number) = to.rsplit_once('.')?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(to)
    };
    let inside =
        |to: &'t str| to.strip_suffix(path)?.strip_suffix('/').filter(|folder| may_be_quarantine(folder));
    inside(to).or_else(|| inside(numbered(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_path_names_its_quarantine() {
        for path in ["blobs/data", "repositories/app/_uploads/x", "stray"] {
            assert!(may_be_moved(path), "{path}");
        }
        for path in ["blobs", "repositories", "lockfiles", "etc/shadow"] {
            assert!(!may_be_moved(path), "{path}");
        }
        assert_eq!(quarantine_of("blobs/x", ".registry-fsck/T/blobs/x"), Some(".registry-fsck/T"));
        assert_eq!(quarantine_of("blobs/x", "aside/blobs/x.2"), Some("aside"));
        assert_eq!(quarantine_of("blobs/x.2", "aside/blobs/x.2"), Some("aside"));
        for to in [
            "blobs/x",
            "/blobs/x",
            "etc/shadow",
            "aside/blobs/x.y",
            "aside/myblobs/x",
            "aside/blobs/y",
            "etc/x/blobs/x",
        ] {
            assert_eq!(quarantine_of("blobs/x", to), None, "{to}");
        }
    }
}
