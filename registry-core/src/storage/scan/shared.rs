//! What the tasks of a scan share, and what each notes on its way and hands over at its end.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::progress::ScanProgress;
use super::options::ScanOptions;
use crate::graph::{Graph, Stray, Unread};

/// What the tasks of a scan share: the graph, behind a lock that each takes once per batch.
pub(super) struct ScanShared<'a> {
    pub(super) graph: Mutex<Graph>,
    pub(super) options: ScanOptions<'a>,
    pub(super) progress: &'a ScanProgress,
}

impl ScanShared<'_> {
    pub(super) fn graph(&self) -> MutexGuard<'_, Graph> {
        // A poisoned lock means a task panicked; the panic itself is passed on by rayon.
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Oddities met by one task, handed over in one go.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) unread: Vec<Unread>,
    pub(super) strays: Vec<Stray>,
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

    pub(super) fn hand_over(self, graph: &mut Graph) {
        graph.unread.extend(self.unread);
        graph.strays.extend(self.strays);
    }
}
