//! The parts of a report that are not about one image: garbage, what was audited, and what a collector would do.

use std::collections::BTreeSet;
use std::io;

use indicatif::HumanBytes;
use registry_core::audit::{Finding, RegistryRole, Repair, Severity};
use registry_core::text::without_controls as safe;

use super::{BAD, Page, WARN, count, count_of};

impl Page<'_, '_> {
    pub(super) fn garbage(&mut self) -> io::Result<()> {
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

    pub(super) fn sources(&mut self) -> io::Result<()> {
        for source in &self.report.sources {
            let complete = if source.complete { "" } else { ", not read completely" };
            let role = if source.role == RegistryRole::Cache { "cache" } else { "primary" };
            writeln!(
                self.out,
                "looked at {} ({role}{complete}): {}, {}, {} of which {}, {}, {} ({}), {}",
                safe(&source.name),
                count_of(source.repositories, "repository", "repositories"),
                count(source.tags, "tag"),
                count(source.manifests, "manifest"),
                count_of(source.indexes, "index", "indexes"),
                count(source.layer_links, "layer link"),
                count(source.blobs, "blob"),
                HumanBytes(source.blob_bytes),
                count(source.uploads, "upload"),
            )?;
        }
        Ok(())
    }

    /// Warns of a collector where it would delete bytes that a repair needs.
    pub(super) fn collectors(&mut self) -> io::Result<()> {
        let would_lose = |finding: &Finding| {
            finding.severity == Severity::Error
                && finding.cause.is_none()
                && matches!(finding.repair, Some(Repair::Relink | Repair::Rewrite | Repair::Rebuild))
        };
        if self.report.findings.iter().any(would_lose) {
            writeln!(
                self.out,
                "{BAD}Run no garbage collector before the missing links are mended: it deletes the bytes they lead to.{BAD:#}"
            )?;
        }
        Ok(())
    }

    /// Names the repair command for each registry in which it would repair an error.
    pub(super) fn repairs(&mut self) -> io::Result<()> {
        let has_repair = |finding: &&Finding| finding.severity == Severity::Error && finding.repair.is_some();
        let findings = self.report.findings.iter().filter(has_repair);
        let sources: BTreeSet<&str> = findings.map(|finding| &*finding.source).collect();
        let option = if self.report.options.content { " --content" } else { "" };
        for source in sources {
            writeln!(
                self.out,
                "`registry-fsck repair{option} {}` says how it would mend what is repairable here, and does it with --apply.",
                safe(source)
            )?;
        }
        Ok(())
    }

    /// Warns once for all registries with image indexes.
    pub(super) fn untagged_collection(&mut self) -> io::Result<()> {
        let with_indexes = self.report.sources.iter().filter(|source| source.indexes > 0);
        let names: Vec<_> = with_indexes.map(|source| safe(&source.name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        writeln!(
            self.out,
            "{WARN}Never run garbage-collect --delete-untagged of registry 2.x on {}: it deletes the children of every tagged index.{WARN:#}",
            names.join(", ")
        )
    }
}
