//! A finding before its nodes and tag numbers are replaced by texts.

use std::sync::Arc;

use super::code::{Code, Severity};
use super::finding::{Cause, Finding, Repair, SharedTags};
use crate::graph::NodeId;
use crate::oci::{Digest, Platform};

/// Two drafts of one repository with equal keys are the same damage, which is filed once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DamageKey<N> {
    code: Code,
    node: Option<N>,
    detail: String,
}

/// A finding before its nodes and tag numbers are replaced by texts. `N` names a digest.
#[derive(Debug, Clone)]
pub(crate) struct Draft<N = NodeId> {
    pub(crate) key: DamageKey<N>,
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) node: Option<N>,
    pub(crate) parent: Option<N>,
    pub(crate) platform: Option<String>,
    pub(crate) path: String,
    pub(crate) message: String,
    pub(crate) repair: Option<Repair>,
    pub(crate) cause: Option<Cause>,
    /// Numbers of the tags that reach it, ascending; filled when findings are carried up. The list is shared: an index
    /// may have thousands of lost children under hundreds of tags.
    pub(crate) tags: Arc<[u32]>,
}

impl<N: Copy> Draft<N> {
    /// A draft about the digest that `node` names, or about none.
    pub(crate) fn new(code: Code, node: Option<N>, path: impl ToString, message: impl Into<String>) -> Self {
        Self {
            key: DamageKey { code, node, detail: String::new() },
            code,
            severity: code.severity(),
            node,
            parent: None,
            platform: None,
            path: path.to_string(),
            message: message.into(),
            repair: None,
            cause: None,
            tags: Arc::default(),
        }
    }

    /// Distinguishes this damage from others with the same code and digest.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.key.detail = detail.into();
        self
    }

    /// Files this draft as the same damage as one with `code`: only the first of the two is kept.
    pub(super) fn with_key_code(mut self, code: Code) -> Self {
        self.key.code = code;
        self
    }

    pub(crate) fn with_parent(mut self, parent: N) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Makes this a draft about a platform of one tag's image.
    pub(crate) fn about_image(mut self, tag: u32, platform: &Platform) -> Self {
        (self.tags, self.platform) = ([tag].into(), Some(platform.to_string()));
        self
    }

    pub(super) fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(super) fn with_repair(mut self, repair: Option<Repair>) -> Self {
        self.repair = repair;
        self
    }

    /// The finding; `digest` gives the digest of a node.
    pub(super) fn into_finding(
        self,
        source: &Arc<str>,
        repository: Option<Arc<str>>,
        tags: SharedTags,
        digest: impl Fn(N) -> Digest,
    ) -> Finding {
        Finding {
            code: self.code,
            severity: self.severity,
            source: Arc::clone(source),
            repository,
            tags,
            digest: self.node.map(&digest),
            parent: self.parent.map(&digest),
            platform: self.platform,
            path: Some(self.path),
            message: self.message,
            repair: self.repair,
            cause: self.cause,
            new: None,
        }
    }
}
