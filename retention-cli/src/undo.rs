//! The verb `undo`: puts back what a journal says was deleted.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::connection::new_runtime;
use registry_cli::log;
use registry_cli::progress::ProgressLine;
use registry_core::retention::{DeletionEntry, DeletionHistory, PushTimes, RowUndoState, UndoneRow};

use crate::apply::reopen;
use crate::args::UndoArgs;
use crate::connect::Connector;
use crate::exit::{self, Failure};
use crate::file::{read_text, write_json};
use crate::layout;
use crate::planning::{DryRun, read_push_times};
use crate::{interrupt, render};

/// Puts back what a journal says was deleted.
///
/// # Errors
/// When the journal cannot be used, or the server does not answer.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let text = read_text(&args.journal).map_err(Failure::Usage)?;
    if DryRun::from_environment()? == DryRun::Yes {
        return Err(Failure::Usage(anyhow!("DRY_RUN=true: nothing is put back; unset it to undo")));
    }
    if let Some(status) = layout::undo(&text, args)? {
        return Ok(status);
    }
    let context = || format!("cannot use the journal {}", args.journal.display());
    let history = DeletionHistory::read(&text).with_context(context).map_err(Failure::Usage)?;
    let Some(DeletionEntry::Begin { source: wanted, .. }) = history.entries.first() else {
        return Err(Failure::Usage(anyhow!("the journal does not tell of which server it is")));
    };
    let expected = UndoneRow::rows_to_undo(&history);
    let times_path = args.server.push_times.as_deref();
    if times_path.is_none() {
        check_missing_times(args.rank_as_new, expected.iter().any(|row| row.created_at.is_some()))?;
    }
    let before = times_path.map(read_push_times).transpose()?;
    let before = times_path.zip(before.as_ref());
    let connector = Connector::new(&args.connection, args.jobs, &args.server)?;
    let stop = interrupt::watch_servers();
    let line = ProgressLine::show(args.messages.progress, false, connector.progress("putting things back"));
    let (owner, at) = (wanted.owner.as_deref(), Timestamp::now());
    let undone = new_runtime().map_err(Failure::Io)?.block_on(async {
        let Some(source) = stop.unless_stopped(Box::pin(reopen(&connector, &args.server, wanted))).await
        else {
            return Ok(Vec::new());
        };
        let source = source.map_err(Failure::without_plan)?;
        if let Some((path, before)) = before {
            // The times are written first: later runs need them even if this process is killed before it ends.
            let context = || format!("cannot write {}, so nothing is put back", path.display());
            let times = before.with_undone_rows(owner, &expected, at);
            write_json(path, &times).with_context(context).map_err(Failure::Io)?;
        }
        Ok::<_, Failure>(connector.undo(source, &history, &stop).await)
    });
    drop(line);
    let undone = undone?;
    let mut status =
        if undone.iter().any(|row| is_not_undone(&row.state)) { exit::FAILED } else { exit::DONE };
    if let Some((path, before)) = before.filter(|_| !undone.is_empty())
        && let Err(failure) = write_push_times(path, before, owner, &undone, at)
    {
        log::log_error(failure.error());
        status = exit::FAILED;
    }
    print(&undone, times_path).context("cannot print").map_err(Failure::Io)?;
    Ok(if interrupt::was_stopped() { exit::INTERRUPTED } else { status })
}

/// Refuses an undo that would lose the original push times, unless `is_meant`.
fn check_missing_times(is_meant: bool, has_times: bool) -> Result<(), Failure> {
    if !has_times {
        tracing::warn!(
            "what is put back is not held: the next run may delete it again. --push-times FILE, given to undo and to later \
             runs, holds it for 7 days",
        );
        return Ok(());
    }
    if !is_meant {
        return Err(Failure::Usage(anyhow!(
            "name the file in which later runs find the original push times: --push-times FILE. The server counts what is put \
             back as pushed now; without these times the next run ranks it above everything, and deletes images that are \
             newest now. --rank-as-new says that this is meant"
        )));
    }
    tracing::warn!(
        "what is put back counts as pushed now: later runs rank it above everything that was pushed before, and delete the \
         lowest of that in its stead",
    );
    Ok(())
}

/// Writes the push times of the rows that are back.
fn write_push_times(
    path: &Path,
    before: &PushTimes,
    owner: Option<&str>,
    undone: &[UndoneRow],
    at: Timestamp,
) -> Result<(), Failure> {
    let context = || {
        format!(
            "cannot write {} again; it holds the times, and not the numbers of the rows that are back: undo once more",
            path.display()
        )
    };
    write_json(path, &before.with_undone_rows(owner, undone, at)).with_context(context).map_err(Failure::Io)
}

const fn is_not_undone(state: &RowUndoState) -> bool {
    matches!(state, RowUndoState::Taken | RowUndoState::Lost(_) | RowUndoState::Unknown(_))
}

/// A line for the result of one row.
fn row_line(row: &UndoneRow) -> String {
    let state = match &row.state {
        RowUndoState::Restored => "is back".to_owned(),
        RowUndoState::There => "was never gone".to_owned(),
        RowUndoState::Back => "is there already: an earlier undo or a push put it back".to_owned(),
        RowUndoState::Taken => "names something else now, and is left alone".to_owned(),
        RowUndoState::Lost(why) => format!("cannot be put back: {why}"),
        RowUndoState::Unknown(why) => format!("may be back: {why}"),
        RowUndoState::NotTried => "was not tried".to_owned(),
    };
    format!("{}:{} {state}", row.package, row.version)
}

fn print(undone: &[UndoneRow], times_path: Option<&Path>) -> std::io::Result<()> {
    render::log_not_undone(undone.iter().filter(|row| is_not_undone(&row.state)).map(row_line));
    let mut out = std::io::stdout().lock();
    for row in undone {
        writeln!(out, "{}", registry_core::text::without_controls(&row_line(row)))?;
    }
    let count = |is: fn(&RowUndoState) -> bool| undone.iter().filter(|row| is(&row.state)).count();
    let back = count(|state| *state == RowUndoState::Restored);
    if let Some(path) = times_path.filter(|_| back > 0) {
        let path = registry_core::text::escape_os(path.as_os_str());
        writeln!(out, "the original push times are in {path}: later runs need --push-times {path}")?;
    }
    writeln!(
        out,
        "registry-retention undo: rows={} back={back} there={} left={} lost={} unknown={} not_tried={}",
        undone.len(),
        count(|state| matches!(state, RowUndoState::There | RowUndoState::Back)),
        count(|state| *state == RowUndoState::Taken),
        count(|state| matches!(state, RowUndoState::Lost(_))),
        count(|state| matches!(state, RowUndoState::Unknown(_))),
        count(|state| *state == RowUndoState::NotTried),
    )
}
