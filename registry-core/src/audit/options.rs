//! The options of an audit.

use globset::GlobSet;
use jiff::Timestamp;

use super::report::RegistryRole;
use crate::graph::{Seconds, saturating_seconds};
use crate::oci::Platform;

/// Age after which an upload is stale; `registry` purges such uploads by default (`registry/handlers/app.go @ v2.8.3`).
pub(crate) const UPLOAD_STALE_AFTER: Seconds = 168 * 3600;

/// The options of an audit. The clock is one of them, so that an audit is a pure function.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Now, in seconds since 1970.
    pub now: Seconds,
    /// Whether garbage is listed piece by piece, and not only summed up.
    pub list_garbage: bool,
    /// What no tag reaches and is younger than this may be part of a push under way. Seconds.
    pub min_age: Seconds,
    /// Whether every byte was hashed: then wrong bytes of the right size break a tag.
    pub content: bool,
    /// Home or cache; with `None` a `scheduler-state.json` makes it a cache.
    pub role: Option<RegistryRole>,
    /// Repositories whose children may be absent on purpose.
    pub sparse: GlobSet,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}

impl AuditOptions {
    /// An audit at the time `now`, with a minimum age of an hour, no byte hashed, and the role by `scheduler-state.json`.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: saturating_seconds(now.as_second()),
            list_garbage: false,
            min_age: 3600,
            content: false,
            role: None,
            sparse: GlobSet::empty(),
            require_platforms: Vec::new(),
        }
    }

    /// Whether something was modified so recently that it may be part of a push under way. The future counts as recent.
    pub(super) fn is_young(&self, modified: Seconds) -> bool {
        modified.saturating_add(self.min_age) > self.now
    }
}
