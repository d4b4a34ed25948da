//! How a scan is asked.

use std::fmt;

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
