//! A tree scanned and a repair planned for it in one call, with the second look at what the audit doubts. Changes nothing.

use super::plan::{RepairPlan, Scope, plan};
use super::supply::Supply;
use crate::audit::AuditOptions;
use crate::graph::Graph;
use crate::storage::{Folder, ScanOptions, ScanProgress, Tree};

/// Scans a tree and plans its repair: of all findings, from what is on this disk. Nothing is changed before the plan is given
/// to [`apply`](super::apply).
pub fn plan_tree<F: Folder>(tree: &Tree<F>, options: &AuditOptions) -> RepairPlan {
    scan_and_plan(tree, &ScanOptions::default(), options, &Scope::default(), None, &ScanProgress::default()).1
}

/// As [`plan_tree`], limited to a scope, with missing bytes from `supply` and counters that another thread may read. Gives
/// the graph too, as it would be after the repair.
/// [`AuditOptions::content`] decides for the scan as well: [`ScanOptions::content`] is not looked at.
pub fn scan_and_plan<F: Folder>(
    tree: &Tree<F>,
    scan: &ScanOptions<'_>,
    options: &AuditOptions,
    scope: &Scope<'_>,
    supply: Option<&dyn Supply>,
    progress: &ScanProgress,
) -> (Graph, RepairPlan) {
    let mut graph = tree.scan(&ScanOptions { content: options.content, ..*scan }, progress);
    let plan = plan(&mut graph, tree.name(), options, scope, supply, |graph, doubts| {
        tree.recheck(graph, doubts, progress);
    });
    (graph, plan)
}
