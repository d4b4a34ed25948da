//! Setting findings aside that somebody has decided to live with, for a reason and for a time.

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

/// Takes what the entries match out of the report: findings, and tags that nothing else breaks. An entry that matches
/// nothing, although this run would have found what it means, or has expired becomes a warning. `today` is the date to judge by.
pub fn set_aside(report: &mut Report, entries: &[Ignore], today: Date) {
    let mut matched = vec![0_u64; entries.len()];
    let mut numbers = HashMap::new();
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
            numbers.insert(old, kept.len());
            kept.push(finding);
        }
    }
    report.findings = kept;
    for tag in &mut report.broken_tags {
        tag.findings = tag.findings.iter().filter_map(|old| numbers.get(old).copied()).collect();
    }
    report.broken_tags.retain(|tag| !tag.findings.is_empty());
    let reach = RunScope::from_report(report);
    let uses: Vec<_> = entries
        .iter()
        .zip(matched)
        .map(|(entry, matched)| {
            let warning = if entry.expires < today {
                Some(format!("expired on {}", entry.expires))
            } else if matched == 0 && reach.is_whole() && reach.finds(entry.code) {
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
    report.count();
}
