//! How an audit is asked.

use globset::GlobSet;
use jiff::Timestamp;

use super::report::RegistryRole;
use crate::graph::{Seconds, seconds};
use crate::oci::Platform;

/// Age after which an upload is stale: what `registry` purges by default (`registry/handlers/app.go @ v2.8.3`).
pub(crate) const UPLOAD_STALE_AFTER: Seconds = 168 * 3600;

/// How an audit is asked. The clock is an argument: an audit is a pure function.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Now, in seconds since 1970.
    pub now: Seconds,
    /// Garbage comes piece by piece too, and not only as a sum.
    pub list_garbage: bool,
    /// Younger than this, what no tag reaches is a push under way. Seconds.
    pub min_age: Seconds,
    /// Every byte was hashed: wrong bytes of the right size break a tag.
    pub content: bool,
    /// Home or cache; `None` lets `scheduler-state.json` decide.
    pub role: Option<RegistryRole>,
    /// Repositories whose children may be absent on purpose.
    pub sparse: GlobSet,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}

impl AuditOptions {
    /// An audit at the time `now`: what is younger than an hour and no tag reaches is a push under way, no byte was hashed,
    /// `scheduler-state.json` tells a home from a cache.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: seconds(now.as_second()),
            list_garbage: false,
            min_age: 3600,
            content: false,
            role: None,
            sparse: GlobSet::empty(),
            require_platforms: Vec::new(),
        }
    }

    /// Whether something changed so recently that it may be part of a push under way. The future counts as recent.
    pub(super) fn is_young(&self, modified: Seconds) -> bool {
        modified.saturating_add(self.min_age) > self.now
    }
}
