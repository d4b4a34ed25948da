//! What steps are checked against: the clock, ages, and what the plan knew.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::oci::Digest;
use crate::storage::edit::Identity;

/// What steps are checked against.
#[derive(Debug)]
pub(crate) struct Conditions<'c> {
    /// When the run began. Links that are written get this time.
    pub(super) now: Timestamp,
    /// Leftovers younger than this, in seconds, may belong to a push under way.
    pub(super) min_age: u32,
    /// The path of the quarantine, below the folder that it lies in.
    pub(super) quarantine: &'c str,
    /// The revisions that the plan knew, of every repository in which it moves layer links aside: a manifest pushed since may
    /// need such a link. `None` when the plan moves no layer link.
    pub(super) revisions: Option<&'c HashMap<Arc<str>, BTreeSet<Digest>>>,
    /// Blobs that this run hashed and found intact, with the state of the file then.
    pub(super) intact: Mutex<HashMap<Digest, Identity>>,
}
