//! The text of `repair`, `undo` and `repair --purge`: first what is done, action by action, then what stays, then one line to
//! grep.

use std::io::{self, Write};

use indicatif::HumanBytes;
use registry_cli::styles::{BAD, DIM, GOOD, WARN};
use registry_core::audit::Severity;
use registry_core::repair::{
    ChangeUndoState, PurgeReport, RemainingFinding, RepairReport, RunningServer, StepAction, StepOutcome,
    StepResult, UndoReport, UndoneChange, WhyRemaining,
};
use registry_core::storage::Job;
use registry_core::text::without_controls as safe;

use super::text::image_name;
use crate::args::Common;
use crate::hints;

/// How many steps of one action are shown without `-v`.
const MAX_STEPS: usize = 20;

/// Writes the report.
pub fn write(report: &RepairReport, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    if !common.quiet {
        write_servers(&report.servers, out)?;
        write_steps(report, common, out)?;
        write_left(report, out)?;
        write_next_steps(report, out)?;
    }
    write_summary(report, out)
}

fn write_servers(servers: &[RunningServer], out: &mut dyn Write) -> io::Result<()> {
    for server in servers {
        let doubt =
            server.doubt.as_ref().map_or_else(String::new, |doubt| format!(" (perhaps: {})", safe(doubt)));
        let consequence = match server.job {
            Job::Collector => "wait for its end before --apply",
            Job::Server if server.is_read_only => "it only reads, so nothing is in the way",
            Job::Server => "links may be added; moving things aside needs --online",
        };
        let (program, pid) = (safe(&server.program), server.pid);
        writeln!(
            out,
            "{WARN}{program} (process {pid}) is at work on this tree{doubt}{WARN:#}: {consequence}"
        )?;
    }
    Ok(())
}

/// Writes the steps in their order, with a limit for each action.
fn write_steps(report: &RepairReport, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    for steps in report.steps.chunk_by(|a, b| a.step.action == b.step.action) {
        let is_verbose = common.verbose > 0;
        let is_problem = |taken: &&StepResult| {
            !matches!(taken.outcome, StepOutcome::Planned | StepOutcome::Done | StepOutcome::There)
        };
        let (shown, more): (Vec<_>, Vec<_>) = steps
            .iter()
            .enumerate()
            .partition(|(at, taken)| is_verbose || *at < MAX_STEPS || is_problem(taken));
        for (_, taken) in &shown {
            write_step(taken, out)?;
        }
        if !more.is_empty() {
            let action = steps[0].step.action.as_str();
            writeln!(out, "{DIM}{} more to {action} (-v shows them){DIM:#}", more.len())?;
        }
    }
    if report.steps.is_empty() {
        writeln!(out, "{}", why_no_steps(report))?;
    }
    Ok(())
}

/// Why a repair has no steps.
fn why_no_steps(report: &RepairReport) -> &'static str {
    let is_left_out =
        |left: &RemainingFinding| matches!(left.why, Some(WhyRemaining::Only | WhyRemaining::Repository));
    if report.left.iter().any(is_left_out) {
        "what could be mended is left out by --only or --repository"
    } else if report.left.iter().any(|left| left.finding.cause.is_some()) {
        "what is probably meant is done only with --restore-deleted-tags or --drop-deleted-tags"
    } else if report.summary.before.errors > 0 {
        "nothing here mends what is wrong"
    } else {
        "nothing to repair"
    }
}

fn write_step(taken: &StepResult, out: &mut dyn Write) -> io::Result<()> {
    let StepResult { step, outcome } = taken;
    let (style, word) = match outcome {
        StepOutcome::Planned => (DIM, "would"),
        StepOutcome::Done => (GOOD, "done"),
        StepOutcome::There => (DIM, "so already"),
        StepOutcome::Spared(_) => (WARN, "spared"),
        StepOutcome::Refused(_) => (WARN, "refused"),
        StepOutcome::Failed(_) => (BAD, "failed"),
        StepOutcome::Stopped(_) => (BAD, "not reached"),
    };
    let name = |repository| format!("{}: ", image_name(repository, &step.tags));
    let place = step.repository.as_deref().map_or_else(String::new, name);
    writeln!(out, "{style}{word}{style:#} {} {place}{}", step.action.as_str(), safe(&step.message))?;
    let bytes = if step.bytes > 0 { format!(", {}", HumanBytes(step.bytes)) } else { String::new() };
    writeln!(out, "    {DIM}{}{bytes}{DIM:#}", safe(&step.path))?;
    if let Some(why) = hints::why_not_done(outcome) {
        writeln!(out, "    {style}{}{style:#}", safe(&why))?;
    }
    Ok(())
}

