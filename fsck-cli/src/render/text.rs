//! The report for a person, at a terminal or in a log: what is broken first, grouped by image; then warnings and
//! leftovers; then garbage; then one line to grep. Every damage is printed once, whatever number of tags share it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use indicatif::HumanBytes;
use registry_core::audit::{Code, Finding, Repair, Report, Severity, Tags};
use registry_core::text::without_controls as safe;

use crate::args::Common;

/// How many tags are named where many share a damage.
const TAGS_SHOWN: usize = 3;
/// How many findings of one code are shown below error, unless everything is asked for.
const FEW: usize = 10;

const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Writes the report.
pub fn write(report: &Report, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    if !common.quiet {
        let mut page = Page { report, verbose: common.verbose > 0, several: report.sources.len() > 1, out };
        page.collectors()?;
        page.broken()?;
        page.unknown()?;
        page.other(Severity::Error)?;
        page.other(Severity::Warning)?;
        page.ignored()?;
        page.other(Severity::Info)?;
        page.resolved()?;
        page.garbage()?;
        page.sources()?;
        page.untagged_collection()?;
    }
    summary(report, out)
}

/// Numbered findings by source, repository and the tags that reach them.
type Groups<'r> = BTreeMap<(&'r str, &'r str, &'r Tags), Vec<(usize, &'r Finding)>>;

struct Page<'r, 'o> {
    report: &'r Report,
    verbose: bool,
    several: bool,
    out: &'o mut dyn Write,
}

impl<'r> Page<'r, '_> {
    /// Errors that tags reach, grouped by the tags that reach them.
    fn broken(&mut self) -> io::Result<()> {
        let breaking: BTreeSet<usize> =
            self.report.broken_tags.iter().flat_map(|tag| tag.findings.iter().copied()).collect();
        let mut groups: Groups<'_> = BTreeMap::new();
        for (number, finding) in self.report.findings.iter().enumerate() {
            if finding.severity == Severity::Error && !finding.tags.is_empty() {
                let repository = finding.repository.as_deref().unwrap_or("");
                groups
                    .entry((&finding.source, repository, &finding.tags))
                    .or_default()
                    .push((number, finding));
            }
        }
        for ((source, repository, tags), findings) in &groups {
            let breaks = findings.iter().any(|(number, _)| breaking.contains(number));
            let state = if breaks { "cannot be pulled" } else { "is damaged" };
            write!(self.out, "{BAD}{}{BAD:#} {state}:", self.image(source, repository, tags))?;
            if let [(_, only)] = &findings[..] {
                writeln!(self.out, " {}", sentence(only))?;
                self.remedy(only)?;
                continue;
            }
            writeln!(self.out)?;
            for (_, finding) in findings {
                writeln!(self.out, "  {}", sentence(finding))?;
                self.remedy(finding)?;
            }
        }
        Ok(())
    }

    /// "team/app:v1", "team/app (v1, v2, v3 and 497 more tags)".
    fn image(&self, source: &str, repository: &str, tags: &[std::sync::Arc<str>]) -> String {
        let prefix = if self.several { format!("{source}: ") } else { String::new() };
        let repository = safe(repository);
        match tags {
            [] => format!("{prefix}{repository}"),
            [one] => format!("{prefix}{repository}:{}", safe(one)),
            many => {
                let shown = if self.verbose { many.len() } else { TAGS_SHOWN };
                let names: Vec<_> = many.iter().take(shown).map(|tag| safe(tag)).collect();
                let more = match many.len().saturating_sub(shown) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{prefix}{repository} ({} tags: {}{more})", many.len(), names.join(", "))
            }
        }
    }

    /// What to do by hand, as commands to be pasted below the rootdirectory.
    fn remedy(&mut self, finding: &Finding) -> io::Result<()> {
        let (Some(repair), Some(path)) = (finding.repair, &finding.path) else { return Ok(()) };
        let path = format!("docker/registry/v2/{}", safe(path));
        match (repair, finding.digest) {
            (Repair::Relink | Repair::Rewrite, Some(digest)) => {
                let folder = path.trim_end_matches("/link");
                writeln!(self.out, "    {DIM}mkdir -p {folder} && printf %s {digest} > {path}{DIM:#}")
            }
            (Repair::Quarantine, _) => {
                let folder = path.trim_end_matches("/data");
                writeln!(
                    self.out,
                    "    {DIM}to heal it: move {folder} out of the registry, then push the image again{DIM:#}"
                )
            }
            _ => Ok(()),
        }
    }

    fn unknown(&mut self) -> io::Result<()> {
        let mut by_reason: BTreeMap<(&str, &str, &str), Vec<std::sync::Arc<str>>> = BTreeMap::new();
        for tag in &self.report.unknown_tags {
            by_reason.entry((&tag.source, &tag.repository, &tag.reason)).or_default().push(tag.tag.clone());
        }
        for ((source, repository, reason), tags) in by_reason {
            let image = self.image(source, repository, &tags);
            writeln!(self.out, "{ODD}{image}{ODD:#} could not be judged: {}", safe(reason))?;
        }
        // A path that was never a registry has no finding.
        let sources: BTreeSet<&str> = self.report.sources.iter().map(|source| &*source.name).collect();
        for unread in self.report.unread.iter().filter(|unread| !sources.contains(&*unread.source)) {
            writeln!(
                self.out,
                "{BAD}{}{BAD:#} was not audited: {}",
                safe(&unread.source),
                safe(&unread.error)
            )?;
        }
        Ok(())
    }

    /// Findings that no broken image explains, code by code.
    fn other(&mut self, severity: Severity) -> io::Result<()> {
        let mut by_code: BTreeMap<Code, Vec<&'r Finding>> = BTreeMap::new();
        for finding in &self.report.findings {
            if finding.severity == severity && (severity != Severity::Error || finding.tags.is_empty()) {
                by_code.entry(finding.code).or_default().push(finding);
            }
        }
        let style = match severity {
            Severity::Error => BAD,
            Severity::Warning => ODD,
            Severity::Info => DIM,
        };
        for (code, findings) in by_code {
            let shown = if self.verbose || severity == Severity::Error { findings.len() } else { FEW };
            for finding in findings.iter().take(shown) {
                let place = match (&finding.repository, &finding.path) {
                    (Some(repository), _) => self.image(&finding.source, repository, &finding.tags),
                    (None, Some(path)) if self.several => format!("{}: {}", finding.source, safe(path)),
                    (None, path) => safe(path.as_deref().unwrap_or("")),
                };
                writeln!(self.out, "{style}{severity}{style:#} {code}: {place}: {}", sentence(finding))?;
                if finding.repository.is_some() && matches!(code, Code::PathUnread | Code::PathUnexpected) {
                    writeln!(self.out, "    {DIM}{}{DIM:#}", safe(finding.path.as_deref().unwrap_or("")))?;
                }
                if severity == Severity::Error {
                    self.remedy(finding)?;
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
                    writeln!(self.out, "{ODD}warning{ODD:#} ignore entry for {what} {warning}; remove it")?;
                }
                None => {
                    let (count, expires) = (entry.matched, entry.expires);
                    writeln!(
                        self.out,
                        "ignored until {expires}: {count} x {what} ({})",
                        safe(&entry.reason)
                    )?;
                }
            }
        }
        Ok(())
    }

    fn resolved(&mut self) -> io::Result<()> {
        for finding in self.report.resolved.iter().flatten() {
            let place =
                self.image(&finding.source, finding.repository.as_deref().unwrap_or("-"), &finding.tags);
            writeln!(
                self.out,
                "{GOOD}resolved{GOOD:#} {}: {place}: {}",
                finding.code,
                safe(&finding.message)
            )?;
        }
        Ok(())
    }

    fn garbage(&mut self) -> io::Result<()> {
        let Some(garbage) = &self.report.garbage else {
            let why = if self.report.options.repositories.is_empty() {
                "something could not be read"
            } else {
                "only some repositories were asked for"
            };
            return writeln!(self.out, "garbage: not known, because {why}");
        };
        let (plain, untagged) = (garbage.unreferenced, garbage.untagged);
        if plain.blobs + untagged.manifests + untagged.blobs + garbage.layer_links + garbage.stale_uploads
            == 0
        {
            return writeln!(self.out, "garbage: none");
        }
        writeln!(
            self.out,
            "garbage: {} in {} that a plain collection frees; {} more in {} under {} that only an untagged one frees",
            HumanBytes(plain.bytes),
            count(plain.blobs, "blob"),
            HumanBytes(untagged.bytes),
            count(untagged.blobs, "blob"),
            count(untagged.manifests, "untagged manifest"),
        )?;
        if garbage.layer_links + garbage.stale_uploads > 0 {
            writeln!(
                self.out,
                "leftovers: {} that nothing needs, {} ({})",
                count(garbage.layer_links, "layer link"),
                count(garbage.stale_uploads, "stale upload"),
                HumanBytes(garbage.stale_upload_bytes)
            )?;
        }
        Ok(())
    }

    fn sources(&mut self) -> io::Result<()> {
        for source in &self.report.sources {
            let complete = if source.complete { "" } else { ", not read completely" };
            let role = if source.role == registry_core::audit::Role::Cache { "cache" } else { "primary" };
            writeln!(
                self.out,
                "looked at {} ({role}{complete}): {}, {}, {} of which {}, {}, {} ({}), {}",
                safe(&source.name),
                number(source.repositories, "repository", "repositories"),
                count(source.tags, "tag"),
                count(source.manifests, "manifest"),
                number(source.indexes, "index", "indexes"),
                count(source.layer_links, "layer link"),
                count(source.blobs, "blob"),
                HumanBytes(source.blob_bytes),
                count(source.uploads, "upload"),
            )?;
        }
        Ok(())
    }

    /// What a collector would do to this registry, before anybody runs one.
    fn collectors(&mut self) -> io::Result<()> {
        let loses = |finding: &&Finding| {
            finding.severity == Severity::Error
                && matches!(finding.repair, Some(Repair::Relink | Repair::Rewrite | Repair::Rebuild))
        };
        if self.report.findings.iter().any(|finding| loses(&finding)) {
            writeln!(
                self.out,
                "{BAD}Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.{BAD:#}"
            )?;
            writeln!(
                self.out,
                "{DIM}Commands below are for the rootdirectory; give what they make the owner of its neighbours.{DIM:#}"
            )?;
        }
        Ok(())
    }

    /// What holds for every registry with image indexes, said once.
    fn untagged_collection(&mut self) -> io::Result<()> {
        let names: Vec<_> = self
            .report
            .sources
            .iter()
            .filter(|source| source.indexes > 0)
            .map(|source| safe(&source.name))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "{ODD}Never run garbage-collect --delete-untagged of registry 2.x on {}: it deletes the children of every tagged index.{ODD:#}",
            names.join(", ")
        )
    }
}

