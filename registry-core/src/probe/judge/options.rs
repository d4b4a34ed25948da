//! The options of the judgement.

use crate::oci::Platform;

/// How the answers of a registry are judged.
#[derive(Debug, Clone, Default)]
pub struct JudgeOptions {
    /// Whether configs and layers were asked for.
    pub blobs: bool,
    /// Platforms that every image must have.
    pub require_platforms: Vec<Platform>,
}
