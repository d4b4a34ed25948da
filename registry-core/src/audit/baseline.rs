//! Compares a report with an earlier one: which findings are new, known or resolved.

use std::collections::HashSet;

use globset::{Glob, GlobSet};

use super::code::Code;
use super::finding::Finding;
use super::report::Report;

/// Marks every finding as new or known, and lists the findings of `earlier` that are resolved.
///
/// A finding counts as resolved only if this run would have found it: its registry was read completely, its repository
/// was selected, and so were `--content`, `--strict` or its platform where it needs them. A finding with a tag that is
/// broken or unknown now is not resolved either, because a worse damage may hide it.
pub fn mark_new_and_resolved(report: &mut Report, earlier: &Report) {
    let (new, resolved): (Vec<bool>, Vec<_>) = {
        let known: HashSet<_> = earlier.findings.iter().map(Finding::identity).collect();
        let present: HashSet<_> = report.findings.iter().map(Finding::identity).collect();
        let new = report.findings.iter().map(|finding| !known.contains(&finding.identity())).collect();
        let scope = RunScope::from_report(report);
        let mut resolved = Vec::new();
        for finding in &earlier.findings {
            if !present.contains(&finding.identity()) && scope.would_find(finding) {
                resolved.push(finding.clone());
            }
        }
        (new, resolved)
    };
    for (finding, new) in report.findings.iter_mut().zip(new) {
        finding.new = Some(new);
    }
    report.resolved = Some(resolved);
    report.update_summary();
}

/// What a run looked at, and so could have found.
pub(super) struct RunScope<'r> {
    report: &'r Report,
    /// The repositories that were selected; `None` for all.
    selected: Option<GlobSet>,
    /// Broken and unknown tags, as source, repository and tag.
    not_whole: HashSet<(&'r str, &'r str, &'r str)>,
}

impl<'r> RunScope<'r> {
    pub(super) fn from_report(report: &'r Report) -> Self {
        let globs = report.options.repositories.iter().filter_map(|text| Glob::new(text).ok());
        let selected =
            (!report.options.repositories.is_empty()).then(|| GlobSet::new(globs).unwrap_or_default());
        let broken = report.broken_tags.iter().map(|tag| (&*tag.source, &*tag.repository, &*tag.tag));
        let unknown = report.unknown_tags.iter().map(|tag| (&*tag.source, &*tag.repository, &*tag.tag));
        Self { report, selected, not_whole: broken.chain(unknown).collect() }
    }

    /// Whether this run would have found the same finding, if it still held.
    fn would_find(&self, finding: &Finding) -> bool {
        let repository = finding.repository.as_deref();
        let platforms = &self.report.options.require_platforms;
        let is_platform_required = finding.code != Code::PlatformMissing
            || finding.platform.as_ref().is_some_and(|platform| platforms.contains(platform));
        let is_hidden = finding
            .tags
            .iter()
            .any(|tag| self.not_whole.contains(&(&*finding.source, repository.unwrap_or(""), &**tag)));
        let is_complete =
            |name: &str| self.report.sources.iter().any(|source| &*source.name == name && source.complete);
        is_complete(&finding.source)
            && self.selected.as_ref().is_none_or(|globs| repository.is_some_and(|name| globs.is_match(name)))
            && self.looks_for(finding.code)
            && is_platform_required
            && !is_hidden
    }

    /// Whether this run looked for findings of this code.
    pub(super) fn looks_for(&self, code: Code) -> bool {
        match code {
            Code::BlobDigestMismatch => self.report.options.content,
            Code::PathUnexpected | Code::TempFileStale => self.report.options.strict,
            Code::PlatformMissing => !self.report.options.require_platforms.is_empty(),
            _ => true,
        }
    }

    /// Whether this run selected every repository and could read all of it.
    pub(super) fn looked_at_everything(&self) -> bool {
        self.selected.is_none()
            && self.report.unread.is_empty()
            && self.report.sources.iter().all(|source| source.complete)
    }
}
