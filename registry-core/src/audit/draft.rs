//! A finding in the making: still with nodes and tag numbers instead of texts.

use std::sync::Arc;

use super::code::{Code, Severity};
use super::finding::{Cause, Finding, Repair, SharedTags};
use crate::graph::NodeId;
use crate::oci::{Digest, Platform};

/// What makes two drafts of one repository the same damage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DamageKey<N> {
    code: Code,
    node: Option<N>,
    detail: String,
}

/// A finding in the making. `N` names a digest.
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
    /// Tags that reach it, by number, ascending; filled when findings are carried up. One index with thousands of lost
    /// children under hundreds of tags has one such list.
    pub(crate) tags: Arc<[u32]>,
}

impl<N: Copy> Draft<N> {
    /// A damage to, or at, one digest.
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

    /// Tells damages apart that share code and digest.
    pub(crate) fn apart_by(mut self, detail: impl Into<String>) -> Self {
        self.key.detail = detail.into();
        self
    }

    /// Makes two codes one damage: whichever is filed first.
    pub(super) fn same_as(mut self, code: Code) -> Self {
        self.key.code = code;
        self
    }

    pub(crate) fn parent(mut self, parent: N) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Concerns the image of one tag, and a platform of it.
    pub(crate) fn of_image(mut self, tag: u32, platform: &Platform) -> Self {
        (self.tags, self.platform) = ([tag].into(), Some(platform.to_string()));
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(super) fn repair(mut self, repair: Option<Repair>) -> Self {
        self.repair = repair;
        self
    }

    /// The finding; `digest` gives the digest that a node names.
    pub(super) fn finding(
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
