//! The verb `undo`: what a journal says was deleted is put back.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::connection::runtime;
use registry_cli::log;
use registry_cli::progress::ProgressLine;
use registry_core::retention::{DeletionEntry, DeletionHistory, PushTimes, RowUndoState, UndoneRow};

use crate::apply::reopen;
use crate::args::UndoArgs;
use crate::connect::Connector;
use crate::exit::{self, Failure};
use crate::file::{FILE_MAX, keep, text_of};
use crate::layout;
use crate::planning::{DryRun, push_times};
use crate::{interrupt, render};

/// Puts back what a journal says was deleted.
///
/// # Errors
/// When the journal cannot be used, or the server does not answer.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let text = text_of(&args.journal, FILE_MAX).map_err(Failure::Usage)?;
    if DryRun::of_environment()? == DryRun::Yes {
        return Err(Failure::Usage(anyhow!("DRY_RUN=true: nothing is put back; unset it to undo")));
    }
    if let Some(status) = layout::undo(&text, args)? {
        return Ok(status);
    }
    let context = || format!("cannot use the journal {}", args.journal.display());
    let told = DeletionHistory::read(&text).with_context(context).map_err(Failure::Usage)?;
    let Some(DeletionEntry::Begin { source: wanted, .. }) = told.entries.first() else {
        return Err(Failure::Usage(anyhow!("the journal does not tell of which server it is")));
    };
    let expected = UndoneRow::expected(&told);
    let place = args.server.push_times.as_deref();
    if place.is_none() {
        without_times(args.rank_as_new, expected.iter().any(|row| row.created_at.is_some()))?;
    }
    let before = place.map(push_times).transpose()?;
    let before = place.zip(before.as_ref());
    let connector = Connector::new(&args.connection, args.jobs, &args.server)?;
    let stop = interrupt::watch_servers();
    let line = ProgressLine::show(args.messages.progress, false, connector.progress("putting things back"));
    let (owner, at) = (wanted.owner.as_deref(), Timestamp::now());
    let undone = runtime().map_err(Failure::Io)?.block_on(async {
        let Some(source) = stop.unless_stopped(Box::pin(reopen(&connector, &args.server, wanted))).await
        else {
            return Ok(Vec::new());
        };
        let source = source.map_err(Failure::of_operation)?;
        if let Some((path, before)) = before {
            // What comes back must be known to later runs even if this process is ended in the middle.
            let context = || format!("cannot write {}, so nothing is put back", path.display());
            let times = before.with(owner, &expected, at);
            keep(path, &times).with_context(context).map_err(Failure::Io)?;
        }
        Ok::<_, Failure>(connector.undo(source, &told, &stop).await)
    });
    drop(line);
    let undone = undone?;
    let mut status = if undone.iter().any(|row| is_bad(&row.state)) { exit::FAILED } else { exit::DONE };
    if let Some((path, before)) = before.filter(|_| !undone.is_empty())
        && let Err(failure) = note(path, before, owner, &undone, at)
    {
        log::error(failure.error());
        status = exit::FAILED;
    }
    print(&undone, place).context("cannot print").map_err(Failure::Io)?;
    Ok(if interrupt::was_stopped() { exit::INTERRUPTED } else { status })
}

/// Refuses an undo that leaves no trace of the original push times, unless that is meant.
fn without_times(is_meant: bool, has_times: bool) -> Result<(), Failure> {
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

/// Writes down the push times of what is back.
fn note(
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
    keep(path, &before.with(owner, undone, at)).with_context(context).map_err(Failure::Io)
}

const fn is_bad(state: &RowUndoState) -> bool {
    matches!(state, RowUndoState::Taken | RowUndoState::Lost(_) | RowUndoState::Unknown(_))
}

/// What became of a row.
fn line_of(row: &UndoneRow) -> String {
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

fn print(undone: &[UndoneRow], place: Option<&Path>) -> std::io::Result<()> {
    render::not_back(undone.iter().filter(|row| is_bad(&row.state)).map(line_of));
    let mut out = std::io::stdout().lock();
    for row in undone {
        writeln!(out, "{}", registry_core::text::without_controls(&line_of(row)))?;
    }
    let count = |is: fn(&RowUndoState) -> bool| undone.iter().filter(|row| is(&row.state)).count();
    let back = count(|state| *state == RowUndoState::Restored);
    if let Some(place) = place.filter(|_| back > 0) {
        let place = registry_core::text::escape_os(place.as_os_str());
        writeln!(out, "the original push times are in {place}: later runs need --push-times {place}")?;
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
