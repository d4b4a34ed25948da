//! Times as the graph keeps them.

/// A file's time of change in seconds since 1970; 0 for earlier times, the maximum for times after 2106.
pub type Seconds = u32;

/// Seconds since 1970 as the graph keeps them.
pub(crate) fn saturating_seconds(since_1970: i64) -> Seconds {
    Seconds::try_from(since_1970.max(0)).unwrap_or(Seconds::MAX)
}
