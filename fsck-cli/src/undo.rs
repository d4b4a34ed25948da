//! The command `undo`: takes back what a journal tells.

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use registry_cli::file;
use registry_core::repair::{ChangeUndoState, RepairHistory, UNDO_SCHEMA, Undo, UndoReport, UndoneChange};
use registry_core::text::escape_os;
use registry_core::tree_writer::{Access, Locking, RunningServers};

use crate::args::UndoArgs;
use crate::exit::{self, Failure};
use crate::{hints, log, render, settings, unused};

/// Takes a repair back, prints, and gives the exit status.
///
/// # Errors
/// When the journal cannot be used, or the tree it tells of not be opened.
pub fn run(args: &UndoArgs) -> Result<u8, Failure> {
    let started_at = Timestamp::now();
    unused::refuse("undo", "a journal is taken back as a whole, the last change first", &args.common)?;
    let shown = escape_os(args.journal.as_os_str());
    let text = file::refuse_non_file(&args.journal)
        .and_then(|()| file::read_text(&args.journal, settings::MAX_BYTES))
        .with_context(|| format!("cannot read the journal {shown}"));
    let told = RepairHistory::read(&text.map_err(Failure::Usage)?)
        .map_err(|error| Failure::Usage(anyhow!("the journal {shown} cannot be used: {error}")))?;
    let access = Access {
        locking: if args.no_lock { Locking::ByCaller } else { Locking::Required },
        servers: if args.online { RunningServers::Accept } else { RunningServers::Refuse },
    };
    let undo = Undo::open(&told, access).map_err(hints::refused)?;
    let changes = undo.all();
    let servers = undo.processes().iter().map(Into::into).collect();
    drop(undo);
    let report = UndoReport {
        schema: UNDO_SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at,
        exit_status: status(&changes),
        journal: shown,
        tree: told.tree,
        is_torn: told.is_torn,
        servers,
        changes,
    };
    log::changes(&args.common, &report.changes);
    render::undone(&args.common, &report).context("cannot write the report").map_err(Failure::Io)?;
    Ok(report.exit_status)
}

fn status(changes: &[UndoneChange]) -> u8 {
    let any = |is: fn(&ChangeUndoState) -> bool| changes.iter().any(|change| is(&change.state));
    let mut status = exit::NOTHING_WRONG;
    if any(|state| matches!(state, ChangeUndoState::Taken(_))) {
        status |= exit::ERRORS;
    }
    if any(|state| matches!(state, ChangeUndoState::Lost(_))) {
        status |= exit::INCOMPLETE;
    }
    status
}
