//! What a run over HTTP covered, and what it left for later runs.

use std::io;

use indicatif::HumanBytes;
use registry_core::text::without_controls as safe;

use super::{Page, WARN, count, count_of};

impl Page<'_, '_> {
    /// Writes what was asked, and how complete that is.
    pub(super) fn online(&mut self) -> io::Result<()> {
        let (report, coverage) = (self.report, &self.report.coverage);
        for source in &report.sources {
            let complete = if source.complete { "" } else { ", not read completely" };
            writeln!(
                self.out,
                "asked {}{complete}: {}, {} of {}, {} of which {}, {} ({})",
                safe(&source.name),
                count_of(source.repositories, "repository", "repositories"),
                coverage.tags_checked,
                count(coverage.tags_total, "tag"),
                count(source.manifests, "manifest"),
                count_of(source.indexes, "index", "indexes"),
                count(source.blobs, "config or layer").replace("config or layers", "configs and layers"),
                HumanBytes(source.blob_bytes),
            )?;
        }
        if let Some(left) = coverage.not_chosen {
            writeln!(
                self.out,
                "{WARN}{} outside --newest, which no run will look at: add --sample{WARN:#}",
                count_of(left, "tag is", "tags are")
            )?;
        }
        if let Some(never @ 1..) = coverage.never_checked {
            writeln!(
                self.out,
                "{} so far",
                count_of(never, "tag was never looked at", "tags were never looked at")
            )?;
        }
        if let Some(oldest) = coverage.oldest_check {
            let age = report.started_at.as_second().saturating_sub(oldest.as_second()) / 60;
            writeln!(
                self.out,
                "every tag was looked at within the last {}",
                count(u64::try_from(age + 1).unwrap_or(0), "minute")
            )?;
        }
        if let Some(by) = coverage.complete_by.filter(|by| *by > report.started_at) {
            writeln!(
                self.out,
                "at this pace all tags will have been looked at by {}",
                by.strftime("%Y-%m-%d %H:%M UTC")
            )?;
        }
        Ok(())
    }
}
