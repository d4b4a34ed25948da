//! Which changes of a journal are a repair's own: it may be anybody's, and its hashes only show that it is whole.

use crate::path::Place;
use crate::repair::change::Change;
use crate::repair::quarantine::MARKER;

/// Whether a change names only what a repair may have changed: a journal may be anybody's.
pub(super) fn names_what_is_ours(change: &Change) -> bool {
    let is_plain = |path: &str| {
        !path.is_empty() && path.split('/').all(|name| !name.is_empty() && name != "." && name != "..")
    };
    let all_plain = |paths: &[String]| paths.iter().all(|path| is_plain(path));
    // A folder that was made lies on the way to what was written.
    let lead_to = |made: &[String], path: &str| {
        made.iter().all(|folder| path.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    match change {
        Change::Aside { made, marker } => {
            is_plain(marker) && marker.ends_with(MARKER) && all_plain(made) && lead_to(made, marker)
        }
        Change::Folder { made } => {
            let last = made.last().map_or("", String::as_str);
            let inner = made.split_last().map_or(&[][..], |(_, inner)| inner);
            matches!(Place::parse(last), Some(Place::Layers(_))) && lead_to(inner, last)
        }
        Change::Link { path, made, .. } => {
            let is_link = matches!(
                Place::parse(path),
                Some(Place::RevisionLink(..) | Place::LayerLink(..) | Place::TagLink(..))
            );
            is_link && is_plain(path) && lead_to(made, path)
        }
        Change::Data { path, digest, made, .. } => {
            Place::parse(path) == Some(Place::BlobData(*digest)) && lead_to(made, path)
        }
        Change::Move { path, to, made, .. } => {
            is_plain(path) && is_plain(to) && to.contains('/') && lead_to(made, to) && all_plain(made)
        }
    }
}
