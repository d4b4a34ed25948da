//! The text of `gc-preview`: first what a collection would cost, then what it would delete, then one line to grep.

use std::io::{self, Write};

use indicatif::HumanBytes;
use registry_cli::styles::{BAD, DIM, GOOD};
use registry_core::audit::Code;
use registry_core::collector::{AbortLine, During, Engine, ForecastReport};
use registry_core::text::without_controls as safe;

use super::text::{count, count_of, image_name};
use crate::args::Common;

/// How many lines of one kind are shown without `-v`.
const MAX_LINES: usize = 20;

/// Writes the report.
pub fn write(report: &ForecastReport, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    if !common.quiet {
        let mut page = Page { report, is_verbose: common.verbose > 0, out };
        page.unread()?;
        page.aborts()?;
        page.breaks()?;
        page.loses()?;
        page.deletions()?;
    }
    summary(report, out)
}

struct Page<'r, 'o> {
    report: &'r ForecastReport,
    is_verbose: bool,
    out: &'o mut dyn Write,
}

impl Page<'_, '_> {
    fn unread(&mut self) -> io::Result<()> {
        for unread in &self.report.unread {
            writeln!(self.out, "{BAD}not read{BAD:#} {}: {}", safe(&unread.path), safe(&unread.error))?;
        }
        if !self.report.unread.is_empty() {
            writeln!(
                self.out,
                "{BAD}The forecast cannot be relied on: run no collector before all can be read.{BAD:#}"
            )?;
        }
        Ok(())
    }

    fn aborts(&mut self) -> io::Result<()> {
        for AbortLine { path, why, during, .. } in
            self.report.would_abort.iter().chain(&self.report.would_abort_too)
        {
            let what = match during {
                During::Mark => "stops before it deletes anything",
                During::Sweep => "stops in the middle of deleting",
            };
            writeln!(self.out, "{BAD}The collector {what}{BAD:#}: {} ({})", safe(why), safe(path))?;
        }
        Ok(())
    }

    fn breaks(&mut self) -> io::Result<()> {
        let breaks = &self.report.breaks;
        let shown = self.shown(breaks.len());
        for tag in &breaks[..shown] {
            let (repository, tag) = (safe(&tag.repository), safe(&tag.tag));
            writeln!(self.out, "{BAD}breaks{BAD:#} {repository}:{tag}, which is whole now")?;
        }
        self.write_more(breaks.len() - shown, "tag", "to break")
    }

    fn loses(&mut self) -> io::Result<()> {
        let loses = &self.report.loses;
        let shown = self.shown(loses.len());
        for loss in &loses[..shown] {
            let place = image_name(&loss.repository, &loss.tags);
            let (blobs, bytes) = (count(loss.needs.len() as u64, "blob"), HumanBytes(loss.bytes));
            let what = if loss.code == Code::PathUnexpected {
                format!(
                    "a repository that no server lists, and {blobs} of it ({bytes}) would be gone; give it a legal name, or move it out of the tree"
                )
            } else {
                format!("{} can be mended now, and needs {blobs} ({bytes}) that would be gone", loss.code)
            };
            writeln!(self.out, "{BAD}loses{BAD:#} {place}: {what}")?;
        }
        self.write_more(loses.len() - shown, "finding", "to lose")?;
        if !loses.is_empty() {
            writeln!(
                self.out,
                "`registry-fsck repair` mends what would be lost, or says what is for you to decide: run it before the collector"
            )?;
        }
        Ok(())
    }

    fn deletions(&mut self) -> io::Result<()> {
        let report = self.report;
        if self.is_verbose {
            for manifest in &report.manifests {
                let repository = safe(&manifest.repository);
                writeln!(self.out, "{DIM}deletes{DIM:#} manifest {} of {repository}", manifest.digest)?;
            }
            for blob in &report.blobs {
                writeln!(self.out, "{DIM}deletes{DIM:#} blob {}, {}", blob.digest, HumanBytes(blob.bytes))?;
            }
            for link in &report.layer_links {
                let repository = safe(&link.repository);
                writeln!(self.out, "{DIM}deletes{DIM:#} layer link {} of {repository}", link.digest)?;
            }
        }
        let option = if report.delete_untagged { " --delete-untagged" } else { "" };
        let sum = &report.summary;
        let (engine, links) = match report.engine {
            Engine::V2_8 => ("2.8", String::new()),
            Engine::V3 => ("3", format!(", {}", count(sum.layer_links, "layer link"))),
        };
        writeln!(
            self.out,
            "garbage-collect{option} of registry {engine} deletes {}, {} ({}){links}, {} of tag histories",
            count(sum.manifests, "manifest"),
            count(sum.blobs, "blob"),
            HumanBytes(sum.bytes),
            count_of(sum.history_entries, "entry", "entries"),
        )
    }

    /// How many of `count` lines are shown.
    const fn shown(&self, count: usize) -> usize {
        if self.is_verbose || count <= MAX_LINES { count } else { MAX_LINES }
    }

    fn write_more(&mut self, more: usize, noun: &str, what: &str) -> io::Result<()> {
        if more == 0 {
            return Ok(());
        }
        writeln!(self.out, "{DIM}{} more {what} (-v shows them){DIM:#}", count(more as u64, noun))
    }
}

/// Writes the line to grep.
fn summary(report: &ForecastReport, out: &mut dyn Write) -> io::Result<()> {
    let style = if report.exit_status == 0 { GOOD } else { BAD };
    let sum = &report.summary;
    let aborts = usize::from(report.would_abort.is_some()) + report.would_abort_too.len();
    writeln!(
        out,
        "{style}registry-fsck gc-preview{style:#}: breaks={} loses={} aborts={aborts} manifests={} blobs={} bytes={} layer_links={} unread={} exit_status={} seconds={:.2}",
        sum.breaks,
        sum.loses,
        sum.manifests,
        sum.blobs,
        sum.bytes,
        sum.layer_links,
        report.unread.len(),
        report.exit_status,
        report.duration_seconds
    )
}
