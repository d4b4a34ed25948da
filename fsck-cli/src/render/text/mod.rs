//! The text of a report: first what is broken, by image; then warnings and leftovers; then garbage; then one line to grep. Each
//! damage is printed once, however many tags share it.

mod broken;
mod online;
mod sums;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use registry_cli::styles::{BAD, DIM, GOOD, WARN};
use registry_core::audit::{Code, Finding, Repair, Report, Severity};
use registry_core::text::without_controls as safe;

use crate::args::Common;

/// How many tags that share a damage are named without `-v`.
const TAGS_SHOWN: usize = 3;
/// How many warnings or infos of one code are shown without `-v`.
const MAX_FINDINGS: usize = 10;

/// Writes the report.
pub fn write(report: &Report, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    if !common.quiet {
        let mut page = Page {
            report,
            is_verbose: common.verbose > 0,
            has_several_sources: report.sources.len() > 1,
            out,
        };
        page.collectors()?;
        page.broken()?;
        page.unknown()?;
        page.other_findings(Severity::Error)?;
        page.other_findings(Severity::Warning)?;
        page.ignored()?;
        page.other_findings(Severity::Info)?;
        page.resolved()?;
        if report.options.online.is_some() {
            page.online()?;
        } else {
            page.garbage()?;
            page.sources()?;
            page.repairs()?;
            page.untagged_collection()?;
        }
    }
    summary(report, out)
}

struct Page<'r, 'o> {
    report: &'r Report,
    is_verbose: bool,
    has_several_sources: bool,
    out: &'o mut dyn Write,
}

impl<'r> Page<'r, '_> {
    /// The name of an image: `team/app:v1`, or `team/app (500 tags: v1, v2, v3 and 497 more)`.
    fn image(&self, source: &str, repository: &str, tags: &[std::sync::Arc<str>]) -> String {
        let prefix = if self.has_several_sources { format!("{source}: ") } else { String::new() };
        let repository = safe(repository);
        match tags {
            [] => format!("{prefix}{repository}"),
            [tag] => format!("{prefix}{repository}:{}", safe(tag)),
            many => {
                let shown = if self.is_verbose { many.len() } else { TAGS_SHOWN };
                let names: Vec<_> = many.iter().take(shown).map(|tag| safe(tag)).collect();
                let more = match many.len().saturating_sub(shown) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{prefix}{repository} ({} tags: {}{more})", many.len(), names.join(", "))
            }
        }
    }

    fn unknown(&mut self) -> io::Result<()> {
        let mut by_reason: BTreeMap<(&str, &str, &str), Vec<std::sync::Arc<str>>> = BTreeMap::new();
        for tag in &self.report.unknown_tags {
            by_reason.entry((&tag.source, &tag.repository, &tag.reason)).or_default().push(tag.tag.clone());
        }
        for ((source, repository, reason), tags) in by_reason {
            let image = self.image(source, repository, &tags);
            writeln!(self.out, "{WARN}{image}{WARN:#} could not be judged: {}", safe(reason))?;
        }
        // What is not read has a finding, except a path that is no registry, and everything over HTTP.
        let is_online = self.report.options.online.is_some();
        let sources: BTreeSet<&str> = self.report.sources.iter().map(|source| &*source.name).collect();
        for unread in self.report.unread.iter().filter(|unread| !sources.contains(&*unread.source)) {
            let (source, error) = (safe(&unread.source), safe(&unread.error));
            writeln!(self.out, "{BAD}{source}{BAD:#} was not audited: {error}")?;
        }
        let lists = self.report.unread.iter().filter(|unread| is_online && sources.contains(&*unread.source));
        for unread in
            lists.filter(|unread| !unread.path.contains("/manifests/") && !unread.path.contains("/blobs/"))
        {
            // The path "." is the whole registry.
            let what = if &*unread.path == "." { &*unread.source } else { &*unread.path };
            writeln!(self.out, "{BAD}{}{BAD:#} could not be read: {}", safe(what), safe(&unread.error))?;
        }
        Ok(())
    }

    /// Writes the findings that break no image, code by code.
    fn other_findings(&mut self, severity: Severity) -> io::Result<()> {
        let mut by_code: BTreeMap<Code, Vec<&'r Finding>> = BTreeMap::new();
        for finding in &self.report.findings {
            if finding.severity == severity && (severity != Severity::Error || finding.tags.is_empty()) {
                by_code.entry(finding.code).or_default().push(finding);
            }
        }
        let style = match severity {
            Severity::Error => BAD,
            Severity::Warning => WARN,
            Severity::Info => DIM,
        };
        for (code, findings) in by_code {
            let shown =
                if self.is_verbose || severity == Severity::Error { findings.len() } else { MAX_FINDINGS };
            for finding in findings.iter().take(shown) {
                let place = match (&finding.repository, &finding.path) {
                    (Some(repository), _) => self.image(&finding.source, repository, &finding.tags),
                    (None, Some(path)) if self.has_several_sources => {
                        format!("{}: {}", finding.source, safe(path))
                    }
                    (None, path) => safe(path.as_deref().unwrap_or("")),
                };
                writeln!(self.out, "{style}{severity}{style:#} {code}: {place}: {}", sentence(finding))?;
                if finding.repository.is_some() && matches!(code, Code::PathUnread | Code::PathUnexpected) {
                    writeln!(self.out, "    {DIM}{}{DIM:#}", safe(finding.path.as_deref().unwrap_or("")))?;
                }
                if severity == Severity::Error {
                    self.write_remedy(finding)?;
                }
            }
            if findings.len() > shown {
                let more = findings.len() - shown;
                writeln!(self.out, "{style}{severity}{style:#} {code}: {more} more (-v shows them)")?;
            }
        }
        Ok(())
    }

    fn ignored(&mut self) -> io::Result<()> {
        for entry in self.report.ignored.iter().flatten() {
            let what = format!("{} in {}", entry.code, safe(&entry.repository));
            match &entry.warning {
                Some(warning) => {
                    writeln!(self.out, "{WARN}warning{WARN:#} ignore entry for {what} {warning}; remove it")?;
                }
                None => {
                    let (count, expires, reason) = (entry.matched, entry.expires, safe(&entry.reason));
                    writeln!(self.out, "ignored until {expires}: {count} x {what} ({reason})")?;
                }
            }
        }
        Ok(())
    }

    fn resolved(&mut self) -> io::Result<()> {
        for finding in self.report.resolved.iter().flatten() {
            let repository = finding.repository.as_deref().unwrap_or("-");
            let place = self.image(&finding.source, repository, &finding.tags);
            let (code, message) = (finding.code, safe(&finding.message));
            writeln!(self.out, "{GOOD}resolved{GOOD:#} {code}: {place}: {message}")?;
        }
        Ok(())
    }
}

