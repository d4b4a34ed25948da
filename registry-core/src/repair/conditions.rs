//! What steps are checked against: the clock, ages, and what the plan knew.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::oci::Digest;
use crate::storage::edit::Identity;

/// What steps are checked against.
#[derive(Debug)]
pub(crate) struct Conditions<'c> {
    /// The clock: when the run began. Links that are written get this time.
    pub(super) now: Timestamp,
    /// Leftovers younger than this are a push under way. Seconds.
    pub(super) min_age: u32,
    /// The quarantine's path below the folder it lies in.
    pub(super) aside: &'c str,
    /// Revisions of every repository in which layer links are moved aside, as the plan knew them: a manifest pushed since
    /// may need one. `None` where none is.
    pub(super) revisions: Option<&'c HashMap<Arc<str>, BTreeSet<Digest>>>,
    /// Blobs hashed right in this run, in this state.
    pub(super) hashed: Mutex<HashMap<Digest, Identity>>,
}
