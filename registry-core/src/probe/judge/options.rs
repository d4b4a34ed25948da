//! How an online audit is asked.

use crate::oci::Platform;

/// How an online audit is asked.
#[derive(Debug, Clone, Default)]
pub struct JudgeOptions {
    /// Whether configs and layers were asked for.
    pub blobs: bool,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}
