//! The text of a plan: first what is broken, then for each package what goes and why (with `-v` also what stays and why), then one
//! line to grep.

use std::collections::BTreeMap;
use std::io::{self, Write};

use indicatif::HumanBytes;
use jiff::Timestamp;
use registry_cli::styles::{BAD, DIM, GOOD, WARN};
use registry_core::retention::{Action, PackagePlan, PackageState, Plan, PlannedRow, Reason, SourceKind};
use registry_core::text::{NaturalOrder, without_controls as safe};

use super::hints;
use crate::args::Common;

/// Writes the plan.
pub fn write(plan: &Plan, common: &Common, is_armed: Option<bool>, out: &mut dyn Write) -> io::Result<()> {
    if !common.quiet {
        if let Some(is_armed) = is_armed {
            let owner =
                plan.source.owner.as_deref().map_or_else(String::new, |owner| format!(", owner {owner}"));
            let mode = match (is_armed, plan.source.kind) {
                (true, SourceKind::Layout) => "what goes is moved aside",
                (true, SourceKind::Forgejo | SourceKind::Registry) => "what goes is deleted",
                (false, SourceKind::Layout) => "dry run: nothing is moved",
                (false, SourceKind::Forgejo | SourceKind::Registry) => "dry run: nothing is deleted",
            };
            writeln!(out, "{}{}; {mode}", safe(&plan.source.url), safe(&owner))?;
        }
        for package in &plan.packages {
            for tag in &package.broken {
                let why = broken_reason(package, tag);
                writeln!(out, "{BAD}broken{BAD:#} {}:{}{}", safe(&package.name), safe(tag), safe(&why))?;
            }
        }
        for package in &plan.packages {
            write_package(plan, package, common, out)?;
        }
        if plan.summary.reclaimable_bytes > 0 {
            writeln!(
                out,
                "{} are needed only by what goes; {}",
                HumanBytes(plan.summary.reclaimable_bytes),
                freed_by(plan.source.kind)
            )?;
        }
    }
    summary(plan, out)
}

/// Which program frees the bytes of deleted images.
const fn freed_by(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Forgejo => "the server's own collector frees them later",
        SourceKind::Layout => "garbage-collect without --delete-untagged frees them after an apply",
        // Deleting a tag leaves its manifest; deleting an index leaves its children (`registry/handlers/manifests.go @ v3.1.1`).
        SourceKind::Registry => {
            "garbage-collect frees what lost its manifest, and the rest with --delete-untagged (never with registry 2.x, \
             which takes children of kept indexes along)"
        }
    }
}

fn write_package(plan: &Plan, package: &PackagePlan, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    let left = package.versions.iter().filter(|row| row.action == Action::Leave).count() as u64;
    writeln!(
        out,
        "{}: {} kept, {} to go, {} left as {}",
        safe(&package.name),
        count_of(package.images_kept, "image"),
        count_of(package.images_deleted, "image"),
        count_of(left, "row"),
        if left == 1 { "it is" } else { "they are" },
    )?;
    if let Some(reason) = hints::package_reason(package) {
        let word = match package.state {
            PackageState::Skipped => "skipped",
            PackageState::Refused | PackageState::Planned => "refused",
        };
        writeln!(out, "  {BAD}{word}{BAD:#}: {}", safe(&reason))?;
    }
    for warning in &package.warnings {
        writeln!(out, "  {WARN}warning{WARN:#}: {}", safe(warning))?;
    }
    for undecided in &package.undecided {
        writeln!(out, "  {WARN}undecided{WARN:#}: {undecided}")?;
    }
    for note in &package.notes {
        writeln!(out, "  {DIM}note{DIM:#}: {}", safe(note))?;
    }
    if package.orphan_signatures > 0 {
        let count = count_of(package.orphan_signatures, "signature");
        writeln!(
            out,
            "  {WARN}{count}{WARN:#} of images that are gone (--orphan-signatures prune removes them)"
        )?;
    }
    for row in package.versions.iter().filter(|row| row.action == Action::Delete) {
        let final_mark = if row.undoable == Some(false) { " (final)" } else { "" };
        let age = age_text(row, plan.planned_at);
        writeln!(
            out,
            "  {WARN}delete{WARN:#} {}{age}: {}{final_mark}",
            safe(&row.version),
            safe(&row.reasons.join("; "))
        )?;
    }
    if common.verbose == 0 {
        return Ok(());
    }
    let mut by_reason: BTreeMap<(Action, NaturalOrder, String), Vec<&PlannedRow>> = BTreeMap::new();
    for row in package.versions.iter().filter(|row| row.action != Action::Delete) {
        let why = row.reasons.join("; ");
        by_reason.entry((row.action, NaturalOrder::new(&why), why)).or_default().push(row);
    }
    for ((action, _, why), rows) in &by_reason {
        let names: Vec<_> = rows.iter().map(|row| short_version(&row.version)).collect();
        let word = if *action == Action::Keep { "keep" } else { "leave" };
        writeln!(out, "  {DIM}{word}{DIM:#}   {}: {}", safe(&names.join(", ")), safe(why))?;
    }
    Ok(())
}

/// What a broken tag lacks, and whether it is kept.
fn broken_reason(package: &PackagePlan, tag: &str) -> String {
    let row = package.versions.iter().find(|row| registry_core::text::escape(&row.version) == tag);
    let Some(row) = row else { return String::new() };
    let word = action_word(row.action);
    let why = row.why.iter().find_map(Reason::broken_text);
    format!(": {}; {word}", why.as_deref().unwrap_or("it does not answer down to the leaves"))
}

/// What happens to a row, in one word.
pub(super) const fn action_word(action: Action) -> &'static str {
    match action {
        Action::Keep => "kept",
        Action::Delete => "goes",
        Action::Leave => "left",
    }
}

/// A tag in full, a digest by its first characters.
fn short_version(version: &str) -> String {
    match version.split_once(':') {
        Some((algorithm, hex)) => format!("{algorithm}:{}", hex.get(..12).unwrap_or(hex)),
        None => version.to_owned(),
    }
}

fn age_text(row: &PlannedRow, now: Timestamp) -> String {
    let Some(at) = row.created_at else { return String::new() };
    let hours = (now.as_second() - at.as_second()) / 3600;
    match hours {
        ..0 => ", pushed in the future".to_owned(),
        0..48 => format!(", {hours} h old"),
        _ => format!(", {} d old", hours / 24),
    }
}

fn count_of(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn summary(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let sum = &plan.summary;
    let style = if sum.broken + sum.skipped_packages + sum.refused_packages == 0 { GOOD } else { BAD };
    writeln!(
        out,
        "{style}registry-retention plan{style:#}: packages={} images_kept={} images_deleted={} versions_deleted={} left={} \
         broken={} skipped_packages={} refused_packages={} reclaimable_bytes={}",
        sum.packages,
        sum.images_kept,
        sum.images_deleted,
        sum.versions_deleted,
        sum.left,
        sum.broken,
        sum.skipped_packages,
        sum.refused_packages,
        sum.reclaimable_bytes
    )
}
