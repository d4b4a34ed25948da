//! State that the tasks of a scan share, and the notes that each task adds to the graph at its end.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::super::progress::ScanProgress;
use super::options::ScanOptions;
use crate::graph::{Graph, Stray, Unread};

/// State that the tasks of a scan share. Each task locks the graph once per batch.
pub(super) struct ScanShared<'a> {
    pub(super) graph: Mutex<Graph>,
    pub(super) options: ScanOptions<'a>,
    pub(super) progress: &'a ScanProgress,
}

impl ScanShared<'_> {
    pub(super) fn graph(&self) -> MutexGuard<'_, Graph> {
        // A poisoned lock means that a task panicked; rayon passes that panic on.
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one task could not read or found out of place.
#[derive(Default)]
pub(super) struct Notes {
    unread: Vec<Unread>,
    strays: Vec<Stray>,
}

impl Notes {
    pub(super) fn unread(
        &mut self,
        path: impl fmt::Display,
        repository: Option<&str>,
        error: impl fmt::Display,
    ) {
        let (path, error) = (path.to_string(), error.to_string());
        self.unread.push(Unread { path, error, repository: repository.map(Into::into) });
    }

    pub(super) fn stray(
        &mut self,
        path: impl fmt::Display,
        repository: Option<&str>,
        reason: impl Into<String>,
    ) {
        let (path, reason) = (path.to_string(), reason.into());
        self.strays.push(Stray { path, reason, repository: repository.map(Into::into) });
    }

    pub(super) fn add_to(self, graph: &mut Graph) {
        graph.unread.extend(self.unread);
        graph.strays.extend(self.strays);
    }
}

/// Calls `work` in parallel on batches of items, joins the results in the order of the items, and collects the notes.
pub(super) fn in_batches<I: Sync, T: Send>(
    items: &[I],
    size: usize,
    notes: &mut Notes,
    work: impl Fn(&[I], &mut Notes) -> Vec<T> + Sync,
) -> Vec<T> {
    let run = |items| {
        let mut notes = Notes::default();
        (work(items, &mut notes), notes)
    };
    let batches: Vec<_> = items.par_chunks(size).map(run).collect();
    let mut results = Vec::with_capacity(items.len());
    for (batch, more) in batches {
        results.extend(batch);
        notes.unread.extend(more.unread);
        notes.strays.extend(more.strays);
    }
    results
}
