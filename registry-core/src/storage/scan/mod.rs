//! The scan: a tree into a graph. Repositories first (tags, then revisions, then layers), blobs next, and with them the
//! manifests that a repository names: a push writes in the opposite order, so what a push leaves while we read never
//! looks like damage. What an index names beyond that is read last.

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
    root(v2, &shared);
    repositories::read(v2, &shared);
    shared.graph().seal();
    let mut asked = manifests::named(&shared.graph());
    if options.only.is_none() {
        progress.enter(Phase::Blobs);
        blobs::read(v2, &asked, &shared);
    }
    progress.enter(Phase::Manifests);
    manifests::read(v2, &mut asked, &shared);
    if options.only.is_some() {
        progress.enter(Phase::Blobs);
        blobs::look_at_references(v2, &shared);
    }
    if options.content {
        progress.enter(Phase::Content);
        content::read(v2, &shared);
    }
    if options.strict {
        strict::read(v2, &shared);
    }
    let mut graph = shared.graph.into_inner().unwrap_or_else(PoisonError::into_inner);
    graph.seal();
    graph
}

/// Looks at what lies beside `blobs` and `repositories`.
fn root<F: Folder>(v2: &F, shared: &ScanShared<'_>) {
    let mut notes = Notes::default();
    let listed = v2.open(std::path::Path::new(".")).and_then(|mut folder| {
        folder.list(&mut |name, kind| {
            let shown = crate::text::escape_os(name);
            let known =
                matches!(&*shown, "blobs" | "repositories" | "lockfiles") || is_harmless(&shown, kind);
            if !known {
                notes.stray(shown, None, format!("{} beside blobs and repositories", kind.describe()));
            }
        })
    });
    if let Err(error) = listed {
        notes.unread(".", None, &error);
    }
    notes.hand_over(&mut shared.graph());
}
