//! Images that cannot be pulled, and what to do about each damage by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use registry_core::audit::{Finding, Repair, Severity, Tags};
use registry_core::text::without_controls as safe;

use super::{BAD, DIM, Page, sentence};

/// Numbered findings by source, repository and the tags that reach them.
type Groups<'r> = BTreeMap<(&'r str, &'r str, &'r Tags), Vec<(usize, &'r Finding)>>;

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

    /// What to do by hand, as commands to be pasted below the rootdirectory.
    pub(super) fn remedy(&mut self, finding: &Finding) -> io::Result<()> {
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
}