fn write_left(report: &RepairReport, out: &mut dyn Write) -> io::Result<()> {
    for RemainingFinding { finding, why } in &report.left {
        let style = if finding.severity == Severity::Error { BAD } else { WARN };
        let place = match (&finding.repository, &finding.path) {
            // Without tag and digest, only the path identifies the finding.
            (Some(_), Some(path)) if finding.tags.is_empty() && finding.digest.is_none() => safe(path),
            (Some(name), _) => image_name(name, &finding.tags),
            (None, path) => safe(path.as_deref().unwrap_or("")),
        };
        let why = why.as_ref().map_or_else(String::new, |why| format!("; {}", safe(&hints::why_left(why))));
        writeln!(out, "{style}stays{style:#} {} {place}: {}{why}", finding.code, safe(&finding.message))?;
    }
    for question in &report.unanswered {
        writeln!(out, "{BAD}not known{BAD:#} {}", safe(question))?;
    }
    for unread in &report.unread {
        writeln!(out, "{BAD}not read{BAD:#} {}: {}", safe(&unread.path), safe(&unread.error))?;
    }
    Ok(())
}

fn write_next_steps(report: &RepairReport, out: &mut dyn Write) -> io::Result<()> {
    if !report.options.apply {
        if !report.steps.is_empty() {
            writeln!(out, "nothing was changed: --apply does it")?;
        }
        return Ok(());
    }
    if let Some(quarantine) = &report.quarantine {
        writeln!(out, "moved aside to {}", safe(quarantine))?;
    }
    // A failed step may have changed something before it failed.
    let may_have_changed =
        |taken: &StepResult| matches!(taken.outcome, StepOutcome::Done | StepOutcome::Failed(_));
    if let Some(journal) = report.journal.as_ref().filter(|_| report.steps.iter().any(may_have_changed)) {
        writeln!(out, "`registry-fsck undo {}` takes it back", safe(journal))?;
    }
    let has_written =
        |taken: &StepResult| taken.outcome == StepOutcome::Done && taken.step.action != StepAction::Clear;
    if !report.servers.is_empty() && report.steps.iter().any(has_written) {
        advise_restart(out)?;
    }
    Ok(())
}

/// A running server does not notice changes to its tree.
fn advise_restart(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{WARN}Restart the server: its cache may hold the old answers.{WARN:#}")
}

/// Writes the line to grep.
fn write_summary(report: &RepairReport, out: &mut dyn Write) -> io::Result<()> {
    let style = if report.exit_status & !crate::exit::REPAIRED == 0 { GOOD } else { BAD };
    let sum = &report.summary;
    write!(out, "{style}registry-fsck repair{style:#}: steps={} ", sum.steps)?;
    if report.options.apply {
        write!(
            out,
            "done={} there={} spared={} refused={} failed={} ",
            sum.done, sum.there, sum.spared, sum.refused, sum.failed
        )?;
    }
    write!(
        out,
        "left={} errors_before={} broken_tags_before={} ",
        report.left.len(),
        sum.before.errors,
        sum.before.broken_tags
    )?;
    if let Some(after) = &report.after {
        write!(out, "errors_after={} broken_tags_after={} ", after.errors, after.broken_tags)?;
    }
    writeln!(
        out,
        "unread={} exit_status={} seconds={:.2}",
        report.unread.len(),
        report.exit_status,
        report.duration_seconds
    )
}

/// Writes what an undo did.
pub fn write_undone(report: &UndoReport, common: &Common, out: &mut dyn Write) -> io::Result<()> {
    let count =
        |is: fn(&ChangeUndoState) -> bool| report.changes.iter().filter(|change| is(&change.state)).count();
    if !common.quiet {
        if report.is_torn {
            writeln!(out, "the last line of the journal is cut off; what it announces was not done")?;
        }
        for change in &report.changes {
            let (style, word, why) = match &change.state {
                ChangeUndoState::Restored if common.verbose > 0 => (GOOD, "as before", None),
                ChangeUndoState::There if common.verbose > 0 => (DIM, "so already", None),
                ChangeUndoState::Restored | ChangeUndoState::There => continue,
                ChangeUndoState::Taken(why) => (WARN, "left", Some(why.to_string())),
                ChangeUndoState::Lost(why) => (BAD, "not undone", Some(why.to_string())),
            };
            let why = why.map_or_else(String::new, |why| format!(": {}", safe(&why)));
            writeln!(out, "{style}{word}{style:#} {}{why}", safe(&change.path))?;
        }
        let is_restored = |change: &UndoneChange| change.state == ChangeUndoState::Restored;
        if !report.servers.is_empty() && report.changes.iter().any(is_restored) {
            advise_restart(out)?;
        }
    }
    let style = if report.exit_status == 0 { GOOD } else { BAD };
    writeln!(
        out,
        "{style}registry-fsck undo{style:#}: changes={} restored={} there={} left={} not_undone={} exit_status={}",
        report.changes.len(),
        count(|state| *state == ChangeUndoState::Restored),
        count(|state| *state == ChangeUndoState::There),
        count(|state| matches!(state, ChangeUndoState::Taken(_))),
        count(|state| matches!(state, ChangeUndoState::Lost(_))),
        report.exit_status
    )
}

/// Writes what a purge did, or would do.
pub fn write_purged(report: &PurgeReport, out: &mut dyn Write) -> io::Result<()> {
    let what = format!("{} files, {}", report.content.files, HumanBytes(report.content.bytes));
    if report.deleted {
        writeln!(out, "deleted {} for good: {what}", safe(&report.quarantine))
    } else {
        writeln!(out, "{} holds {what}; --apply deletes it for good", safe(&report.quarantine))
    }
}
