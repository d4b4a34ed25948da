//! A finding in the making: still with nodes and tag numbers instead of texts.

use std::sync::Arc;

use super::code::{Code, Severity};
use super::finding::{Cause, Repair};
use crate::graph::NodeId;

/// What makes two drafts of one repository the same damage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    code: Code,
    node: Option<NodeId>,
    detail: String,
}

/// A finding in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) key: Key,
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) node: Option<NodeId>,
    pub(super) parent: Option<NodeId>,
    pub(super) platform: Option<String>,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) repair: Option<Repair>,
    pub(super) cause: Option<Cause>,
    /// Tags that reach it, by index, ascending; filled when findings are carried up. One index with thousands of lost
    /// children under hundreds of tags has one such list.
    pub(super) tags: Arc<[u32]>,
}

impl Draft {
    /// A damage to, or at, one digest.
    pub(super) fn new(
        code: Code,
        node: Option<NodeId>,
        path: impl ToString,
        message: impl Into<String>,
    ) -> Self {
        Self {
            key: Key { code, node, detail: String::new() },
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
    pub(super) fn apart_by(mut self, detail: impl Into<String>) -> Self {
        self.key.detail = detail.into();
        self
    }

    /// Makes two codes one damage: whichever is filed first.
    pub(super) fn same_as(mut self, code: Code) -> Self {
        self.key.code = code;
        self
    }

    pub(super) fn parent(mut self, parent: NodeId) -> Self {
        self.parent = Some(parent);
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
}
