//! Whether patterns tell upper-case letters from lower-case ones.

/// Whether letters in a pattern match those of the other case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterCase {
    /// They do not.
    Exact,
    /// They do.
    Ignored,
}
