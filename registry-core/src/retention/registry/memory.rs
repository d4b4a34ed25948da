//! What the deletions of a run find out about a registry, for the next deletions of the run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::oci::Digest;
use crate::retention::server::DeletionTime;

/// What earlier deletions of the run found out.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Whether the server refuses to delete a tag by its name.
    pub(super) by_digest_only: AtomicBool,
    /// Repository and digest of each deletion by digest that was sent. Its answer may have been lost.
    pub(super) sent: Mutex<BTreeSet<(String, Digest)>>,
    /// Repository and digest of each manifest that a deletion by digest removed, with the end of that deletion.
    pub(super) gone: Mutex<BTreeMap<(String, Digest), DeletionTime>>,
    /// The children of manifests, by repository and digest. They never change, because bytes do not.
    pub(super) children: Mutex<HashMap<(String, Digest), Vec<Digest>>>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
