//! Comparing a report with an earlier one: what is new, what is known, what is gone.

use std::collections::HashSet;

use super::report::Report;

/// Marks every finding as new or known, and lists the findings of `earlier` that are gone.
///
/// A finding of a place that could not be read this time is not called gone.
pub fn compare(report: &mut Report, earlier: &Report) {
    let (new, resolved): (Vec<bool>, Vec<_>) = {
        let known: HashSet<_> = earlier.findings.iter().map(super::Finding::identity).collect();
        let present: HashSet<_> = report.findings.iter().map(super::Finding::identity).collect();
        let is_complete =
            |name: &str| report.sources.iter().any(|source| &*source.name == name && source.complete);
        let new = report.findings.iter().map(|finding| !known.contains(&finding.identity())).collect();
        let mut resolved = Vec::new();
        for finding in &earlier.findings {
            if !present.contains(&finding.identity()) && is_complete(&finding.source) {
                resolved.push(finding.clone());
            }
        }
        (new, resolved)
    };
    for (finding, new) in report.findings.iter_mut().zip(new) {
        finding.new = Some(new);
    }
    report.resolved = Some(resolved);
    report.count();
}
