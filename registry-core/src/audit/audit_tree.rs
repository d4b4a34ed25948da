//! A tree scanned and audited in one call, with the second look at what the audit doubts. Decides nothing itself.

use super::{Audit, AuditOptions, audit_with_recheck};
use crate::graph::Graph;
use crate::storage::{Folder, ScanOptions, ScanProgress, Tree};

/// Scans a tree and audits it. Every byte is hashed when [`AuditOptions::content`] says so. What the audit doubts is read a
/// second time, so that a push under way is not taken for damage. What cannot be read is listed in [`Audit::unread`].
pub fn audit_tree<F: Folder>(tree: &Tree<F>, options: &AuditOptions) -> Audit {
    scan_and_audit(tree, &ScanOptions::default(), options, &ScanProgress::default()).1
}

/// As [`audit_tree`], with a choice of what is scanned and counters that another thread may read. Gives the graph too, for
/// further questions. [`AuditOptions::content`] decides for the scan as well: [`ScanOptions::content`] is not looked at.
pub fn scan_and_audit<F: Folder>(
    tree: &Tree<F>,
    scan: &ScanOptions<'_>,
    options: &AuditOptions,
    progress: &ScanProgress,
) -> (Graph, Audit) {
    let mut graph = tree.scan(&ScanOptions { content: options.content, ..*scan }, progress);
    let audit = audit_with_recheck(&mut graph, tree.name(), options, |graph, doubts| {
        tree.recheck(graph, doubts, progress);
    });
    (graph, audit)
}
