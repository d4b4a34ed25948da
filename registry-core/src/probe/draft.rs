//! A finding in the making: digests instead of texts, and tags by their numbers.

use std::sync::Arc;

use crate::audit::{Code, Finding, Tags};
use crate::oci::Digest;

/// A finding in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) code: Code,
    pub(super) digest: Option<Digest>,
    /// Tells damages apart that share code and digest.
    pub(super) detail: String,
    pub(super) parent: Option<Digest>,
    pub(super) platform: Option<String>,
    pub(super) message: String,
    /// Where it was asked for, below `/v2/` and the repository.
    pub(super) path: String,
    /// Tags that reach it, by number.
    pub(super) tags: Vec<u32>,
}

impl Draft {
    pub(super) fn new(code: Code, digest: Option<Digest>, path: String, message: String) -> Self {
        Self {
            code,
            digest,
            detail: String::new(),
            parent: None,
            platform: None,
            message,
            path,
            tags: Vec::new(),
        }
    }

    pub(super) fn finding(&self, source: &Arc<str>, repository: &Arc<str>, tags: Tags) -> Finding {
        Finding {
            code: self.code,
            severity: self.code.severity(),
            source: Arc::clone(source),
            repository: Some(Arc::clone(repository)),
            tags,
            digest: self.digest,
            parent: self.parent,
            platform: self.platform.clone(),
            path: Some(format!("/v2/{repository}/{}", self.path)),
            message: self.message.clone(),
            repair: None,
            cause: None,
            new: None,
        }
    }
}
