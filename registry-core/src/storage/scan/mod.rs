//! The scan: a tree into a graph. Repositories first (tags, then revisions, then layers), blobs next, and with them the
//! manifests that a repository names: a push writes in the opposite order, so what a push leaves while we read never
//! looks like damage. What an index names beyond that is read last.

mod blobs;
mod content;
mod elsewhere;
mod leads;
mod links;
mod manifests;
mod oddities;
mod repositories;
mod settle;
mod strict;
mod tags;
mod uploads;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::folder::Folder;
use super::progress::{Phase, Progress};
use crate::graph::{Graph, Stray, Unread};

use elsewhere::is_harmless;
pub(super) use oddities::oddities;
pub(super) use settle::settle;

/// What a scan reads beyond links, manifests and the sizes of blobs.
#[derive(Default, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// Hash every byte of every blob.
    pub content: bool,
    /// Open leaf folders too and note everything that has no place there.
    pub strict: bool,
    /// Only repositories of which this is true; their names are given. Blobs are then looked at one by one, and
    /// nothing is known about garbage.
    pub only: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
}

impl fmt::Debug for ScanOptions<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ScanOptions")
            .field("content", &self.content)
            .field("strict", &self.strict)
            .field("only", &self.only.is_some())
            .finish()
    }
}

/// What the tasks of a scan share: the graph, behind a lock that each takes once per batch.
struct Shared<'a> {
    graph: Mutex<Graph>,
    options: ScanOptions<'a>,
    progress: &'a Progress,
}

impl Shared<'_> {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        // A poisoned lock means a task panicked; the panic itself is passed on by rayon.
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Oddities met by one task, handed over in one go.
#[derive(Default)]
struct Notes {
    unread: Vec<Unread>,
    strays: Vec<Stray>,
}

impl Notes {
    fn unread(&mut self, path: impl fmt::Display, repository: Option<&str>, error: impl fmt::Display) {
        let (path, error) = (path.to_string(), error.to_string());
        self.unread.push(Unread { path, error, repository: repository.map(Into::into) });
    }

    fn stray(&mut self, path: impl fmt::Display, repository: Option<&str>, reason: impl Into<String>) {
        let (path, reason) = (path.to_string(), reason.into());
        self.strays.push(Stray { path, reason, repository: repository.map(Into::into) });
    }

    fn hand_over(self, graph: &mut Graph) {
        graph.unread.extend(self.unread);
        graph.strays.extend(self.strays);
    }
}

/// Reads a whole tree.
pub(super) fn scan<F: Folder>(v2: &F, options: &ScanOptions<'_>, progress: &Progress) -> Graph {
    let shared = Shared { graph: Mutex::default(), options: *options, progress };
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
fn root<F: Folder>(v2: &F, shared: &Shared<'_>) {
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
