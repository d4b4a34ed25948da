//! Images that cannot be pulled, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use registry_core::audit::{Cause, Finding, Repair, Severity, SharedTags};

use super::{BAD, DIM, Page, sentence};

/// Findings with their numbers, by source, repository and the tags that reach them.
type Groups<'r> = BTreeMap<(&'r str, &'r str, &'r SharedTags), Vec<(usize, &'r Finding)>>;

impl Page<'_, '_> {
    /// Errors that tags reach, grouped by the tags that reach them.
    pub(super) fn broken(&mut self) -> io::Result<()> {
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
            let is_breaking = findings.iter().any(|(number, _)| breaking.contains(number));
            let state = if is_breaking { "cannot be pulled" } else { "is damaged" };
            write!(self.out, "{BAD}{}{BAD:#} {state}:", self.image(source, repository, tags))?;
            if let [(_, only)] = &findings[..] {
                writeln!(self.out, " {}", sentence(only))?;
                self.write_remedy(only)?;
                continue;
            }
            writeln!(self.out)?;
            for (_, finding) in findings {
                writeln!(self.out, "  {}", sentence(finding))?;
                self.write_remedy(finding)?;
            }
        }
        Ok(())
    }

    /// Writes what a person has to do in addition to a repair.
    pub(super) fn write_remedy(&mut self, finding: &Finding) -> io::Result<()> {
        if finding.cause == Some(Cause::ProbablyDeleted) {
            let restore =
                if finding.repair.is_some() { "--restore-deleted-tags brings it back, " } else { "" };
            writeln!(
                self.out,
                "    {DIM}repair {restore}--drop-deleted-tags moves the tag aside; without either it stays as it is{DIM:#}"
            )?;
        }
        if finding.repair == Some(Repair::Quarantine) {
            writeln!(
                self.out,
                "    {DIM}repair moves the wrong bytes aside; then push the image again{DIM:#}"
            )?;
        }
        Ok(())
    }
}