/// Whether a repair makes good what is wrong, instead of moving it aside.
const fn is_repairable(finding: &Finding) -> bool {
    match finding.repair {
        Some(Repair::Relink | Repair::Rewrite | Repair::Rebuild | Repair::Restore | Repair::Reset) => true,
        Some(Repair::Quarantine | Repair::MoveAside | Repair::Remove) | None => false,
    }
}

/// The message of a finding, whether it is repairable, its code, and whether it is new.
fn sentence(finding: &Finding) -> String {
    let mut text = safe(&finding.message);
    if finding.cause.is_none() && is_repairable(finding) {
        text.push_str(", repairable");
    }
    let code =
        (finding.severity == Severity::Error && !finding.tags.is_empty()).then_some(finding.code.as_str());
    let age = finding.new.map(|new| if new { "new" } else { "known" });
    let marks: Vec<_> = code.into_iter().chain(age).collect();
    if marks.is_empty() { text } else { format!("{text} [{}]", marks.join(", ")) }
}

/// Writes the line to grep.
pub(super) fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let style = if report.exit_status == 0 { GOOD } else { BAD };
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let repairable = errors.clone().filter(|finding| is_repairable(finding));
    let sum = &report.summary;
    write!(
        out,
        "{style}registry-fsck {}{style:#}: broken_tags={} unknown_tags={} errors={} warnings={} infos={} repairable={}",
        report.command,
        sum.broken_tags,
        sum.unknown_tags,
        sum.errors,
        sum.warnings,
        sum.infos,
        repairable.count()
    )?;
    if report.resolved.is_some() {
        let new = errors.filter(|finding| finding.new == Some(true)).count();
        write!(out, " new_errors={new} resolved={}", sum.resolved)?;
    }
    writeln!(
        out,
        " tags={} unread={} exit_status={} seconds={:.2}",
        report.coverage.tags_total,
        report.unread.len(),
        report.exit_status,
        report.duration_seconds
    )
}

/// The name of a repository or its images: `team/app`, `team/app:v1`, or `team/app (3 tags)`.
pub(super) fn image_name(repository: &str, tags: &[std::sync::Arc<str>]) -> String {
    let repository = safe(repository);
    match tags {
        [] => repository,
        [tag] => format!("{repository}:{}", safe(tag)),
        tags => format!("{repository} ({} tags)", tags.len()),
    }
}

pub(super) fn count(count: u64, noun: &str) -> String {
    count_of(count, noun, &format!("{noun}s"))
}

pub(super) fn count_of(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
