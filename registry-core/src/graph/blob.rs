//! What is known about the bytes stored under one digest.

use super::seconds::Seconds;
use crate::serve::{Content, Presence};

/// The bytes stored under one digest. 24 bytes; one for each digest of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Blob {
    /// Size in bytes; 0 unless present.
    pub size: u64,
    /// Last change of the file; 0 unless present.
    pub modified: Seconds,
    /// The number of the manifest read from these bytes; the maximum when no manifest was read.
    pub(super) manifest: u32,
    /// Whether the file exists.
    pub presence: Presence,
    /// Whether the bytes hash to the digest.
    pub content: Content,
}

impl Default for Blob {
    fn default() -> Self {
        Self {
            size: 0,
            modified: 0,
            manifest: u32::MAX,
            presence: Presence::default(),
            content: Content::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn blob_takes_24_bytes() {
        assert_eq!(size_of::<super::Blob>(), 24);
    }
}
