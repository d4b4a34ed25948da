//! What the deletions of a run found out about a registry and remember for the next ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::oci::Digest;
use crate::retention::server::Deletion;

/// What deletions found out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether the server said that it deletes no tag by its name.
    pub(super) by_digest_only: AtomicBool,
    /// Manifests of which a deletion by digest was sent, by repository: its answer may have been lost.
    pub(super) sent: Mutex<BTreeSet<(String, Digest)>>,
    /// Manifests that are gone by digest, by repository, and when they went.
    pub(super) gone: Mutex<BTreeMap<(String, Digest), Deletion>>,
    /// What manifests name, by repository: bytes never change.
    pub(super) children: Mutex<HashMap<(String, Digest), Vec<Digest>>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
