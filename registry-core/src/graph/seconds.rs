//! Times as the graph keeps them.

/// Seconds since 1970, as a file's time of change is kept; 0 for earlier, the maximum for later than 2106.
pub type Seconds = u32;

/// Seconds since 1970 as they are kept.
pub(crate) fn seconds(since_1970: i64) -> Seconds {
    Seconds::try_from(since_1970.max(0)).unwrap_or(Seconds::MAX)
}