/// The message, what can be done locally, and whether it is new.
fn sentence(finding: &Finding) -> String {
    let mut text = safe(&finding.message);
    text.push_str(match finding.repair {
        Some(Repair::Relink | Repair::Rewrite | Repair::Rebuild | Repair::Restore) => ", repairable",
        Some(Repair::Quarantine | Repair::MoveAside | Repair::Remove) | None => "",
    });
    let code =
        (finding.severity == Severity::Error && !finding.tags.is_empty()).then_some(finding.code.as_str());
    let age = finding.new.map(|new| if new { "new" } else { "known" });
    let marks: Vec<_> = code.into_iter().chain(age).collect();
    if marks.is_empty() { text } else { format!("{text} [{}]", marks.join(", ")) }
}

/// The line to grep.
fn summary(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let style = if report.exit_status == 0 { GOOD } else { BAD };
    let repairable = report.findings.iter().filter(|finding| {
        finding.severity == Severity::Error
            && matches!(
                finding.repair,
                Some(Repair::Relink | Repair::Rewrite | Repair::Rebuild | Repair::Restore)
            )
    });
    let sum = &report.summary;
    write!(
        out,
        "{style}registry-fsck scan{style:#}: broken_tags={} unknown_tags={} errors={} warnings={} infos={} repairable={}",
        sum.broken_tags,
        sum.unknown_tags,
        sum.errors,
        sum.warnings,
        sum.infos,
        repairable.count()
    )?;
    if report.resolved.is_some() {
        let is_new = |finding: &&Finding| finding.new == Some(true) && finding.severity == Severity::Error;
        let new = report.findings.iter().filter(is_new).count();
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

fn count(count: u64, noun: &str) -> String {
    number(count, noun, &format!("{noun}s"))
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
