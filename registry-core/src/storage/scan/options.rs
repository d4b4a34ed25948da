//! Options of a scan.

use std::fmt;

/// What a scan reads beyond links, manifests and the sizes of blobs.
#[derive(Default, Clone, Copy)]
pub struct ScanOptions<'a> {
    /// Hash every byte of every blob.
    pub content: bool,
    /// Also open leaf folders, and note every entry that has no place in the layout.
    pub strict: bool,
    /// Scan only repositories for whose name this is true. Blobs are then looked at one by one, and garbage is unknown.
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
