//! The scan, which reads a tree into a graph. It reads repositories first (tags, then revisions, then layers), then blobs together
//! with the manifests that links name, and last the other children of indexes. A push writes in the opposite order, so a push
//! during the scan never looks like damage.

mod blobs;
mod content;
mod elsewhere;
mod leads;
mod links;
mod look;
mod manifests;
mod oddities;
mod options;
mod recheck;
mod repositories;
mod shared;
mod strict;
mod tags;
mod uploads;

use std::sync::{Mutex, PoisonError};

use super::folder::Folder;
use super::progress::{Phase, ScanProgress};
use crate::graph::Graph;

use elsewhere::is_harmless;
pub(super) use oddities::oddities;
pub use options::ScanOptions;
pub(super) use recheck::recheck;
use shared::{Notes, ScanShared};

/// Reads a whole tree.
pub(super) fn scan<F: Folder>(v2: &F, options: &ScanOptions<'_>, progress: &ScanProgress) -> Graph {
    let shared = ScanShared { graph: Mutex::default(), options: *options, progress };
    progress.enter(Phase::Repositories);
    read_root(v2, &shared);
    repositories::read_repositories(v2, &shared);
    shared.graph().seal();
    let mut asked = manifests::named_by_links(&shared.graph());
    if options.only.is_none() {
        progress.enter(Phase::Blobs);
        blobs::read_blobs(v2, &asked, &shared);
    }
    progress.enter(Phase::Manifests);
    manifests::read_manifests(v2, &mut asked, &shared);
    if options.only.is_some() {
        progress.enter(Phase::Blobs);
        blobs::look_at_references(v2, &shared);
    }
    if options.content {
        progress.enter(Phase::Content);
        content::hash_all(v2, &shared);
    }
    if options.strict {
        strict::read_strictly(v2, &shared);
    }
    let mut graph = shared.graph.into_inner().unwrap_or_else(PoisonError::into_inner);
    graph.seal();
    graph
}

/// Notes entries beside `blobs` and `repositories`.
fn read_root<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    let mut notes = Notes::default();
    let listed = v2.open(std::path::Path::new(".")).and_then(|mut folder| {
        folder.list(&mut |name, kind| {
            let shown = crate::text::escape_os(name);
            let is_known = matches!(&*shown, "blobs" | "repositories" | "lockfiles");
            if !is_known && !is_harmless(&shown, kind) {
                notes.stray(shown, None, format!("{} beside blobs and repositories", kind.describe()));
            }
        })
    });
    if let Err(error) = listed {
        notes.unread(".", None, &error);
    }
    notes.add_to(&mut shared.graph());
}
