//! Takes findings out of a report that somebody has decided to live with, for a reason and until a day.

use std::collections::HashMap;

use globset::GlobMatcher;
use jiff::civil::Date;

use super::baseline::RunScope;
use super::code::Code;
use super::report::{IgnoreUse, Report};

/// One decision to live with a finding.
#[derive(Debug, Clone)]
pub struct Ignore {
    /// The code that is meant.
    pub code: Code,
    /// The repositories that are meant; findings without repository match `*` only.
    pub repository: GlobMatcher,
    /// Why.
    pub reason: String,
    /// Last day on which it counts.
    pub expires: Date,
}

/// Removes the findings that an entry matches from the report, and the broken tags that no other finding breaks. An entry
/// becomes a warning if it expired before `today`, or if it matches nothing in a run that looked for its code everywhere.
pub fn apply_ignores(report: &mut Report, entries: &[Ignore], today: Date) {
    let mut matched = vec![0_u64; entries.len()];
    let mut new_index = HashMap::new();
    let mut kept = Vec::with_capacity(report.findings.len());
    for (old, finding) in report.findings.drain(..).enumerate() {
        let repository = finding.repository.as_deref().unwrap_or("");
        let mut is_ignored = false;
        for (entry, matched) in entries.iter().zip(&mut matched) {
            if entry.code == finding.code && entry.expires >= today && entry.repository.is_match(repository) {
                *matched += 1;
                is_ignored = true;
            }
        }
        if !is_ignored {
            new_index.insert(old, kept.len());
            kept.push(finding);
        }
    }
    report.findings = kept;
    for tag in &mut report.broken_tags {
        tag.findings = tag.findings.iter().filter_map(|old| new_index.get(old).copied()).collect();
    }
    report.broken_tags.retain(|tag| !tag.findings.is_empty());
    let scope = RunScope::from_report(report);
    let uses: Vec<_> = entries
        .iter()
        .zip(matched)
        .map(|(entry, matched)| {
            let warning = if entry.expires < today {
                Some(format!("expired on {}", entry.expires))
            } else if matched == 0 && scope.looked_at_everything() && scope.looks_for(entry.code) {
                Some("matches nothing".to_owned())
            } else {
                None
            };
            IgnoreUse {
                code: entry.code,
                repository: entry.repository.glob().glob().to_owned(),
                reason: entry.reason.clone(),
                expires: entry.expires,
                matched,
                warning,
            }
        })
        .collect();
    report.ignored = Some(uses);
    report.update_summary();
}
