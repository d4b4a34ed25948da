//! Comparing a report with an earlier one: what is new, what is known, what is gone.

use std::collections::HashSet;

use globset::{Glob, GlobSet};

use super::code::Code;
use super::finding::Finding;
use super::report::Report;

/// Marks every finding as new or known, and lists the findings of `earlier` that are gone.
///
/// A finding is not called gone when this run could not have found it: its registry was not read as a whole, its
/// repository was not asked for, `--content`, `--strict` or its platform were not; and not while one of its tags is
/// broken or unknown, because a worse damage may hide it.
pub fn compare(report: &mut Report, earlier: &Report) {
    let (new, resolved): (Vec<bool>, Vec<_>) = {
        let known: HashSet<_> = earlier.findings.iter().map(Finding::identity).collect();
        let present: HashSet<_> = report.findings.iter().map(Finding::identity).collect();
        let new = report.findings.iter().map(|finding| !known.contains(&finding.identity())).collect();
        let reach = RunScope::from_report(report);
        let mut resolved = Vec::new();
        for finding in &earlier.findings {
            if !present.contains(&finding.identity()) && reach.covers(finding) {
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

/// What a run could have found.
pub(super) struct RunScope<'r> {
    report: &'r Report,
    only: Option<GlobSet>,
    hurt: HashSet<(&'r str, &'r str, &'r str)>,
}

impl<'r> RunScope<'r> {
    pub(super) fn from_report(report: &'r Report) -> Self {
        let globs = report.options.repositories.iter().filter_map(|text| Glob::new(text).ok());
        let only = (!report.options.repositories.is_empty()).then(|| GlobSet::new(globs).unwrap_or_default());
        let broken = report.broken_tags.iter().map(|tag| (&*tag.source, &*tag.repository, &*tag.tag));
        let unknown = report.unknown_tags.iter().map(|tag| (&*tag.source, &*tag.repository, &*tag.tag));
        Self { report, only, hurt: broken.chain(unknown).collect() }
    }

    /// Whether this run would have found a finding that is still true.
    fn covers(&self, finding: &Finding) -> bool {
        let repository = finding.repository.as_deref();
        let platforms = &self.report.options.require_platforms;
        let is_asked = finding.code != Code::PlatformMissing
            || finding.platform.as_ref().is_some_and(|platform| platforms.contains(platform));
        let is_hidden = finding
            .tags
            .iter()
            .any(|tag| self.hurt.contains(&(&*finding.source, repository.unwrap_or(""), &**tag)));
        let is_complete =
            |name: &str| self.report.sources.iter().any(|source| &*source.name == name && source.complete);
        is_complete(&finding.source)
            && self.only.as_ref().is_none_or(|only| repository.is_some_and(|name| only.is_match(name)))
            && self.finds(finding.code)
            && is_asked
            && !is_hidden
    }

    /// Whether this run looks for a code at all.
    pub(super) fn finds(&self, code: Code) -> bool {
        match code {
            Code::BlobDigestMismatch => self.report.options.content,
            Code::PathUnexpected | Code::TempFileStale => self.report.options.strict,
            Code::PlatformMissing => !self.report.options.require_platforms.is_empty(),
            _ => true,
        }
    }

    /// Whether this run looked at everything there is.
    pub(super) fn is_whole(&self) -> bool {
        self.only.is_none()
            && self.report.unread.is_empty()
            && self.report.sources.iter().all(|source| source.complete)
    }
}
