//! The text of `apply`: first the rows that were not deleted, then one line to grep.

use std::io::{self, Write};
use std::path::Path;

use registry_cli::styles::{BAD, GOOD};
use registry_core::retention::{AppliedRow, ApplyResult, RowOutcome};
use registry_core::text::without_controls as safe;

use super::hints;
use super::refusals::stop_reason;
use crate::args::Common;

/// Writes the result, with the path of the journal and, for a tree, of the folder to which things were moved.
pub fn write(
    applied: &ApplyResult,
    common: &Common,
    (journal, aside): (&Path, Option<&Path>),
    out: &mut dyn Write,
) -> io::Result<()> {
    let count = |outcome| applied.count(outcome);
    let gone = count(RowOutcome::Deleted) + count(RowOutcome::AlreadyGone);
    let is_good = applied.stopped.is_none() && gone == applied.rows.len();
    if !common.quiet {
        for row in applied.rows.iter().filter(|row| row.outcome != RowOutcome::Deleted) {
            let word = match row.outcome {
                RowOutcome::Spared => "spared",
                RowOutcome::Failed => "failed",
                RowOutcome::AlreadyGone => "already gone",
                RowOutcome::Stopped | RowOutcome::Deleted => "not tried",
            };
            let style = if row.outcome == RowOutcome::AlreadyGone { GOOD } else { BAD };
            writeln!(
                out,
                "  {style}{word}{style:#} {}:{}{}",
                safe(&row.package),
                safe(&row.version),
                safe(&hints::reason_suffix(row))
            )?;
        }
        if let Some(stopped) = &applied.stopped {
            writeln!(out, "{BAD}stopped{BAD:#}: {}", safe(&stop_reason(stopped)))?;
        }
        // A failed row may have been changed before it failed.
        let may_have_changed =
            |row: &AppliedRow| matches!(row.outcome, RowOutcome::Deleted | RowOutcome::Failed);
        let is_changed = applied.rows.iter().any(may_have_changed);
        if let Some(aside) = aside.filter(|_| is_changed) {
            let aside = registry_core::text::escape_os(aside.as_os_str());
            writeln!(
                out,
                "what went lies in {aside}; garbage-collect without --delete-untagged frees its space, and ends what can be undone"
            )?;
        }
        if is_changed {
            let journal = registry_core::text::escape_os(journal.as_os_str());
            writeln!(out, "the journal is {journal}; registry-retention undo puts back what can be")?;
        }
    }
    let style = if is_good { GOOD } else { BAD };
    writeln!(
        out,
        "{style}registry-retention apply{style:#}: deleted={} spared={} failed={} not_tried={} \
         already_gone={}",
        count(RowOutcome::Deleted),
        count(RowOutcome::Spared),
        count(RowOutcome::Failed),
        count(RowOutcome::Stopped),
        count(RowOutcome::AlreadyGone)
    )
}
